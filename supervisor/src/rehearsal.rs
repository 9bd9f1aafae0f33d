//! `tpp check --login`: each account logs in once, and what its server said is told, without a tpp that runs.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use tokio::{net::lookup_host, task::JoinSet};
use tpp::config::{Config, Credential, Pool, Upstream};

use crate::{
    plans::first_server,
    provider::{self, Grant, LoginError, Manner, Provider},
};

/// Tries each account of every pool of `config` once, and prints a line for each as soon as it is known. Sessions are ended again
/// where the server has such a thing.
///
/// # Errors
/// If one is refused or cannot be tried, how many; or if there is no runtime.
pub fn run(config: &Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("build the runtime")?;
    let (mut tried, mut failed) = (0, 0);
    runtime.block_on(async {
        for pool in &config.gateway.pools {
            let upstream = first_server(&config.gateway, pool, &config.upstream);
            let outcomes = try_all(pool, &upstream).await;
            tried += outcomes.len();
            failed += outcomes.iter().filter(|is_good| !**is_good).count();
        }
    });
    if failed > 0 {
        bail!("{failed} of {tried} accounts cannot log in");
    }
    Ok(())
}

/// Tries the accounts of `pool`, as many at once as it would; whether each is good.
async fn try_all(pool: &Pool, upstream: &Upstream) -> Vec<bool> {
    let say = |account: &Credential, outcome: &Result<String, String>| {
        let (Ok(what) | Err(what)) = outcome;
        let (name, word) = (&pool.name, pool.provider.word());
        println!("pool {name} ({word}), {}: {what}", account.username);
        outcome.is_ok()
    };
    let provider = match provider::of_pool(pool, upstream) {
        Ok(provider) => provider,
        Err(error) => {
            let outcome = Err(format!("no login can be made: {error}"));
            return pool
                .credentials
                .iter()
                .map(|one| say(one, &outcome))
                .collect();
        }
    };
    let address = address_of(upstream, provider.manner()).await;
    let mut left = pool.credentials.iter().cloned();
    let mut under_way = JoinSet::new();
    let mut outcomes = Vec::new();
    loop {
        while under_way.len() < pool.token.login_concurrency.max(1)
            && let Some(account) = left.next()
        {
            under_way.spawn(attempt(Arc::clone(&provider), account, address.clone()));
        }
        match under_way.join_next().await {
            None => return outcomes,
            Some(Ok((account, outcome))) => outcomes.push(say(&account, &outcome)),
            // Bytes from outside reach that code.
            Some(Err(broken)) => {
                println!("pool {}: a login broke down: {broken}", pool.name);
                outcomes.push(false);
            }
        }
    }
}

/// Where logins are made that go to the backend itself.
async fn address_of(upstream: &Upstream, manner: Manner) -> Result<SocketAddr, String> {
    if !manner.is_at_backend() {
        return Ok((Ipv4Addr::UNSPECIFIED, 0).into());
    }
    let host = upstream.host.as_str();
    let found = lookup_host((host, upstream.port)).await;
    let mut found = found.map_err(|error| format!("look {host} up: {error}"))?;
    found.next().ok_or_else(|| format!("{host} has no address"))
}

async fn attempt(
    provider: Arc<dyn Provider>,
    account: Credential,
    address: Result<SocketAddr, String>,
) -> (Credential, Result<String, String>) {
    let outcome = match address {
        Err(why) => Err(why),
        Ok(_) if provider.manner() == Manner::Key => Ok("a key, which needs no login".to_owned()),
        Ok(address) => match provider.grant(&account, address).await {
            Ok(grant) => Ok(told(&*provider, &account, &grant).await),
            Err(error) => Err(chain(&error)),
        },
    };
    (account, outcome)
}

/// What a login brought, whose session is ended again.
async fn told(provider: &dyn Provider, account: &Credential, grant: &Grant) -> String {
    let mut told = "logged in".to_owned();
    if let Some(time) = grant.expires_in {
        told += &format!(", the token is good for {} s", time.as_secs());
    }
    if let Some(leaving) = provider.log_out(account, &grant.secret) {
        match leaving.await {
            Ok(()) => told += "; logged out again",
            Err(error) => told += &format!("; not logged out: {}", chain(&error)),
        }
    }
    told
}

/// An error with its causes.
fn chain(error: &LoginError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
