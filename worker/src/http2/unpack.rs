//! A body that is written as the text of HTTP/1.1, sent over HTTP/2.

use std::{
    io,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use h2::SendStream;
use http::HeaderMap;

use super::{broken, heads};
use crate::http1::body::{Body, Piece, trailer_fields};

/// Sends what `text` holds of `body`, as far as the peer takes it. Ready: nothing is left in it that could be sent; true: and the body
/// has ended.
pub(super) fn poll_send(
    body: &mut Body,
    text: &mut BytesMut,
    out: &mut SendStream<Bytes>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<bool>> {
    loop {
        let piece = body.next(text);
        match piece.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))? {
            Piece::Content(length) => {
                let room = ready!(poll_room(length, out, cx))?;
                body.took(room);
                let is_last = matches!(body, Body::Length(0));
                let content = text.split_to(room).freeze();
                out.send_data(content, is_last).map_err(broken)?;
                if is_last {
                    return Poll::Ready(Ok(true));
                }
            }
            Piece::Trailer(length) => {
                let trailer = trailer(&text.split_to(length))?;
                body.took(length);
                out.send_trailers(trailer).map_err(broken)?;
                return Poll::Ready(Ok(true));
            }
            Piece::More => return Poll::Ready(Ok(false)),
            Piece::End => {
                out.send_data(Bytes::new(), true).map_err(broken)?;
                return Poll::Ready(Ok(true));
            }
        }
    }
}

/// How much of `wanted` may be sent now.
fn poll_room(
    wanted: usize,
    out: &mut SendStream<Bytes>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    out.reserve_capacity(wanted);
    while out.capacity() == 0 {
        match ready!(out.poll_capacity(cx)) {
            Some(room) => room.map_err(broken)?,
            None => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        };
    }
    Poll::Ready(Ok(out.capacity().min(wanted)))
}

fn trailer(text: &[u8]) -> io::Result<HeaderMap> {
    let mut fields = HeaderMap::new();
    let mut is_fit = true;
    let read = trailer_fields(text, |name, value| {
        is_fit &= heads::add(name, value, &mut fields).is_ok();
    });
    if read.is_err() || !is_fit {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(fields)
}
