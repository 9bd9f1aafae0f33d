//! Hosts of today beside hosts of before, which are upgraded one after the other.

use crate::{
    SESSIONS, ask,
    common::{etcd::Etcd, proxy::Proxy, settings::Settings, upstream::Upstream, wait_until},
    host, lent, shown,
};

/// As a tpp of before is to the others.
pub(crate) fn of_before(settings: Settings) -> Settings {
    settings.set("hosts.newest_format", 1)
}

/// The format that records are written in, and who holds a later one back.
pub(crate) fn formats(host: &Proxy) -> (u32, Vec<String>) {
    let pool = shown(host).pools.remove("default");
    pool.map(|pool| (pool.format, pool.held_back_by))
        .unwrap_or_default()
}

#[test]
fn hosts_that_are_upgraded_one_by_one_write_as_before_until_the_last_one_is() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let settings = ["one", "two"].map(|name| host(&upstream, &etcd, name, 50));
    let [mut one, mut two] = settings
        .clone()
        .map(|settings| Proxy::start_without_tokens(&of_before(settings)));
    wait_until("both are in", || {
        shown(&one)
            .pools
            .get("default")
            .is_some_and(|pool| pool.hosts.len() == 2)
    });
    assert_eq!(formats(&one), (1, vec![]));
    upgrade(&mut one, &settings[0]);
    wait_until("the other one holds the later format back", || {
        formats(&two) == (1, vec!["two".to_owned()])
    });
    let said = two.ctl(&["hosts"]).out;
    assert!(
        said.contains("in 2 when these hosts speak it: two"),
        "{said}"
    );
    upgrade(&mut two, &settings[1]);
    for host in [&one, &two] {
        wait_until("the later format is in force", || {
            formats(host) == (2, vec![])
        });
        ask(host, &upstream);
    }
    wait_until("all sessions are lent", || {
        lent(&[&one, &two]).iter().sum::<u64>() == SESSIONS
    });
    let three = of_before(host(&upstream, &etcd, "three", 50));
    let mut three = Proxy::spawn(&three);
    assert_eq!(three.wait_for_exit().code(), Some(78));
    three.assert_gone();
    let log = three.log();
    assert!(
        log.contains("format 2") && log.contains("newest_format"),
        "{log}"
    );
    upstream.assert_clean();
}

/// Its next supervisor is one of today, in the region that is there.
pub(crate) fn upgrade(host: &mut Proxy, settings: &Settings) {
    settings.write_to(host.directory());
    host.kill_supervisor();
    host.start_successor();
}
