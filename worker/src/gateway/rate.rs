//! So many requests of a client in a time, over all workers: `[[rate_limits]]`.

use std::{hint::cold_path, net::IpAddr};

use tpp::{clock::monotonic_nanos, config::RateKey, shared::Rejection};

use crate::{
    gateway::{
        access::address,
        flight::{Failure, Flight},
    },
    message::reply::Reply,
    view::bounds::RateBound,
};

/// Refuses a request that is more than the host's limit allows.
pub(super) fn check(flight: &mut Flight<'_>) -> Result<(), Failure> {
    let Some(bounds) = &flight.site.bounds else {
        return Ok(());
    };
    if bounds.rate.is_none() {
        return Ok(());
    }
    // What few hosts have stands apart from the way of the others: a request meets cold caches.
    cold_path();
    admit(flight)
}

#[inline(never)]
fn admit(flight: &mut Flight<'_>) -> Result<(), Failure> {
    let bounds = flight.site.bounds.as_ref();
    let Some(rate) = bounds.and_then(|bounds| bounds.rate.as_ref()) else {
        return Ok(());
    };
    // The supervisor makes the table before it speaks of a limit.
    let Some(table) = flight.client.worker.desk.rates() else {
        return Ok(());
    };
    let mut buffer = [0; 16];
    let key = key(flight, &rate.key, &mut buffer);
    match table.admit(rate.quota, (rate.limit, key), monotonic_nanos()) {
        Ok(left) => {
            let fields = told(rate, left, rate.quota.full_after(left).as_secs());
            let sheet = flight.client.holdings.sheet();
            sheet.answer_fields.extend_from_slice(fields.as_bytes());
            sheet.kept_fields = sheet.answer_fields.len();
            Ok(())
        }
        Err(refused) => {
            flight.count_refusal(Rejection::Rate);
            let seconds = whole_seconds(refused.after);
            let reply = Reply::too_many_requests("more requests than the rate limit allows");
            let reply = reply.after(seconds);
            Err(Failure::Reply(reply.with_fields(told(rate, 0, seconds))))
        }
    }
}

/// Rounded up, at least one: with 0 a client would try again at once.
pub(super) fn whole_seconds(time: std::time::Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

/// What a client is told of its limit (draft-ietf-httpapi-ratelimit-headers), if anything.
fn told(rate: &RateBound, left: u64, seconds: u64) -> String {
    rate.told.as_ref().map_or_else(String::new, |told| {
        let (name, policy) = (&told.name, &told.policy);
        format!("{policy}RateLimit: \"{name}\";r={left};t={seconds}\r\n")
    })
}

/// What the client is told apart by. Without the key or field, by its address: it is never unlimited.
fn key<'a>(flight: &'a Flight<'_>, by: &RateKey, buffer: &'a mut [u8; 16]) -> &'a [u8] {
    let head = flight.head;
    let said = match by {
        RateKey::All => Some(&b""[..]),
        RateKey::Address => None,
        RateKey::ApiKey => head
            .named(b"x-api-key")
            .or_else(|| head.named(b"authorization")),
        RateKey::Header(name) => head.named(name.as_bytes()),
    };
    said.unwrap_or_else(|| network(address(flight.client, head), buffer))
}

/// An IPv4 address, or the /64 of an IPv6 address, as that is what one subscriber has.
fn network(address: Option<IpAddr>, buffer: &mut [u8; 16]) -> &[u8] {
    match address {
        Some(IpAddr::V4(address)) => {
            buffer[..4].copy_from_slice(&address.octets());
            &buffer[..4]
        }
        Some(IpAddr::V6(address)) => {
            *buffer = address.octets();
            &buffer[..8]
        }
        None => &[],
    }
}
