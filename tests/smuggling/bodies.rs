//! Bodies whose end two servers could see in two places.

use crate::{
    Fate::{self, Cut, OneRequest, Refused},
    HIDDEN,
    common::{client::Client, proxy::Proxy, settings::Settings, upstream::Upstream},
    get, meet_their_fates, post,
};

/// A chunked POST with this body.
fn chunks(body: &str) -> Vec<u8> {
    post("Transfer-Encoding: chunked", body)
}

/// The same of one whole chunk, the last one, and a hidden request.
fn before_another(chunk: &str) -> Vec<u8> {
    chunks(&format!("{chunk}0\r\n\r\n{HIDDEN}"))
}

/// Cases of one fate, made alike.
#[track_caller]
fn each(fate: Fate, make: impl Fn(&str) -> Vec<u8>, cases: &[(&str, &str)]) {
    let cases: Vec<_> = cases
        .iter()
        .map(|(what, said)| (fate, *what, make(said)))
        .collect();
    meet_their_fates(&cases);
}

#[test]
fn a_coding_in_disguise_is_refused() {
    let rest = format!("0\r\n\r\n{HIDDEN}");
    let alone = |fields: &str| post(fields, &rest);
    each(
        Refused,
        alone,
        &[
            (
                "chunked, then another field",
                "Transfer-Encoding: chunked\r\nTransfer-encoding: x",
            ),
            (
                "another field, then chunked",
                "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
            ),
            (
                "chunked twice",
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            ),
            (
                "chunked twice in a list",
                "Transfer-Encoding: chunked, chunked",
            ),
            ("gzip, chunked", "Transfer-Encoding: gzip, chunked"),
            ("an empty element", "Transfer-Encoding: ,chunked"),
            ("a parameter", "Transfer-Encoding: chunked;q=1"),
            ("quotes", "Transfer-Encoding: \"chunked\""),
            ("an empty value", "Transfer-Encoding:"),
            ("identity", "Transfer-Encoding: identity"),
            ("a form feed", "Transfer-Encoding: \u{c}chunked"),
            ("a byte above ASCII", "Transfer-Encoding: chunked\u{a0}"),
        ],
    );
}

#[test]
fn a_coding_field_in_disguise_is_refused() {
    let rest = format!("0\r\n\r\n{HIDDEN}");
    let alone = |fields: &str| post(fields, &rest);
    each(
        Refused,
        alone,
        &[
            (
                "a lone LF before the field",
                "X: y\nTransfer-Encoding: chunked",
            ),
            (
                "a lone CR before the field",
                "X: y\rTransfer-Encoding: chunked",
            ),
            ("a space before the field", " Transfer-Encoding: chunked"),
            (
                "a name on one line, its colon on the next",
                "Transfer-Encoding\r\n : chunked",
            ),
            ("a NUL in the name", "Transfer-Encoding\0: chunked"),
        ],
    );
}

#[test]
fn a_coding_beside_a_length_is_refused() {
    let rest = format!("0\r\n\r\n{HIDDEN}");
    let refused = |fields: &str| post(&format!("{fields}\r\nContent-Length: 5"), &rest);
    each(
        Refused,
        refused,
        &[
            ("beside a length, after it", "Transfer-Encoding: chunked"),
            ("beside a length, in capitals", "TRANSFER-ENCODING: CHUNKED"),
            (
                "beside a length, after a tab",
                "Transfer-Encoding:\tchunked",
            ),
            ("beside a length, empty", "Transfer-Encoding: "),
        ],
    );
}

#[test]
fn white_space_around_a_coding_and_its_case_change_nothing() {
    let body = "3\r\nabc\r\n0\r\n\r\n";
    each(
        OneRequest,
        |fields| post(fields, body),
        &[
            ("a tab before", "Transfer-Encoding:\tchunked"),
            ("spaces behind", "Transfer-Encoding: chunked  "),
            ("capitals", "TRANSFER-ENCODING: ChUnKeD"),
            ("no space", "Transfer-Encoding:chunked"),
        ],
    );
}

#[test]
fn a_length_in_disguise_is_refused_or_holds_what_follows() {
    let hidden = format!("{HIDDEN}\r\n\r\n");
    let length = |value: &str| post(&format!("Content-Length: {value}"), &hidden);
    let whole = |method: &str, target: &str| {
        let length = hidden.len();
        format!("{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{hidden}")
            .into_bytes()
    };
    meet_their_fates(&[
        (Refused, "a plus and a zero", length("+0")),
        (Refused, "minus zero", length("-0")),
        (Refused, "a fraction", length("0.0")),
        (Refused, "an exponent", length("0e1")),
        (Refused, "an underscore", length("1_0")),
        (Refused, "a space within", length("1 0")),
        (Refused, "a comma behind", length("0,")),
        (Refused, "digits of another script", length("\u{661}")),
        (Refused, "a folded length", length("\r\n 0")),
        (Refused, "a vertical tab", length("\u{b}0")),
        (
            Refused,
            "two lengths, the last one zero",
            post("Content-Length: 40\r\nContent-Length: 0", &hidden),
        ),
        (
            Refused,
            "two lengths in two cases",
            post("Content-Length: 40\r\ncontent-length: 40", &hidden),
        ),
        (
            Refused,
            "a space before the colon",
            post("Content-Length : 0", &hidden),
        ),
        (OneRequest, "a GET with a body", whole("GET", "/who")),
        (
            OneRequest,
            "an OPTIONS with a body",
            whole("OPTIONS", "/who"),
        ),
        (OneRequest, "a DELETE with a body", whole("DELETE", "/who")),
        (
            OneRequest,
            "leading zeros",
            post(&format!("Content-Length: 000{}", hidden.len()), &hidden),
        ),
        (
            OneRequest,
            "a body where none is read",
            whole("POST", "/who"),
        ),
    ]);
}

