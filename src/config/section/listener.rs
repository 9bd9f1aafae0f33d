//! `[[listeners]]`.

use std::{fmt, net::SocketAddr, path::PathBuf};

use rustls::pki_types::CertificateDer;

use super::section;
use crate::{
    certificate::certificates_of,
    config::text::{
        choice::choice,
        file::Files,
        key::{Default as Absent, Effect, Key, Kind},
        reader::{Reader, Table},
        shape,
        values::Read,
        write::{Map, Write},
    },
};

section! {
    /// `[[listeners]]`: an address on which clients connect, and how.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Listener in "listeners" {
        /// The address. No other listens there.
        pub address: SocketAddr =
            Key::new("listeners.address", Kind::Address, Absent::Required).takes(Effect::Workers);
        /// Whether clients speak TLS.
        pub tls: bool = Key::flag("listeners.tls", false);
        /// Whether they may speak HTTP/2: agreed on in the handshake (ALPN), or without TLS by prior knowledge.
        pub http2: bool = Key::flag("listeners.http2", true);
        /// Whether each connection begins with a header of the PROXY protocol.
        pub proxy_protocol: bool = Key::flag("listeners.proxy_protocol", false);
        /// Whether clients show certificates of their own.
        pub client_certificates: ClientCertificates =
            Key::choice("listeners.client_certificates", ClientCertificates::WORDS);
        /// Who vouches for those.
        pub client_ca_file: Option<CaFile> = Key::text(
            "listeners.client_ca_file",
            "the path of a PEM file",
            shape::file_path,
            Absent::Unset,
        );
    }
}

choice! {
    /// Whether clients show certificates of their own.
    pub enum ClientCertificates {
        /// They are not asked.
        Off = "off",
        /// They may; one that nobody vouches for ends the handshake.
        Optional = "optional",
        /// They must.
        Required = "required",
    }
}

/// A file of certificates that vouch for others, and what stood in it when it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct CaFile {
    /// The file.
    pub path: PathBuf,
    /// At least one.
    pub certificates: Vec<CertificateDer<'static>>,
}

impl CaFile {
    fn read_with(files: &mut Files, path: PathBuf) -> Result<Self, String> {
        let read = files.read(&path);
        let certificates = read.and_then(|content| certificates_of(&content.text));
        match certificates {
            Ok(certificates) => Ok(Self { path, certificates }),
            Err(reason) => Err(format!("{path:?} ({reason})")),
        }
    }

    /// The same file as it is now.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn read_again(&self) -> Result<Self, String> {
        Self::read_with(&mut Files::new(), self.path.clone())
    }
}

impl fmt::Debug for CaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

/// Relative to the directory of the configuration.
impl Read for Option<CaFile> {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        let path = Option::<PathBuf>::read(reader, table, key)?;
        match CaFile::read_with(&mut reader.files, path) {
            Ok(file) => Some(file),
            Err(found) => {
                let origin = table.find(key).map(|node| node.origin);
                reader.note(origin, &table.dotted(key.leaf()), found, key.kind.allowed());
                None
            }
        }
    }
}

impl Write for Option<CaFile> {
    fn write(&self, key: &Key, map: &mut Map) {
        self.as_ref().map(|file| file.path.clone()).write(key, map);
    }
}

/// 0.0.0.0:0 where there is none, which is noted.
impl Read for SocketAddr {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        use crate::config::text::tree::Value;
        let given = reader.read(table, key, |value| match value {
            Value::Text(text) => text.parse().ok(),
            _ => None,
        });
        given.unwrap_or_else(|| Self::from(([0, 0, 0, 0], 0)))
    }
}

impl Write for SocketAddr {
    fn write(&self, key: &Key, map: &mut Map) {
        map.insert(key.leaf().to_owned(), self.to_string().into());
    }
}
