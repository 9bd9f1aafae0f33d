//! What no host of this version writes, and what happens seldom.
use super::host::{account, upstream};
use super::search::{Action, apply, crowd};
use super::small_worlds::{settled, settled_with};
use super::world::{STEP, World};
use crate::deadlines::SECOND;
use crate::event::Event;
use crate::formats::{Formats, NAMED, ROWS};
use crate::keys::{Keys, Place, is_name};
use crate::records::{Beat, Generation, Shares};
use crate::rules::Rules;

fn places() -> [Place; 4] {
    let other = || "host7".to_owned();
    [
        Place::Generation(other()),
        Place::Beat(other()),
        Place::Account(account(0)),
        Place::Generation("host0".to_owned()),
    ]
}

#[test]
fn records_that_no_host_writes_do_no_harm() {
    let keys = Keys::new("/tpp/1/", &upstream());
    let many = u32::MAX.to_string();
    let long = u64::MAX.to_string();
    let beat = format!(
        r#"{{"n":1,"gen":{long},"state":"live","has":[{many},{many}],"in_use":{many},"free":{many},"waiting":{many},"oldest_ms":{long},"wants":{many},"cfg":"","version":""}}"#
    );
    let values = [
        "",
        "{",
        "[]",
        "null",
        "7",
        "{}",
        "\u{0}",
        &format!(r#"{{"inc":"x","gen":{long},"quiet":{long},"host":"y"}}"#),
        r#"{"inc":"x","gen":1,"quiet":18446744073709551615,"host":"y"}"#,
        &beat,
        &beat.replace(&many, "1000000").replace(&long, "1"),
        &format!(r#"{{"limit":{many},"shares":{{"host7":["x",{long},{many},{many}]}}}}"#),
        r#"{"limit":0,"shares":{"host7":["x",1,1000000,1000000],"host0":["x",1,1000000,1000000]}}"#,
    ];
    for place in places() {
        for value in values {
            let mut world = settled(&[4, 4], 2, Rules::KEPT);
            world
                .store
                .write(vec![(keys.of(&place), Some(value.as_bytes().to_vec()))]);
            world.spread();
            world.settle();
            crowd(&mut world, 1, true);
            world.pass(20, STEP);
            assert_eq!(
                world.wrong.filter(|wrong| wrong.contains("may use")),
                None,
                "{place:?} {value}"
            );
            let host = &world.hosts[1];
            let status = host
                .core
                .as_ref()
                .map(|core| core.status(host.clock(world.time)));
            assert!(serde_json::to_string(&status).is_ok());
        }
    }
}

#[test]
fn a_host_whose_life_ended_while_a_gift_was_unsettled_is_in_again() {
    let mut world = World::small(&[4, 4], 2, Rules::KEPT);
    for host in &mut world.hosts {
        host.settings.home_takeover = 2 * host.settings.takeover;
    }
    let (mut world, giver) = (settled_with(world), 0);
    assert_eq!(world.lent_at(giver), 2);
    // Nobody writes the account's record meanwhile: the other host is refused there.
    world.tell(1, 1, Event::Refused(account(0)));
    crowd(&mut world, 1, true);
    // From the first gift on, nothing of the giver arrives for a minute and more.
    let mut cut = false;
    for _ in 0..60 {
        world.advance(STEP, false);
        while let Some(request) = world.fresh.front() {
            let gives = |it: &crate::engine::Transaction| {
                it.writes.iter().any(|write| write.key.contains("/a/"))
            };
            cut |= request.host == giver && request.transaction.as_ref().is_some_and(gives);
            world.hosts[giver].deaf = cut;
            let fails = cut && request.host == giver && request.transaction.is_some();
            apply(
                &mut world,
                if fails {
                    Action::LoseRequest
                } else {
                    Action::Serve
                },
            );
        }
    }
    assert!(cut && world.lent() == 0);
    // Nobody asks for another gift.
    crowd(&mut world, 1, false);
    apply(&mut world, Action::Hear(giver));
    world.settle();
    world.pass(10, STEP);
    assert_eq!((world.wrong.clone(), world.lent_at(giver)), (None, 2));
}

#[test]
fn records_are_written_as_they_are_read() {
    let texts = [
        r#"{"inc":"0123456789abcdef0123456789abcdef","gen":3,"quiet":60,"host":"5c1e"}"#,
        r#"{"n":17,"gen":3,"state":"live","has":[24,8],"in_use":24,"free":0,"waiting":12,"oldest_ms":1300,"wants":36,"cfg":"5c1e","version":"0.3.0","formats":[1,2]}"#,
        r#"{"limit":4,"shares":{"web1":["0123456789abcdef0123456789abcdef",3,2,1]}}"#,
        r#"{"limit":4,"shares":{"web1":{"inc":"0123456789abcdef0123456789abcdef","gen":3,"floating":2,"home":1}}}"#,
    ];
    let shares = |text: &str| serde_json::from_str::<Shares>(text).expect("it reads");
    let again = [
        serde_json::to_string(&serde_json::from_str::<Generation>(texts[0]).expect("it reads")),
        serde_json::to_string(&serde_json::from_str::<Beat>(texts[1]).expect("it reads")),
        serde_json::to_string(&shares(texts[2]).written_in(ROWS)),
        serde_json::to_string(&shares(texts[3]).written_in(NAMED)),
    ];
    for (text, again) in texts.iter().zip(again) {
        assert_eq!(again.expect("it is written"), *text);
        assert!(text.len() <= 250);
    }
    let later = |text: &str| text.replace("\"gen\"", "\"what a later one adds\":[],\"gen\"");
    assert!(serde_json::from_str::<Generation>(&later(texts[0])).is_ok());
    let [rows, named] = [shares(texts[2]), shares(&later(texts[3]))];
    assert_eq!((&rows.shares, rows.limit), (&named.shares, named.limit));
    assert!(rows.has_rows && !named.has_rows);
    let earlier = texts[1].replace(",\"formats\":[1,2]", "");
    let earlier = serde_json::from_str::<Beat>(&earlier).expect("it reads");
    assert_eq!(earlier.formats, Formats::UNSAID);
}

#[test]
fn keys_are_told_apart_and_hold_no_user_name() {
    let keys = Keys::new("/tpp/1", &upstream());
    for place in [
        Place::Meta,
        Place::Generation("a.b-c_1".to_owned()),
        Place::Beat("x".to_owned()),
        Place::Account(account(3)),
    ] {
        assert_eq!(keys.place(&keys.of(&place)), Some(place));
    }
    assert_eq!(keys.of(&Place::Meta), "/tpp/1/u/meta");
    for key in [
        "/tpp/1/u/",
        "/tpp/1/u/g/",
        "/tpp/1/u/a/user3",
        "/tpp/1/u/x/y",
        "/tpp/1/v/meta",
        "/tpp/1/u/h/a/b",
        "meta",
    ] {
        assert_eq!(keys.place(key), None, "{key}");
    }
    assert!(!keys.of(&Place::Account(account(3))).contains("user"));
    assert!(
        is_name("web-1.example") && !is_name("") && !is_name("a/b") && !is_name(&"x".repeat(65))
    );
}

#[test]
fn a_lost_host_is_fenced_once_however_many_see_it_die() {
    let mut world = settled(&[4, 5, 4], 1, Rules::KEPT);
    for host in &mut world.hosts {
        host.keeps_notes = true;
    }
    world.hosts[0].kill();
    world.pass(200, SECOND / 10);
    let fences = |host: &super::host::Host| {
        host.notes
            .iter()
            .filter(|note| matches!(note, crate::order::Note::FencedOther(_)))
            .count()
    };
    assert_eq!(world.hosts.iter().map(fences).sum::<usize>(), 1);
    assert_eq!(world.lent(), 1);
}
