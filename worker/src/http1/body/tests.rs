use proptest::prelude::*;

use super::*;

/// What was read of a body: its content, its trailer as it is written on, and how many bytes it took.
type Read = (Vec<u8>, String, usize);

/// Reads a whole body from `wire`, `step` bytes at a time. `None`: it has not ended.
fn read(mut body: Body, wire: &[u8], step: usize) -> Result<Option<Read>, BadFrame> {
    let (mut content, mut trailer, mut frame) = (Vec::new(), BytesMut::new(), Frame::Chunked);
    let mut inbox = BytesMut::new();
    let mut fed = 0;
    for piece in wire.chunks(step) {
        inbox.extend_from_slice(piece);
        fed += piece.len();
        loop {
            match body.next(&mut inbox)? {
                Piece::Content(bytes) => {
                    content.extend_from_slice(&inbox.split_to(bytes));
                    body.took(bytes);
                }
                Piece::Trailer(bytes) => {
                    frame.put_trailer(&inbox.split_to(bytes), &mut trailer);
                    body.took(bytes);
                }
                Piece::More => break,
                Piece::End => {
                    frame.end(&mut trailer);
                    let trailer = String::from_utf8(trailer.to_vec()).unwrap();
                    return Ok(Some((content, trailer, fed - inbox.len())));
                }
            }
        }
    }
    Ok(None)
}

fn read_alike(body: Body, wire: &[u8]) -> Result<Option<Read>, BadFrame> {
    let whole = read(body, wire, wire.len().max(1));
    assert_eq!(whole, read(body, wire, 1), "split bytes read alike");
    whole
}

fn chunked(wire: &[u8]) -> Result<Option<Read>, BadFrame> {
    read_alike(Body::CHUNKED, wire)
}

fn lenient(wire: &[u8]) -> Result<Option<Read>, BadFrame> {
    read_alike(Body::CHUNKED_LENIENT, wire)
}

/// The content of a body that is whole.
fn content(read: Result<Option<Read>, BadFrame>) -> Option<String> {
    let (content, ..) = read.ok()??;
    Some(String::from_utf8(content).unwrap())
}

#[test]
fn chunks_are_joined_and_extensions_dropped() {
    let wire = b"3\r\nabc\r\n2;x=\"y\"\r\nde\r\n0\r\n\r\nnext";
    let end = "0\r\n\r\n".to_owned();
    assert_eq!(
        chunked(wire),
        Ok(Some((b"abcde".to_vec(), end, wire.len() - 4)))
    );
}

#[test]
fn extensions_may_be_all_that_the_grammar_has() {
    for line in [
        "3;a",
        "3;a=b;c=\"d\"",
        "3 ; a = \"b\"",
        "3\t;\ta\t=\tb ;c",
        "3;a=\"; \\\" \\\\\"",
        "0000000000000003",
        "000000000000000000000000000000000003;a",
    ] {
        let wire = format!("{line}\r\nabc\r\n0;last\r\n\r\n");
        assert_eq!(
            content(chunked(wire.as_bytes())).as_deref(),
            Some("abc"),
            "{line}"
        );
        assert_eq!(
            content(lenient(wire.as_bytes())).as_deref(),
            Some("abc"),
            "{line}"
        );
    }
}

#[test]
fn chunk_frames_with_two_meanings_are_refused() {
    for wire in [
        &b"0x3\r\nabc\r\n0\r\n\r\n"[..],
        b"3\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"+3\r\nabc\r\n0\r\n\r\n",
        b"-1\r\n",
        b"\r\n",
        b";x\r\n",
        b"3;\x01\r\nabc\r\n",
        b"3 3\r\nabc\r\n0\r\n\r\n",
        b"3x\r\nabc\r\n",
        b"ffffffffffffffff\r\n",
        b"00ffffffffffffffff\r\n",
        b"3\xa0\r\nabc\r\n",
        b"0\r\nx: y\n\r\n",
    ] {
        assert_eq!(chunked(wire), Err(BadFrame), "{}", wire.escape_ascii());
        assert_eq!(lenient(wire), Err(BadFrame), "{}", wire.escape_ascii());
    }
}

#[test]
fn what_old_servers_do_is_taken_from_servers_alone() {
    for line in [
        "3 ", "3  \t", " 3", "3;", "3;a=\"b", "3;bad[=x", "3;a;;b", "3 ;a ", "3;=x",
    ] {
        let wire = format!("{line}\r\nabc\r\n0\r\n\r\n");
        assert_eq!(chunked(wire.as_bytes()), Err(BadFrame), "{line}");
        assert_eq!(
            content(lenient(wire.as_bytes())).as_deref(),
            Some("abc"),
            "{line}"
        );
    }
    let long = format!("3;a={}\r\nabc\r\n0\r\n\r\n", "x".repeat(2000));
    assert_eq!(read(Body::CHUNKED, long.as_bytes(), 4096), Err(BadFrame));
    assert_eq!(
        content(read(Body::CHUNKED_LENIENT, long.as_bytes(), 4096)).as_deref(),
        Some("abc")
    );
}

