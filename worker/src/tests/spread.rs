//! Which of several backends a client gets: by lot, by its address, and when the first one cannot be reached.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::net::TcpListener;
use tpp::{
    config::{Balance, HashKey, Selector, TrustedProxies},
    lending::{NO_ROW, RowKeys, row_key},
};

use super::{
    hosts::{Servers, ask},
    play::until,
};

#[tokio::test]
async fn no_more_than_the_budget_try_again_at_once() {
    let mut servers = Servers::new(&["one", "two"]).await;
    let unused = || async { TcpListener::bind("127.0.0.1:0").await.unwrap() };
    let nobody = unused().await.local_addr().unwrap();
    let silent = unused().await;
    let address = silent.local_addr().unwrap();
    let reached = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reached);
    servers.stage.play(async move {
        let mut open = Vec::new();
        loop {
            open.push(silent.accept().await.unwrap());
            count.fetch_add(1, SeqCst);
        }
    });
    let budget = |percent| {
        servers.change(|plan| {
            plan.backends[0].places[0].address = nobody;
            plan.backends[1].places[0].address = address;
            plan.settings.retry.budget_percent = percent;
        });
    };
    let mut clients = Vec::new();
    // Many come to the one that is not there first. A few may always try again, and are under way for as long as nobody answers.
    for (percent, count, some_are_refused) in
        [(1, 3, false), (1, 8, true), (100, 8, false), (0, 8, true)]
    {
        budget(percent);
        let mut refused = 0;
        for _ in 0..count {
            let before = reached.load(SeqCst);
            let mut client = servers.client().await;
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
            tokio::select! {
                head = client.head() => {
                    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
                    refused += 1;
                }
                () = until("it is answered or waits", || reached.load(SeqCst) > before) => {}
            }
            clients.push(client);
        }
        assert_eq!(refused > 0, some_are_refused, "{percent} %: {refused}");
    }
}

#[tokio::test]
async fn of_two_drawn_by_lot_the_less_busy_one_is_asked() {
    let servers = Servers::new(&["one", "two"]).await;
    let keys = RowKeys {
        backends: vec![row_key(&["one"]), row_key(&["two"])],
        ..RowKeys::default()
    };
    let rows = servers.stage.stock.give_rows(9, &keys).unwrap().backends;
    servers.change(|plan| {
        plan.hosts[0].host.balance = Balance::RandomTwo;
        for (backend, row) in plan.backends.iter_mut().zip(&rows) {
            backend.row = *row;
        }
    });
    let desk = &servers.stage.worker.desk;
    let busy: Vec<_> = (0..5).map(|_| desk.send(rows[0], NO_ROW)).collect();
    let share_of_one = async || {
        let mut client = servers.client().await;
        let mut share = 0;
        for _ in 0..120 {
            share += usize::from(ask(&mut client, "").await.1 == "one -");
        }
        share
    };
    // Where both draws fall on it: a quarter.
    let share = share_of_one().await;
    assert!((5..=55).contains(&share), "{share}");
    drop(busy);
    let share = share_of_one().await;
    assert!((30..=90).contains(&share), "{share}");
}

/// Who answers each of so many clients of one proxy, each of them twice in a row.
async fn behind_a_proxy(servers: &Servers, clients: u8) -> Vec<String> {
    let mut proxy = servers.client().await;
    let mut answered = Vec::new();
    for client in 0..clients {
        let fields = format!("X-Forwarded-For: 203.0.113.{client}\r\n");
        let (_, who) = ask(&mut proxy, &fields).await;
        assert_eq!(ask(&mut proxy, &fields).await.1, who, "{fields}");
        answered.push(who);
    }
    answered
}

#[tokio::test]
async fn clients_behind_a_believed_proxy_are_told_apart_by_their_own_addresses() {
    let servers = Servers::new(&["one", "two"]).await;
    let believe = |networks: &[&str]| {
        let networks = networks.iter().map(|one| one.parse().unwrap()).collect();
        servers.change(|plan| plan.settings.trusted_proxies = TrustedProxies::From(networks));
    };
    let share_of_one = |answered: &[String]| answered.iter().filter(|who| *who == "one -").count();
    servers.change(|plan| plan.hosts[0].host.balance = Balance::Hash(HashKey::Address));
    believe(&["127.0.0.0/8"]);
    let hashed = share_of_one(&behind_a_proxy(&servers, 40).await);
    assert!((5..=35).contains(&hashed), "{hashed}");
    servers.change(|plan| {
        plan.backends[1].tags = vec!["b".to_owned()];
        let host = &mut plan.hosts[0].host;
        host.split = [("b".to_owned(), 50)].into();
        host.split_by = Selector::Address;
    });
    let split = share_of_one(&behind_a_proxy(&servers, 40).await);
    assert!((5..=35).contains(&split), "{split}");
    // Of one that is not believed, all are one client: itself.
    believe(&[]);
    let alone = share_of_one(&behind_a_proxy(&servers, 40).await);
    assert!(alone == 0 || alone == 40, "{alone}");
}
