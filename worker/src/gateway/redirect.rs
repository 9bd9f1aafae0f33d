//! Requests without TLS for a host that is served with TLS alone: sent there (RFC 9110, 15.4.9), before anything is asked of them.

use crate::{
    gateway::{
        client::Client,
        flight::{Failure, Flight},
    },
    message::{field::Field, head::Head, host::without_port, reply::Reply},
    view::site::Site,
};

/// The port that need not be named.
const HTTPS: u16 = 443;

/// Sends the client to the same with `https`, where its host asks for that and there is TLS.
pub(crate) fn check(flight: &Flight<'_>) -> Result<(), Failure> {
    if !flight.site.plan.host.http_to_https || flight.client.secured.is_some() {
        return Ok(());
    }
    send_there(flight)
}

// Apart: it is no part of the way of those that stay.
#[cold]
fn send_there(flight: &Flight<'_>) -> Result<(), Failure> {
    let client = &*flight.client;
    if came_by_tls(client, flight.head) {
        return Ok(());
    }
    let Some(port) = client.worker.https_port() else {
        return Ok(());
    };
    match location(&flight.site, flight.head, port) {
        Some(location) => Err(Failure::Reply(Reply::moved(&location))),
        // An HTTP/1.0 client that names no host cannot be told where to go.
        None => Err(Failure::Reply(Reply::forbidden(
            "this host is served with TLS alone",
        ))),
    }
}

/// Whether a proxy that is believed says that it was asked with TLS. It would be sent round in a circle.
fn came_by_tls(client: &Client, head: &Head) -> bool {
    let is_believed = client
        .peer
        .is_some_and(|peer| client.settings.trusted_proxies.contains(peer));
    let is_https = |value: &[u8]| value.trim_ascii().eq_ignore_ascii_case(b"https");
    is_believed && head.values(Field::ForwardedProto).any(is_https)
}

/// Where the same is served with TLS: the configured name, or for one that stands for several the one that is asked.
fn location(site: &Site, head: &Head, port: u16) -> Option<String> {
    let name = match site.exact_name() {
        Some(name) => name.to_owned(),
        None => {
            let host = without_port(head.authority()?);
            String::from_utf8(host.to_ascii_lowercase()).ok()?
        }
    };
    let mut location = format!("https://{name}");
    if port != HTTPS {
        location.push_str(&format!(":{port}"));
    }
    // `*` stands for the server as a whole.
    let path = if head.path() == b"*" {
        b"/"
    } else {
        head.path()
    };
    for &byte in path {
        if byte.is_ascii_graphic() {
            location.push(char::from(byte));
        } else {
            location.push_str(&format!("%{byte:02X}"));
        }
    }
    Some(location)
}
