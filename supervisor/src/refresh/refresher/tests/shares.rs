//! Slots of accounts that other hosts share come and go by order, and what goes is told when nobody holds it.

use tpp::shared::{Deadlines, Tenure};

use super::{sharing::numbered, *};
use crate::refresh::PlaceOf;

/// A pool that is shared, with two sessions of one account, and what it tells.
struct Shared {
    scene: Scene,
    handle: RefreshHandle,
    told: mpsc::UnboundedReceiver<ShareEvent>,
    running: task::JoinHandle<()>,
}

impl Shared {
    async fn begin() -> Self {
        let scene = Scene::new(4, |number| numbered(number, 3600));
        for tenure in [Tenure::Floating, Tenure::Home] {
            let far = boot_millis() + 3_600_000;
            let deadlines = Deadlines {
                lend_until: far,
                cut_at: far,
                kill_at: far,
            };
            scene.stock.set_deadlines(tenure, deadlines);
        }
        let refresher = Refresher::new(
            scene.setup("pw", 2).shared(Some(Duration::from_secs(1))),
            vec![there()],
            Arc::clone(&scene.stock),
            scene.bell.subscribe(),
        )
        .unwrap();
        let handle = refresher.handle();
        let running = tokio::spawn(refresher.run());
        let (events, told) = mpsc::unbounded_channel();
        let held = handle.begin_sharing(events, true).await.unwrap();
        assert_eq!(held, [], "nothing is this host's at first");
        Self {
            scene,
            handle,
            told,
            running,
        }
    }

    /// What is told next.
    async fn next(&mut self) -> ShareEvent {
        let limit = Duration::from_secs(60);
        let next = tokio::time::timeout(limit, self.told.recv()).await;
        next.expect("it comes").expect("it is told")
    }

    async fn lend(&mut self, place: u16) {
        self.handle.share(ShareOrder::Lend {
            at: at(place),
            tenure: Tenure::Floating,
            not_before: 0,
        });
        assert!(matches!(self.next().await, ShareEvent::Lent(lent) if lent == at(place)));
    }

    fn withdraw(&self, place: u16) {
        let (at, at_once) = (at(place), false);
        self.handle.share(ShareOrder::Withdraw { at, at_once });
    }