#[test]
fn a_trailer_passes_without_what_has_no_place_in_it() {
    let wire = b"1\r\na\r\n0\r\nX-Sum:1\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\nAuthorization: x\r\n\
        Host: b\r\nX_Real_IP: 6\r\nETag: \"e\"\r\n\r\nnext";
    for read in [chunked(wire), lenient(wire)] {
        let (_, trailer, length) = read.unwrap().unwrap();
        assert_eq!(trailer, "0\r\nX-Sum: 1\r\nETag: \"e\"\r\n\r\n");
        assert_eq!(length, wire.len() - 4);
    }
    let dropped = read_alike(Body::CHUNKED.without_trailer(), wire);
    assert_eq!(
        dropped,
        Ok(Some((
            b"a".to_vec(),
            "0\r\n\r\n".to_owned(),
            wire.len() - 4
        )))
    );
    let mut out = BytesMut::new();
    let mut plain = Frame::Plain;
    plain.put_trailer(b"X: y\r\n\r\n", &mut out);
    plain.end(&mut out);
    assert_eq!(out, "", "without chunks there is no place for it");
}

#[test]
fn what_is_no_trailer_is_refused_from_clients_and_dropped_from_servers() {
    for trailer in [
        "GET /x HTTP/1.1",
        "GET /x HTTP/1.1\r\nHost: t",
        "A: \0",
        "A: b\rC: d",
        "A : b",
        " ",
        "\x01\x02\x7f",
        "A: b\r\n folded",
        ": b",
        "A",
    ] {
        let wire = format!("1\r\na\r\n0\r\n{trailer}\r\n\r\n");
        assert_eq!(chunked(wire.as_bytes()), Err(BadFrame), "{trailer:?}");
        let end = "0\r\n\r\n".to_owned();
        assert_eq!(
            lenient(wire.as_bytes()),
            Ok(Some((b"a".to_vec(), end, wire.len()))),
            "{trailer:?}"
        );
    }
}

#[test]
fn lines_and_trailers_without_an_end_are_refused() {
    for (body, line, trailer) in [
        (Body::CHUNKED, 1024, 8 * 1024),
        (Body::CHUNKED_LENIENT, 16 * 1024, 64 * 1024),
    ] {
        assert_eq!(read(body, &vec![b'0'; line - 1], 500), Ok(None));
        assert_eq!(read(body, &vec![b'0'; line], 500), Err(BadFrame));
        let endless = [&b"0\r\n"[..], &b"a: b\r\n".repeat(trailer / 6 + 1)].concat();
        assert_eq!(read(body, &endless[..trailer - 8], 500), Ok(None));
        assert_eq!(read(body, &endless, 500), Err(BadFrame));
    }
}

#[test]
fn a_length_takes_no_byte_more() {
    assert_eq!(
        read(Body::Length(3), b"abcdef", 2),
        Ok(Some((b"abc".to_vec(), "0\r\n\r\n".to_owned(), 3)))
    );
    assert_eq!(read(Body::Length(7), b"abcdef", 6), Ok(None));
}

proptest! {
    #[test]
    fn what_is_framed_is_read_back(pieces in proptest::collection::vec(".{0,40}", 0..8), step in 1_usize..64) {
        let mut wire = BytesMut::new();
        for piece in &pieces {
            Frame::Chunked.put(piece.as_bytes(), &mut wire);
        }
        Frame::Chunked.end(&mut wire);
        let read = read(Body::CHUNKED, &wire, step).unwrap().unwrap();
        prop_assert_eq!(read, (pieces.concat().into_bytes(), "0\r\n\r\n".to_owned(), wire.len()));
    }

    #[test]
    fn any_bytes_are_read_without_panic(wire in proptest::collection::vec(any::<u8>(), 0..200), step in 1_usize..20) {
        let _ = read(Body::CHUNKED, &wire, step);
    }

    /// A trailer that was written is read back as the same one.
    #[test]
    fn a_trailer_that_is_written_is_read_back(
        values in proptest::collection::vec("[!-~]([ -~]{0,10}[!-~])?", 1..6), step in 1_usize..64,
    ) {
        let lines: String = values.iter().map(|value| format!("X-T: {value}\r\n")).collect();
        let mut wire = BytesMut::new();
        let mut frame = Frame::Chunked;
        frame.put(b"a", &mut wire);
        frame.put_trailer(format!("{lines}\r\n").as_bytes(), &mut wire);
        frame.end(&mut wire);
        let read = read(Body::CHUNKED, &wire, step).unwrap().unwrap();
        prop_assert_eq!(read, (b"a".to_vec(), format!("0\r\n{lines}\r\n"), wire.len()));
    }
}
