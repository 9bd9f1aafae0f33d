//! The page of recipes: what a reader copies is what is tested. Only addresses are replaced.

use std::{net::SocketAddr, path::Path, sync::LazyLock};

use crate::common::settings::PASSWORD_MARK;

/// Where tokens come from, as `provider` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Json,
    OAuth2,
    Feishu,
    Static,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Json, Self::OAuth2, Self::Feishu, Self::Static];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::OAuth2 => "oauth2",
            Self::Feishu => "feishu",
            Self::Static => "static",
        }
    }

    /// Whether all who use an account have one token.
    pub(crate) fn is_shared(self) -> bool {
        self != Self::Json
    }
}

/// A pool as the page has it.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) kind: Kind,
    /// Its table.
    pub(crate) text: String,
    /// Its name.
    pub(crate) pool: String,
    /// Its accounts, and how many may use each at once.
    pub(crate) accounts: Vec<Account>,
    /// The file that holds the accounts' secret, or the keys.
    pub(crate) file: (String, String),
}

#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) secret: String,
    pub(crate) sessions: usize,
}

/// Keys in the file of the recipe that has some.
const KEYS: [&str; 2] = ["c2VjcmV0-first-key", "c2VjcmV0-second-key"];

static PAGE: LazyLock<String> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/providers.md");
    std::fs::read_to_string(path).expect("the page of recipes")
});

/// The blocks of TOML on the page.
fn blocks() -> impl Iterator<Item = &'static str> {
    let parts = PAGE.split("```toml\n").skip(1);
    parts.map(|part| part.split("```").next().expect("a block ends"))
}

impl Recipe {
    /// The one of `kind`, whose login server is at `server`.
    pub(crate) fn of(kind: Kind, server: SocketAddr) -> Self {
        let mark = format!("provider = \"{}\"", kind.word());
        let mut fitting = blocks().filter(|block| block.contains(&mark));
        let text = fitting.next().expect("a recipe for each provider");
        assert_eq!(fitting.next(), None, "one recipe for each provider");
        let parsed: toml::Table = toml::from_str(text).expect("a recipe is TOML");
        let pool = &parsed["pools"][0];
        let (accounts, file) = accounts_of(kind, &pool["credentials"][0]);
        Self {
            kind,
            text: pointed_at(server, text),
            pool: pool["name"].as_str().expect("a name").to_owned(),
            accounts,
            file,
        }
    }

    /// Slots that it fills.
    pub(crate) fn slots(&self) -> u64 {
        let sessions = self.accounts.iter().map(|account| account.sessions as u64);
        sessions.sum()
    }
}

/// `text` with every URL's scheme and host replaced.
fn pointed_at(server: SocketAddr, text: &str) -> String {
    let is_url_end = |c: char| matches!(c, '/' | '"');
    let mut pieces = text.split("https://");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |done, piece| {
        let end = piece.find(is_url_end).unwrap_or(piece.len());
        // What names the token's audience is no address.
        let host = match &piece[..end] {
            audience if done.ends_with("audience = \"") => format!("https://{audience}"),
            _ => format!("http://{server}"),
        };
        done + &host + &piece[end..]
    })
}

fn accounts_of(kind: Kind, table: &toml::Value) -> (Vec<Account>, (String, String)) {
    let text = |key: &str| table[key].as_str().expect("text").to_owned();
    let sessions = table["sessions"].as_integer().expect("a number");
    let sessions = usize::try_from(sessions).expect("a count");
    if kind == Kind::Static {
        let account = |key: &&str| Account {
            name: (*key).to_owned(),
            secret: (*key).to_owned(),
            sessions,
        };
        let accounts = KEYS.iter().map(account).collect();
        return (accounts, (text("keys_file"), KEYS.join("\n")));
    }
    let (name, file) = match kind {
        Kind::Json => ("username", "password_file"),
        Kind::OAuth2 => ("client_id", "client_secret_file"),
        _ => ("app_id", "app_secret_file"),
    };
    let name = text(name);
    // What its escaping in a form, in JSON and in a header has to do with.
    let secret = format!("{PASSWORD_MARK}: \"100 %\" & {name}=+");
    let account = Account {
        name,
        secret: secret.clone(),
        sessions,
    };
    (vec![account], (text(file), secret))
}

#[test]
fn every_recipe_of_the_page_is_one_that_is_tested() {
    let named = |block: &str| Kind::ALL.iter().any(|kind| block.contains(kind.word()));
    assert_eq!(blocks().count(), Kind::ALL.len());
    assert!(blocks().all(named));
}

#[test]
fn addresses_alone_are_replaced() {
    let server = SocketAddr::from(([127, 0, 0, 1], 7));
    let text = "url = \"https://a.example/b\"\naudience = \"https://api/\"\nx = \"https://c\"";
    assert_eq!(
        pointed_at(server, text),
        "url = \"http://127.0.0.1:7/b\"\naudience = \"https://api/\"\nx = \"http://127.0.0.1:7\""
    );
}
