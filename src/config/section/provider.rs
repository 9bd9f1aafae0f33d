//! How a pool gets its tokens.

use crate::config::text::{choice::choice, key::Key, reader::Table, tree::Value};

pub(in crate::config) const PROVIDER: Key = Key::choice("pools.provider", Provider::WORDS);

choice! {
    /// How an account gets a token.
    pub enum Provider {
        /// By DolphinDB's login call.
        DolphinDb = "dolphindb",
        /// By a call whose answer is JSON, as `[pools.login]` says.
        Json = "json",
        /// By OAuth 2.0 client credentials.
        OAuth2 = "oauth2",
        /// By Feishu's calls for an app.
        Feishu = "feishu",
        /// It is its key, and needs no login.
        Static = "static",
    }
}

impl Provider {
    /// The one of this word; else the default.
    pub(in crate::config) fn of_word(word: &str) -> Self {
        let others = [Self::Json, Self::OAuth2, Self::Feishu, Self::Static];
        let named = others.into_iter().find(|one| one.word() == word);
        named.unwrap_or(Self::DolphinDb)
    }

    /// What a pool's table says; if it is wrong, that is noted where the key is read.
    pub(in crate::config) fn in_table(table: &Table<'_>) -> Self {
        match table.find(&PROVIDER).map(|node| &node.value) {
            Some(Value::Text(word)) => Self::of_word(word),
            _ => Self::DolphinDb,
        }
    }
}
