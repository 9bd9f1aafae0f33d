//! One order, from the account to the certificate.

use std::{future::Future, time::Duration};

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, ExternalAccountKey,
    Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rustls::pki_types::CertificateDer;
use tokio::{task::spawn_blocking, time::timeout};
use tpp::{
    config::{self, Challenge},
    front::{Challenges, Proof},
};
use zeroize::Zeroizing;

use super::{
    failure::Failure,
    record::Held,
    schedule::{Kind, Window},
    speaker::Speaker,
    store::{SavedAccount, Store},
};

/// For all of it: whoever else waits for a certificate waits meanwhile.
const LIMIT: Duration = Duration::from_secs(180);
/// How the authority is asked whether it has come to an end with its part.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_secs(60));

/// Where challenges are answered.
pub(super) trait Show: Sync {
    /// Has every worker answer these, and no others; returns when all do.
    fn show(&self, challenges: Challenges) -> impl Future<Output = Result<(), String>> + Send;
}

/// By what a certificate is ordered.
#[derive(Debug, Clone)]
pub(super) struct With {
    pub(super) settings: config::Acme,
    pub(super) store: Store,
}

impl With {
    /// Orders a certificate for `host`. `before` is the one that it replaces, if its authority wants to be told.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn order(
        &self,
        host: &str,
        before: Option<&Held>,
        show: &impl Show,
    ) -> Result<Held, Failure> {
        let ordering = async {
            match self.try_once(host, before, show).await {
                Err(failure) if failure.has_no_account => {
                    let (store, url) = (self.store.clone(), self.settings.url().to_owned());
                    on_disk(move || store.forget_account(&url)).await;
                    self.try_once(host, before, show).await
                }
                outcome => outcome,
            }
        };
        let late = |_| {
            Err(Failure::new(
                Kind::Unreachable,
                "the authority takes too long",
            ))
        };
        timeout(LIMIT, ordering).await.unwrap_or_else(late)
    }

    async fn try_once(
        &self,
        host: &str,
        before: Option<&Held>,
        show: &impl Show,
    ) -> Result<Held, Failure> {
        let speaker = self.speaker()?;
        let account = self.account(&speaker).await?;
        let order = begin(&account, host, before).await;
        let mut order = order.map_err(|error| Failure::of_account(&error, speaker.spared()))?;
        let outcome = self.follow(&mut order, host, show).await;
        let (chain, key) = outcome.map_err(|failure| Failure {
            spared: failure.spared.or(speaker.spared()),
            ..failure
        })?;
        let held = Held::of(self.settings.url(), host, (chain, key));
        held.map_err(|reason| Failure::new(Kind::Refused, format!("what it gave: {reason}")))
    }

    /// When the authority wants `held` to be renewed; as a window, and for how long it is to be spared. `None`: it does not say.
    pub(super) async fn ask(&self, held: &Held, now: u64) -> Option<Window> {
        let speaker = self.speaker().ok()?;
        let (store, url) = (self.store.clone(), self.settings.url().to_owned());
        let kept = on_disk(move || store.account(&url)).await??;
        let builder = Account::builder_with_http(Box::new(speaker));
        let account = builder.from_credentials(kept.credentials).await.ok()?;
        let leaf = leaf(held)?;
        let asked = CertificateIdentifier::try_from(&leaf).ok()?;
        let (said, spared) = account.renewal_info(&asked).await.ok()?;
        let window = said.suggested_window;
        let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
        let (from, until) = (window.start.unix_timestamp(), window.end.unix_timestamp());
        Some(Window::said((seconds(from), seconds(until)), spared, now))
    }

    fn speaker(&self) -> Result<Speaker, Failure> {
        Speaker::new(&self.settings).map_err(|reason| Failure::new(Kind::Refused, reason))
    }

    /// Our account, which is made if there is none.
    async fn account(&self, speaker: &Speaker) -> Result<Account, Failure> {
        let failed = |error: Error| Failure::of(&error, speaker.spared());
        let url = self.settings.url().to_owned();
        let email = self.settings.email.as_deref();
        let contact = email.map(|email| format!("mailto:{email}"));
        let contact: Vec<_> = contact.iter().map(String::as_str).collect();
        let builder = Account::builder_with_http(Box::new(speaker.clone()));
        let store = self.store.clone();
        let at = url.clone();
        if let Some(Some(mut kept)) = on_disk(move || store.account(&at)).await {
            let text = serde_json::to_vec(&kept.credentials).map(Zeroizing::new);
            let again = text.and_then(|text| serde_json::from_slice(&text));
            let credentials = again.map_err(|error| failed(error.into()))?;
            let account = builder
                .from_credentials(credentials)
                .await
                .map_err(failed)?;
            if kept.email.as_deref() != email {
                let updated = account.update_contacts(&contact).await;
                updated.map_err(|error| Failure::of_account(&error, speaker.spared()))?;
                kept.email = email.map(str::to_owned);
                self.keep(kept).await?;
            }
            return Ok(account);
        }
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: self.settings.accept_terms,
            only_return_existing: false,
        };
        let bound = self
            .settings
            .eab_kid
            .as_ref()
            .zip(self.settings.eab_hmac_key.as_ref());
        let bound = bound.map(|(kid, key)| ExternalAccountKey::new(kid.clone(), key.expose()));
        let made = builder.create(&new, url.clone(), bound.as_ref()).await;
        let (account, credentials) = made.map_err(failed)?;
        self.keep(SavedAccount::new(&url, email, credentials))
            .await?;
        Ok(account)
    }

    async fn keep(&self, account: SavedAccount) -> Result<(), Failure> {
        let store = self.store.clone();
        let kept = on_disk(move || store.keep_account(&account)).await;
        kept.unwrap_or_else(|| Err("the disk does not answer".to_owned()))
            .map_err(|reason| Failure::new(Kind::Refused, reason))
    }

    /// Proves that `host` is ours, and takes what is given for it.
    async fn follow(
        &self,
        order: &mut Order,
        host: &str,
        show: &impl Show,
    ) -> Result<(String, Zeroizing<String>), Failure> {
        let failed = |error: Error| Failure::of(&error, None);
        self.prove(order, host, show).await?;
        let status = order.poll_ready(&PATIENCE).await;
        // Whatever came of it, nobody has to be told any more.
        let nobody = Challenges::default();
        show.show(nobody)
            .await
            .map_err(|reason| Failure::new(Kind::Refused, reason))?;
        if !matches!(status, Ok(OrderStatus::Ready)) {
            let refusal = refusal(order).await;
            return Err(match (refusal, status) {
                (Some(refusal), _) => refusal,
                (None, Err(error)) => failed(error),
                (None, Ok(_)) => Failure::new(Kind::Refused, "the authority does not say why"),
            });
        }
        let key = Zeroizing::new(order.finalize().await.map_err(failed)?);
        let chain = order.poll_certificate(&PATIENCE).await.map_err(failed)?;
        Ok((chain, key))
    }

    async fn prove(&self, order: &mut Order, host: &str, show: &impl Show) -> Result<(), Failure> {
        let failed = |error: Error| Failure::of(&error, None);
        let refused = |reason: String| Failure::new(Kind::Refused, reason);
        let (kind, word) = match self.settings.challenge {
            Challenge::Http01 => (ChallengeType::Http01, Challenge::Http01.word()),
            Challenge::TlsAlpn01 => (ChallengeType::TlsAlpn01, Challenge::TlsAlpn01.word()),
        };
        let mut all = order.authorizations();
        while let Some(one) = all.next().await {
            let mut one = one.map_err(failed)?;
            if one.status != AuthorizationStatus::Pending {
                // Proved before, or there is nothing to be done about it: the order says which.
                continue;
            }
            let offered = one.challenge(kind.clone());
            let Some(mut challenge) = offered else {
                return Err(refused(format!("the authority does not offer {word}")));
            };
            let proof = challenge.key_authorization();
            let challenges = match self.settings.challenge {
                Challenge::Http01 => Challenges {
                    answers: [(challenge.token.clone(), proof.as_str().to_owned())].into(),
                    proofs: Vec::new(),
                },
                Challenge::TlsAlpn01 => Challenges {
                    proofs: vec![certificate(host, proof.digest().as_ref()).map_err(refused)?],
                    answers: Default::default(),
                },
            };
            show.show(challenges).await.map_err(refused)?;
            challenge.set_ready().await.map_err(failed)?;
        }
        Ok(())
    }
}

