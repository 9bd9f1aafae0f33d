//! What an authority may say that no real one can be brought to say. All else is tried with a real one (tests/acme).

mod authority;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use tempfile::TempDir;
use tpp::{
    config::{self, Config, Format},
    front::Challenges,
};
use zeroize::Zeroizing;

use super::{
    failure::Failure,
    order::{Show, With},
    record::Held,
    schedule::{Case, Kind},
    store::Store,
};
use authority::{Authority, Said};

/// Notes what is shown, and to how many.
#[derive(Debug, Default)]
struct Noted(Mutex<Vec<Challenges>>);

impl Show for Noted {
    async fn show(&self, challenges: Challenges) -> Result<(), String> {
        self.0.lock().unwrap().push(challenges);
        Ok(())
    }
}

/// The settings for `authority`, in a directory with a state of its own.
fn with(authority: &Authority, directory: &TempDir) -> With {
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &authority.certificate)
    );
    std::fs::write(directory.path().join("ca.pem"), pem).unwrap();
    let text = format!(
        "[upstream]\nhost = 'h'\n[[credentials]]\nusername = 'u'\npassword = 'p'\n\
         [acme]\nenabled = true\naccept_terms = true\ndirectory = '{}'\nca_file = 'ca.pem'\nemail = 'ops@a.test'\n",
        authority.url()
    );
    let config = parse(&text, directory.path());
    With {
        settings: config.front.acme,
        store: Store::new(directory.path()),
    }
}

fn parse(text: &str, directory: &Path) -> Config {
    let unset = BTreeMap::<String, String>::new();
    config::parse(text, Path::new("tpp.toml"), Format::Toml, directory, &unset).unwrap()
}

async fn order(authority: &Authority, directory: &TempDir) -> Result<Held, Failure> {
    let noted = Noted::default();
    let with = with(authority, directory);
    let outcome = with.order("a.test", None, &noted).await;
    let shown = noted.0.into_inner().unwrap();
    if let Some(first) = shown.first() {
        let (token, answer) = first.answers.first_key_value().unwrap();
        assert!(answer.starts_with(&format!("{token}.")), "{answer}");
        assert_eq!(shown.last(), Some(&Challenges::default()));
    }
    outcome
}

#[tokio::test]
async fn an_account_that_was_deactivated_is_replaced_by_a_new_one_and_used_from_then_on() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::start(|path, account| match (path, account) {
        ("/order", Some("1")) => Some(Said::problem(401, "unauthorized", None)),
        ("/order", _) => Some(Said::problem(400, "rejectedIdentifier", None)),
        _ => None,
    });
    let authority = authority.await;
    for _ in 0..2 {
        let failure = order(&authority, &directory).await.unwrap_err();
        let expected = Failure::new(Kind::Refused, "so it is (rejectedIdentifier)");
        assert_eq!(failure, expected);
    }
    assert_eq!(authority.asked("/account"), 2);
    assert_eq!(authority.asked("/order"), 3);
}

#[tokio::test]
async fn an_account_that_was_deactivated_is_replaced_when_its_address_changes() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::start(|path, _| match path {
        "/account/1" => Some(Said::problem(401, "unauthorized", None)),
        "/order" => Some(Said::problem(400, "rejectedIdentifier", None)),
        _ => None,
    });
    let authority = authority.await;
    order(&authority, &directory).await.unwrap_err();
    let mut with = with(&authority, &directory);
    with.settings.email = Some("others@a.test".to_owned());
    let failure = with.order("a.test", None, &Noted::default()).await;
    let words = failure.unwrap_err().words;
    assert_eq!(words, "so it is (rejectedIdentifier)");
    assert_eq!(authority.asked("/account"), 2, "another one was made");
}

#[tokio::test]
async fn an_authority_that_takes_no_account_is_asked_for_one_once_a_try() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::start(|path, _| {
        (path == "/account").then(|| Said::problem(400, "accountDoesNotExist", None))
    });
    let authority = authority.await;
    let failure = order(&authority, &directory).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Refused);
    assert_eq!(authority.asked("/account"), 2);
}

