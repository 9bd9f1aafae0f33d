//! Login servers as their documentation has them, all at one address: each kind at its own paths.
//!
//! They are strict: a request that the documentation does not allow is a fault of tpp's, and is written down.

mod feishu;
mod form;
mod json;
mod oauth2;

use std::{
    collections::{HashMap, VecDeque},
    io::{self, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    common::{
        http::{Framing, Head, read_body, read_head},
        upstream::{Gates, Register},
    },
    recipes::{Kind, Recipe},
};

pub(crate) use self::{
    feishu::{error as feishu_error, too_often as feishu_too_often},
    json::refused as json_refused,
    oauth2::error as oauth_error,
};

/// At which a login stands, if it is told to.
pub(crate) const GATE: &str = "login";

/// All login servers. Dropped, they let everybody go.
#[derive(Debug)]
pub(crate) struct Identity {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    register: Register,
    clients: Mutex<HashMap<String, Client>>,
    /// How long tokens are good for, seconds.
    life: AtomicU64,
    scripts: Mutex<VecDeque<Reply>>,
    asked: Mutex<Vec<Asked>>,
    ended: Mutex<Vec<String>>,
    faults: Mutex<Vec<String>>,
    gates: Gates,
    stands_at_gate: AtomicBool,
    is_down: AtomicBool,
}

/// One who may log in.
#[derive(Debug, Clone)]
struct Client {
    secret: String,
    /// The tokens that it was given last, by what they are called, and when.
    tokens: HashMap<String, (String, Instant)>,
    ticket: Option<String>,
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) at: Instant,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) head: Head,
    pub(crate) body: String,
}

/// What is said.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Further fields, each with its line end.
    pub(crate) fields: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(status: u16, body: impl ToString) -> Self {
        Self {
            status,
            fields: "Content-Type: application/json; charset=utf-8\r\n".to_owned(),
            body: body.to_string(),
        }
    }

    pub(crate) fn with(mut self, field: &str) -> Self {
        self.fields += field;
        self.fields += "\r\n";
        self
    }
}

impl Identity {
    /// Starts them; whoever logs in is let in by the upstream of `register`.
    pub(crate) fn start(register: Register) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind the login server");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            register,
            clients: Mutex::default(),
            life: AtomicU64::new(7200),
            scripts: Mutex::default(),
            asked: Mutex::default(),
            ended: Mutex::default(),
            faults: Mutex::default(),
            gates: Gates::default(),
            stands_at_gate: AtomicBool::new(false),
            is_down: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&served);
                thread::spawn(move || serve(&shared, stream));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes the accounts of `recipe` known, here and at the upstream.
    pub(crate) fn know(&self, recipe: &Recipe) {
        for account in &recipe.accounts {
            let shared = &self.shared;
            let is_shared = recipe.kind.is_shared();
            shared
                .register
                .add(&account.name, account.sessions, is_shared);
            if recipe.kind == Kind::Static {
                shared.register.admit(&account.name, &account.secret);
            }
            let client = Client {
                secret: account.secret.clone(),
                tokens: HashMap::new(),
                ticket: None,
            };
            shared.clients().insert(account.name.clone(), client);
        }
    }

    /// How long tokens are good for from now on.
    pub(crate) fn set_life(&self, seconds: u64) {
        self.shared.life.store(seconds, SeqCst);
    }

    /// What the next logins are answered with in place of what they ask for, one after the other.
    pub(crate) fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.scripts.lock().expect("scripts").extend(replies);
    }

    /// Whether logins stand at a gate, until it is [opened](Self::open_gate) for good.
    pub(crate) fn stand_at_gate(&self) {
        self.shared.stands_at_gate.store(true, SeqCst);
    }

    pub(crate) fn open_gate(&self) {
        self.shared.gates.open(GATE);
    }

    /// Logins that stand there.
    pub(crate) fn waiting_at_gate(&self) -> usize {
        self.shared.gates.waiting_at(GATE)
    }

    /// Whether every connection is closed without a word from now on.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.shared.is_down.store(is_down, SeqCst);
    }

    /// The ticket without which a marketplace app gets no token.
    pub(crate) fn set_ticket(&self, app: &str, ticket: &str) {
        let mut clients = self.shared.clients();
        clients.get_mut(app).expect("an app").ticket = Some(ticket.to_owned());
    }

    /// The secret of `user` is another one from now on.
    pub(crate) fn change_secret(&self, user: &str, secret: &str) {
        let mut clients = self.shared.clients();
        clients.get_mut(user).expect("a client").secret = secret.to_owned();
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().expect("asked").clone()
    }

    /// Those to `path`.
    pub(crate) fn asked_for(&self, path: &str) -> Vec<Asked> {
        let mut asked = self.asked();
        asked.retain(|one| one.path == path);
        asked
    }

    /// Tokens that were given back, in order.
    pub(crate) fn ended(&self) -> Vec<String> {
        self.shared.ended.lock().expect("ended").clone()
    }

    /// What nobody should have asked.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.shared.faults.lock().expect("faults").clone()
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        self.shared.gates.open_all();
    }
}

