//! Clients that speak HTTP/2 over TLS: several requests at once, each with a lease of its own, which ends with its answer.
//!
//! To the judge each stream is a connection that leaves when it is answered. What the server says was not acted on is asked again over
//! another connection; all else that fails is complained of.

use std::{
    cell::Cell,
    io,
    net::TcpStream,
    time::{Duration, Instant},
};

use http::{Method, Request};
use rustls::pki_types::ServerName;
use tokio::time::{sleep, timeout};

use crate::{
    common::{client::next_conn, dice::Dice, http::pattern, patience, upstream::ConnId},
    crowd::Crowd,
    judge::{Complaint, What},
    line::Place,
    scene::HOST,
    speaks::{Answered, Http2, is_for_another_connection, join_all, runtime},
};

/// Most requests at once.
const AT_ONCE: usize = 6;

/// What is asked.
#[derive(Debug, Clone)]
enum Question {
    /// So many bytes.
    Bytes(usize),
    /// An answer after so many milliseconds.
    Delay(usize),
    /// This back.
    Echo(Vec<u8>),
}

/// A connection, as the judge knows it.
struct Connection<'a, 'b> {
    crowd: &'a Crowd<'b>,
    http2: Http2,
    socket: TcpStream,
    connected: Instant,
}

/// Asks several things at once, and again, over one connection or as many as it takes.
pub(crate) fn ask_at_once(crowd: &Crowd, dice: &mut Dice) {
    let mut rounds: Vec<Vec<Question>> = (0..=dice.below(4)).map(|_| round(dice)).collect();
    let pause = Duration::from_millis(dice.below(30) as u64);
    runtime().block_on(async {
        while !rounds.is_empty() {
            let Some(connection) = Connection::open(crowd).await else {
                return;
            };
            while let Some(questions) = rounds.pop() {
                let again = connection.ask_all(questions).await;
                if !again.is_empty() {
                    rounds.push(again);
                    break;
                }
                sleep(pause).await;
            }
        }
    });
}

/// Asks several things at once, and wants none of the answers any more, be they waited for or on their way.
pub(crate) fn take_back(crowd: &Crowd, dice: &mut Dice) {
    let questions = round(dice);
    let pause = Duration::from_millis(dice.below(40) as u64);
    runtime().block_on(async {
        let Some(connection) = Connection::open(crowd).await else {
            return;
        };
        let mut open = Vec::new();
        for question in questions {
            let conn = connection.enter();
            // Its body, if it has one, never ends.
            let is_all = question.body().is_none();
            let stream = connection.http2.open(question.request(conn), is_all);
            open.push((conn, stream.await));
        }
        sleep(pause).await;
        open.iter().for_each(|(conn, _)| connection.leave(*conn));
        drop(open);
        // So that it is sent.
        sleep(Duration::from_millis(1)).await;
    });
}

fn round(dice: &mut Dice) -> Vec<Question> {
    let question = |dice: &mut Dice| match dice.below(3) {
        0 => Question::Bytes(1 << dice.below(19)),
        1 => Question::Delay(dice.below(30)),
        _ => {
            let mark = format!("{};", dice.below(usize::MAX));
            let length = 1 + dice.below(40_000);
            Question::Echo(mark.bytes().cycle().take(length).collect())
        }
    };
    (0..1 + dice.below(AT_ONCE))
        .map(|_| question(dice))
        .collect()
}

impl Question {
    fn request(&self, conn: ConnId) -> Request<()> {
        let (method, path) = match self {
            Self::Bytes(length) => (Method::GET, format!("/bytes/{length}")),
            Self::Delay(time) => (Method::GET, format!("/delay/{time}")),
            Self::Echo(_) => (Method::POST, "/echo".to_owned()),
        };
        Request::builder()
            .method(method)
            .uri(format!("https://{HOST}{path}"))
            .header("x-conn", conn)
            .header("x-seq", 1)
            .body(())
            .expect("a request")
    }

    fn body(&self) -> Option<Vec<u8>> {
        match self {
            Self::Echo(body) => Some(body.clone()),
            _ => None,
        }
    }