    fn wipe(&self, place: u16) {
        self.handle.share(ShareOrder::Wipe { at: at(place) });
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn at(place: u16) -> PlaceOf {
    let user = "ann".to_owned();
    PlaceOf { user, place }
}

#[tokio::test]
async fn what_is_not_this_hosts_has_no_token_and_what_comes_logs_in() {
    let mut shared = Shared::begin().await;
    assert_eq!((shared.scene.usable(), shared.scene.asked()), (0, 0));
    shared.lend(1).await;
    assert_eq!((shared.scene.usable(), shared.scene.asked()), (1, 1));
}

#[tokio::test]
async fn what_is_withdrawn_is_idle_when_its_holder_lets_go_and_wiped_when_it_is_logged_out() {
    let mut shared = Shared::begin().await;
    shared.lend(0).await;
    let desk = shared.scene.desk();
    let lease = desk.try_lease().unwrap();
    shared.withdraw(0);
    // What is asked of another place is told meanwhile.
    shared.withdraw(1);
    assert!(matches!(shared.next().await, ShareEvent::Idle(idle) if idle == at(1)));
    drop(lease);
    assert!(matches!(shared.next().await, ShareEvent::Idle(idle) if idle == at(0)));
    shared.wipe(0);
    assert!(matches!(shared.next().await, ShareEvent::Wiped(wiped) if wiped == at(0)));
    assert_eq!(shared.scene.left(), ["token-0"]);
    assert_eq!(shared.scene.usable(), 0);
}

#[tokio::test]
async fn what_is_held_still_is_not_wiped_whoever_orders_it() {
    let mut shared = Shared::begin().await;
    shared.lend(0).await;
    let desk = shared.scene.desk();
    let lease = desk.try_lease().unwrap();
    shared.wipe(0);
    shared.withdraw(1);
    assert!(matches!(shared.next().await, ShareEvent::Idle(idle) if idle == at(1)));
    assert!(shared.scene.left().is_empty(), "it is in use");
    drop(lease);
    assert!(matches!(shared.next().await, ShareEvent::Wiped(wiped) if wiped == at(0)));
}

#[tokio::test]
async fn what_is_called_back_is_lent_with_the_token_that_it_has() {
    let mut shared = Shared::begin().await;
    shared.lend(0).await;
    shared.withdraw(0);
    assert!(matches!(shared.next().await, ShareEvent::Idle(_)));
    assert_eq!(shared.scene.usable(), 0);
    let desk = shared.scene.desk();
    let lease = desk.try_lease();
    assert!(lease.is_none(), "it is not lent");
    shared.handle.share(ShareOrder::Lend {
        at: at(0),
        tenure: Tenure::Home,
        not_before: 0,
    });
    let comes_back = async {
        while shared.scene.usable() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, comes_back).await.unwrap();
    assert_eq!(shared.scene.asked(), 1, "nobody logs in anew");
}

#[tokio::test]
async fn a_place_that_an_account_has_no_more_is_idle_when_its_holder_has_let_go() {
    let mut shared = Shared::begin().await;
    shared.lend(1).await;
    let desk = shared.scene.desk();
    let lease = desk.try_lease().unwrap();
    let fewer = shared.scene.setup("pw", 1);
    let changed = shared.handle.reconfigure(fewer, vec![there()]).await;
    changed.unwrap();
    shared.withdraw(1);
    shared.withdraw(0);
    assert!(matches!(shared.next().await, ShareEvent::Idle(idle) if idle == at(0)));
    drop(lease);
    assert!(matches!(shared.next().await, ShareEvent::Idle(idle) if idle == at(1)));
}

#[tokio::test]
async fn what_is_to_float_does_so_when_its_holder_lets_go_and_is_lent_on_with_its_token() {
    let mut shared = Shared::begin().await;
    shared.lend(0).await;
    let home = ShareOrder::Lend {
        at: at(0),
        tenure: Tenure::Home,
        not_before: 0,
    };
    shared.handle.share(home);
    let desk = shared.scene.desk();
    let lease = desk.try_lease().unwrap();
    let slot = lease.slot();
    let ticket = 7;
    shared.handle.share(ShareOrder::Float { at: at(0), ticket });
    // What is asked of another place is told meanwhile.
    shared.withdraw(1);
    assert!(matches!(shared.next().await, ShareEvent::Idle(idle) if idle == at(1)));
    assert_eq!(shared.scene.stock.tenure(slot), Some(Tenure::Home), "held");
    drop(lease);
    assert!(matches!(shared.next().await, ShareEvent::Floats(floats, 7) if floats == at(0)));
    assert_eq!(shared.scene.stock.tenure(slot), Some(Tenure::Floating));
    assert_eq!((shared.scene.usable(), shared.scene.asked()), (1, 1));
    assert!(desk.try_lease().is_some(), "it is lent");
}

#[tokio::test]
async fn what_is_withdrawn_or_lent_anew_while_it_is_to_float_does_not() {
    let mut shared = Shared::begin().await;
    shared.lend(0).await;
    let desk = shared.scene.desk();
    let lease = desk.try_lease().unwrap();
    let slot = lease.slot();
    for ticket in [1, 2] {
        shared.handle.share(ShareOrder::Lend {
            at: at(0),
            tenure: Tenure::Home,
            not_before: 0,
        });
        shared.handle.share(ShareOrder::Float { at: at(0), ticket });
    }
    shared.withdraw(0);
    // What is asked of another place is told meanwhile.
    shared.withdraw(1);
    assert!(matches!(shared.next().await, ShareEvent::Idle(idle) if idle == at(1)));
    drop(lease);
    let told = shared.next().await;
    assert!(
        matches!(&told, ShareEvent::Idle(idle) if *idle == at(0)),
        "{told:?}"
    );
    assert_eq!(shared.scene.stock.tenure(slot), Some(Tenure::Home));
}
