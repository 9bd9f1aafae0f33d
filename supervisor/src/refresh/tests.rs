//! Tokens are drawn where they will be used: real logins at two addresses of one name.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tpp::{
    bells::BellBoard,
    config::{Format, parse},
    plan::Server,
    region::{Geometry, Region},
};

use tokio::sync::watch;
use tpp::{
    lending::Stock,
    pool::{Origin, SlotIndex},
};

use super::{assignment::key, *};

const SLOTS: usize = 4;

/// Two listeners on one port, at two addresses.
async fn two_addresses() -> [TcpListener; 2] {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        if let Ok(second) = TcpListener::bind(("127.0.0.2", port)).await {
            return [first, second];
        }
    }
}

/// Answers each login with a token that names the address it was drawn at.
async fn serve(listener: TcpListener) {
    let ip = listener.local_addr().unwrap().ip();
    for number in 0.. {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            stream.read_buf(&mut request).await.unwrap();
        }
        let body = format!("{{\"code\":\"0\",\"message\":\"\",\"result\":\"{ip}-{number}\"}}");
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

fn setup(config: &tpp::config::Config) -> Setup {
    let server = super::Server {
        upstream: config.upstream.clone(),
        addresses: Vec::new(),
    };
    Setup::of(&config.gateway.pools[0], &server, &[]).unwrap()
}

fn config(port: u16) -> tpp::config::Config {
    let text = format!(
        "[upstream]\nhost = \"two.test\"\nport = {port}\n\
         [[credentials]]\nusername = \"u\"\npassword = \"p\"\nsessions = {SLOTS}\n"
    );
    let nothing_set = BTreeMap::<String, String>::new();
    let (file, directory) = (Path::new("tpp.toml"), Path::new("/"));
    parse(&text, file, Format::Toml, directory, &nothing_set).unwrap()
}

fn stock() -> Arc<Stock> {
    let geometry = Geometry {
        slots: 64,
        seats: 2,
        token_bytes: 256,
    };
    let region = Arc::new(Region::create(geometry).unwrap());
    Arc::new(Stock::new(region, BellBoard::create(2).unwrap()))
}

/// Of each slot that is in use: whether its token was drawn where its origin says, and that origin.
fn origins(stock: &Stock, places: &[Place]) -> Vec<Origin> {
    let in_use =
        (0..stock.region().slots_used()).filter(|slot| stock.pool().slots[*slot].word().usable);
    in_use
        .map(|slot| {
            let mut token = Vec::new();
            let (_, origin) = stock.read_token(SlotIndex::new(slot), &mut token);
            let of = places.iter().find(|one| one.origin == origin).unwrap();
            let drawn_at = format!("{}-", of.address.ip());
            assert!(token.starts_with(drawn_at.as_bytes()), "{token:?}");
            origin
        })
        .collect()
}

async fn until(mut claim: impl FnMut() -> bool) {
    let look = async {
        while !claim() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), look)
        .await
        .expect("it comes");
}

#[tokio::test]
async fn tokens_are_drawn_at_each_address_and_anew_elsewhere_when_one_is_gone() {
    let listeners = two_addresses().await;
    let addresses: [SocketAddr; 2] = listeners.each_ref().map(|one| one.local_addr().unwrap());
    let config = config(addresses[0].port());
    let places = Server::of(&config.upstream, config.token.scope).at(&addresses);
    let servers = listeners.map(|listener| tokio::spawn(serve(listener)));
    let stock = stock();
    let (_rings, bell) = watch::channel(());
    // As long as the name has not resolved, nothing is drawn, and nothing fails.
    let setup = setup(&config);
    let refresher = Refresher::new(setup, Vec::new(), Arc::clone(&stock), bell).unwrap();
    let handle = refresher.handle();
    let running = tokio::spawn(refresher.run());
    handle.relocate(places.clone()).await;
    until(|| origins(&stock, &places).len() == SLOTS).await;
    let drawn = origins(&stock, &places);
    for one in &places {
        let there = drawn.iter().filter(|origin| **origin == one.origin).count();
        assert_eq!(there, SLOTS / 2, "{drawn:?}");
    }
    handle.relocate(places[1..].to_vec()).await;
    // From this moment on, not only when new ones are in.
    let left = origins(&stock, &places);
    assert!(
        left.iter().all(|origin| *origin == places[1].origin),
        "{left:?}"
    );
    until(|| origins(&stock, &places).len() == SLOTS).await;
    let drawn = origins(&stock, &places);
    assert!(
        drawn.iter().all(|origin| *origin == places[1].origin),
        "{drawn:?}"
    );
    running.abort();
    servers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_predecessors_token_of_another_server_is_not_taken_over() {
    let (config, stock) = (config(1), stock());
    let server = Server::of(&config.upstream, config.token.scope);
    let ours = server.at(&["127.0.0.1:1".parse().unwrap()]);
    stock.region().set_slots_used(2);
    for (slot, origin) in [ours[0].origin, Origin::new(7)].into_iter().enumerate() {
        let slot = SlotIndex::new(slot);
        stock.assign(slot, key("u"));
        stock.install(slot, b"token", origin).unwrap();
    }
    let (_rings, bell) = watch::channel(());
    let setup = setup(&config);
    let refresher = Refresher::new(setup, ours, Arc::clone(&stock), bell).unwrap();
    let usable = [0, 1].map(|slot| stock.pool().slots[slot].word().usable);
    assert_eq!(usable, [true, false]);
    assert_eq!(refresher.handle().ledger().configured(), SLOTS as u64);
}
