//! Every line of a head ends with CR LF, and with nothing else.

use super::{Head, read};

const LINES: [&str; 6] = [
    "GET / HTTP/1.1",
    "Host: a",
    "X-Empty:",
    "X-Blank: \t",
    "X-Padded:  b \t ",
    "",
];

fn status(head: &str) -> Option<u16> {
    let read = read(head.as_bytes(), &mut Head::default());
    read.err().map(|error| error.status)
}

#[test]
fn a_head_whose_lines_all_end_in_order_is_read_whatever_stands_before_their_ends() {
    assert_eq!(
        status(&LINES.map(|line| format!("{line}\r\n")).concat()),
        None
    );
}

#[test]
fn a_line_that_ends_otherwise_is_refused_wherever_it_stands() {
    for bad in 0..LINES.len() {
        for end in ["\n", "\r\r\n", "\n\r\n", "\r \r\n"] {
            let line = |at: usize| LINES[at].to_owned() + if at == bad { end } else { "\r\n" };
            let head: String = (0..LINES.len()).map(line).collect();
            assert_eq!(status(&head), Some(400), "{head:?}");
        }
    }
}
