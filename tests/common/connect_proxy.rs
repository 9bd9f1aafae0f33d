//! An HTTP proxy on loopback: it connects to whom `CONNECT` names, and passes on a request for a whole URL.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// The proxy, for as long as the test lives.
pub(crate) struct ConnectProxy {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// What names lead to: nobody else knows them.
    names: Mutex<BTreeMap<String, SocketAddr>>,
    heads: Mutex<Vec<String>>,
    refuses: Mutex<bool>,
}

impl ConnectProxy {
    /// One that knows each of `names`.
    pub(crate) fn start(names: &[(&str, SocketAddr)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State::default());
        let names = names.iter().map(|(name, at)| ((*name).to_owned(), *at));
        *state.names.lock().expect("no panic") = names.collect();
        let served = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&served);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { address, state }
    }

    /// As `proxy` has it in a configuration.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of what it was asked.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.state.heads.lock().expect("no panic").clone()
    }

    /// Says whether it turns everybody down.
    pub(crate) fn set_refuses(&self, refuses: bool) {
        *self.state.refuses.lock().expect("no panic") = refuses;
    }
}

fn serve(client: TcpStream, state: &State) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    state.heads.lock().expect("no panic").push(head.clone());
    let mut client = client;
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let (authority, path) = match target.strip_prefix("http://") {
        Some(url) => url.split_at(url.find('/').unwrap_or(url.len())),
        None => (target.as_str(), ""),
    };
    let name = authority
        .rsplit_once(':')
        .map_or(authority, |(name, _)| name);
    let known = state.names.lock().expect("no panic").get(name).copied();
    let refuses = *state.refuses.lock().expect("no panic");
    let Some(address) = known.filter(|_| !refuses) else {
        return client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    };
    let mut server = TcpStream::connect(address)?;
    if path.is_empty() {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    } else {
        server.write_all(head.replacen(&target, path, 1).as_bytes())?;
    }
    let (mut back, mut to_client) = (server.try_clone()?, client.try_clone()?);
    let answering = thread::spawn(move || pass(&mut back, &mut to_client));
    pass(&mut reader, &mut server)?;
    answering.join().expect("no panic")
}

/// Until the one side ends, of which the other is told.
fn pass(from: &mut impl Read, to: &mut TcpStream) -> io::Result<()> {
    // Either may have gone.
    let _ = io::copy(from, to);
    let _ = to.shutdown(Shutdown::Write);
    Ok(())
}
