//! A token goes to its own origin alone.

use tokio::net::TcpListener;
use tpp::{
    plan::Place,
    pool::{Origin, SlotIndex},
};

use super::play::{ORIGIN, Peer, Stage, soon, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OTHER: Origin = Origin::new(2);

/// Another server, or another address of the same one.
struct Elsewhere(TcpListener);

impl Elsewhere {
    async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn place(&self) -> Place {
        Place {
            address: self.0.local_addr().unwrap(),
            origin: OTHER,
        }
    }

    async fn upstream(&self) -> Peer {
        let accepted = soon("the worker connects elsewhere", self.0.accept()).await;
        Peer::new(accepted.unwrap().0)
    }
}

fn install(stage: &Stage, slot: usize, token: &str, origin: Origin) {
    stage
        .stock
        .install(SlotIndex::new(slot), token.as_bytes(), origin)
        .unwrap();
}

#[tokio::test]
async fn a_token_of_another_server_is_not_sent_and_not_lent_again() {
    let stage = Stage::new(2, |_| {}).await;
    install(&stage, 0, "foreign", OTHER);
    for _ in 0..2 {
        let mut client = stage.client().await;
        client.send(GET).await;
        let head = stage.upstream().await.head().await;
        assert!(head.contains("Bearer token-1-1\r\n"), "{head}");
        drop(client);
        stage.in_use(0).await;
    }
    assert_eq!(stage.census().usable, 1);
    assert!(
        stage.stock.is_suspect(SlotIndex::new(0)),
        "the supervisor logs in anew"
    );
}

#[tokio::test]
async fn a_held_lease_of_the_old_server_is_exchanged_for_one_of_the_new() {
    let stage = Stage::new(1, |_| {}).await;
    let elsewhere = Elsewhere::new().await;
    let mut client = stage.client().await;
    let mut upstream = {
        client.send(GET).await;
        stage.upstream().await
    };
    assert!(upstream.head().await.contains("Bearer token-0-1\r\n"));
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.head().await;
    // As a reload does it: first the tokens, then the plan, then what logins bring.
    stage.stock.take_out_of_use(SlotIndex::new(0));
    stage.put_in_force(|plan| plan.backends[0].places = vec![elsewhere.place()]);
    client.send(GET).await;
    stage.waiting(1).await;
    install(&stage, 0, "token-0-2", OTHER);
    let head = elsewhere.upstream().await.head().await;
    assert!(head.contains("Bearer token-0-2\r\n"), "{head}");
    assert!(stage.upstream_is_untouched().await);
}

#[tokio::test]
async fn a_token_of_the_plan_that_is_on_its_way_waits_for_it() {
    let stage = Stage::new(1, |_| {}).await;
    let elsewhere = Elsewhere::new().await;
    install(&stage, 0, "token-0-2", OTHER);
    stage.stock.put_plan_in_force(2);
    let mut client = stage.client().await;
    client.send(GET).await;
    stage.in_use(1).await;
    assert!(stage.upstream_is_untouched().await);
    stage.put_in_force(|plan| plan.backends[0].places = vec![elsewhere.place()]);
    let head = elsewhere.upstream().await.head().await;
    assert!(head.contains("Bearer token-0-2\r\n"), "{head}");
    assert_eq!(stage.stock.pool().seats[0].plan(), 2);
    assert!(stage.stock.is_plan_reached(2));
}

#[tokio::test]
async fn each_token_goes_to_the_address_it_was_drawn_at_and_finds_its_idle_connection() {
    let stage = Stage::new(2, |_| {}).await;
    let elsewhere = Elsewhere::new().await;
    stage.put_in_force(|plan| plan.backends[0].places.push(elsewhere.place()));
    install(&stage, 1, "token-1-2", OTHER);
    let (mut first, mut second) = (stage.client().await, stage.client().await);
    first.send(GET).await;
    let mut here = stage.upstream().await;
    assert!(here.head().await.contains("Bearer token-0-1\r\n"));
    second.send(GET).await;
    let mut there = elsewhere.upstream().await;
    assert!(there.head().await.contains("Bearer token-1-2\r\n"));
    for upstream in [&mut here, &mut there] {
        upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    }
    first.head().await;
    second.head().await;
    // In the other order, over the very same connections.
    second.send(GET).await;
    assert!(there.head().await.contains("Bearer token-1-2\r\n"));
    first.send(GET).await;
    assert!(here.head().await.contains("Bearer token-0-1\r\n"));
}

#[tokio::test]
async fn a_token_of_an_address_that_stays_away_is_reported_while_others_are_there() {
    let stage = Stage::new(1, |_| {}).await;
    let elsewhere = Elsewhere::new().await;
    let nobody = Elsewhere::new().await.place();
    stage.put_in_force(|plan| {
        plan.backends[0].places = vec![
            Place {
                origin: ORIGIN,
                ..nobody
            },
            elsewhere.place(),
        ];
    });
    let mut client = stage.client().await;
    let mut reported = false;
    let begun = std::time::Instant::now();
    while !reported {
        client.send(GET).await;
        assert!(client.head().await.starts_with("HTTP/1.1 502 "));
        let length = "{\"error\":";
        client.through(length).await;
        client.through("}").await;
        reported = stage.stock.is_suspect(SlotIndex::new(0));
        assert!(
            !reported || begun.elapsed().as_secs() >= 2,
            "one failure is no reason to log in anew"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    install(&stage, 0, "token-0-2", OTHER);
    client.send(GET).await;
    assert!(
        elsewhere
            .upstream()
            .await
            .head()
            .await
            .contains("Bearer token-0-2\r\n")
    );
    until("its last report is heard", || {
        !stage.stock.is_suspect(SlotIndex::new(0))
    })
    .await;
}
