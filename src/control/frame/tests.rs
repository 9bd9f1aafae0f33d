use proptest::prelude::*;

use super::*;
use crate::control::{Command, Reply, Request, Response};

fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap();
    [&length.to_be_bytes()[..], body].concat()
}

fn request(bytes: &[u8]) -> Result<Request, FrameError> {
    read(&mut &bytes[..], MAX_REQUEST_BYTES)
}

#[test]
fn what_is_written_is_read_back() {
    let sent = Request::new(Command::Refresh {
        user: Some("user1".into()),
    });
    let mut wire = Vec::new();
    write(&mut wire, &sent).unwrap();
    assert_eq!(request(&wire).unwrap(), sent);
}

#[test]
fn a_frame_leaves_what_follows_it() {
    let mut wire = frame(br#"{"version":1,"command":{"name":"status"}}"#);
    wire.extend_from_slice(b"next");
    let mut stream = &wire[..];
    read::<Request>(&mut stream, MAX_REQUEST_BYTES).unwrap();
    assert_eq!(stream, b"next");
}

#[test]
fn a_length_beyond_the_bound_is_refused_unread() {
    let mut wire = &b"\x00\x01\x00\x01rest"[..];
    let error = read::<Request>(&mut wire, MAX_REQUEST_BYTES).unwrap_err();
    assert!(
        matches!(
            error,
            FrameError::TooLong {
                bytes: 65537,
                bound: 65536
            }
        ),
        "{error:?}"
    );
    assert_eq!(wire, b"rest");
}

/// Announces the longest frame, sends three bytes of it, and notes the largest buffer it was given.
struct Liar<'a> {
    sent: &'a [u8],
    largest: usize,
}

impl Read for Liar<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.largest = self.largest.max(buffer.len());
        self.sent.read(buffer)
    }
}

#[test]
fn a_length_alone_makes_nobody_allocate_it() {
    let length = u32::try_from(MAX_FRAME_BYTES).unwrap().to_be_bytes();
    let sent = [&length[..], b"abc"].concat();
    let mut liar = Liar {
        sent: &sent,
        largest: 0,
    };
    let error = read::<Response>(&mut liar, MAX_FRAME_BYTES).unwrap_err();
    assert!(
        matches!(
            error,
            FrameError::Truncated {
                got: 3,
                wanted: MAX_FRAME_BYTES
            }
        ),
        "{error:?}"
    );
    assert!(
        liar.largest < 4096,
        "a buffer of {} bytes for three",
        liar.largest
    );
}

#[test]
fn a_message_beyond_the_bound_is_not_sent() {
    let error = encode(&Response::new(Reply::Done("x".repeat(MAX_FRAME_BYTES)))).unwrap_err();
    assert!(
        matches!(
            error,
            FrameError::TooLong {
                bound: MAX_FRAME_BYTES,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_stream_that_ends_early_is_told_from_one_that_never_began() {
    let whole = frame(br#"{"version":1,"command":{"name":"status"}}"#);
    assert!(matches!(request(b""), Err(FrameError::Closed)));
    assert!(matches!(
        request(&whole[..3]),
        Err(FrameError::Truncated { got: 3, wanted: 4 })
    ));
    assert!(matches!(
        request(&whole[..4]),
        Err(FrameError::Truncated { got: 0, wanted: 41 })
    ));
    assert!(matches!(
        request(&whole[..44]),
        Err(FrameError::Truncated {
            got: 40,
            wanted: 41
        })
    ));
}

#[test]
fn another_version_is_named_although_the_rest_is_unknown() {
    let error = request(&frame(br#"{"version":7,"order":["anything"]}"#)).unwrap_err();
    assert!(
        matches!(error, FrameError::Version { theirs: 7 }),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "protocol version 7, this program speaks 1"
    );
}

#[test]
fn a_message_without_a_version_is_malformed() {
    let error = request(&frame(br#"{"command":{"name":"status"}}"#)).unwrap_err();
    assert!(matches!(error, FrameError::Malformed(_)), "{error:?}");
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = request(&bytes);
        let _ = request(&frame(&bytes));
        let _ = decode::<Response>(&bytes);
    }

    #[test]
    fn any_damage_to_a_message_is_a_message_or_an_error(
        at in 0_usize..64, byte in any::<u8>(), keep in 0_usize..80,
    ) {
        let mut wire = encode(&Request::new(Command::Refresh { user: Some("user1".into()) })).unwrap();
        let at = at % wire.len();
        wire[at] = byte;
        wire.truncate(keep);
        if let Ok(read) = request(&wire) {
            prop_assert_eq!(read.version, PROTOCOL_VERSION);
        }
    }

    #[test]
    fn no_length_passes_its_bound(header in any::<[u8; 4]>(), bound in 0_usize..MAX_FRAME_BYTES) {
        let announced = u32::from_be_bytes(header) as usize;
        match body_length(header, bound) {
            Ok(bytes) => prop_assert!(bytes == announced && bytes <= bound),
            Err(_) => prop_assert!(announced > bound),
        }
    }

    #[test]
    fn every_user_name_survives_the_wire(user in any::<String>()) {
        let sent = Request::new(Command::Refresh { user: Some(user) });
        prop_assert_eq!(request(&encode(&sent).unwrap()).unwrap(), sent);
    }
}
