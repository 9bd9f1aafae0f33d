//! A front door in a memory file that nobody can change any more.
//!
//! First the length of the words (eight bytes, little-endian), then the words in JSON, then the bytes that they count: chains, keys,
//! authorities, ticket keys, what proves hosts. So no parser, with buffers of its own, ever sees a key. What has come with a later
//! version stands last, and is nothing to one that does not know it.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    net::SocketAddr,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::FileExt,
    },
    sync::Arc,
};

use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Challenges, Front, Gate, Proof, Shown, TICKET_KEY, TICKET_NAME, TicketKey};
use crate::{
    certificate::{Certified, Flaw},
    config::{ClientCertificates, Http2, Tls},
    plan::sealing,
};

const LENGTH_BYTES: usize = 8;

/// Why there is no front door.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// The system would not give the memory, or the file cannot be read.
    #[error("the front door's memory file: {0}")]
    File(#[from] io::Error),
    /// It can still be changed by others.
    #[error("the front door is not sealed")]
    Unsealed,
    /// It is in another version's words.
    #[error("the front door is not readable: {0}")]
    Words(#[from] serde_json::Error),
    /// It has not the bytes that its words count.
    #[error("the front door is cut off")]
    CutOff,
    /// One of its certificates cannot be used.
    #[error("certificate {name}: {flaw}")]
    Certificate {
        /// Its name.
        name: String,
        /// Why.
        flaw: Flaw,
    },
}

/// The memory file of a front door.
#[derive(Debug)]
pub struct SealedFront {
    file: File,
    number: u64,
}

/// All but the bytes, whose lengths stand here.
#[derive(Serialize, Deserialize)]
struct Words {
    number: u64,
    gates: Vec<GateWords>,
    tls: Tls,
    http2: Http2,
    certificates: Vec<CertificateWords>,
    ticket_keys: Vec<u64>,
    #[serde(default)]
    answers: BTreeMap<String, String>,
    #[serde(default)]
    proofs: Vec<ProofWords>,
}

#[derive(Serialize, Deserialize)]
struct GateWords {
    address: SocketAddr,
    tls: bool,
    http2: bool,
    proxy_protocol: bool,
    client_certificates: ClientCertificates,
    authorities: Vec<usize>,
}

#[derive(Serialize, Deserialize)]
struct CertificateWords {
    name: String,
    chain: Vec<usize>,
    key: usize,
}

#[derive(Serialize, Deserialize)]
struct ProofWords {
    host: String,
    certificate: usize,
    key: usize,
}

impl SealedFront {
    /// Writes `front` down; `number` tells it from those before it.
    ///
    /// # Errors
    /// If the system has no memory or no descriptor left.
    pub fn of(front: &Front, number: u64) -> Result<Self, FrontError> {
        let words = serde_json::to_vec(&Words::of(front, number))?;
        let file = sealing::file(c"tpp-front")?;
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            let written = file.write_all_at(bytes, at);
            at += bytes.len() as u64;
            written
        };
        put(&(words.len() as u64).to_le_bytes())?;
        put(&words)?;
        for one in &front.certificates {
            one.certified.chain().iter().try_for_each(|one| put(one))?;
            put(one.certified.expose_key())?;
        }
        for gate in &front.gates {
            gate.authorities.iter().try_for_each(|one| put(one))?;
        }
        for key in &front.ticket_keys {
            put(&key.name)?;
            put(key.expose())?;
        }
        for proof in &front.challenges.proofs {
            put(&proof.certificate)?;
            put(proof.expose_key())?;
        }
        sealing::seal(&file)?;
        Ok(Self { file, number })
    }

    /// Which one it is, of its supervisor's.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The front door in `file`, which another process may have sent, and its file to pass on.
    ///
    /// # Errors
    /// If it is not sealed, or no front door of this version.
    pub fn read(file: OwnedFd) -> Result<(Self, Front), FrontError> {
        let file = File::from(file);
        if !sealing::is_sealed(&file) {
            return Err(FrontError::Unsealed);
        }
        let bytes = sealing::read(&file)?;
        let mut rest = Rest(&bytes);
        let length = rest.take(LENGTH_BYTES)?.try_into();
        let length = u64::from_le_bytes(length.map_err(|_| FrontError::CutOff)?);
        let length = usize::try_from(length).map_err(|_| FrontError::CutOff)?;
        let words: Words = serde_json::from_slice(rest.take(length)?)?;
        let number = words.number;
        let front = words.front(&mut rest)?;
        Ok((Self { file, number }, front))
    }
}

impl AsFd for SealedFront {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The bytes that are still to be read.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], FrontError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(FrontError::CutOff)?;
        self.0 = rest;
        Ok(taken)
    }

    fn certificates(
        &mut self,
        lengths: &[usize],
    ) -> Result<Vec<CertificateDer<'static>>, FrontError> {
        let lengths = lengths.iter();
        lengths
            .map(|length| Ok(CertificateDer::from(self.take(*length)?.to_vec())))
            .collect()
    }
}