impl Shared {
    fn clients(&self) -> std::sync::MutexGuard<'_, HashMap<String, Client>> {
        self.clients.lock().expect("clients")
    }

    fn fault(&self, what: String) {
        self.faults.lock().expect("faults").push(what);
    }

    fn life(&self) -> u64 {
        self.life.load(SeqCst)
    }

    /// Whether it is `user`'s secret; `None`: nobody has that name.
    fn is_right(&self, user: &str, secret: &str) -> Option<bool> {
        let clients = self.clients();
        clients.get(user).map(|client| client.secret == secret)
    }

    /// A fresh token for `user`, under the name by which it is given.
    fn issue(&self, user: &str, what: &str) -> String {
        let token = self.register.issue(user);
        if let Some(client) = self.clients().get_mut(user) {
            let given = (token.clone(), Instant::now());
            client.tokens.insert(what.to_owned(), given);
        }
        token
    }

    /// The session of `token` is over.
    fn end(&self, token: &str) {
        self.register.end(token);
        self.ended.lock().expect("ended").push(token.to_owned());
    }

    fn answer(&self, asked: &Asked) -> Reply {
        let scripted = || self.scripts.lock().expect("scripts").pop_front();
        match (asked.path.as_str(), scripted) {
            ("/api/logout", _) => json::log_out(self, asked),
            ("/revoke", _) => oauth2::revoke(self, asked),
            (_, scripted) => {
                if self.stands_at_gate.load(SeqCst) {
                    self.gates.pass(GATE);
                }
                if let Some(reply) = scripted() {
                    return reply;
                }
                match asked.path.as_str() {
                    "/api/login" => json::log_in(self, asked),
                    "/token" => oauth2::grant(self, asked),
                    path if path.starts_with(feishu::ROOT) => feishu::answer(self, asked),
                    path => {
                        self.fault(format!("nothing is at {path}"));
                        Reply::json(404, "")
                    }
                }
            }
        }
    }
}

/// One request a connection, as tpp makes them; whatever breaks, breaks.
fn serve(shared: &Shared, mut stream: TcpStream) -> io::Result<()> {
    if shared.is_down.load(SeqCst) {
        return Ok(());
    }
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(raw) = read_head(&mut reader)? else {
        return Ok(());
    };
    let head = Head::parse(&raw).map_err(io::Error::other)?;
    let framing = head.framing(Framing::Empty).map_err(io::Error::other)?;
    let mut body = Vec::new();
    read_body(&mut reader, framing, |piece| {
        body.extend_from_slice(piece);
        Ok(())
    })?;
    let mut words = head.line.split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let asked = Asked {
        at: Instant::now(),
        method: method.to_owned(),
        path: path.to_owned(),
        body: String::from_utf8(body).map_err(io::Error::other)?,
        head,
    };
    shared.asked.lock().expect("asked").push(asked.clone());
    let Reply {
        status,
        fields,
        body,
    } = shared.answer(&asked);
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} As Said\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
