//! Loads over TLS: wrk's and h2load's, and handshakes of our own. All of them speak TLS 1.3 with one cipher.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustls::{
    CipherSuite, ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    version::TLS13,
};

use super::{Outcome, outcome, wrk};
use crate::{
    Result, process,
    servers::find,
    shown::{CERTIFICATE, CIPHER, HOST},
};

/// [`CIPHER`], as rustls calls it.
const SUITE: CipherSuite = CipherSuite::TLS13_AES_128_GCM_SHA256;

fn url(target: SocketAddr) -> String {
    format!("https://{HOST}:{}/", target.port())
}

/// wrk, over TLS.
pub(super) fn run_wrk(
    target: SocketAddr,
    connections: usize,
    duration: Duration,
    dir: &Path,
) -> Result<Outcome> {
    let mut command = Command::new(find("wrk")?);
    command.env("OPENSSL_CONF", dir.join("openssl.cnf"));
    wrk::run_at(command, &url(target), connections, duration, "", dir)
}

/// h2load with two threads, so many `streams` at once on each connection.
pub(super) fn run_streams(
    target: SocketAddr,
    connections: usize,
    streams: usize,
    duration: Duration,
    dir: &Path,
) -> Result<Outcome> {
    let log = dir.join("h2load.log");
    // It adds to what there is.
    let _ = fs::remove_file(&log);
    let mut command = Command::new(find("h2load")?);
    command
        .args([
            "-t",
            "2",
            "-c",
            &connections.to_string(),
            "-m",
            &streams.to_string(),
        ])
        .args([
            "-D",
            &duration.as_secs().max(1).to_string(),
            "--tls13-ciphers",
            CIPHER,
        ])
        .arg("--log-file")
        .arg(&log)
        .arg(url(target));
    let output = process::run(&mut command)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_right = text.contains("Application protocol: h2\n")
        && text.contains(&format!("Cipher: {CIPHER}\n"))
        && text.contains(" 0 failed, 0 errored, 0 timeout");
    if !is_right {
        return Err(format!("h2load: {}\n{text}", output.status).into());
    }
    let mut latencies = Vec::new();
    for line in fs::read_to_string(&log)?.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [_, "200", microseconds, ..] = columns[..] else {
            return Err(format!("h2load: an answer other than 200: {line}").into());
        };
        latencies.push(Duration::from_micros(microseconds.parse()?));
    }
    outcome(latencies, duration).ok_or_else(|| format!("no answer from {target}").into())
}

/// So many clients, each with a handshake for each request.
pub(super) fn run_handshakes(
    target: SocketAddr,
    clients: usize,
    duration: Duration,
    resumed: bool,
    dir: &Path,
) -> Result<Outcome> {
    let began = Instant::now();
    let mut threads = Vec::new();
    for _ in 0..clients {
        // Each keeps sessions of its own: few are kept of one server, and each is good for one time.
        let terms = terms(&dir.join(CERTIFICATE), resumed)?;
        let come = move || come_again(target, &terms, began + duration, resumed);
        threads.push(thread::spawn(come));
    }
    let mut latencies = Vec::new();
    for thread in threads {
        let came = thread.join().map_err(|_| "a client panicked")?;
        latencies.extend(came.map_err(|error| format!("{target}: {error}"))?);
    }
    outcome(latencies, began.elapsed()).ok_or_else(|| format!("no answer from {target}").into())
}

/// What clients speak, who trust the certificate in `file`, and keep sessions or not.
fn terms(file: &Path, resumed: bool) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file)?)?;
    let mut provider = ring::default_provider();
    provider
        .cipher_suites
        .retain(|suite| suite.suite() == SUITE);
    let mut terms = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    if !resumed {
        terms.resumption = Resumption::disabled();
    }
    Ok(Arc::new(terms))
}

/// Comes until `end`; how long each time took, from the first packet to the end of the connection.
fn come_again(
    target: SocketAddr,
    terms: &Arc<ClientConfig>,
    end: Instant,
    resumed: bool,
) -> std::result::Result<Vec<Duration>, String> {
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let began = Instant::now();
        let kind = come(target, terms).map_err(|error| error.to_string())?;
        // The first time there is no session yet.
        let is_resumed = kind == Some(HandshakeKind::Resumed);
        if !latencies.is_empty() && is_resumed != resumed {
            return Err(format!("a handshake of another kind: {kind:?}"));
        }
        latencies.push(began.elapsed());
    }
    Ok(latencies)
}

/// One connection with one request.
fn come(target: SocketAddr, terms: &Arc<ClientConfig>) -> Result<Option<HandshakeKind>> {
    let tcp = TcpStream::connect(target)?;
    tcp.set_nodelay(true)?;
    let connection = ClientConnection::new(Arc::clone(terms), ServerName::try_from(HOST)?)?;
    let mut stream = StreamOwned::new(connection, tcp);
    let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    // Not all of them say in TLS that they end: the answer's length is enough.
    let ended = stream.read_to_end(&mut answer);
    if !answer.starts_with(b"HTTP/1.1 200") || answer.last() != Some(&b'}') {
        let said = String::from_utf8_lossy(&answer);
        return Err(format!("{said:?}, {ended:?}").into());
    }
    Ok(stream.conn.handshake_kind())
}