impl Words {
    fn of(front: &Front, number: u64) -> Self {
        let lengths = |list: &[CertificateDer<'_>]| list.iter().map(|one| one.len()).collect();
        let gates = front.gates.iter().map(|gate| GateWords {
            address: gate.address,
            tls: gate.tls,
            http2: gate.http2,
            proxy_protocol: gate.proxy_protocol,
            client_certificates: gate.client_certificates,
            authorities: lengths(&gate.authorities),
        });
        let certificates = front.certificates.iter().map(|one| CertificateWords {
            name: one.name.clone(),
            chain: lengths(one.certified.chain()),
            key: one.certified.expose_key().len(),
        });
        let proofs = front.challenges.proofs.iter().map(|one| ProofWords {
            host: one.host.clone(),
            certificate: one.certificate.len(),
            key: one.expose_key().len(),
        });
        Self {
            number,
            gates: gates.collect(),
            tls: front.tls.clone(),
            http2: front.http2,
            certificates: certificates.collect(),
            ticket_keys: front.ticket_keys.iter().map(|key| key.made_at).collect(),
            answers: front.challenges.answers.clone(),
            proofs: proofs.collect(),
        }
    }

    /// In the order in which the bytes were written.
    fn front(self, rest: &mut Rest<'_>) -> Result<Front, FrontError> {
        let mut certificates = Vec::new();
        for CertificateWords { name, chain, key } in self.certificates {
            let chain = rest.certificates(&chain)?;
            let key = Zeroizing::new(rest.take(key)?.to_vec());
            match Certified::of(chain, key) {
                Ok(certified) => certificates.push(Shown {
                    name,
                    certified: Arc::new(certified),
                }),
                Err(flaw) => return Err(FrontError::Certificate { name, flaw }),
            }
        }
        let mut gates = Vec::new();
        for words in self.gates {
            gates.push(Gate {
                address: words.address,
                tls: words.tls,
                http2: words.http2,
                proxy_protocol: words.proxy_protocol,
                client_certificates: words.client_certificates,
                authorities: rest.certificates(&words.authorities)?,
            });
        }
        let mut ticket_keys = Vec::new();
        for made_at in self.ticket_keys {
            let name = rest.take(TICKET_NAME)?.try_into();
            let mut secret = Zeroizing::new([0; TICKET_KEY]);
            secret.copy_from_slice(rest.take(TICKET_KEY)?);
            let name = name.map_err(|_| FrontError::CutOff)?;
            ticket_keys.push(TicketKey::new(name, secret, made_at));
        }
        let mut proofs = Vec::new();
        for words in self.proofs {
            let certificate = CertificateDer::from(rest.take(words.certificate)?.to_vec());
            let key = Zeroizing::new(rest.take(words.key)?.to_vec());
            proofs.push(Proof::new(&words.host, certificate, key));
        }
        let challenges = Challenges {
            answers: self.answers,
            proofs,
        };
        Ok(Front {
            gates,
            tls: self.tls,
            http2: self.http2,
            certificates,
            ticket_keys,
            challenges,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Http2Lease, TlsVersion};

    fn front() -> Front {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let certified =
            Certified::from_pem(&made.cert.pem(), &made.signing_key.serialize_pem()).unwrap();
        let authority = certified.chain()[0].clone();
        let gate = Gate {
            address: "127.0.0.1:443".parse().unwrap(),
            tls: true,
            http2: false,
            proxy_protocol: true,
            client_certificates: ClientCertificates::Required,
            authorities: vec![authority.clone(), authority],
        };
        let der = certified.chain()[0].clone();
        let shown = Shown {
            name: "one".to_owned(),
            certified: Arc::new(certified),
        };
        Front {
            gates: vec![gate],
            tls: Tls {
                min_version: TlsVersion::V13,
                default_certificate: Some("one".to_owned()),
                handshake_timeout: Duration::from_secs(7),
            },
            http2: Http2 {
                lease: Http2Lease::Connection,
                max_streams: 9,
            },
            certificates: vec![shown],
            ticket_keys: vec![TicketKey::new([1; 16], Zeroizing::new([2; 32]), 3)],
            challenges: Challenges {
                answers: [("token".to_owned(), "answer".to_owned())].into(),
                proofs: vec![Proof::new("a.example", der, vec![2; 32].into())],
            },
        }
    }

    #[test]
    fn a_front_door_is_read_as_it_was_written_by_whoever_gets_its_file() {
        let front = front();
        let sealed = SealedFront::of(&front, 5).unwrap();
        for _ in 0..2 {
            let sent = sealed.as_fd().try_clone_to_owned().unwrap();
            let (passed_on, read) = SealedFront::read(sent).unwrap();
            assert_eq!((&read, passed_on.number()), (&front, 5));
        }
    }

    #[test]
    fn what_could_still_change_or_is_cut_off_is_refused() {
        let unsealed = sealing::file(c"x").unwrap();
        unsealed.write_all_at(b"12345678", 0).unwrap();
        assert!(matches!(
            SealedFront::read(unsealed.into()),
            Err(FrontError::Unsealed)
        ));
        let whole = sealing::read(&SealedFront::of(&front(), 1).unwrap().file).unwrap();
        for length in [0, 7, 8, 20, whole.len() - 1] {
            let file = sealing::file(c"x").unwrap();
            file.write_all_at(&whole[..length], 0).unwrap();
            sealing::seal(&file).unwrap();
            assert!(SealedFront::read(file.into()).is_err(), "{length}");
        }
    }

    #[test]
    fn nobody_sees_a_key() {
        let shown = format!("{:?}", front());
        assert!(!shown.contains("2, 2, 2"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
