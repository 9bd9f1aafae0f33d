//! What is known of one host's certificate.

use std::sync::Arc;

use tpp::{certificate::Certified, front::Shown};
use zeroize::Zeroizing;

use super::schedule::{Case, Term, Trouble, Window};

/// What is known of a host's certificate.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    /// The certificate in hand.
    pub(super) held: Option<Held>,
    /// What its authority says of when it is to be renewed.
    pub(super) window: Option<Window>,
    /// Tries in vain for the next one.
    pub(super) trouble: Option<Trouble>,
}

/// A certificate that an authority gave, with its key.
#[derive(Clone)]
pub(super) struct Held {
    /// The directory of the authority.
    pub(super) authority: String,
    /// With those that vouch for it, in PEM.
    pub(super) chain: String,
    /// In PEM.
    pub(super) key: Zeroizing<String>,
    pub(super) certified: Arc<Certified>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held")
            .field("authority", &self.authority)
            .field("certified", &self.certified)
            .finish_non_exhaustive()
    }
}

impl Held {
    /// What `authority` gave for `host`.
    ///
    /// # Errors
    /// If it is nothing to show clients of that host.
    pub(super) fn of(
        authority: &str,
        host: &str,
        (chain, key): (String, Zeroizing<String>),
    ) -> Result<Self, String> {
        let certified = Certified::from_pem(&chain, &key).map_err(|flaw| flaw.to_string())?;
        let about = certified.about();
        if !about.covers(host.as_bytes()) {
            return Err(format!("it is for {}", about.names.join(", ")));
        }
        Ok(Self {
            authority: authority.to_owned(),
            chain,
            key,
            certified: Arc::new(certified),
        })
    }

    /// As clients are shown it who ask for `host`.
    pub(super) fn shown(&self, host: &str) -> Shown {
        Shown {
            name: name_of(host),
            certified: Arc::clone(&self.certified),
        }
    }

    fn term(&self) -> Term {
        let about = self.certified.about();
        let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
        let until = seconds(about.not_after);
        Term {
            from: seconds(about.not_before).min(until),
            until,
        }
    }

    /// A number from 0 to 1 that is the same for the same certificate: its last bytes are those of a signature.
    fn lot(&self) -> f64 {
        let leaf = self.certified.chain().first();
        let last = leaf.and_then(|leaf| leaf.last_chunk::<4>());
        last.map_or(0.0, |bytes| {
            f64::from(u32::from_le_bytes(*bytes)) / f64::from(u32::MAX)
        })
    }
}

/// How the certificate of `host` is called where those of files have their names, which have no colon.
pub(super) fn name_of(host: &str) -> String {
    format!("acme:{host}")
}

impl Record {
    /// What decides when something is done, with the directory `authority` and all else that is tried in `with`.
    pub(super) fn case<'c>(&'c self, authority: &str, with: &'c str) -> Case<'c> {
        let held = self.held.as_ref();
        let of_it = held.filter(|held| held.authority == authority);
        Case {
            term: of_it.map(Held::term),
            window: self.window.as_ref(),
            trouble: self.trouble.as_ref(),
            with,
            lot: held.map_or(0.0, Held::lot),
        }
    }
}
