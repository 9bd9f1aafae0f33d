//! `proxy` of `[upstream]` and `[[backends]]`.

use super::super::text::{shape, spelled::Spelled};

/// By which way a server is reached.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Proxy {
    /// Straight.
    #[default]
    None,
    /// As `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say.
    Environment,
    /// Through this HTTP proxy.
    At {
        /// Host name or address literal (an IPv6 literal without brackets).
        host: String,
        /// TCP port.
        port: u16,
    },
}

impl Spelled for Proxy {
    fn spelled(text: &str) -> Option<Self> {
        match text {
            "none" => Some(Self::None),
            "environment" => Some(Self::Environment),
            _ => {
                let authority = text.strip_prefix("http://")?;
                let authority = authority.strip_suffix('/').unwrap_or(authority);
                let (host, port) = shape::host_and_port(authority)?;
                let host = host.to_owned();
                Some(Self::At { host, port })
            }
        }
    }

    fn spell(&self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Environment => "environment".to_owned(),
            Self::At { host, port } if host.contains(':') => format!("http://[{host}]:{port}"),
            Self::At { host, port } => format!("http://{host}:{port}"),
        }
    }
}
