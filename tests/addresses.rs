//! A name with several addresses, with sessions of its own at each: a token is used where it was drawn.
//!
//! tpp runs in a mount namespace whose `/etc/hosts` is the test's. Where the system does not let us have one, nothing is checked,
//! and that is said.

use std::{collections::HashSet, fs, net::SocketAddr, path::Path, process::Command};

use crate::common::{
    client::Client,
    load::while_clients_work,
    not_checked,
    proxy::Proxy,
    settings::{Settings, password_of},
    upstream::Upstream,
    wait_until,
};

const NAME: &str = "two.test";
const USERS: usize = 8;
/// The words of `sh` that put the file of its first argument in the place of `/etc/hosts`, and become what comes after it.
const WITH_HOSTS: &str = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";

/// Whether the system lets us have names of our own.
fn can_name(hosts: &Path) -> bool {
    let mut lookup = Command::new("unshare");
    lookup.args(["-rm", "sh", "-c", WITH_HOSTS]).arg(hosts);
    let found = lookup.args(["getent", "ahosts", NAME]).output();
    found.is_ok_and(|found| {
        let found = String::from_utf8_lossy(&found.stdout).into_owned();
        found.contains("127.0.0.1 ") && found.contains("127.0.0.2 ")
    })
}

/// Two servers behind one name and port, that know nothing of each other's tokens.
fn two_servers() -> [Upstream; 2] {
    let one = Upstream::start();
    let address = SocketAddr::from(([127, 0, 0, 2], one.address().port()));
    let other = Upstream::start_at(address);
    for number in 0..USERS {
        let user = format!("user{number}");
        for upstream in [&one, &other] {
            upstream.add_account(&user, &password_of(&user), 1);
        }
    }
    [one, other]
}

#[track_caller]
fn assert_each_serves_its_own(upstreams: &[Upstream; 2]) {
    for upstream in upstreams {
        let seen = upstream.seen();
        assert!(!seen.is_empty(), "each has a part");
        assert!(
            seen.iter().all(|seen| seen.user.is_some()),
            "no foreign token"
        );
        assert_eq!(upstream.refusals(), 0);
    }
}

#[test]
fn with_two_addresses_behind_a_name_each_token_goes_where_it_was_drawn() {
    let directory = tempfile::tempdir().expect("make a directory");
    let hosts = directory.path().join("hosts");
    let text = format!("127.0.0.1 localhost {NAME}\n127.0.0.2 {NAME}\n");
    fs::write(&hosts, text).expect("write names");
    if !can_name(&hosts) {
        let why = "no mount namespace with names of our own is to be had";
        return not_checked("tokens of several addresses", why);
    }
    let upstreams = two_servers();
    let hosts = hosts.to_str().expect("a path in UTF-8");
    let settings = Settings::in_front_of(&upstreams[0])
        .set("upstream.host", format!("\"{NAME}\""))
        .started_through(&["unshare", "-rm", "sh", "-c", WITH_HOSTS, hosts]);
    let settings = (0..USERS).fold(settings, |settings, number| {
        settings.known_account(&format!("user{number}"), 1)
    });
    let proxy = Proxy::start(&settings);
    let drawn = upstreams.each_ref().map(|one| one.attempts().len());
    assert_eq!(drawn, [USERS / 2; 2], "logins are shared out");
    let work = |_| {
        let mut client = Client::connect(proxy.address());
        // A worker that drains says that this answer is the last.
        for _ in 0..5 {
            if client.get("/who").ok().closes() {
                break;
            }
        }
    };
    let ((), _) = while_clients_work(USERS + 2, work, || {
        for _ in 0..3 {
            let logins = || upstreams.each_ref().map(|one| one.attempts().len());
            let before = logins();
            assert_eq!(proxy.ctl(&["refresh", "--all"]).code, Some(0));
            assert_eq!(proxy.ctl(&["restart"]).code, Some(0));
            wait_until("all have logged in anew, where they were", || {
                let now = logins();
                (0..2).all(|place| now[place] >= before[place] + USERS / 2)
            });
        }
    });
    assert_each_serves_its_own(&upstreams);
    let users = |upstream: &Upstream| -> HashSet<_> {
        let seen = upstream.seen().into_iter();
        seen.filter_map(|seen| seen.user).collect()
    };
    let both = users(&upstreams[0]);
    let both: Vec<_> = both.intersection(&users(&upstreams[1])).cloned().collect();
    assert!(both.is_empty(), "each account has one place: {both:?}");
}