#[tokio::test]
async fn a_limit_says_how_long_it_holds() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::start(|path, _| {
        (path == "/order").then(|| Said::problem(429, "rateLimited", Some(7200)))
    });
    let failure = order(&authority.await, &directory).await.unwrap_err();
    let spared = Some(Duration::from_secs(7200));
    assert_eq!((failure.kind, failure.spared), (Kind::Limited, spared));
    assert_eq!(failure.words, "so it is (rateLimited)");
}

#[tokio::test]
async fn whoever_stands_before_an_authority_is_not_taken_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::start(|path, _| {
        (path == "/dir").then(|| Said {
            status: 503,
            content_type: "text/html",
            retry_after: Some(60),
            body: "<h1>later</h1>".to_owned(),
        })
    });
    let failure = order(&authority.await, &directory).await.unwrap_err();
    let spared = Some(Duration::from_secs(60));
    assert_eq!((failure.kind, failure.spared), (Kind::Unreachable, spared));
    assert_eq!(failure.words, "the answer is 503 Service Unavailable");
    let nonsense = Authority::start(|path, _| {
        (path == "/dir").then(|| Said {
            status: 200,
            content_type: "application/json",
            retry_after: None,
            body: "{}".to_owned(),
        })
    });
    let failure = order(&nonsense.await, &directory).await.unwrap_err();
    let expected = Failure::new(Kind::Unreachable, "the authority says what is no ACME");
    assert_eq!(failure, expected);
}

#[tokio::test]
async fn what_is_no_certificate_for_our_key_is_not_taken() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let pem = made.cert.pem();
    let authority = Authority::start(move |path, _| {
        (path == "/certificate").then(|| Said {
            status: 200,
            content_type: "application/pem-certificate-chain",
            retry_after: None,
            body: pem.clone(),
        })
    });
    let failure = order(&authority.await, &directory).await.unwrap_err();
    let expected = "what it gave: the key of another certificate";
    assert_eq!(failure, Failure::new(Kind::Refused, expected));
}

#[tokio::test]
async fn an_authority_that_is_away_is_unreachable() {
    let directory = tempfile::tempdir().unwrap();
    let mut gone = Authority::start(|_, _| None).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    gone.address = listener.local_addr().unwrap();
    drop(listener);
    let failure = order(&gone, &directory).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Unreachable);
    assert!(failure.words.contains("onnect"), "{}", failure.words);
}

#[tokio::test]
async fn an_authority_says_when_a_certificate_is_to_be_renewed() {
    let directory = tempfile::tempdir().unwrap();
    let held = vouched_for("a.test");
    let says = |body: &'static str| {
        Authority::start(move |path, _| {
            path.starts_with("/renewal/").then(|| Said {
                status: 200,
                content_type: "application/json",
                retry_after: Some(3600),
                body: body.to_owned(),
            })
        })
    };
    let window =
        r#"{"suggestedWindow":{"start":"2027-01-15T08:00:00Z","end":"2027-01-15T08:00:02Z"}}"#;
    let authority = Arc::new(says(window).await);
    let with = with(&authority, &directory);
    assert_eq!(with.ask(&held, 7).await, None, "there is no account yet");
    let _ = order(&authority, &directory).await;
    let window = with.ask(&held, 7).await.unwrap();
    let case = Case {
        term: Some(super::schedule::Term {
            from: 1_799_900_000,
            until: 1_809_000_000,
        }),
        window: Some(&window),
        trouble: None,
        with: "",
        lot: 0.5,
    };
    assert_eq!(case.order_at(), 1_800_000_001);
    // It says a duration, of which a moment has passed.
    let ask_at = case.ask_at().unwrap();
    assert!((3600..=3607).contains(&ask_at), "{ask_at}");
    let authority = says("{}").await;
    let _ = order(&authority, &directory).await;
    assert_eq!(self::with(&authority, &directory).ask(&held, 7).await, None);
}

/// A certificate that names who signed it.
fn vouched_for(host: &str) -> Held {
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    let issuer = rcgen::Issuer::new(authority, key);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new([host.to_owned()]).unwrap();
    parameters.use_authority_key_identifier_extension = true;
    let made = parameters.signed_by(&key, &issuer).unwrap();
    let key = Zeroizing::new(key.serialize_pem());
    Held::of("https://ca.test/dir", host, (made.pem(), key)).unwrap()
}
