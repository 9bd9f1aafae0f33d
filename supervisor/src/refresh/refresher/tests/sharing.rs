//! One token in several slots, keys that rest, and sessions that are logged out.

use tpp::clock::boot_millis;

use super::*;

/// A token of its own for each login, good for so long.
pub(super) fn numbered(number: usize, seconds: u64) -> Result<Grant, LoginError> {
    Ok(Grant {
        secret: Token::new(&format!("token-{number}"), 64).unwrap(),
        expires_in: Some(Duration::from_secs(seconds)),
    })
}

impl Scene {
    fn token(&self, slot: usize) -> String {
        let mut token = Vec::new();
        self.stock.read_token(SlotIndex::new(slot), &mut token);
        String::from_utf8(token).unwrap()
    }

    fn all_hold(&self, slots: usize, token: &str) -> bool {
        self.usable() == slots as u64 && (0..slots).all(|slot| self.token(slot) == token)
    }

    pub(super) fn left(&self) -> Vec<String> {
        self.provider.left.lock().unwrap().clone()
    }
}

/// What a crowd of clients may hold of one account.
const CROWD: usize = 10_000;

#[tokio::test]
async fn a_crowd_has_one_login_and_the_pre_warm_is_seen_by_none() {
    let script = |number| numbered(number, if number == 0 { 2 } else { 3600 });
    let scene = Scene::of(Manner::Shared, CROWD, script);
    let refresher = scene.refresher("pw", CROWD);
    let all_in = || scene.all_hold(CROWD, "token-0");
    let fewest = AtomicUsize::new(CROWD);
    let was_in = std::sync::atomic::AtomicBool::new(false);
    scene
        .until(refresher, || {
            was_in.fetch_or(scene.asked() == 1 && all_in(), SeqCst);
            if was_in.load(SeqCst) {
                let usable = usize::try_from(scene.usable()).unwrap();
                fewest.fetch_min(usable, SeqCst);
            }
            scene.all_hold(CROWD, "token-1")
        })
        .await;
    assert_eq!(scene.asked(), 2, "one login, and one renewal");
    assert_eq!(
        fewest.load(SeqCst),
        CROWD,
        "each could be lent all the time"
    );
}

#[tokio::test]
async fn many_who_are_turned_down_at_once_have_one_login() {
    let scene = Scene::of(Manner::Shared, 500, |number| numbered(number, 3600));
    let desk = scene.desk();
    let refresher = scene.refresher("pw", 500);
    let crowd = async {
        while !scene.all_hold(500, "token-0") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let leases: Vec<_> = std::iter::from_fn(|| desk.try_lease()).collect();
        assert_eq!(leases.len(), 500);
        let renewed: Vec<_> = leases
            .iter()
            .map(|lease| {
                lease.note_served(lease.token_version());
                lease.refreshed(lease.token_version())
            })
            .collect();
        scene.bell.send_replace(());
        while !scene.all_hold(500, "token-1") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for renewed in renewed {
            assert!(renewed.await);
        }
    };
    tokio::select! {
        () = refresher.run() => {}
        () = crowd => {}
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("it did not come to that"),
    }
    assert_eq!(scene.asked(), 2);
}

#[tokio::test]
async fn a_server_that_gives_one_token_to_all_is_found_out() {
    let script = |_| numbered(0, 3600);
    let scene = Scene::of(Manner::Elsewhere, 50, script);
    let refresher = scene.refresher("pw", 50);
    let handle = refresher.handle();
    scene
        .until(refresher, || scene.all_hold(50, "token-0"))
        .await;
    assert!(handle.ledger().schedule.is_shared(49));
    assert!(scene.asked() < 50, "{}", scene.asked());
    assert_eq!(
        scene.left(),
        [""; 0],
        "nobody parts from a token that all have"
    );
}

#[tokio::test]
async fn a_shared_tokens_own_end_outlives_its_supervisor() {
    let scene = Scene::of(Manner::Shared, 3, |number| numbered(number, 600));
    let first = scene.refresher("pw", 3);
    scene.until(first, || scene.all_hold(3, "token-0")).await;
    let next = scene.refresher("pw", 3);
    let due = next.handle.ledger().schedule.view(2).unwrap().next_login;
    let wait = due.unwrap() - clock::now();
    assert!(wait < Duration::from_secs(600), "{wait:?}: ttl is an hour");
    assert_eq!(scene.asked(), 1);
}

