//! The load that a profile-guided build learns from: each path that requests take often, tpp alone.

use std::{net::SocketAddr, path::Path, thread, time::Duration};

use crate::{
    Result,
    crowd::{Crowd, Habit},
    front, gateway,
    load::{self, Load},
    servers::{self, Server, TPP_NAMES, TppSettings},
    watching,
};

/// Small and large answers, and requests with a body.
const MIXED: &str = r#"
local count = 0
local body = '{"script":"' .. string.rep("x=1;", 500) .. '"}'
function request()
    count = count + 1
    if count % 3 == 0 then return wrk.format("POST", "/", { ["Content-Type"] = "application/json" }, body) end
    if count % 3 == 1 then return wrk.format("GET", "/large") end
    return wrk.format("GET", "/")
end
"#;

/// Puts each load on `executable` for `duration`. tpp ends in good order, so that its profile is written.
pub(crate) fn run(executable: &Path, duration: Duration, dir: &Path) -> Result<()> {
    let upstream = servers::start_upstream(dir)?;
    for mode in ["connection", "request"] {
        println!("training: {mode}, a token for each client");
        let scratch = tempfile::tempdir_in(dir)?;
        let dir = scratch.path();
        let tpp = start(executable, mode, 64, &upstream, dir)?;
        Load::Saturating.run(tpp.address, 64, duration, dir)?;
        Load::Paced(2000.0).run(tpp.address, 64, duration, dir)?;
        load::run_wrk(tpp.address, 64, duration, MIXED, dir)?;
        drop(tpp);
        println!("training: {mode}, clients in line");
        let tpp = start(executable, mode, 16, &upstream, dir)?;
        crowd(tpp.address, Habit::Close, duration)?;
        if mode == "request" {
            crowd(tpp.address, Habit::KeepAlive, duration)?;
        }
    }
    let scratch = tempfile::tempdir_in(dir)?;
    let dir = scratch.path();
    println!("training: a new connection for each request");
    let tpp = start(executable, "connection", 128, &upstream, dir)?;
    Load::Anew.run(tpp.address, 64, duration, dir)?;
    drop(tpp);
    println!("training: a gateway");
    let (_backends, tpp, load) = gateway::start_alone(executable, dir)?;
    load.run(tpp.address, 64, duration, dir)?;
    drop(tpp);
    println!("training: a log and traces");
    let tpp = watching::start_alone(executable, upstream.address, dir)?;
    Load::Saturating.run(tpp.address, 64, duration, dir)?;
    drop(tpp);
    println!("training: TLS and HTTP/2");
    let scratch = tempfile::tempdir_in(dir)?;
    front::load_alone(executable, &upstream, duration, scratch.path())
}

fn start(
    executable: &Path,
    mode: &'static str,
    sessions: usize,
    upstream: &Server,
    dir: &Path,
) -> Result<Server> {
    let dir = tempfile::tempdir_in(dir)?.keep();
    let settings = TppSettings {
        name: TPP_NAMES[0],
        executable,
        workers: 2,
        sessions,
        mode,
    };
    servers::start_tpp(&dir, &settings, upstream.address)
}

fn crowd(target: SocketAddr, habit: Habit, duration: Duration) -> Result<()> {
    let crowd = Crowd::gather(target, 64, habit)?;
    thread::sleep(duration);
    crowd.disperse()
}
