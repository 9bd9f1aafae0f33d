mod answers;
mod feishu;
mod json;
mod oauth2;
pub(crate) mod server;
mod standin;
mod tls;
mod transport;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tpp::config::{
    Credential, Inject, Lease, Login, Pool, Provider as Kind, Secret, Token as TokenRules, Upstream,
};

use super::*;

const PASSWORD: &str = "hunter2-S3cret";

fn upstream(address: SocketAddr) -> Upstream {
    Upstream {
        connect_timeout: Duration::from_secs(10),
        tls_handshake_timeout: Duration::from_secs(10),
        ..Upstream::at(&address.ip().to_string(), address.port())
    }
}

fn rules() -> TokenRules {
    TokenRules::default()
}

fn credential() -> Credential {
    with_extra("ann", &[])
}

/// An account called `name` of which more is known.
fn with_extra(name: &str, extra: &[(&str, &str)]) -> Credential {
    let extra = extra
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Secret::new((*value).to_owned())));
    Credential {
        extra: extra.collect(),
        ..Credential::new(name, PASSWORD, 1)
    }
}

fn pool_of(provider: Kind, login: Login) -> Pool {
    Pool {
        name: "p".to_owned(),
        provider,
        token: rules(),
        lease: Lease::default(),
        credentials: Vec::new(),
        login,
        inject: Inject::default(),
    }
}

fn provider_of(pool: &Pool) -> Arc<dyn Provider> {
    of_pool(pool, &upstream(([127, 0, 0, 1], 1).into())).unwrap()
}

/// Logs in as the pool's configuration says. No error gives the password away.
async fn grant(pool: &Pool, account: &Credential) -> Result<Grant, LoginError> {
    let provider = provider_of(pool);
    let grant = provider.grant(account, ([127, 0, 0, 1], 1).into()).await;
    if let Err(error) = &grant {
        let shown = format!("{error:?} {error}");
        assert!(
            !shown.contains(PASSWORD) && !shown.contains('\n'),
            "{shown}"
        );
    }
    grant
}

async fn login_to(address: SocketAddr) -> Result<Token, LoginError> {
    DolphinDb::new(&upstream(address), &rules())
        .unwrap()
        .login(&credential())
        .await
}

/// Logs in to a server that sends `answer`, checks that no error gives the password away, and returns what came of it.
async fn login_with(answer: impl Into<Vec<u8>>) -> Result<Token, LoginError> {
    let server = server::Server::answering(answer).await;
    let result = login_to(server.address).await;
    let shown = format!(
        "{result:?} {}",
        result
            .as_ref()
            .map_or_else(ToString::to_string, |_| String::new())
    );
    assert!(!shown.contains(PASSWORD), "{shown}");
    assert!(!shown.contains('\n'), "{shown}");
    result
}

async fn login_with_body(body: &str) -> Result<Token, LoginError> {
    login_with(server::http("200 OK", body)).await
}

fn granted(result: Result<Token, LoginError>) -> String {
    String::from_utf8(result.unwrap().expose().to_vec()).unwrap()
}

fn refused(result: Result<Token, LoginError>) -> String {
    match result {
        Err(LoginError::Refused { reason }) => reason,
        other => panic!("expected a refusal, got {other:?}"),
    }
}
