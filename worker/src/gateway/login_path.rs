//! `token.login_from_clients = false`: whether a request asks for the upstream's login.
//!
//! Nobody knows how the server reads a target, so every reading counts that a server may have: it is refused if one of them is
//! the login's path.

use std::borrow::Cow;

use crate::{
    gateway::flight::{Failure, Flight},
    message::reply::Reply,
};

/// Decoded so often at most: a server behind another one may decode what that one did already.
const DECODINGS: usize = 3;

/// Refuses a client's own login, where it may make none.
pub(super) fn admit(flight: &Flight<'_>) -> Result<(), Failure> {
    if flight.group.pool.is_none() {
        return Ok(());
    }
    let rules = &flight.client.settings.token;
    if !rules.login_from_clients && is_asked_for(flight.head.path(), &rules.login_path) {
        return Err(Failure::Reply(Reply::forbidden(
            "clients do not log in here: token.login_from_clients is false",
        )));
    }
    Ok(())
}

/// Whether a request for `target` asks for `login_path`.
fn is_asked_for(target: &[u8], login_path: &str) -> bool {
    let wanted = normal(login_path.as_bytes());
    let mut reading = Cow::Borrowed(path(target));
    for _ in 0..=DECODINGS {
        if normal(&reading).eq_ignore_ascii_case(&wanted) {
            return true;
        }
        match decoded(&reading) {
            Some(next) => reading = Cow::Owned(next),
            None => return false,
        }
    }
    // What needs more is meant for no honest server.
    true
}

/// The path of a target: without scheme and authority.
fn path(target: &[u8]) -> &[u8] {
    let Some(at) = memchr::memmem::find(target, b"://").filter(|_| !target.starts_with(b"/"))
    else {
        return target;
    };
    let rest = &target[at + 3..];
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    end.map_or(b"/", |end| &rest[end..])
}

/// With each `%` and two hex digits turned into their byte; `None`: there are none.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let value = match after {
            [high, low, ..] if byte == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        if let Some((high, low)) = value {
            out.push(high << 4 | low);
            rest = &after[2..];
        } else {
            out.push(byte);
            rest = after;
        }
    }
    (out.len() < text.len()).then_some(out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// Its segments, joined by single slashes: without query, fragment, parameters, dot segments and empty ones, and cut where a
/// string of C would end.
fn normal(path: &[u8]) -> Vec<u8> {
    let end = path.iter().position(|byte| matches!(byte, b'?' | b'#' | 0));
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path[..end.unwrap_or(path.len())].split(|byte| matches!(byte, b'/' | b'\\')) {
        let segment = segment
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default();
        match segment.trim_ascii() {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    segments.join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(target: &str) -> bool {
        is_asked_for(target.as_bytes(), "/api/login")
    }

    #[test]
    fn every_spelling_that_a_server_may_read_as_the_login_is_one() {
        for target in [
            "/api/login",
            "/api/login?x=1",
            "/api/login#x",
            "/api/login/",
            "//api//login",
            "/./api/./login",
            "/x/../api/login",
            "/../api/login",
            "/api/%6cogin",
            "/api/%6Cogin",
            "/%61%70%69/login",
            "/api%2flogin",
            "/api%2Flogin",
            "/api/x/%2e%2e/login",
            "/api/%2E/login",
            "/api/%256cogin",
            "/api/login%3Fx",
            "/api/login%00.html",
            "/api/login%20",
            "/api/login;v=1",
            "/api;v=1/login",
            "/api\\login",
            "/API/Login",
            "http://server/api/login",
            "http://server:8848/api/login?x",
            "/api/%25252525256cogin",
        ] {
            assert!(asks(target), "{target}");
        }
    }

    #[test]
    fn what_no_server_reads_so_is_none() {
        for target in [
            "/",
            "*",
            "/api",
            "/login",
            "/api/loginx",
            "/api/logins",
            "/api/login/x",
            "/api/log/in",
            "/api/execute?path=/api/login",
            "/api/execute#/api/login",
            "/api/login/../execute",
            "/x%zz/api/login",
            "/x?y=http://server/api/login",
            "http://server",
            "http://server?/api/login",
            "/api/100%25/login",
        ] {
            assert!(!asks(target), "{target}");
        }
        assert!(!is_asked_for(b"", "/api/login"));
    }

    #[test]
    fn a_login_path_of_ones_own_is_read_the_same_way() {
        assert!(is_asked_for(b"/a/b", "//a/./b/"));
        assert!(!is_asked_for(b"/api/login", "/a/b"));
    }
}
