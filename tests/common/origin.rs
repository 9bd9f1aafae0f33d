//! An ordinary backend: it says its name, and whether it is well.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

/// A backend on loopback, for as long as the test lives.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

struct State {
    name: String,
    is_well: AtomicBool,
    fails: AtomicBool,
    asked: Mutex<Vec<String>>,
}

impl Origin {
    /// One called `name`, in good health.
    pub(crate) fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            name: name.to_owned(),
            is_well: AtomicBool::new(true),
            fails: AtomicBool::new(false),
            asked: Mutex::default(),
        });
        let served = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&served);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { address, state }
    }

    /// Says whether `/health` is answered with 200, or 503.
    pub(crate) fn set_well(&self, is_well: bool) {
        self.state.is_well.store(is_well, SeqCst);
    }

    /// Says whether what is no health check is answered with 500.
    pub(crate) fn set_fails(&self, fails: bool) {
        self.state.fails.store(fails, SeqCst);
    }

    /// The heads of all requests so far but for those of health checks.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.asked.lock().expect("no panic").clone()
    }

    /// Its table in a configuration; `further` is lines of its own.
    pub(crate) fn table(&self, tags: &str, further: &str) -> String {
        let (id, address) = (&self.state.name, self.address);
        format!(
            "\n[[backends]]\nid = \"{id}\"\naddress = \"{address}\"\ntags = [{tags}]\n{further}\n"
        )
    }
}

fn serve(stream: TcpStream, state: &State) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let is_check = head.starts_with("GET /health ");
        let status = if is_check && !state.is_well.load(SeqCst) {
            "503 Service Unavailable"
        } else if !is_check && state.fails.load(SeqCst) {
            "500 Internal Server Error"
        } else {
            "200 OK"
        };
        if !is_check {
            state.asked.lock().expect("no panic").push(head);
        }
        let (name, length) = (&state.name, state.name.len());
        write!(
            writer,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{name}"
        )?;
    }
}
