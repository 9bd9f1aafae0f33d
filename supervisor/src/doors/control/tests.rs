use std::{
    fs,
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream as StdUnixStream},
    },
    path::PathBuf,
    sync::{Barrier, Mutex},
    thread,
};

use nix::sys::socket::{Backlog, listen};
use tempfile::TempDir;
use tokio::{
    sync::{Notify, oneshot},
    task::{JoinHandle, spawn_blocking},
};
use tpp::{
    config::MAX_SESSIONS,
    control::{
        TokenStatus,
        client::{ClientError, ask},
    },
};

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// Replies with whatever the test puts here, and keeps what was asked.
struct Fixed {
    reply: Mutex<Reply>,
    asked: Mutex<Vec<Command>>,
    /// `Restart` waits for it.
    gate: Notify,
}

impl Operator for Fixed {
    async fn run(&self, command: Command, _: std::os::fd::BorrowedFd<'_>) -> Reply {
        if command == Command::Restart {
            self.gate.notified().await;
        }
        self.asked.lock().unwrap().push(command);
        self.reply.lock().unwrap().clone()
    }
}

struct Server {
    directory: TempDir,
    operator: Arc<Fixed>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<io::Result<()>>,
}

impl Server {
    fn start() -> Self {
        Self::start_for(|uid| may_ask(uid, geteuid().as_raw()), TRANSFER_TIMEOUT)
    }

