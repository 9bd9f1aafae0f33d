//! What a field means to a gateway, by its name.

/// A field, by what is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Authorization,
    Connection,
    ContentLength,
    Date,
    Expect,
    /// Says something about the client that only a trusted front may say; those below have rules of their own.
    Forwarded,
    ForwardedFor,
    ForwardedHost,
    ForwardedProto,
    GrpcStatus,
    Host,
    KeepAlive,
    /// Of a request: read as another field by a CGI program (RFC 3875, 4.1.18), to which `_` is `-`; or as the
    /// program's own `HTTP_PROXY`.
    Misleading,
    /// `X-Request-Id`: the request's, perhaps made here.
    RequestId,
    Te,
    /// `traceparent`: what the request is part of, and perhaps goes on here.
    TraceParent,
    /// `tracestate`: belongs to a `traceparent`.
    TraceState,
    Trailer,
    TransferEncoding,
    Upgrade,
    Via,
    /// Concerns one connection only (RFC 9110, 7.6.1).
    HopByHop,
    /// Passed on.
    Other,
}

impl Field {
    /// The meaning of a request's field of this name, in any case.
    pub(crate) fn of(name: &[u8]) -> Self {
        match Self::by_name(name) {
            Self::Forwarded | Self::Other if name.contains(&b'_') => Self::by_sound(name),
            field => field,
        }
    }

    /// That of a name with `_` in it, which may sound like another one.
    #[cold]
    fn by_sound(name: &[u8]) -> Self {
        let sound = name
            .iter()
            .map(|byte| if *byte == b'_' { b'-' } else { *byte });
        let field = Self::by_name(&sound.collect::<Vec<_>>());
        if field.is_ordinary() {
            Self::Other
        } else {
            Self::Misleading
        }
    }

    /// Whether it is passed on wherever nothing else is said: it tells neither how the message is framed nor what becomes of a
    /// connection.
    pub(crate) fn is_ordinary(self) -> bool {
        matches!(
            self,
            Self::Other | Self::RequestId | Self::TraceParent | Self::TraceState
        )
    }

    /// The meaning of an answer's field of this name, in any case. What it sounds like concerns nobody there.
    pub(crate) fn by_name(name: &[u8]) -> Self {
        let is = |known: &[u8]| is_folded(name, known);
        let Some(first) = name.first() else {
            return Self::Other;
        };
        // By initial and length first: nearly all fields are told apart without a comparison.
        match (first.to_ascii_lowercase(), name.len()) {
            (b'a', 13) if is(b"authorization") => Self::Authorization,
            (b'c', 10) if is(b"connection") => Self::Connection,
            (b'c', 14) if is(b"content-length") => Self::ContentLength,
            (b'd', 4) if is(b"date") => Self::Date,
            (b'e', 6) if is(b"expect") => Self::Expect,
            (b'g', 11) if is(b"grpc-status") => Self::GrpcStatus,
            (b'h', 4) if is(b"host") => Self::Host,
            (b'h', 14) if is(b"http2-settings") => Self::HopByHop,
            (b'k', 10) if is(b"keep-alive") => Self::KeepAlive,
            (b'p', 5) if is(b"proxy") => Self::Misleading,
            (b'p', 16) if is(b"proxy-connection") => Self::HopByHop,
            (b'p', 18) if is(b"proxy-authenticate") => Self::HopByHop,
            (b'p', 19) if is(b"proxy-authorization") => Self::HopByHop,
            (b'p', 25) if is(b"proxy-authentication-info") => Self::HopByHop,
            (b't', 2) if is(b"te") => Self::Te,
            (b't', 7) if is(b"trailer") => Self::Trailer,
            (b't', 10) if is(b"tracestate") => Self::TraceState,
            (b't', 11) if is(b"traceparent") => Self::TraceParent,
            (b't', 17) if is(b"transfer-encoding") => Self::TransferEncoding,
            (b'u', 7) if is(b"upgrade") => Self::Upgrade,
            (b'v', 3) if is(b"via") => Self::Via,
            (b'x', 12) if is(b"x-request-id") => Self::RequestId,
            (b'x', 11..) if is_folded(&name[..11], b"x-forwarded") => Self::forwarded(&name[11..]),
            (b'c', 9 | 16 | 18) | (b'f', 9 | 15 | 16) | (b't', 14) | (b'x', 9..=24)
                if is_claim(name) =>
            {
                Self::Forwarded
            }
            _ => Self::Other,
        }
    }

