//! Who may ask: `[[access]]`, and who a client is behind proxies that are believed.

use std::{hint::cold_path, net::IpAddr};

use tpp::{config::TrustedProxies, shared::Rejection};

use crate::{
    gateway::{
        client::Client,
        flight::{Failure, Flight},
    },
    message::{field::Field, head::Head, reply::Reply},
};

/// Refuses an address that the host's list keeps out: what it denies, and, if it allows some, all others.
pub(super) fn check(flight: &Flight<'_>) -> Result<(), Failure> {
    let Some(bounds) = &flight.site.bounds else {
        return Ok(());
    };
    let Some(access) = &bounds.access else {
        return Ok(());
    };
    cold_path();
    let address = address(flight.client, flight.head);
    let may = address.is_some_and(|address| {
        let is_in = |list: &[tpp::config::Cidr]| list.iter().any(|one| one.contains(&address));
        !is_in(&access.deny) && (access.allow.is_empty() || is_in(&access.allow))
    });
    if may {
        Ok(())
    } else {
        flight.count_refusal(Rejection::Access);
        Err(Failure::Reply(Reply::forbidden(
            "this address may not ask here",
        )))
    }
}

/// Who asks: the peer, or, if that is a proxy that is believed, whom it says it asks for, and so on. `None`: it has no address.
pub(super) fn address(client: &Client, head: &Head) -> Option<IpAddr> {
    let peer = client.peer?;
    let trusted = &client.settings.trusted_proxies;
    if matches!(trusted, TrustedProxies::From(networks) if networks.is_empty()) {
        return Some(peer);
    }
    Some(behind(peer, trusted, head))
}

/// The nearest one that is no proxy that is believed. What cannot be read ends the chain.
fn behind(peer: IpAddr, trusted: &TrustedProxies, head: &Head) -> IpAddr {
    let field = if head.has(Field::ForwardedFor) {
        Field::ForwardedFor
    } else {
        Field::Forwarded
    };
    let mut address = peer;
    // The last one was written by the proxy that is nearest. Few fields: collected, since values do not run backwards.
    let values: Vec<_> = head.values(field).collect();
    let entries = values
        .iter()
        .rev()
        .flat_map(|value| value.rsplit(|byte| *byte == b','));
    for entry in entries {
        if !trusted.contains(address) {
            break;
        }
        let named = if field == Field::Forwarded {
            forwarded_for(entry)
        } else {
            node(entry)
        };
        match named {
            Some(next) => address = next,
            None => break,
        }
    }
    address
}

/// The `for` of a `Forwarded` element (RFC 7239, 4).
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut pairs = element.split(|byte| *byte == b';');
    pairs.find_map(|pair| {
        let pair = pair.trim_ascii();
        let (name, value) = pair.split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then(|| node(value))?
    })
}

/// An address, perhaps in quotes, in brackets, with a port.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim().trim_matches('"');
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => text.split_once(':')?.0,
    };
    Some(bare.parse::<IpAddr>().ok()?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_proxies_write_them() {
        let v4 = Some("192.0.2.1".parse().unwrap());
        let v6 = Some("2001:db8::1".parse().unwrap());
        for (text, address) in [
            ("192.0.2.1", v4),
            (" 192.0.2.1:47011 ", v4),
            ("::ffff:192.0.2.1", v4),
            ("2001:db8::1", v6),
            ("\"[2001:db8::1]:4711\"", v6),
            ("[2001:db8::1]", v6),
            ("unknown", None),
            ("_hidden", None),
            ("", None),
        ] {
            assert_eq!(node(text.as_bytes()), address, "{text}");
        }
        assert_eq!(forwarded_for(b"proto=http; For=\"192.0.2.1:80\"; by=x"), v4);
        assert_eq!(forwarded_for(b"proto=http"), None);
    }
}
