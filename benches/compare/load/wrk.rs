//! wrk, with words of our own.

use std::{fs, net::SocketAddr, path::Path, process::Command, time::Duration};

use super::Outcome;
use crate::{Result, process, servers::find};

/// Prints wrk's result in a form that needs no guessing at units.
const WRK_SCRIPT: &str = r#"
function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format("result %d %d %d %d %d\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

/// Lua that ends each connection with its answer.
pub(super) const CLOSING: &str = "wrk.headers[\"Connection\"] = \"close\"\n";

/// The name of a host.
pub(crate) fn host(number: usize) -> String {
    format!("host-{number}.example")
}

/// Lua that asks for one host after another, of requests made beforehand.
pub(super) fn requests_to(hosts: usize) -> String {
    let names = (0..hosts).map(|number| format!("\"{}\"", host(number)));
    let names: Vec<_> = names.collect();
    format!(
        "local heads, next = {{}}, 0
function init()
    for at, name in ipairs({{ {} }}) do
        heads[at] = wrk.format(\"GET\", \"/\", {{ Host = name }})
    end
end
function request()
    next = next % #heads + 1
    return heads[next]
end
",
        names.join(", ")
    )
}

/// wrk with two threads; `requests` is Lua that says what to ask for, `GET /` when it is empty.
pub(crate) fn run(
    target: SocketAddr,
    connections: usize,
    duration: Duration,
    requests: &str,
    dir: &Path,
) -> Result<Outcome> {
    let command = Command::new(find("wrk")?);
    run_at(
        command,
        &format!("http://{target}/"),
        connections,
        duration,
        requests,
        dir,
    )
}

/// The same of `url`, with what the command has already.
pub(super) fn run_at(
    mut command: Command,
    url: &str,
    connections: usize,
    duration: Duration,
    requests: &str,
    dir: &Path,
) -> Result<Outcome> {
    let script = dir.join("wrk.lua");
    fs::write(&script, format!("{requests}{WRK_SCRIPT}"))?;
    command
        .args([
            "-t",
            "2",
            "-c",
            &connections.to_string(),
            "-d",
            &format!("{}s", duration.as_secs().max(1)),
            "-s",
        ])
        .arg(script)
        .arg(url);
    let output = process::run(&mut command)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = text
        .lines()
        .find_map(|line| line.strip_prefix("result "))
        .map(|line| {
            line.split(' ')
                .filter_map(|word| word.parse().ok())
                .collect()
        })
        .unwrap_or_default();
    let [requests, elapsed, p50, p99, errors] = numbers[..] else {
        return Err(format!(
            "wrk: {}\n{text}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    };
    if errors > 0 {
        return Err(format!("wrk: {errors} of {requests} requests failed:\n{text}").into());
    }
    Ok(Outcome {
        requests,
        elapsed: Duration::from_micros(elapsed),
        p50: Duration::from_micros(p50),
        p99: Duration::from_micros(p99),
    })
}