    /// What begins with `X-Forwarded`, by the rest of the name.
    fn forwarded(rest: &[u8]) -> Self {
        match rest {
            b"" => Self::Forwarded,
            _ if is_folded(rest, b"-for") => Self::ForwardedFor,
            _ if is_folded(rest, b"-host") => Self::ForwardedHost,
            _ if is_folded(rest, b"-proto") => Self::ForwardedProto,
            [b'-' | b'_', ..] => Self::Forwarded,
            _ => Self::Other,
        }
    }
}

/// Fields by which fronts of all makes tell who the client is, how it came and what it asked for, by the length of their names,
/// besides all that begin with `X-Forwarded-`. Whoever is not trusted could only lie in them (RFC 7239, 8).
fn claims(length: usize) -> &'static [&'static [u8]] {
    match length {
        9 => &[b"client-ip", b"forwarded", b"x-real-ip"],
        11 => &[b"x-client-ip", b"x-remote-ip"],
        12 => &[b"x-url-scheme"],
        13 => &[b"x-remote-addr", b"x-rewrite-url"],
        14 => &[
            b"true-client-ip",
            b"x-original-for",
            b"x-original-url",
            b"x-proxyuser-ip",
        ],
        15 => &[b"front-end-https", b"x-original-host"],
        16 => &[
            b"cf-connecting-ip",
            b"fastly-client-ip",
            b"x-azure-clientip",
            b"x-azure-socketip",
            b"x-original-proto",
            b"x-originating-ip",
        ],
        18 => &[b"cf-connecting-ipv6"],
        19 => &[b"x-cluster-client-ip", b"x-appengine-user-ip"],
        21 => &[b"x-envoy-original-path"],
        24 => &[b"x-envoy-external-address"],
        _ => &[],
    }
}

fn is_claim(name: &[u8]) -> bool {
    claims(name.len())
        .iter()
        .any(|claim| is_folded(name, claim))
}

/// Whether `name` is `known`, which is in lower case, to a reader that knows no case. Eight bytes at once: a bit more in each turns a
/// letter into one of lower case, and of all bytes that a name may hold (RFC 9110, 5.6.2) no other one into a letter, a digit or `-`.
#[inline(always)]
fn is_folded(name: &[u8], known: &[u8]) -> bool {
    const BIT: u8 = b'a' - b'A';
    let fold = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes) | u64::from_ne_bytes([BIT; 8]);
    let ends = (name.last_chunk(), known.last_chunk());
    name.len() == known.len()
        && match ends {
            (Some(end), Some(known_end)) => {
                let mut pairs = name.as_chunks().0.iter().zip(known.as_chunks().0);
                fold(end) == fold(known_end) && pairs.all(|(part, known)| fold(part) == fold(known))
            }
            _ => {
                let mut pairs = name.iter().zip(known);
                pairs.all(|(byte, known)| byte | BIT == known | BIT)
            }
        }
}

/// Whether `name` is `known`, which is in lower case, to a reader that knows neither case nor the difference between `_` and `-`.
pub(crate) fn sounds_like(name: &[u8], known: &[u8]) -> bool {
    name.len() == known.len()
        && name.iter().zip(known).all(|(&byte, &known)| {
            byte.to_ascii_lowercase() == known || byte == b'_' && known == b'-'
        })
}

