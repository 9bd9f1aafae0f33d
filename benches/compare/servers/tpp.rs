//! tpp.

use std::{fmt::Write as _, fs, net::SocketAddr, path::Path, process::Command};

use super::{Server, free_address, write};
use crate::{Result, http, process::Program, shown::Shown};

/// What the builds of tpp are called in the tables, in the order of the command line.
pub(crate) const TPP_NAMES: [&str; 3] = ["tpp", "tpp-2", "tpp-3"];

/// What tpp is to be.
#[derive(Debug, Clone)]
pub(crate) struct TppSettings<'a> {
    /// What this one is called in the tables.
    pub(crate) name: &'static str,
    pub(crate) executable: &'a Path,
    pub(crate) workers: usize,
    pub(crate) sessions: usize,
    /// `lease.mode`.
    pub(crate) mode: &'static str,
}

/// tpp, ready with all its tokens.
pub(crate) fn start_tpp(
    dir: &Path,
    settings: &TppSettings<'_>,
    upstream: SocketAddr,
) -> Result<Server> {
    start_tpp_further(dir, settings, upstream, None, "")
}

/// The same as one of many hosts: the endpoint of etcd, and the cluster; `None`: alone.
pub(crate) fn start_tpp_among(
    dir: &Path,
    settings: &TppSettings<'_>,
    upstream: SocketAddr,
    hosts: Option<(&str, &str)>,
) -> Result<Server> {
    let further = hosts.map_or_else(String::new, |(endpoint, cluster)| {
        format!(
            "[hosts]\nendpoints = [\"{endpoint}\"]\ncluster = \"{cluster}\"\nname = \"bench\"\n"
        )
    });
    // Who is alone keeps nothing, and may be a build that knows of no state.
    let state = hosts.map(|_| dir.join("state"));
    start_tpp_further(dir, settings, upstream, state.as_deref(), &further)
}

/// The same over TLS, with HTTP/2.
pub(crate) fn start_tpp_front(
    dir: &Path,
    settings: &TppSettings<'_>,
    upstream: SocketAddr,
    shown: &Shown,
) -> Result<Server> {
    let address = free_address()?;
    let listener = format!(
        "[[listeners]]\naddress = \"{address}\"\ntls = true\n\
         [[certificates]]\nname = \"own\"\ncert_file = \"{}\"\nkey_file = \"{}\"\n",
        shown.certificate.display(),
        shown.key.display(),
    );
    let server = start_tpp_further(dir, settings, upstream, None, &listener)?;
    Ok(Server { address, ..server })
}

fn start_tpp_further(
    dir: &Path,
    settings: &TppSettings<'_>,
    upstream: SocketAddr,
    state: Option<&Path>,
    further: &str,
) -> Result<Server> {
    let TppSettings {
        name,
        executable,
        workers,
        sessions,
        mode,
    } = settings;
    let dir = dir.join(name);
    fs::create_dir(&dir)?;
    let (address, health) = (free_address()?, free_address()?);
    let mut configuration = String::new();
    writeln!(
        configuration,
        "listen = \"{address}\"\nhealth_listen = \"{health}\""
    )?;
    writeln!(
        configuration,
        "control_socket = \"{}\"",
        dir.join("control.sock").display()
    )?;
    if let Some(state) = state {
        writeln!(configuration, "state_directory = \"{}\"", state.display())?;
    }
    writeln!(configuration, "[workers]\ncount = {workers}")?;
    writeln!(
        configuration,
        "[upstream]\nhost = \"{}\"\nport = {}",
        upstream.ip(),
        upstream.port()
    )?;
    writeln!(configuration, "[lease]\nmode = \"{mode}\"")?;
    writeln!(
        configuration,
        "[[credentials]]\nusername = \"bench\"\npassword = \"bench\"\nsessions = {sessions}"
    )?;
    writeln!(configuration, "[telemetry]\nlog_filter = \"warn\"")?;
    configuration.push_str(further);
    start_tpp_with(
        &dir,
        name,
        executable,
        (address, health),
        &configuration,
        Some(*sessions),
    )
}

/// tpp with this whole configuration, whose `listen` and `health_listen` are `addresses`; ready, and with so many tokens.
pub(crate) fn start_tpp_with(
    dir: &Path,
    name: &'static str,
    executable: &Path,
    addresses: (SocketAddr, SocketAddr),
    configuration: &str,
    tokens: Option<usize>,
) -> Result<Server> {
    let (address, health) = addresses;
    let file = write(dir, "tpp.toml", configuration)?;
    let mut command = Command::new(executable);
    command.arg("--config").arg(file);
    let mut program = Program::start(name, command, dir)?;
    let wanted = tokens.map(|tokens| format!("\"total\":{tokens}"));
    program.wait_until("all tokens are in and a worker is ready", || {
        http::get(health, "/readyz").is_ok_and(|(status, _)| status == 200)
            && wanted.as_ref().is_none_or(|wanted| {
                http::get(health, "/health")
                    .is_ok_and(|(_, body)| body.replace(' ', "").contains(wanted))
            })
    })?;
    Ok(Server { program, address })
}