    fn is_answered(&self, conn: ConnId, body: &[u8]) -> bool {
        match self {
            Self::Bytes(length) => body == pattern(*length),
            Self::Echo(sent) => body == sent,
            Self::Delay(_) => {
                let who: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
                who["conn"] == conn
            }
        }
    }
}

impl<'a, 'b> Connection<'a, 'b> {
    /// `None`: there is none, which is complained of.
    async fn open(crowd: &'a Crowd<'b>) -> Option<Self> {
        let connected = Instant::now();
        let socket = TcpStream::connect(crowd.front);
        let port = socket.as_ref().ok().and_then(|one| one.local_addr().ok());
        let opened = async {
            let socket = socket?;
            let tcp = socket.try_clone()?;
            tcp.set_nonblocking(true)?;
            let tcp = tokio::net::TcpStream::from_std(tcp)?;
            let name = ServerName::try_from(HOST).map_err(io::Error::other)?;
            let tls = crowd.tls.connect(name, tcp).await?;
            let http2 = Http2::try_over(tls).await;
            Ok::<_, io::Error>((socket, http2.map_err(io::Error::other)?))
        };
        let opened = timeout(patience(), opened)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match opened {
            Ok((socket, http2)) => {
                crowd.note_connection();
                Some(Self {
                    crowd,
                    http2,
                    socket,
                    connected,
                })
            }
            Err(error) => {
                let what = match error.kind() {
                    io::ErrorKind::TimedOut | io::ErrorKind::ConnectionRefused => {
                        What::Wrong(format!("no connection: {error}"))
                    }
                    _ => What::Ended(error.to_string()),
                };
                crowd.complain(Complaint {
                    conn: 0,
                    port: port.map_or(0, |address| address.port()),
                    connected,
                    asked: connected,
                    ended: Instant::now(),
                    what,
                });
                sleep(Duration::from_millis(20)).await;
                None
            }
        }
    }

    /// Another stream begins; its name.
    fn enter(&self) -> ConnId {
        let conn = next_conn();
        self.crowd.oracle.enters(conn, &self.socket);
        conn
    }

    fn leave(&self, conn: ConnId) {
        self.crowd.oracle.leaves(conn, true);
    }

    /// Asks all at once. Returns what is to be asked over another connection.
    async fn ask_all(&self, questions: Vec<Question>) -> Vec<Question> {
        let asked = questions.into_iter().map(|question| self.ask(question));
        let again = join_all(asked.collect()).await;
        again.into_iter().flatten().collect()
    }

    /// `Some`: it is to be asked again.
    async fn ask(&self, question: Question) -> Option<Question> {
        let (conn, asked, has_begun) = (self.enter(), Instant::now(), Cell::new(false));
        let request = question.request(conn);
        let answer = self
            .http2
            .ask_noting(request, question.body(), || has_begun.set(true));
        let answer = answer.await;
        let what = match answer {
            Ok(answer) => self.judge(&question, conn, asked, &answer),
            Err(error) if is_for_another_connection(&error) => {
                self.leave(conn);
                return Some(question);
            }
            Err(error) if has_begun.get() => Some(What::BrokeOff(error.to_string())),
            Err(error) => Some(What::Ended(error.to_string())),
        };
        if let Some(what) = what {
            self.crowd.complain(Complaint {
                conn,
                port: self.port(),
                connected: self.connected,
                asked,
                ended: Instant::now(),
                what,
            });
        }
        self.leave(conn);
        None
    }

    fn judge(
        &self,
        question: &Question,
        conn: ConnId,
        asked: Instant,
        answer: &Answered,
    ) -> Option<What> {
        let place = Place {
            conn,
            port: self.port(),
            connected: asked,
            asked,
            served: Instant::now(),
        };
        self.crowd.note_place(place);
        let (status, body) = (answer.head.status().as_u16(), &answer.body);
        if status != 200 {
            let text = String::from_utf8_lossy(body).into_owned();
            Some(What::Status(status, text))
        } else if question.is_answered(conn, body) {
            self.crowd.note_served();
            None
        } else {
            let length = body.len();
            Some(What::Wrong(format!("a wrong body of {length} bytes")))
        }
    }

    fn port(&self) -> u16 {
        let address = self.socket.local_addr();
        address.map_or(0, |address| address.port())
    }
}
