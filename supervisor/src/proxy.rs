//! Through which proxy a server is reached, as its `proxy` key or the environment says.

use std::{sync::OnceLock, time::Duration};

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tpp::{
    config::{Proxy, Upstream},
    plan::ProxyAt,
    tunnel::{connect_request, is_connected},
};

/// The proxy before `upstream`; `None`: it is reached straight.
pub(crate) fn before(upstream: &Upstream) -> Option<ProxyAt> {
    static ENVIRONMENT: OnceLock<Matcher> = OnceLock::new();
    match &upstream.proxy {
        Proxy::None => None,
        Proxy::At { host, port } => Some(ProxyAt {
            host: host.clone(),
            port: *port,
            authorization: None,
        }),
        Proxy::Environment => found(ENVIRONMENT.get_or_init(Matcher::from_env), upstream),
    }
}

/// What the environment has for `upstream`. A proxy that speaks something else than HTTP is none.
fn found(environment: &Matcher, upstream: &Upstream) -> Option<ProxyAt> {
    let scheme = if upstream.tls { "https" } else { "http" };
    let server: Uri = format!("{scheme}://{}/", upstream.authority())
        .parse()
        .ok()?;
    let proxy = environment.intercept(&server)?;
    let uri = proxy.uri();
    if uri.scheme_str() != Some("http") {
        return None;
    }
    let host = uri.host()?;
    Some(ProxyAt {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: uri.port_u16().unwrap_or(80),
        authorization: proxy
            .basic_auth()
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
    })
}

/// Has the proxy at the other end of `stream` connect to `upstream`, within `limit`.
///
/// # Errors
/// A sentence that says why it did not.
pub(crate) async fn tunnel(
    stream: &mut TcpStream,
    proxy: &ProxyAt,
    upstream: &Upstream,
    limit: Duration,
) -> Result<(), String> {
    let asking = async {
        let broken = |error: std::io::Error| format!("proxy {}: {error}", proxy.authority());
        let request = connect_request(&upstream.authority(), proxy.authorization.as_deref());
        stream.write_all(&request).await.map_err(broken)?;
        let mut said = Vec::new();
        while !is_connected(&said).map_err(|error| error.to_string())? {
            if stream.read_buf(&mut said).await.map_err(broken)? == 0 {
                return Err(format!("proxy {}: it hung up", proxy.authority()));
            }
        }
        Ok(())
    };
    let late = |_| {
        Err(format!(
            "proxy {}: no answer within {limit:?}",
            proxy.authority()
        ))
    };
    tokio::time::timeout(limit, asking)
        .await
        .unwrap_or_else(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(tls: bool) -> Upstream {
        Upstream {
            tls,
            proxy: Proxy::Environment,
            ..Upstream::at("db.example", 8848)
        }
    }

    #[test]
    fn the_environment_says_which_by_scheme_and_for_whom_not() {
        let environment = Matcher::builder()
            .http("http://user:secret@plain.example:3128")
            .https("secure.example:3129")
            .no("other.example,.internal")
            .build();
        let plain = found(&environment, &upstream(false)).expect("one for http");
        assert_eq!((plain.host.as_str(), plain.port), ("plain.example", 3128));
        assert_eq!(
            plain.authorization.as_deref(),
            Some("Basic dXNlcjpzZWNyZXQ=")
        );
        assert!(!format!("{plain:?}").contains("dXNl"));
        let secure = found(&environment, &upstream(true)).expect("one for https");
        assert_eq!(
            (secure.host.as_str(), secure.port),
            ("secure.example", 3129)
        );
        for host in ["other.example", "a.internal"] {
            let spared = Upstream {
                proxy: Proxy::Environment,
                ..Upstream::at(host, 80)
            };
            assert_eq!(found(&environment, &spared), None, "{host}");
        }
        let none = Matcher::builder().build();
        assert_eq!(found(&none, &upstream(false)), None);
    }
}
