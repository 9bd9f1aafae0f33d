//! Caddy.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use super::{Server, TOKEN, find, free_address, write};
use crate::{
    Result,
    process::Program,
    shown::{HOST, Shown},
};

/// Caddy as a proxy that adds the token, over TLS, with HTTP/2.
pub(crate) fn start_caddy_front(
    dir: &Path,
    threads: usize,
    upstream: SocketAddr,
    shown: &Shown,
) -> Result<Server> {
    let address = free_address()?;
    let (certificate, key) = (shown.certificate.display(), shown.key.display());
    let configuration = format!(
        r#"{{
    admin off
    auto_https off
    log {{
        level ERROR
    }}
    servers {{
        protocols h1 h2
    }}
}}
https://{HOST}:{port} {{
    bind {ip}
    tls {certificate} {key}
    reverse_proxy {upstream} {{
        header_up Authorization "Bearer {TOKEN}"
        transport http {{
            keepalive 300s
            keepalive_idle_conns 512
            keepalive_idle_conns_per_host 512
        }}
    }}
}}
"#,
        port = address.port(),
        ip = address.ip(),
    );
    let dir = dir.join("caddy");
    fs::create_dir(&dir)?;
    let file = write(&dir, "Caddyfile", &configuration)?;
    let mut command = Command::new(find("caddy")?);
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(file)
        .env("GOMAXPROCS", threads.to_string())
        // Where it keeps what it makes.
        .env("HOME", &dir)
        .env("XDG_DATA_HOME", &dir)
        .env("XDG_CONFIG_HOME", &dir);
    let mut program = Program::start("caddy", command, &dir)?;
    program.wait_for_listener(address)?;
    Ok(Server { program, address })
}
