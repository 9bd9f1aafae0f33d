//! Who asks, and what they may: tokens, their roles, and those who guess.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tpp::api_tokens::{ApiRole, ApiTokens};

use super::problem::Problem;
use crate::doors::bearer;

/// Failures of one address that are answered with 401, and for how long they count.
const MOST_FAILURES: u32 = 10;
const MEMORY: Duration = Duration::from_secs(60);
/// Addresses that are remembered at once.
const MOST_ADDRESSES: usize = 4096;

/// Where a connection comes from: an address (of IPv6 the network that one subscriber has), or a user of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Peer(String);

impl Peer {
    pub(super) fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_string()),
            IpAddr::V6(address) => {
                let network = std::net::Ipv6Addr::from_bits(address.to_bits() >> 64 << 64);
                Self(format!("{network}/64"))
            }
        }
    }

    pub(super) fn of_user(uid: Option<u32>) -> Self {
        Self(uid.map_or_else(|| "a user".to_owned(), |uid| format!("user {uid}")))
    }
}

/// One who asks and may.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// As the audit line has it.
    pub(super) name: String,
    pub(super) from: String,
    pub(super) role: ApiRole,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) from {}", self.name, self.role, self.from)
    }
}

/// The role that a request needs. What is not listed needs the highest one.
pub(super) fn needed(method: &Method, path: &str) -> ApiRole {
    const ORDERS: [&str; 7] = [
        "/switch",
        "/state",
        "/reset",
        "/refresh",
        "/pause",
        "/resume",
        "/app_ticket",
    ];
    let ends_lease = *method == Method::DELETE && path.contains("/leases/");
    let is_order = *method == Method::POST && ORDERS.iter().any(|order| path.ends_with(order));
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        ApiRole::Read
    } else if is_order || ends_lease {
        ApiRole::Operate
    } else {
        ApiRole::Admin
    }
}

/// Finds out who asks. Without a list of tokens everybody who reaches the door may do everything.
///
/// # Errors
/// 401, 403, 429.
pub(super) fn admit(
    tokens: Option<&ApiTokens>,
    failures: &Failures,
    peer: &Peer,
    headers: &HeaderMap,
    needed: ApiRole,
) -> Result<Caller, Problem> {
    let from = peer.0.clone();
    let Some(tokens) = tokens else {
        return Ok(Caller {
            name: "anybody".to_owned(),
            from,
            role: ApiRole::Admin,
        });
    };
    let now = Instant::now();
    if let Some(left) = failures.left(peer, now) {
        let seconds = left.as_secs() + 1;
        let detail =
            format!("too many wrong tokens from {from}: none is looked at for {seconds} s");
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail);
        return Err(problem.with(header::RETRY_AFTER, HeaderValue::from(seconds)));
    }
    let Some(presented) = bearer::presented(headers) else {
        // Whoever has none has guessed none.
        return Err(unauthorized(
            "a token is needed: Authorization: Bearer …",
            bearer::CHALLENGE,
        ));
    };
    let Some(owner) = tokens.find(presented) else {
        failures.note(peer, now);
        tracing::warn!(from, "wrong token at the API");
        return Err(unauthorized("the token is not known", bearer::INVALID));
    };
    failures.forget(peer);
    if owner.role < needed {
        let detail = format!(
            "{} has the role {}; this needs {needed}",
            owner.name, owner.role
        );
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    Ok(Caller {
        name: owner.name.clone(),
        from,
        role: owner.role,
    })
}

fn unauthorized(detail: &str, challenge: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail).with(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static(challenge),
    )
}

/// Who has presented wrong tokens lately.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<Peer, (u32, Instant)>>);

