//! `[[certificates]]`, with the files that it names.

use std::{path::PathBuf, sync::Arc};

use super::{names_of, section, tables};
use crate::{
    certificate::{Certified, Flaw},
    config::text::{
        file::Files,
        key::{Default as Absent, Key},
        reader::{Reader, Table},
        shape,
        tree::Value,
        unknown,
    },
};

section! {
    /// `[[certificates]]`: where a certificate and its key are.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct CertificateFiles in "certificates", then as_credentials {
        /// Unique.
        pub name: String =
            Key::text("certificates.name", shape::NAME, shape::name, Absent::Required);
        /// The certificate, then those that vouch for it, in PEM.
        pub cert_file: PathBuf = CERT_FILE;
        /// Its key, in PEM.
        pub key_file: PathBuf = KEY_FILE;
    }
}

const CERT_FILE: Key = Key::text(
    "certificates.cert_file",
    "the path of a PEM file: the certificate, then its chain",
    shape::file_path,
    Absent::Required,
);
const KEY_FILE: Key = Key::text(
    "certificates.key_file",
    "the path of a PEM file with the certificate's key",
    shape::file_path,
    Absent::Required,
);

/// A certificate as it was when its files were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Where it comes from.
    pub files: CertificateFiles,
    /// What stood there.
    pub certified: Arc<Certified>,
}

impl Certificate {
    /// The same files as they are now.
    ///
    /// # Errors
    /// What is wrong with them, naming the file.
    pub fn read_again(&self) -> Result<Self, String> {
        let (certified, _) = load(&mut Files::new(), &self.files).map_err(|(_, found)| found)?;
        Ok(Self {
            files: self.files.clone(),
            certified: Arc::new(certified),
        })
    }
}

/// Either may be one of systemd's credentials.
fn as_credentials(
    files: CertificateFiles,
    reader: &mut Reader<'_>,
    table: &Table<'_>,
) -> CertificateFiles {
    let resolve = |key: &Key, path: PathBuf| match table.find(key).map(|node| &node.value) {
        Some(Value::Text(text)) if shape::file_path(text) => reader.paths.resolve_secret(text),
        // What is wrong with it has been noted.
        _ => path,
    };
    CertificateFiles {
        cert_file: resolve(&CERT_FILE, files.cert_file),
        key_file: resolve(&KEY_FILE, files.key_file),
        name: files.name,
    }
}

/// All of them; what cannot be used is noted, and left out.
pub(in crate::config) fn read(reader: &mut Reader<'_>, top: &Table<'_>) -> Vec<Certificate> {
    let names = names_of::<CertificateFiles>();
    let mut list = Vec::new();
    for table in tables(reader, top, <CertificateFiles as super::Section>::NAME) {
        unknown::note(reader, &table, &names);
        let files = <CertificateFiles as super::Section>::read_table(reader, &table, None);
        list.extend(loaded(reader, &table, files));
    }
    list
}

fn loaded(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    files: CertificateFiles,
) -> Option<Certificate> {
    let is_given = |path: &PathBuf| !path.as_os_str().is_empty();
    if !is_given(&files.cert_file) || !is_given(&files.key_file) {
        return None;
    }
    match load(&mut reader.files, &files) {
        Ok((certified, is_open_to_all)) => {
            if is_open_to_all {
                let path = files.key_file.display();
                reader.warnings.push(format!(
                    "{path} holds a private key and every user of this machine may read it; chmod o-r helps"
                ));
            }
            let certified = Arc::new(certified);
            Some(Certificate { files, certified })
        }
        Err((key, found)) => {
            let origin = table.find(key).map(|node| node.origin);
            reader.note(origin, &table.dotted(key.leaf()), found, key.kind.allowed());
            None
        }
    }
}

/// What stands in the files, and whether every user of the machine may read the key; or which of them is wrong, and how.
fn load(
    files: &mut Files,
    of: &CertificateFiles,
) -> Result<(Certified, bool), (&'static Key, String)> {
    const CERT: &Key = &CERT_FILE;
    const KEY: &Key = &KEY_FILE;
    let wrong_certificate = |reason: String| (CERT, format!("{:?} ({reason})", of.cert_file));
    let wrong_key = |reason: String| (KEY, format!("{:?} ({reason})", of.key_file));
    let certificate = files.read(&of.cert_file).map_err(wrong_certificate)?;
    let key = files.read(&of.key_file).map_err(wrong_key)?;
    match Certified::from_pem(&certificate.text, &key.text) {
        Ok(certified) => Ok((certified, key.open_to_all)),
        Err(Flaw::Certificate(reason)) => Err(wrong_certificate(reason)),
        Err(Flaw::Key(reason)) => Err(wrong_key(reason)),
    }
}
