use std::{os::unix::net::UnixListener, thread};

use super::*;

/// Long enough to never matter unless the test is about it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Listens at a fresh path, plays `supervisor` with the first connection, and returns what [`ask`] made of it.
fn asked(
    timeout: Duration,
    supervisor: impl FnOnce(UnixStream) + Send + 'static,
) -> (PathBuf, Result<Reply, ClientError>) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let peer = thread::spawn(move || supervisor(listener.accept().unwrap().0));
    let reply = ask(&socket, Command::Status, timeout);
    peer.join().unwrap();
    (socket, reply)
}

/// The one line `ask` failed with, without the socket's path, which it must open with.
#[track_caller]
fn reason((socket, reply): (PathBuf, Result<Reply, ClientError>)) -> String {
    let line = reply.unwrap_err().to_string();
    assert!(!line.contains('\n'), "{line}");
    line.strip_prefix(&format!("{}: ", socket.display()))
        .expect(&line)
        .to_owned()
}

fn read_request(stream: &mut UnixStream) -> Request {
    frame::read(stream, frame::MAX_REQUEST_BYTES).unwrap()
}

#[test]
fn a_question_gets_its_reply() {
    let (_, reply) = asked(PATIENCE, |mut stream| {
        assert_eq!(read_request(&mut stream), Request::new(Command::Status));
        frame::write(&mut stream, &Response::new(Reply::Done("yes".into()))).unwrap();
    });
    assert_eq!(reply.unwrap(), Reply::Done("yes".into()));
}

#[test]
fn a_missing_socket_asks_whether_tpp_runs() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    let reply = ask(&socket, Command::Status, PATIENCE);
    assert_eq!(
        reason((socket, reply)),
        "no such socket; is tpp running, and is this its control_socket?"
    );
}

#[test]
fn a_socket_left_behind_says_that_nobody_answers() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let reply = ask(&socket, Command::Status, PATIENCE);
    assert_eq!(
        reason((socket, reply)),
        "nobody answers on this socket; tpp is not running"
    );
}

#[test]
fn each_refusal_to_connect_has_its_reason() {
    let line = |errno| unconnected(errno, Duration::from_secs(3)).to_string();
    assert_eq!(
        line(Errno::EACCES),
        "no permission; ask as root or as the user tpp runs as"
    );
    assert_eq!(line(Errno::EAGAIN), "no answer within 3s");
    assert_eq!(line(Errno::ENOTDIR), "Not a directory (os error 20)");
}

#[test]
fn a_path_too_long_for_a_socket_is_an_error() {
    let socket = PathBuf::from(format!("/{}", "x".repeat(200)));
    let reply = ask(&socket, Command::Status, PATIENCE);
    assert_eq!(reason((socket, reply)), "File name too long (os error 36)");
}

#[test]
fn a_closed_connection_is_said_to_be_closed() {
    let closed = "the supervisor closed the connection before it answered";
    assert_eq!(reason(asked(PATIENCE, drop)), closed);
    let midway = asked(PATIENCE, |mut stream| {
        read_request(&mut stream);
        stream.write_all(b"\0\0\0\x09{").unwrap();
    });
    assert_eq!(reason(midway), closed);
}

#[test]
fn whoever_takes_the_place_of_one_that_closed_is_asked_again() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let peer = thread::spawn(move || {
        let mut first = listener.accept().unwrap().0;
        assert_eq!(read_request(&mut first), Request::new(Command::Restart));
        drop(first);
        let mut second = listener.accept().unwrap().0;
        assert_eq!(read_request(&mut second), Request::new(Command::Restart));
        frame::write(&mut second, &Response::new(Reply::Done("done".into()))).unwrap();
    });
    let reply = ask(&socket, Command::Restart, PATIENCE);
    assert_eq!(reply.unwrap(), Reply::Done("done".into()));
    peer.join().unwrap();
}

#[test]
fn one_that_closes_again_and_again_is_not_asked_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let peer = thread::spawn(move || {
        for _ in 0..TRIES {
            read_request(&mut listener.accept().unwrap().0);
        }
        listener
    });
    let closed = "the supervisor closed the connection before it answered";
    let reply = ask(&socket, Command::Status, PATIENCE);
    assert_eq!(reason((socket, reply)), closed);
    peer.join().unwrap();
}

#[test]
fn a_supervisor_of_another_version_is_named_as_such() {
    let newer = asked(PATIENCE, |mut stream| {
        read_request(&mut stream);
        let body = br#"{"version":2,"answer":[]}"#;
        stream.write_all(&[0, 0, 0, 25]).unwrap();
        stream.write_all(body).unwrap();
    });
    assert_eq!(
        reason(newer),
        "the supervisor speaks protocol version 2, this tppctl 1; use the tppctl that was installed with it"
    );
}

#[test]
fn an_answer_that_is_no_message_is_malformed() {
    let garbage = asked(PATIENCE, |mut stream| {
        read_request(&mut stream);
        stream.write_all(b"\0\0\0\x04oops").unwrap();
    });
    assert_eq!(
        reason(garbage),
        "the answer is malformed: expected value at line 1 column 1"
    );
    let huge = asked(PATIENCE, |mut stream| {
        read_request(&mut stream);
        stream.write_all(b"HTTP").unwrap();
    });
    assert_eq!(
        reason(huge),
        format!(
            "the answer is malformed: frame of 1213486160 bytes, at most {MAX_FRAME_BYTES} are allowed"
        )
    );
}

#[test]
fn silence_ends_at_the_timeout() {
    let silent = asked(Duration::from_millis(50), |mut stream| {
        read_request(&mut stream);
        // Ends when the client has given up and closed.
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    });
    assert_eq!(reason(silent), "no answer within 50ms");
}

#[test]
fn a_trickle_of_bytes_does_not_stretch_the_timeout() {
    let trickle = asked(Duration::from_millis(50), |mut stream| {
        read_request(&mut stream);
        stream.write_all(&[0, 1, 0, 0]).unwrap();
        while stream.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
    });
    assert_eq!(reason(trickle), "no answer within 50ms");
}

#[test]
fn a_full_backlog_does_not_hold_the_client() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let _queued = UnixStream::connect(&socket).unwrap();
    let reply = ask(&socket, Command::Status, Duration::from_millis(50));
    assert_eq!(reason((socket, reply)), "no answer within 50ms");
}
