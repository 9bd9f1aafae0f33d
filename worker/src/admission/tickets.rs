//! Session tickets: a client that comes again resumes at whichever worker it meets, for all seal with the same keys.

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{SHA256, digest},
    rand::{SecureRandom as _, SystemRandom},
};
use rustls::server::ProducesTickets;
use tpp::front::{Gate, TICKET_NAME, TicketKey};

/// How long a ticket is good, seconds. Its key opens for longer.
const LIFETIME: u32 = 12 * 3600;

/// The tickets of one gate. Those of a gate that trusts other clients do not open here: what was proved there is not proved here.
#[derive(Debug)]
pub(crate) struct Tickets {
    /// The first one seals.
    keys: Vec<([u8; TICKET_NAME], LessSafeKey)>,
    context: Vec<u8>,
    random: SystemRandom,
}

impl Tickets {
    pub(crate) fn new(keys: &[TicketKey], gate: &Gate) -> Self {
        let keys = keys.iter().filter_map(|key| {
            // A key of this length is always one.
            let bytes = UnboundKey::new(&AES_256_GCM, key.expose()).ok()?;
            Some((key.name, LessSafeKey::new(bytes)))
        });
        let mut trusted = gate.client_certificates.word().as_bytes().to_vec();
        for authority in &gate.authorities {
            trusted.extend_from_slice(digest(&SHA256, authority).as_ref());
        }
        Self {
            keys: keys.collect(),
            context: digest(&SHA256, &trusted).as_ref().to_vec(),
            random: SystemRandom::new(),
        }
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        !self.keys.is_empty()
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    /// The key's name, a nonce, then what is sealed and its tag.
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let (name, key) = self.keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let mut ticket =
            Vec::with_capacity(TICKET_NAME + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        ticket.extend_from_slice(name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = &mut ticket[TICKET_NAME + NONCE_LEN..];
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(&self.context), sealed);
        ticket.extend_from_slice(tag.ok()?.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(TICKET_NAME)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let (_, key) = self.keys.iter().find(|(own, _)| own == name)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let opened = key.open_in_place(nonce, Aad::from(&self.context), &mut sealed);
        let length = opened.ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

#[cfg(test)]
mod tests {
    use tpp::config::ClientCertificates;
    use zeroize::Zeroizing;

    use super::*;

    fn key(number: u8) -> TicketKey {
        TicketKey::new([number; 16], Zeroizing::new([number; 32]), 0)
    }

    fn gate(client_certificates: ClientCertificates) -> Gate {
        Gate {
            address: "127.0.0.1:443".parse().unwrap(),
            tls: true,
            http2: false,
            proxy_protocol: false,
            client_certificates,
            authorities: Vec::new(),
        }
    }

    #[test]
    fn a_ticket_opens_wherever_its_key_is_known_and_nothing_was_changed() {
        let gate = gate(ClientCertificates::Off);
        let old = Tickets::new(&[key(1)], &gate);
        let new = Tickets::new(&[key(2), key(1)], &gate);
        let ticket = old.encrypt(b"a session").unwrap();
        assert_eq!(new.decrypt(&ticket).as_deref(), Some(&b"a session"[..]));
        assert_ne!(old.encrypt(b"a session").unwrap(), ticket);
        let of_new = new.encrypt(b"a session").unwrap();
        assert_eq!(old.decrypt(&of_new), None);
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(new.decrypt(&changed), None, "byte {at}");
            assert_eq!(new.decrypt(&ticket[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn a_gate_that_trusts_other_clients_opens_no_ticket_of_another() {
        let open = Tickets::new(&[key(1)], &gate(ClientCertificates::Off));
        let strict = Tickets::new(&[key(1)], &gate(ClientCertificates::Required));
        let ticket = open.encrypt(b"a session").unwrap();
        assert_eq!(strict.decrypt(&ticket), None);
    }
}
