//! The head of an answer on its way to the client: read, judged and written.

use std::hint::cold_path;

use bytes::BytesMut;

use crate::{
    http1::answer::{self, AnswerHead, Head, Nonsense, Room},
    http1::request::Request,
    http1::write::{self, Seal},
    message::headers::HEAD_LIMIT,
    rarely::{Likely as _, seldom},
};

/// Reads the head at the front of `bytes`; `None`: it has not ended yet. The head for the client is appended to `out`,
/// as `seal` has it. Also returns the length of the head that was read.
pub(crate) fn pass(
    bytes: &[u8],
    request: &Request,
    seal: Seal<'_>,
    out: &mut BytesMut,
) -> Result<Option<(Head, usize)>, Nonsense> {
    let as_known;
    // A later version of HTTP/1 is to be read as 1.1 (RFC 9110, 2.5).
    let bytes = if seldom(answer::is_of_later_version(bytes)) {
        as_known = [b"HTTP/1.1", &bytes[8..bytes.len().min(HEAD_LIMIT)]].concat();
        &as_known
    } else {
        bytes
    };
    let mut room = Room::new();
    let Some((head, length)) = answer::read(bytes, &mut room).likely()? else {
        return Ok(None);
    };
    Ok(Some((
        pass_one(&head, request, seal, out).likely()?,
        length,
    )))
}

fn pass_one(
    head: &AnswerHead<'_>,
    request: &Request,
    seal: Seal<'_>,
    out: &mut BytesMut,
) -> Result<Head, Nonsense> {
    match head.status {
        101 if request.is_websocket => {
            cold_path();
            write::switch(head, seal, out);
            Ok(Head::Switched)
        }
        101 => Err(Nonsense::because("it switched protocols unasked")),
        100..200 => {
            cold_path();
            // HTTP/1.0 knows none of these.
            if !request.is_old {
                write::interim(head, out);
            }
            Ok(Head::Interim {
                closes: head.options.close,
            })
        }
        200.. => {
            let answer = head.answer(request, seal.close);
            write::answer(head, answer, request, seal, out);
            Ok(Head::Final(answer))
        }
        _ => Err(Nonsense::because("its status is below 100")),
    }
}

#[cfg(test)]
mod tests;