/// Begins the order. An authority that answers questions about renewals is told what is renewed: its limits are wider then.
async fn begin(account: &Account, host: &str, before: Option<&Held>) -> Result<Order, Error> {
    let names = [Identifier::Dns(host.to_owned())];
    let leaf = before.and_then(leaf);
    let replaced = leaf
        .as_ref()
        .and_then(|leaf| CertificateIdentifier::try_from(leaf).ok());
    if let Some(replaced) = replaced {
        let order = NewOrder::new(&names).replaces(replaced);
        match account.new_order(&order).await {
            // It was replaced already, or is not known there.
            Err(Error::Api(problem)) if matches!(problem.status, Some(400 | 404 | 409)) => {}
            Err(Error::Unsupported(_)) => {}
            outcome => return outcome,
        }
    }
    account.new_order(&NewOrder::new(&names)).await
}

/// What the authority did not like about our proof.
async fn refusal(order: &mut Order) -> Option<Failure> {
    let mut all = order.authorizations();
    while let Some(Ok(mut one)) = all.next().await {
        let state = one.refresh().await.ok()?;
        let problem = state.challenges.iter().find_map(|one| one.error.as_ref());
        if let Some(problem) = problem {
            return Some(Failure {
                has_no_account: false,
                ..Failure::of_problem(problem)
            });
        }
    }
    None
}

/// What is shown for tls-alpn-01 (RFC 8737, 3).
fn certificate(host: &str, digest: &[u8]) -> Result<Proof, String> {
    let make = || {
        let key = rcgen::KeyPair::generate()?;
        let mut parameters = rcgen::CertificateParams::new([host.to_owned()])?;
        parameters.custom_extensions = vec![rcgen::CustomExtension::new_acme_identifier(digest)];
        let made = parameters.self_signed(&key)?;
        Ok((made.der().clone(), Zeroizing::new(key.serialize_der())))
    };
    let (certificate, key) = make().map_err(|error: rcgen::Error| error.to_string())?;
    Ok(Proof::new(host, certificate, key))
}

fn leaf(held: &Held) -> Option<CertificateDer<'static>> {
    held.certified.chain().first().cloned()
}

/// Does it on a thread that may wait for a disk.
async fn on_disk<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    spawn_blocking(what).await.ok()
}
