//! The servers under measurement, each with a configuration of its own making.

mod caddy;
mod haproxy;
mod nginx;
mod tpp;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

pub(crate) use self::tpp::{
    TPP_NAMES, TppSettings, start_tpp, start_tpp_among, start_tpp_front, start_tpp_with,
};
pub(crate) use caddy::start_caddy_front;
pub(crate) use haproxy::{
    haproxy_head, start_haproxy, start_haproxy_as, start_haproxy_front, start_haproxy_with,
};
pub(crate) use nginx::{start_nginx, start_nginx_front, start_nginx_proxy, start_nginx_proxy_as};

use crate::{Result, http, process::Program};

/// The token that nginx and HAProxy add, and that the upstream's login hands out: as long as DolphinDB's.
const TOKEN: &str = "dGhpcyBpcyBhIHRva2VuIG9mIHRoZSBsZW5ndGggdGhhdCBEb2xwaGluREIgaGFuZHMgb3V0LCBpbiBiYXNlNjQg\
                     YW5kIHdpdGhvdXQgaXRzIGxpbmUgYnJlYWtzLi4=";

/// A server that runs and answers.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
}

/// The upstream: nginx with one worker, which answers from memory. It hands out tokens, shows at
/// `/authorization` the one that a request came with, and has an answer of 16 KiB at `/large`.
pub(crate) fn start_upstream(dir: &Path) -> Result<Server> {
    let address = free_address()?;
    write(
        dir,
        "large",
        &"1.25, 2.5, 3.75, 5.0, ".repeat(16 * 1024 / 22),
    )?;
    let root = dir.display();
    let locations = format!(
        r#"location / {{ return 200 '{{"session":"1","user":"bench","code":"0","message":"","result":3}}'; }}
        location = /large {{ root {root}; }}
        location = /authorization {{ return 200 '$http_authorization '; }}
        location = /api/login {{ return 200 '{{"session":"1","user":"bench","code":"0","message":"","result":"{TOKEN}"}}'; }}"#
    );
    start_nginx("upstream", dir, 1, "", address, &locations)
}

impl Server {
    /// Makes sure that a request through this proxy reaches the upstream with a token.
    pub(crate) fn check_token(&self) -> Result<()> {
        let (status, body) = http::get(self.address, "/authorization")?;
        if status != 200 || body.trim() != format!("Bearer {TOKEN}") {
            return Err(format!(
                "{}: no token at the upstream: {status} {body}",
                self.program.name()
            )
            .into());
        }
        Ok(())
    }
}

/// Where `program` lies; Debian keeps servers out of an ordinary user's PATH.
pub(crate) fn find(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            format!("{program} is not installed; packaging/install-deps.sh bench installs it")
                .into()
        })
}

/// A loopback address that nobody listens on now. Neither nginx nor HAProxy can say which port they were
/// given, so that port 0 is no choice.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn write(dir: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let file = dir.join(name);
    fs::write(&file, text)?;
    Ok(file)
}