    fn start_for(
        may_ask: impl Fn(u32) -> bool + Send + Sync + 'static,
        transfer: Duration,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = ControlSocket::bind(&directory.path().join("control.sock")).unwrap();
        let operator = Arc::new(Fixed {
            reply: Mutex::new(Reply::Done("done".into())),
            asked: Mutex::default(),
            gate: Notify::new(),
        });
        let (stop, stopped) = oneshot::channel();
        let stopped = async { stopped.await.unwrap_or_default() };
        let running =
            tokio::spawn(socket.serve_those(may_ask, transfer, Arc::clone(&operator), stopped));
        Self {
            directory,
            operator,
            stop,
            running,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    fn asking(&self, command: Command) -> JoinHandle<Result<Reply, ClientError>> {
        let path = self.path();
        spawn_blocking(move || ask(&path, command, PATIENCE))
    }

    async fn ask(&self, command: Command) -> Reply {
        self.asking(command).await.unwrap().unwrap()
    }

    /// Sends `bytes` as they are and reads the reply.
    async fn send(&self, bytes: &[u8]) -> Reply {
        let mut stream = UnixStream::connect(self.path()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // A reset after the reply tells that the server did not read all we sent.
        let _ = stream.read_to_end(&mut answer).await;
        frame::read::<Response>(&mut &answer[..], frame::MAX_FRAME_BYTES)
            .unwrap()
            .reply
    }
}

fn framed(body: &str) -> Vec<u8> {
    [
        &u32::try_from(body.len()).unwrap().to_be_bytes()[..],
        body.as_bytes(),
    ]
    .concat()
}

#[track_caller]
fn failed(reply: Reply, line: &str) {
    assert_eq!(reply, Reply::Failed(line.into()));
}

#[tokio::test]
async fn a_command_reaches_the_operator_and_its_reply_the_asker() {
    let server = Server::start();
    let command = Command::Refresh {
        user: Some("user1".into()),
    };
    assert_eq!(
        server.ask(command.clone()).await,
        Reply::Done("done".into())
    );
    assert_eq!(*server.operator.asked.lock().unwrap(), [command]);
}

#[tokio::test]
async fn the_list_of_all_slots_fits_a_frame() {
    let server = Server::start();
    let slot = |slot| TokenStatus {
        slot,
        user: "x".repeat(64),
        state: "refused".into(),
        age_seconds: Some(u64::MAX),
        refresh_in_seconds: Some(u64::MAX),
        holder: Some(u32::MAX),
        uses: u64::MAX,
        errors: u64::MAX,
        last_error: Some("x".repeat(512)),
        fingerprint: Some("0a1b2c3d".into()),
        pool: "x".repeat(64),
        provider: "dolphindb".into(),
        expires_in_seconds: Some(u64::MAX),
        last_used_seconds: Some(u64::MAX),
        held_ms: Some(u64::MAX),
        client: Some("x".repeat(39)),
        idle_ms: Some(u64::MAX),
    };
    let slots = u32::try_from(MAX_SESSIONS).unwrap();
    let tokens = Reply::Tokens((0..slots).map(slot).collect());
    *server.operator.reply.lock().unwrap() = tokens.clone();
    assert_eq!(server.ask(Command::Tokens).await, tokens);
}

#[tokio::test]
async fn a_reply_too_long_becomes_a_failure() {
    let server = Server::start();
    *server.operator.reply.lock().unwrap() = Reply::Done("x".repeat(frame::MAX_FRAME_BYTES));
    let reply = server.ask(Command::Status).await;
    failed(
        reply,
        "the answer cannot be sent: frame of 18874415 bytes, at most 18874368 are allowed",
    );
}

#[tokio::test]
async fn a_request_of_another_version_is_told_both_versions() {
    let server = Server::start();
    let reply = server.send(&framed(r#"{"version":2,"order":"new"}"#)).await;
    let line = concat!(
        "tpp ",
        env!("CARGO_PKG_VERSION"),
        " speaks protocol version 1, not 2; use the tppctl that was installed with it"
    );
    failed(reply, line);
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_never_run() {
    let server = Server::start();
    let huge = [&u32::to_be_bytes(1 << 20)[..], b"some of it"].concat();
    for (bytes, line) in [
        (framed("{}"), "missing field `version` at line 1 column 2"),
        (huge, "frame of 1048576 bytes, at most 65536 are allowed"),
        (
            b"\0\0\0\x09{".to_vec(),
            "connection closed after 1 of 9 bytes",
        ),
        (b"GET".to_vec(), "connection closed after 3 of 4 bytes"),
    ] {
        failed(
            server.send(&bytes).await,
            &format!("the request is malformed: {line}"),
        );
    }
    assert!(server.operator.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_client_that_trickles_is_cut_off() {
    let server = Server::start_for(|_| true, Duration::from_millis(50));
    let mut stream = UnixStream::connect(server.path()).await.unwrap();
    stream.write_all(b"\0").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let response: Response = frame::read(&mut &answer[..], frame::MAX_FRAME_BYTES).unwrap();
    failed(response.reply, "no whole request within 50ms");
}

#[tokio::test]
async fn silent_clients_leave_room_for_others_in_time() {
    let server = Server::start_for(|_| true, Duration::from_millis(50));
    let connect = || StdUnixStream::connect(server.path()).unwrap();
    let _silent: Vec<_> = (0..MAX_EXCHANGES + 1).map(|_| connect()).collect();
    assert_eq!(
        server.ask(Command::Status).await,
        Reply::Done("done".into())
    );
}

#[tokio::test]
async fn a_long_order_holds_up_nobody() {
    let server = Server::start();
    let restart = server.asking(Command::Restart);
    assert_eq!(
        server.ask(Command::Status).await,
        Reply::Done("done".into())
    );
    server.operator.gate.notify_one();
    assert_eq!(restart.await.unwrap().unwrap(), Reply::Done("done".into()));
    assert_eq!(
        *server.operator.asked.lock().unwrap(),
        [Command::Status, Command::Restart]
    );
}

#[tokio::test]
async fn a_stranger_is_told_so_and_nothing_is_run() {
    let server = Server::start_for(|_| false, TRANSFER_TIMEOUT);
    let reply = server.ask(Command::Status).await;
    failed(reply, "only root and the user tpp runs as may ask");
    assert!(server.operator.asked.lock().unwrap().is_empty());
}

#[test]
fn root_and_the_own_user_may_ask() {
    assert!(may_ask(0, 990));
    assert!(may_ask(990, 990));
    assert!(!may_ask(65534, 990));
    assert!(!may_ask(1000, 0));
}

#[test]
fn the_file_is_for_its_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let _socket = ControlSocket::bind(&path).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
}

#[test]
fn a_socket_somebody_listens_on_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let _running = ControlSocket::bind(&path).unwrap();
    let error = ControlSocket::bind(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("another supervisor is running at {}", path.display())
    );
    StdUnixStream::connect(&path).unwrap();
}

#[test]
fn a_stopped_supervisor_with_a_full_backlog_is_one_that_runs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let stopped = UnixListener::bind(&path).unwrap();
    listen(&stopped, Backlog::new(0).unwrap()).unwrap();
    let _queued = StdUnixStream::connect(&path).unwrap();
    let error = ControlSocket::bind(&path).unwrap_err();
    assert!(matches!(error, SocketError::InUse { .. }), "{error:?}");
}

#[test]
fn a_socket_left_behind_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    drop(UnixListener::bind(&path).unwrap());
    let _socket = ControlSocket::bind(&path).unwrap();
    StdUnixStream::connect(&path).unwrap();
}

#[test]
fn of_many_that_bind_at_once_one_succeeds_and_is_reached() {
    const RIVALS: usize = 4;
    for _ in 0..60 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        drop(UnixListener::bind(&path).unwrap());
        let line = Barrier::new(RIVALS);
        let bound: Vec<_> = thread::scope(|scope| {
            let bind = || {
                line.wait();
                ControlSocket::bind(&path)
            };
            let rivals: Vec<_> = (0..RIVALS).map(|_| scope.spawn(bind)).collect();
            rivals
                .into_iter()
                .map(|rival| rival.join().unwrap())
                .collect()
        });
        assert_eq!(
            bound.iter().filter(|socket| socket.is_ok()).count(),
            1,
            "{bound:?}"
        );
        StdUnixStream::connect(&path).unwrap();
    }
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    fs::write(&path, "precious").unwrap();
    let error = ControlSocket::bind(&path).unwrap_err();
    let line = format!(
        "control socket {}: the file that is there is not a socket",
        path.display()
    );
    assert_eq!(error.to_string(), line);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_path_that_cannot_be_bound_is_named_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missing/control.sock");
    let error = ControlSocket::bind(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("control socket {}", path.display())
    );
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "No such file or directory (os error 2)");
}

#[tokio::test]
async fn stopping_removes_the_file() {
    let server = Server::start();
    let path = server.path();
    assert_eq!(
        server.ask(Command::Status).await,
        Reply::Done("done".into())
    );
    server.stop.send(()).unwrap();
    server.running.await.unwrap().unwrap();
    assert!(!path.exists());
}

#[test]
fn the_file_of_a_successor_is_not_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let old = ControlSocket::bind(&path).unwrap();
    // Kept under another name, so that its inode is not given to the next.
    fs::rename(&path, directory.path().join("old.sock")).unwrap();
    let _new = ControlSocket::bind(&path).unwrap();
    drop(old);
    StdUnixStream::connect(&path).unwrap();
}