/// Whether a field may stand in a trailer and be passed on there: not what frames a message, routes or modifies a request, says who
/// asks, controls an answer or tells how to read a content that has been read by then (RFC 9110, 6.5.1).
pub(crate) fn may_trail(name: &[u8]) -> bool {
    const NEVER: [&[u8]; 29] = [
        b"age",
        b"vary",
        b"range",
        b"cookie",
        b"pragma",
        b"expires",
        b"if-match",
        b"if-range",
        b"location",
        b"warning",
        b"set-cookie",
        b"retry-after",
        b"max-forwards",
        b"content-type",
        b"cache-control",
        b"content-range",
        b"if-none-match",
        b"accept",
        b"allow",
        b"content-encoding",
        b"content-location",
        b"www-authenticate",
        b"if-modified-since",
        b"if-unmodified-since",
        b"authentication-info",
        b"sec-websocket-key",
        b"sec-websocket-accept",
        b"sec-websocket-protocol",
        b"sec-websocket-extensions",
    ];
    let field = Field::of(name);
    (field.is_ordinary() || field == Field::GrpcStatus)
        && !NEVER.iter().any(|never| sounds_like(name, never))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_are_known_in_any_case() {
        for (name, field) in [
            ("AUTHORIZATION", Field::Authorization),
            ("Transfer-encoding", Field::TransferEncoding),
            ("X-Forwarded-For", Field::ForwardedFor),
            ("X-FORWARDED-Host", Field::ForwardedHost),
            ("x-forwarded-Proto", Field::ForwardedProto),
            ("TE", Field::Te),
            ("via", Field::Via),
            ("proxy-authorization", Field::HopByHop),
            ("X-Request-ID", Field::RequestId),
            ("Traceparent", Field::TraceParent),
            ("TraceState", Field::TraceState),
            ("Accept", Field::Other),
            ("X-Forwardedly", Field::Other),
            ("", Field::Other),
        ] {
            assert_eq!(Field::of(name.as_bytes()), field, "{name}");
        }
    }

    #[test]
    fn no_byte_of_a_name_but_the_other_case_is_taken_for_another() {
        use crate::http1::line::is_token;
        let tokens = || (0..=u8::MAX).filter(|byte| is_token(*byte));
        for (byte, known) in tokens().flat_map(|byte| tokens().map(move |known| (byte, known))) {
            let is_known = known == b'-' || known.is_ascii_lowercase() || known.is_ascii_digit();
            if is_known {
                for length in [1, 7, 8, 9, 17] {
                    let (name, known) = (vec![byte; length], vec![known; length]);
                    let is_it = name.eq_ignore_ascii_case(&known);
                    assert_eq!(is_folded(&name, &known), is_it, "{byte} {known:?}");
                }
            }
        }
        assert!(!is_folded(b"connectioN-", b"connection"));
        assert!(!is_folded(b"content-lengti", b"content-length"));
        assert!(!is_folded(b"dontent-length", b"content-length"));
    }

    #[test]
    fn all_that_claims_to_know_the_client_is_known() {
        for length in 0..=u8::MAX.into() {
            for name in claims(length) {
                assert_eq!(name.len(), length, "{}", name.escape_ascii());
                assert_eq!(Field::of(&name.to_ascii_uppercase()), Field::Forwarded);
            }
        }
        for name in [
            "X-Forwarded",
            "X-Forwarded-Port",
            "X-Forwarded-Prefix",
            "X-Forwarded-Server",
            "X-Forwarded-By",
            "X-Forwarded-Ssl",
            "X-Forwarded-Client-Cert",
            "X-Forwarded-Fox",
        ] {
            assert_eq!(Field::of(name.as_bytes()), Field::Forwarded, "{name}");
        }
    }

    #[test]
    fn names_that_a_cgi_program_takes_for_another_are_known_and_no_more() {
        for name in [
            "X_Forwarded_For",
            "X-Forwarded_Proto",
            "X_Forwarded-Port",
            "x_real_ip",
            "Transfer_Encoding",
            "Content_Length",
            "Proxy_Authorization",
            "CF_Connecting_IP",
            "Keep_Alive",
            "Proxy",
        ] {
            assert_eq!(Field::of(name.as_bytes()), Field::Misleading, "{name}");
        }
        for name in [
            "user_id",
            "X_Request_Id",
            "_",
            "Content_Lengths",
            "X_Forwardedly",
        ] {
            assert_eq!(Field::of(name.as_bytes()), Field::Other, "{name}");
        }
    }

    #[test]
    fn a_trailer_holds_nothing_that_had_to_be_known_before() {
        for name in [
            "X-Checksum",
            "Digest",
            "grpc-status",
            "ETag",
            "Server-Timing",
        ] {
            assert!(may_trail(name.as_bytes()), "{name}");
        }
        for name in [
            "Content-Length",
            "transfer_encoding",
            "Host",
            "Authorization",
            "Cookie",
            "Set-Cookie",
            "X-Forwarded-For",
            "Connection",
            "Via",
            "Content-Type",
            "Trailer",
            "Expect",
        ] {
            assert!(!may_trail(name.as_bytes()), "{name}");
        }
    }
}
