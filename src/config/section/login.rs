//! `[pools.login]` and `[pools.inject]`.

use std::collections::BTreeMap;

use super::{nested, section};
use crate::config::text::{
    choice::choice,
    key::{Default as Absent, Key, Kind},
    shape,
};

section! {
    /// `[pools.login]`: how a pool's accounts log in. Which of its keys mean something follows from the provider.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Login in "pools.login" {
        /// Where the login is sent; `None`: to the backend itself, or to the provider's own place.
        pub url: Option<String> = Key::text("pools.login.url", URL, shape::http_url, Absent::Unset);
        /// Method of the request.
        pub method: LoginMethod = Key::choice("pools.login.method", LoginMethod::WORDS);
        /// Body of the request, `{username}` and other fields of the account in braces; `None`: none.
        pub body: Option<String> = Key::text("pools.login.body", "text", |_| true, Absent::Unset);
        /// Further fields of the request's head, with fields of the account as in the body.
        pub headers: BTreeMap<String, String> =
            Key::new("pools.login.headers", Kind::Pairs, Absent::Unset);
        /// JSON pointer to the token in the answer.
        pub token: Option<String> =
            Key::text("pools.login.token", POINTER, shape::json_pointer, Absent::Unset);
        /// JSON pointer to the number of seconds that it is good for; `None`: `token.ttl_seconds`.
        pub expires_in: Option<String> =
            Key::text("pools.login.expires_in", POINTER, shape::json_pointer, Absent::Unset);
        /// What an answer must hold to be a success, beyond its status.
        pub ok: Ok = Key::table("pools.login.ok");
        /// JSON pointer to what a refusal says.
        pub message: Option<String> =
            Key::text("pools.login.message", POINTER, shape::json_pointer, Absent::Unset);
        /// In place of `token.busy_pattern`.
        pub busy_pattern: Option<String> = Key::text(
            "pools.login.busy_pattern",
            "a regular expression that does not match empty text",
            shape::pattern,
            Absent::Unset,
        );
        /// Where a token is given back when it is no longer needed; `None`: it is left to end.
        pub logout_url: Option<String> =
            Key::text("pools.login.logout_url", URL, shape::http_url, Absent::Unset);
        /// How an OAuth client says who it is.
        pub auth: ClientAuth = Key::choice("pools.login.auth", ClientAuth::WORDS);
        /// Whose token Feishu is asked for.
        pub kind: FeishuToken = Key::choice("pools.login.kind", FeishuToken::WORDS);
        /// What kind of app asks it.
        pub app_type: FeishuApp = Key::choice("pools.login.app_type", FeishuApp::WORDS);
    }
}

section! {
    /// `[pools.login.ok]`: a value that the answer to a login must hold.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Ok in "pools.login.ok" {
        /// JSON pointer to it; `None`: the status alone tells.
        pub pointer: Option<String> =
            Key::text("pools.login.ok.pointer", POINTER, shape::json_pointer, Absent::Unset);
        /// The value; `None`: any but `false`, `null` and nothing.
        pub equals: Option<serde_json::Value> =
            Key::new("pools.login.ok.equals", Kind::Scalar, Absent::Unset);
    }
}

section! {
    /// `[pools.inject]`: where a token stands in a request.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Inject in "pools.inject" {
        /// Name of the header.
        pub header: String = Key::text(
            "pools.inject.header",
            "the name of a header, none of those that frame a message or name its host",
            shape::header_for_token,
            Absent::Text("Authorization"),
        );
        /// What stands before the token in its value.
        pub prefix: String = Key::text(
            "pools.inject.prefix",
            "visible characters and spaces, at most 100",
            shape::header_prefix,
            Absent::Text("Bearer "),
        );
    }
}

nested!(Login, Ok, Inject);

impl Default for Login {
    fn default() -> Self {
        super::defaults()
    }
}

impl Default for Inject {
    fn default() -> Self {
        super::defaults()
    }
}

const URL: &str = "a URL that begins with http:// or https://";
const POINTER: &str = "a JSON pointer such as \"/data/token\"";

choice! {
    /// Method of a login's request.
    pub enum LoginMethod {
        /// With the body.
        Post = "POST",
        /// Without one.
        Get = "GET",
        /// With the body.
        Put = "PUT",
    }
}

choice! {
    /// How an OAuth client says who it is (RFC 6749, section 2.3.1).
    pub enum ClientAuth {
        /// In `Authorization: Basic`.
        Basic = "basic",
        /// In the form.
        Body = "body",
    }
}

choice! {
    /// Whose token Feishu is asked for.
    pub enum FeishuToken {
        /// `tenant_access_token`.
        Tenant = "tenant",
        /// `app_access_token`.
        App = "app",
    }
}

choice! {
    /// What kind of Feishu app asks.
    pub enum FeishuApp {
        /// A company's own.
        Internal = "internal",
        /// One of the marketplace, which needs the ticket that Feishu sends.
        Marketplace = "marketplace",
    }
}
