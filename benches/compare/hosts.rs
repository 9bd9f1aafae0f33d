//! (j): what it costs to share accounts with other hosts: the same tpp alone, and as one of many hosts with an etcd of one member.

use std::{net::TcpStream, path::Path, process::Command};

use crate::{
    Result,
    comparison::{self, Plan},
    load::Load,
    process::Program,
    servers::{self, Server, TppSettings},
};

/// Measures it with `workers` workers: requests and leases of a connection each, then a lease for each request.
pub(crate) fn run(executable: &Path, workers: usize, plan: Plan, dir: &Path) -> Result<()> {
    let scratch = tempfile::tempdir_in(dir)?;
    let dir = scratch.path();
    let upstream = servers::start_upstream(dir)?;
    let by_connection = [
        (Load::Saturating, "as fast as it goes"),
        (Load::Anew, "a new connection and lease for each request"),
    ];
    let by_request = [(Load::Saturating, "a lease for each request")];
    for (mode, loads) in [
        ("connection", &by_connection[..]),
        ("request", &by_request[..]),
    ] {
        let scratch = tempfile::tempdir_in(dir)?;
        // One each: the accounts of a server belong to one cluster.
        let (_etcd, endpoint) = start_etcd(scratch.path())?;
        let start = |name, hosts| {
            let settings = TppSettings {
                name,
                executable,
                workers,
                sessions: 2 * plan.connections,
                mode,
            };
            servers::start_tpp_among(scratch.path(), &settings, upstream.address, hosts)
        };
        let both = [
            start("alone", None)?,
            start("one-of-many", Some((&*endpoint, mode)))?,
        ];
        both.iter().try_for_each(Server::check_token)?;
        for (load, what) in loads {
            let what = format!("(j) many hosts: {what}, {workers} worker(s) each");
            comparison::show(&what, &both, *load, plan, dir)?;
        }
    }
    Ok(())
}

/// An etcd of one member, and where it is.
fn start_etcd(dir: &Path) -> Result<(Program, String)> {
    let [clients, peers] = [servers::free_address()?, servers::free_address()?];
    let url = |address| format!("http://{address}");
    let mut command = Command::new(servers::find("etcd")?);
    command
        .arg("--data-dir")
        .arg(dir.join("etcd"))
        .args(["--listen-client-urls", &url(clients)])
        .args(["--advertise-client-urls", &url(clients)])
        .args(["--listen-peer-urls", &url(peers)])
        .args(["--initial-advertise-peer-urls", &url(peers)])
        .args(["--initial-cluster", &format!("default={}", url(peers))]);
    let mut program = Program::start("etcd", command, dir)?;
    program.wait_until("etcd listens", || TcpStream::connect(clients).is_ok())?;
    Ok((program, url(clients)))
}