#[test]
fn names_that_only_resemble_a_length_or_a_coding_frame_nothing() {
    // The request has no body. Of those that a CGI program would take for the real one the upstream sees none.
    meet_their_fates(&[
        (
            OneRequest,
            "an underscore for the hyphen",
            get("Content_Length: 0\r\nTransfer_Encoding: chunked"),
        ),
        (
            OneRequest,
            "a letter more",
            get("Content-Lengthx: 40\r\nXTransfer-Encoding: chunked"),
        ),
        (OneRequest, "a prefix", get("X-Content-Length: 40")),
    ]);
}

#[test]
fn chunk_sizes_with_two_meanings_end_the_request() {
    each(
        Cut,
        before_another,
        &[
            ("a size line that ends with LF", "3\nabc\r\n"),
            ("a size line that ends with CR", "3\rabc\r\n"),
            ("a space after the size", "3 \r\nabc\r\n"),
            ("a space before the size", " 3\r\nabc\r\n"),
            ("an underscore", "0_3\r\nabc\r\n"),
            ("a letter behind", "3x\r\nabc\r\n"),
            ("a size of 2^64 + 3", "10000000000000003\r\nabc\r\n"),
        ],
    );
}

#[test]
fn chunk_extensions_with_two_meanings_end_the_request() {
    each(
        Cut,
        before_another,
        &[
            ("LF within an extension", "3;a\nb\r\nabc\r\n"),
            ("CR within an extension", "3;a\rb\r\nabc\r\n"),
            ("NUL within an extension", "3;a\0b\r\nabc\r\n"),
            ("an extension without a name", "3;\r\nabc\r\n"),
            ("an extension with an open quote", "3;a=\"b\r\nabc\r\n"),
            ("an extension of other bytes", "3;bad[=x\r\nabc\r\n"),
        ],
    );
}

#[test]
fn chunk_data_of_another_length_ends_the_request() {
    let next = format!("0\r\n\r\n{HIDDEN}");
    meet_their_fates(&[
        (
            Cut,
            "data that ends with LF",
            chunks(&format!("3\r\nabc\n{next}")),
        ),
        (
            Cut,
            "data that ends with CR and more",
            chunks(&format!("3\r\nabc\rX{next}")),
        ),
        (
            Cut,
            "data that ends with anything",
            chunks(&format!("3\r\nabcXX{next}")),
        ),
        (
            Cut,
            "a length that the body does not reach",
            post("Content-Length: 9", "abc"),
        ),
    ]);
}

#[test]
fn trailers_with_two_meanings_end_the_request() {
    meet_their_fates(&[
        (
            Cut,
            "a last chunk that ends with LF",
            chunks(&format!("3\r\nabc\r\n0\n\n{HIDDEN}")),
        ),
        (
            Cut,
            "a trailer line that ends with LF",
            chunks(&format!("0\r\nX: y\n\r\n{HIDDEN}")),
        ),
        (
            Cut,
            "a request for a trailer",
            chunks(&format!("3\r\nabc\r\n0\r\n{HIDDEN}\r\n\r\n")),
        ),
        (
            Cut,
            "a trailer with a space before its colon",
            chunks(&format!("3\r\nabc\r\n0\r\nX : y\r\n\r\n{HIDDEN}")),
        ),
        (
            Cut,
            "a trailer with a lone CR",
            chunks(&format!("3\r\nabc\r\n0\r\nX: y\rZ: z\r\n\r\n{HIDDEN}")),
        ),
        (
            Cut,
            "a trailer with a NUL",
            chunks(&format!("3\r\nabc\r\n0\r\nX: \0\r\n\r\n{HIDDEN}")),
        ),
        (Cut, "no last chunk", chunks("3\r\nabc\r\n")),
    ]);
}

#[test]
fn extensions_and_trailers_that_frame_route_or_authorize_stay_behind() {
    meet_their_fates(&[
        (
            OneRequest,
            "extensions",
            chunks("3;a=b;c=\"d\"\r\nabc\r\n0;e\r\n\r\n"),
        ),
        (
            OneRequest,
            "spaces around extensions",
            chunks("3 ; a = \"b\"\r\nabc\r\n0 ;e\r\n\r\n"),
        ),
        (
            OneRequest,
            "very many zeros before a size",
            chunks("00000000000000000003\r\nabc\r\n0\r\n\r\n"),
        ),
        (
            OneRequest,
            "zeros before a size",
            chunks("0003\r\nabc\r\n0000\r\n\r\n"),
        ),
        (
            OneRequest,
            "a length in the trailer",
            chunks("3\r\nabc\r\n0\r\nContent-Length: 40\r\n\r\n"),
        ),
        (
            OneRequest,
            "a coding in the trailer",
            chunks("3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ),
        (
            OneRequest,
            "another token in the trailer",
            chunks("3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\nHost: b\r\n\r\n"),
        ),
        (
            OneRequest,
            "a request in the data",
            chunks(&format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len())),
        ),
    ]);
}

#[test]
fn a_request_cut_off_in_its_body_leaves_nothing_for_the_next() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    for head in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let mut client = Client::connect(proxy.address());
        client.send_raw(&post(head, ""));
        // Not a whole body in either framing; the next client's request follows on the same upstream's slot.
        client.send_raw(b"3e8\r\nab");
        client.reset();
        let mut next = proxy.client(&upstream);
        let conn = next.id();
        assert_eq!(next.get("/who").ok().json()["conn"], conn, "{head}");
    }
    proxy.wait_until_all_is_back(1);
    upstream.assert_clean();
}
