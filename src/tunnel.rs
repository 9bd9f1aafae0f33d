//! How a server is reached through an HTTP proxy: what `CONNECT` asks, and what the answer to it means (RFC 9110, 9.3.6). Pure: who
//! has a connection writes and reads.

/// Longest head of an answer, bytes.
const MOST_HEAD: usize = 8 * 1024;

/// What a proxy has said so far.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TunnelError {
    /// It does not connect.
    #[error("the proxy answered CONNECT with status {0}")]
    Refused(u16),
    /// It does not speak HTTP/1, or said something after its answer, where the server has the word.
    #[error("the proxy's answer to CONNECT is not HTTP/1")]
    Nonsense,
}

/// The request for a connection to `authority`, `host:port`; `authorization` says who asks.
#[must_use]
pub fn connect_request(authority: &str, authorization: Option<&str>) -> Vec<u8> {
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some(authorization) = authorization {
        request += "Proxy-Authorization: ";
        request += authorization;
        request += "\r\n";
    }
    request += "\r\n";
    request.into_bytes()
}

/// Whether what a proxy has `said` so far is its whole answer: from there on it is the server who speaks. False: there is more to
/// come.
///
/// # Errors
/// If it does not connect.
pub fn is_connected(said: &[u8]) -> Result<bool, TunnelError> {
    let Some(end) = said.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if said.len() < MOST_HEAD {
            Ok(false)
        } else {
            Err(TunnelError::Nonsense)
        };
    };
    let status = status(&said[..end]).ok_or(TunnelError::Nonsense)?;
    if !(200..300).contains(&status) {
        return Err(TunnelError::Refused(status));
    }
    // No server of HTTP or TLS speaks first.
    if end + 4 == said.len() {
        Ok(true)
    } else {
        Err(TunnelError::Nonsense)
    }
}

fn status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    let digits = rest.get(2..5).filter(|_| rest.get(1) == Some(&b' '))?;
    if rest.get(5).is_some_and(|next| !b" \r".contains(next)) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_for_the_server_and_says_who_asks() {
        let request = connect_request("[::1]:80", Some("Basic eA=="));
        assert_eq!(
            String::from_utf8(request).unwrap(),
            "CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\nProxy-Authorization: Basic eA==\r\n\r\n"
        );
        assert!(
            !connect_request("a:80", None)
                .windows(5)
                .any(|five| five == b"Proxy")
        );
    }

    #[test]
    fn an_answer_counts_when_it_is_whole() {
        let whole = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(is_connected(&whole[..end]), Ok(false), "{end}");
        }
        for good in ["HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 204\r\n\r\n"] {
            assert_eq!(is_connected(good.as_bytes()), Ok(true), "{good}");
        }
        assert_eq!(is_connected(whole), Ok(true));
    }

    #[test]
    fn whatever_else_it_says_is_no_connection() {
        for (answer, why) in [
            ("HTTP/1.1 407 Who?\r\n\r\n", TunnelError::Refused(407)),
            (
                "HTTP/1.1 502 No\r\nContent-Length: 2\r\n\r\nno",
                TunnelError::Refused(502),
            ),
            ("HTTP/1.1 200 OK\r\n\r\nmore", TunnelError::Nonsense),
            ("HTTP/2 200 OK\r\n\r\n", TunnelError::Nonsense),
            ("HTTP/1.1 2000\r\n\r\n", TunnelError::Nonsense),
            ("SSH-2.0\r\n\r\n", TunnelError::Nonsense),
            ("HTTP/1.1 \r\n\r\n", TunnelError::Nonsense),
        ] {
            assert_eq!(is_connected(answer.as_bytes()), Err(why), "{answer}");
        }
        assert_eq!(is_connected(&[b'x'; MOST_HEAD]), Err(TunnelError::Nonsense));
    }
}