#[tokio::test]
async fn a_key_that_is_used_up_rests_in_all_its_slots_and_comes_back() {
    let scene = Scene::of(Manner::Key, 2, |_| numbered(7, 3600));
    let desk = scene.desk();
    let refresher = scene.refresher("pw", 2);
    let spared = || match scene.stock.hopeless() {
        Some(Hopeless::Spared(until)) => Some(until),
        _ => None,
    };
    let holder = async {
        while !scene.all_hold(2, "token-7") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let [mut one, other] = [(); 2].map(|()| desk.try_lease().unwrap());
        one.spare(one.token_version(), Duration::from_secs(2));
        scene.bell.send_replace(());
        while spared().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(other.is_spared(), "whoever holds it uses it no more");
        let until = spared().unwrap();
        assert!(until > boot_millis() && until <= boot_millis() + 2000);
        drop((one, other));
        assert!(desk.try_lease().is_none(), "it is lent to nobody");
        while !scene.all_hold(2, "token-7") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(boot_millis() >= until, "not a moment too early");
        assert_eq!(spared(), None);
        let lease = desk.try_lease().unwrap();
        assert!(!lease.is_spared());
    };
    tokio::select! {
        () = refresher.run() => {}
        () = holder => {}
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("it did not come to that"),
    }
}

#[tokio::test]
async fn a_keys_rest_outlives_its_supervisor() {
    let scene = Scene::of(Manner::Key, 2, |_| numbered(7, 3600));
    let desk = scene.desk();
    let first = scene.refresher("pw", 2);
    scene.until(first, || scene.usable() == 2).await;
    let mut lease = desk.try_lease().unwrap();
    lease.spare(lease.token_version(), Duration::from_secs(600));
    drop(lease);
    let next = scene.refresher("pw", 2);
    scene
        .until(next, || {
            matches!(scene.stock.hopeless(), Some(Hopeless::Spared(_)))
        })
        .await;
    assert_eq!((scene.usable(), scene.asked()), (0, 1));
}

#[tokio::test]
async fn a_key_that_is_turned_down_is_passed_on_without_a_login() {
    let scene = Scene::of(Manner::Key, 1, |_| numbered(7, 3600));
    let desk = scene.desk();
    let refresher = scene.refresher("pw", 1);
    let holder = async {
        while scene.usable() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let lease = desk.try_lease().unwrap();
        let renewed = lease.refreshed(lease.token_version());
        scene.bell.send_replace(());
        while !scene.stock.is_vouched(lease.slot()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!renewed.await);
    };
    tokio::select! {
        () = refresher.run() => {}
        () = holder => {}
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("it did not come to that"),
    }
    assert_eq!((scene.asked(), scene.usable()), (1, 1));
}

#[tokio::test]
async fn a_replaced_session_is_logged_out_when_its_holder_has_gone() {
    let scene = Scene::of(Manner::Elsewhere, 1, |number| numbered(number, 3600));
    let desk = scene.desk();
    let refresher = scene.refresher("pw", 1);
    let handle = refresher.handle();
    let steps = async {
        while scene.usable() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let lease = desk.try_lease().unwrap();
        handle.renew(None).await;
        while scene.token(0) != "token-1" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(scene.left(), [""; 0], "it may be on a request's way");
        drop(lease);
        while scene.left().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = refresher.run() => {}
        () = steps => {}
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("it did not come to that"),
    }
    assert_eq!(scene.left(), ["token-0"]);
}

#[tokio::test]
async fn a_removed_accounts_sessions_and_those_of_a_stop_are_logged_out() {
    for manner in [Manner::Elsewhere, Manner::Shared] {
        let scene = Scene::of(manner, 4, |number| numbered(number, 3600));
        let refresher = scene.refresher("pw", 3);
        let handle = refresher.handle();
        let logins = if manner == Manner::Shared { 1 } else { 3 };
        let steps = async {
            while scene.usable() < 3 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let fewer = scene.setup("pw", 1);
            handle.reconfigure(fewer, vec![there()]).await.unwrap();
            while scene.left().len() < logins - 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(scene.usable(), 1);
            handle.log_out().await;
        };
        tokio::join!(refresher.run(), steps);
        let mut left = scene.left();
        left.sort();
        let all: Vec<_> = (0..logins)
            .map(|number| format!("token-{number}"))
            .collect();
        assert_eq!(left, all, "{manner:?}: each once");
    }
}
