//! `[[pools]]`.

use super::{
    Section,
    backend::NO_POOL,
    credentials::{Credential, account},
    lease::Lease,
    login::{Inject, Login},
    open_at,
    provider::{PROVIDER, Provider},
    section,
    token::{SCOPE, Token, TokenScope},
};
use crate::config::text::{
    key::{Default as Absent, Key},
    reader::{Reader, Table},
    shape,
    values::Read,
    write::{Map, Write},
};

section! {
    /// `[[pools]]`: tokens of one kind, and who draws them.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Pool in "pools", also names_of_tables, then whole {
        /// Unique.
        pub name: String = Key::text("pools.name", shape::NAME, shape::name, Absent::Required);
        /// How an account gets a token.
        pub provider: Provider = PROVIDER;
        /// `[pools.token]`, whose defaults are in `[token]`; its scope is `token_scope`.
        pub token: Token = Key::choice("pools.token_scope", TokenScope::WORDS);
        /// `[pools.lease]`, whose defaults are in `[lease]`.
        pub lease: Lease = Key::table("pools.lease");
        /// `[[pools.credentials]]`; user names unique.
        pub credentials: Vec<Credential> = Key::entries("pools.credentials");
        /// `[pools.login]`.
        pub login: Login = Key::table("pools.login");
        /// `[pools.inject]`.
        pub inject: Inject = Key::table("pools.inject");
    }
}

/// The pool that the tables at the top of a file make.
pub const DEFAULT_POOL: &str = "default";

impl Pool {
    /// The pool of these sections, with DolphinDB's login.
    pub(in crate::config) fn of(token: &Token, lease: &Lease, credentials: &[Credential]) -> Self {
        Self {
            name: DEFAULT_POOL.to_owned(),
            provider: Provider::DolphinDb,
            token: token.clone(),
            lease: lease.clone(),
            credentials: credentials.to_vec(),
            login: Login::default(),
            inject: Inject::default(),
        }
    }
}

/// The token's table, whose scope stands outside of it.
fn names_of_tables() -> Vec<&'static str> {
    vec![Token::NAME]
}

fn whole(pool: Pool, reader: &mut Reader<'_>, table: &Table<'_>) -> Pool {
    if pool.name == NO_POOL {
        let allowed = "another name: backends say \"none\" when they take part in no pool";
        let origin = table.named("name").map(|node| node.origin);
        reader.note(origin, &table.dotted("name"), "\"none\"", allowed);
    }
    let list = table.dotted("credentials");
    let wrong = |reader: &Reader<'_>| reader.problems.iter().any(|one| one.key.starts_with(&list));
    if pool.credentials.is_empty() && !wrong(reader) {
        let allowed = "at least one account, in [[pools.credentials]]";
        reader.note(table.origin, &list, "nothing", allowed);
    }
    let needs = match pool.provider {
        Provider::Json => [
            ("url", pool.login.url.is_none()),
            ("token", pool.login.token.is_none()),
        ],
        Provider::OAuth2 => [("url", pool.login.url.is_none()), ("", false)],
        _ => [("", false); 2],
    };
    for (key, _) in needs.into_iter().filter(|(_, missing)| *missing) {
        let origin = table
            .named("login")
            .map(|node| node.origin)
            .or(table.origin);
        let name = table.dotted(&format!("login.{key}"));
        let allowed = format!("a {key}, which provider \"{}\" needs", pool.provider.word());
        reader.note(origin, &name, "nothing", allowed);
    }
    pool
}

/// A token's table within a pool, and the scope beside it.
impl Read for Token {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        Self::read_over(reader, table, key, None)
    }

    fn read_over(
        reader: &mut Reader<'_>,
        table: &Table<'_>,
        key: &Key,
        base: Option<&Self>,
    ) -> Self {
        let inner = open_at::<Self>(reader, table, Self::NAME);
        let token = Self::read_table(reader, &inner, base);
        let Some(node) = table.find(key) else {
            return token;
        };
        let before = reader.problems.len();
        let scope = TokenScope::read(reader, table, key);
        let is_sound = reader.problems.len() == before;
        if is_sound && inner.find(&SCOPE).is_some() && token.scope != scope {
            let allowed = "the same as token.scope, or one of the two alone";
            let found = node.value.describe();
            reader.note(Some(node.origin), &table.dotted(key.leaf()), found, allowed);
        }
        Self { scope, ..token }
    }
}

impl Write for Token {
    fn write(&self, key: &Key, map: &mut Map) {
        self.scope.write(key, map);
        let mut inner = self.write_table();
        inner.remove(SCOPE.leaf());
        // A part of a second is not written in seconds; it comes from half a short life, as it does by default.
        if self.refresh_check.subsec_nanos() > 0 {
            inner.remove(super::token::REFRESH_CHECK.leaf());
        }
        map.insert(Self::NAME.to_owned(), inner.into());
    }
}

impl Read for Vec<Credential> {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        account::read_all(reader, table, key, Provider::in_table(table))
    }
}

impl Write for Vec<Credential> {
    fn write(&self, key: &Key, map: &mut Map) {
        // Which names its keys have follows from the provider, which has been written before.
        let provider = map.get(PROVIDER.leaf()).and_then(serde_json::Value::as_str);
        let provider = Provider::of_word(provider.unwrap_or_default());
        map.insert(
            key.leaf().to_owned(),
            account::write_all(self, provider).into(),
        );
    }
}