impl Failures {
    /// For how long no token of this peer is looked at, if it has guessed too often.
    fn left(&self, peer: &Peer, now: Instant) -> Option<Duration> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, since) = table.get(peer)?;
        let left = MEMORY.checked_sub(now.saturating_duration_since(*since))?;
        (*count >= MOST_FAILURES).then_some(left)
    }

    fn note(&self, peer: &Peer, now: Instant) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |since: Instant| now.saturating_duration_since(since) > MEMORY;
        if table.len() >= MOST_ADDRESSES && !table.contains_key(peer) {
            table.retain(|_, (_, since)| !is_over(*since));
            // All of them new: the one that has been there longest makes room.
            let oldest = table.iter().min_by_key(|(_, (_, since))| *since);
            let oldest = oldest.map(|(peer, _)| peer.clone());
            if let Some(oldest) = oldest.filter(|_| table.len() >= MOST_ADDRESSES) {
                table.remove(&oldest);
            }
        }
        let entry = table.entry(peer.clone()).or_insert((0, now));
        if is_over(entry.1) {
            *entry = (0, now);
        }
        *entry = (entry.0 + 1, now);
    }

    fn forget(&self, peer: &Peer) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tpp::api_tokens::new_token;

    fn with(token: &str) -> HeaderMap {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        HeaderMap::from_iter([(header::AUTHORIZATION, value)])
    }

    fn peer(last: u8) -> Peer {
        Peer::of_address(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn reading_needs_less_than_ordering_and_that_less_than_changing() {
        for (method, path, role) in [
            (Method::GET, "/api/v1/domains", ApiRole::Read),
            (Method::HEAD, "/api/v1/pools/p", ApiRole::Read),
            (Method::POST, "/api/v1/domains/a/switch", ApiRole::Operate),
            (Method::POST, "/api/v1/backends/b/state", ApiRole::Operate),
            (
                Method::POST,
                "/api/v1/domains/a/circuit_breaker/reset",
                ApiRole::Operate,
            ),
            (Method::DELETE, "/api/v1/pools/p/leases/3", ApiRole::Operate),
            (Method::POST, "/api/v1/pools/p/pause", ApiRole::Operate),
            (Method::POST, "/api/v1/domains", ApiRole::Admin),
            (Method::PUT, "/api/v1/domains/switch", ApiRole::Admin),
            (Method::DELETE, "/api/v1/domains/a", ApiRole::Admin),
            (Method::POST, "/api/v1/reload", ApiRole::Admin),
            (Method::POST, "/api/v1/config/check", ApiRole::Admin),
        ] {
            assert_eq!(needed(&method, path), role, "{method} {path}");
        }
    }

    #[test]
    fn the_eleventh_wrong_token_of_an_address_is_not_looked_at() {
        let made = new_token("a", ApiRole::Read).unwrap();
        let tokens = ApiTokens::parse(&made.line).unwrap();
        let failures = Failures::default();
        let ask = |last, token: &str| {
            admit(
                Some(&tokens),
                &failures,
                &peer(last),
                &with(token),
                ApiRole::Read,
            )
        };
        for _ in 0..MOST_FAILURES {
            assert!(ask(1, "wrong").is_err());
        }
        assert!(ask(1, &made.secret).is_err(), "not even a right one");
        assert!(ask(2, &made.secret).is_ok(), "others are not meant");
    }

    #[test]
    fn failures_are_forgotten_in_time_and_by_a_right_token() {
        let failures = Failures::default();
        let now = Instant::now();
        (0..MOST_FAILURES).for_each(|_| failures.note(&peer(1), now));
        assert_eq!(failures.left(&peer(1), now), Some(MEMORY));
        assert_eq!(
            failures.left(&peer(1), now + MEMORY + Duration::from_millis(1)),
            None
        );
        failures.forget(&peer(1));
        assert_eq!(failures.left(&peer(1), now), None);
    }

    #[test]
    fn a_crowd_of_addresses_takes_bounded_room() {
        let failures = Failures::default();
        let now = Instant::now();
        for number in 0..MOST_ADDRESSES as u32 + 10 {
            failures.note(&Peer::of_address(IpAddr::from(number.to_be_bytes())), now);
        }
        assert_eq!(failures.0.lock().unwrap().len(), MOST_ADDRESSES);
    }

    #[test]
    fn a_role_that_is_too_low_is_not_enough() {
        let made = new_token("a", ApiRole::Operate).unwrap();
        let tokens = ApiTokens::parse(&made.line).unwrap();
        let failures = Failures::default();
        for (needed, is_enough) in [
            (ApiRole::Read, true),
            (ApiRole::Operate, true),
            (ApiRole::Admin, false),
        ] {
            let asked = admit(
                Some(&tokens),
                &failures,
                &peer(1),
                &with(&made.secret),
                needed,
            );
            assert_eq!(asked.is_ok(), is_enough, "{needed}");
        }
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one() {
        let peer = |text: &str| Peer::of_address(text.parse().unwrap());
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::2"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
        assert_eq!(peer("::ffff:10.0.0.1"), peer("10.0.0.1"));
    }
}
