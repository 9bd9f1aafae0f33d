//! Pools that come and go while others share their accounts.

use tpp::control::SharedPoolStatus;

use crate::{
    common::{
        etcd::Etcd,
        proxy::Proxy,
        settings::{Settings, password_of},
        upstream::Upstream,
        wait_until,
    },
    of_hosts, shown,
};

/// Sessions of each pool's account.
const SESSIONS: usize = 2;

/// A pool with an account, before a server of its own, for requests to a host of that name.
fn pool(name: &str, upstream: &Upstream) -> String {
    let (password, address) = (password_of(name), upstream.address());
    upstream.add_account(name, &password, SESSIONS);
    format!(
        r#"
[[pools]]
name = "{name}"
[[pools.credentials]]
username = "{name}"
password = "{password}"
sessions = {SESSIONS}
[[backends]]
id = "{name}"
address = "{address}"
tags = ["{name}"]
pool = "{name}"
[[virtual_hosts]]
domain = "{name}.test"
enabled_backends_tag = "{name}"
"#
    )
}

fn host(etcd: &Etcd, name: &str, pools: &str) -> Settings {
    of_hosts(Settings::of_gateway(), etcd, name, 100).further(pools)
}

fn of(host: &Proxy, pool: &str) -> Option<SharedPoolStatus> {
    shown(host).pools.remove(pool)
}

/// Whether all sessions of a pool are at `host`, by the records.
fn has_all(host: &Proxy, pool: &str) -> bool {
    let rows = of(host, pool).map(|pool| pool.hosts).unwrap_or_default();
    let mut mine = rows.iter().filter(|row| row.me);
    mine.any(|row| (row.floating + row.home) as usize == SESSIONS)
}

#[test]
fn what_a_pool_has_that_is_removed_goes_to_other_hosts_and_comes_back_with_it() {
    let Some(etcd) = Etcd::start() else { return };
    let (stays, goes) = (Upstream::start(), Upstream::start());
    let (stays, goes) = (pool("stays", &stays), pool("goes", &goes));
    let both = stays.clone() + &goes;
    let one = Proxy::start_without_tokens(&host(&etcd, "one", &both));
    wait_until("it has all", || {
        has_all(&one, "stays") && has_all(&one, "goes")
    });
    // All of it home, which nobody takes for hours.
    let two = Proxy::start_without_tokens(&host(&etcd, "two", &both));
    wait_until("the other one is in", || {
        of(&two, "goes").is_some_and(|pool| pool.phase == "joined")
    });
    host(&etcd, "one", &stays).write_to(one.directory());
    let told = one.ctl(&["reload"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    wait_until("the other one has them", || has_all(&two, "goes"));
    wait_until("this one has no part in it", || {
        of(&two, "goes").is_some_and(|pool| pool.hosts.len() == 1)
    });
    assert!(of(&one, "goes").is_none() && of(&one, "stays").is_some());
    host(&etcd, "one", &both).write_to(one.directory());
    let told = one.ctl(&["reload"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    wait_until("it has a part again", || {
        of(&one, "goes").is_some_and(|pool| pool.phase == "joined")
    });
}
