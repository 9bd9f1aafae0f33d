//! `[upstream]`.

use std::{path::PathBuf, time::Duration};

use super::{YEAR, defaults, proxy::Proxy, section};
use crate::config::text::{
    choice::choice,
    key::{Default, Key},
    reader::{Reader, Table},
    shape,
};

section! {
    /// `[upstream]`: the server behind the proxy.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Upstream in "upstream", then with_certificates {
        /// Host name or address literal (an IPv6 literal without brackets).
        pub host: String = HOST;
        /// TCP port.
        pub port: u16 =
            Key::number("upstream.port", (1, 65_535), 8848).variables(&["TPP_UPSTREAM_PORT"]);
        /// Speak TLS to the upstream.
        pub tls: bool = Key::flag("upstream.tls", false).variables(&["TPP_UPSTREAM_TLS"]);
        /// PEM file with the roots to trust instead of the system's.
        pub ca_file: Option<PathBuf> = CA_FILE;
        /// Verify the upstream's certificate and name.
        pub verify: bool = Key::flag("upstream.verify", true);
        /// Bound on the TCP connect.
        pub connect_timeout: Duration =
            Key::number("upstream.connect_timeout_seconds", (1, 3600), 2);
        /// Bound on the TLS handshake.
        pub tls_handshake_timeout: Duration =
            Key::number("upstream.tls_handshake_timeout_seconds", (1, 3600), 5);
        /// Bound from the end of the request to the head of the answer; `None`: no bound.
        pub response_header_timeout: Option<Duration> =
            Key::number("upstream.response_header_timeout_seconds", (0, YEAR), 30).zero("no limit");
        /// How long the upstream may be silent in the middle of an answer; `None`: no bound.
        pub read_timeout: Option<Duration> =
            Key::number("upstream.read_timeout_seconds", (0, YEAR), 300).zero("no limit");
        /// How long both sides of an upgraded connection may be silent; `None`: no bound.
        pub tunnel_timeout: Option<Duration> =
            Key::number("upstream.tunnel_timeout_seconds", (0, YEAR), 3600).zero("no limit");
        /// How long an idle upstream connection is kept for reuse.
        pub idle_timeout: Duration = Key::number("upstream.idle_timeout_seconds", (1, YEAR), 90);
        /// How many idle upstream connections are kept, over all workers.
        pub max_idle_connections: usize =
            Key::number("upstream.max_idle_connections", (0, 1_000_000), 1000);
        /// What stands in the `Host` header of a forwarded request.
        pub host_header: HostHeader = Key::choice("upstream.host_header", HostHeader::WORDS);
        /// Whom TLS is spoken to: the name that is asked for and that the certificate must have; `None`: the host.
        pub server_name: Option<String> = Key::text(
            "upstream.server_name",
            "a host name or an IP address, without scheme and port",
            shape::host,
            Default::Unset,
        );
        /// By which way it is reached.
        pub proxy: Proxy = Key::spelled::<Proxy>(
            "upstream.proxy",
            "\"none\", \"environment\" or an URL such as \"http://proxy.example:3128\"",
            "none",
        );
        /// Whether HTTP/2 is spoken to it.
        pub http2: UpstreamHttp2 = Key::choice("upstream.http2", UpstreamHttp2::WORDS);
    }
}

pub(in crate::config) const HOST: Key = Key::text(
    "upstream.host",
    "a host name or an IP address, without scheme and port",
    shape::host,
    Default::Required,
)
.variables(&["TPP_UPSTREAM_HOST"]);

const CA_FILE: Key = Key::text(
    "upstream.ca_file",
    "the path of a PEM file with certificates",
    shape::file_path,
    Default::Unset,
);

choice! {
    /// What stands in the `Host` header of a forwarded request.
    pub enum HostHeader {
        /// The upstream's where TLS is spoken to it, whose certificates and virtual hosts go by that name; else the client's.
        Auto = "auto",
        /// The client's, as it came.
        Client = "client",
        /// The upstream's authority.
        Upstream = "upstream",
    }
}

choice! {
    /// Whether HTTP/2 is spoken to an upstream.
    pub enum UpstreamHttp2 {
        /// Never.
        Off = "off",
        /// Where both sides agree on it in the handshake of TLS.
        On = "on",
        /// Always; without TLS, without asking.
        Only = "only",
    }
}

impl Upstream {
    /// The server at `host` and `port`, all else by default.
    #[must_use]
    pub fn at(host: &str, port: u16) -> Self {
        let host = host.to_owned();
        Self {
            host,
            port,
            ..defaults()
        }
    }

    /// Host and port as in a URL.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whom TLS is spoken to.
    #[must_use]
    pub fn tls_name(&self) -> &str {
        self.server_name.as_deref().unwrap_or(&self.host)
    }

    /// What an administrator should know though it is no error, of what is called `name`.
    pub(in crate::config) fn warnings(&self, name: &str) -> Vec<String> {
        let mut list = Vec::new();
        if self.tls && !self.verify {
            list.push(format!(
                "{name}.verify is false: whoever stands between can pose as the upstream and read passwords and tokens"
            ));
        }
        if !self.tls && self.ca_file.is_some() {
            list.push(format!(
                "{name}.ca_file has no effect while {name}.tls is false"
            ));
        }
        if !self.tls && self.http2 == UpstreamHttp2::On {
            list.push(format!(
                "{name}.http2 = \"on\" has no effect while {name}.tls is false: it is agreed on in the handshake of TLS (\"only\" needs no handshake)"
            ));
        }
        list
    }
}

/// Whether there are certificates in the file that is to hold them.
fn with_certificates(section: Upstream, reader: &mut Reader<'_>, table: &Table<'_>) -> Upstream {
    // One that stands in another table's place has been looked at there.
    let (Some(path), Some(node)) = (&section.ca_file, table.find(&CA_FILE)) else {
        return section;
    };
    let reason = match reader.files.read(path) {
        Ok(content) if content.text.contains("-----BEGIN CERTIFICATE-----") => return section,
        Ok(_) => "no certificate in it".to_owned(),
        Err(reason) => reason,
    };
    let key = &CA_FILE;
    let found = format!("{path:?} ({reason})");
    let name = table.dotted(key.leaf());
    reader.note(Some(node.origin), &name, found, key.kind.allowed());
    section
}
