mod leaving;
mod shares;
mod sharing;

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use tpp::{
    bells::BellBoard,
    lending::Desk,
    pool::Origin,
    region::{Geometry, Region},
    shared::Hopeless,
};

use super::*;
use crate::{
    provider::{Grant, Granting, LeaveTaking, LoginError, Manner, Token},
    schedule::Rules,
};

/// What the next login comes to.
type Script = Box<dyn Fn(usize) -> Result<Grant, LoginError> + Send + Sync>;

/// Answers logins by their number.
struct Scripted {
    script: Script,
    asked: AtomicUsize,
    manner: Manner,
    /// Tokens that were logged out.
    left: Mutex<Vec<String>>,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

impl Provider for Scripted {
    fn grant<'a>(&'a self, _: &'a Credential, _: SocketAddr) -> Granting<'a> {
        let number = self.asked.fetch_add(1, SeqCst);
        Box::pin(async move { (self.script)(number) })
    }

    fn unresolved(&self) -> LoginError {
        LoginError::Truncated
    }

    fn manner(&self) -> Manner {
        self.manner
    }

    fn log_out<'a>(&'a self, _: &'a Credential, token: &'a Token) -> Option<LeaveTaking<'a>> {
        Some(Box::pin(async move {
            let token = String::from_utf8_lossy(token.expose()).into_owned();
            self.left.lock().unwrap().push(token);
            Ok(())
        }))
    }
}

fn there() -> Place {
    Place {
        address: ([127, 0, 0, 1], 1).into(),
        origin: Origin::new(1),
    }
}

fn good() -> Result<Grant, LoginError> {
    Ok(Grant {
        secret: Token::new("abc", 64).unwrap(),
        expires_in: None,
    })
}

fn refused() -> Result<Grant, LoginError> {
    Err(LoginError::Refused {
        reason: "no".to_owned(),
    })
}

fn busy() -> Result<Grant, LoginError> {
    Err(LoginError::Busy {
        reason: "full".to_owned(),
    })
}

struct Scene {
    stock: Arc<Stock>,
    provider: Arc<Scripted>,
    bell: watch::Sender<()>,
}

impl Scene {
    fn new(
        slots: usize,
        script: impl Fn(usize) -> Result<Grant, LoginError> + Send + Sync + 'static,
    ) -> Self {
        Self::of(Manner::AtBackend, slots, script)
    }

    fn of(
        manner: Manner,
        slots: usize,
        script: impl Fn(usize) -> Result<Grant, LoginError> + Send + Sync + 'static,
    ) -> Self {
        let geometry = Geometry {
            slots,
            seats: 1,
            token_bytes: 64,
        };
        let region = Arc::new(Region::create(geometry).unwrap());
        Self {
            stock: Arc::new(Stock::new(region, BellBoard::create(1).unwrap())),
            provider: Arc::new(Scripted {
                script: Box::new(script),
                asked: AtomicUsize::new(0),
                manner,
                left: Mutex::default(),
            }),
            bell: watch::channel(()).0,
        }
    }

    fn setup(&self, password: &str, sessions: usize) -> Setup {
        Setup {
            shared: None,
            provider: Arc::clone(&self.provider) as Arc<dyn Provider>,
            rules: Rules {
                ttl: Duration::from_secs(3600),
                refresh_check: Duration::from_secs(60),
                login_concurrency: 16,
            },
            accounts: vec![Credential::new("ann", password, sessions)],
        }
    }

    fn refresher(&self, password: &str, sessions: usize) -> Refresher {
        Refresher::new(
            self.setup(password, sessions),
            vec![there()],
            Arc::clone(&self.stock),
            self.bell.subscribe(),
        )
        .unwrap()
    }

    /// Runs a refresher until `claim` holds.
    async fn until(&self, refresher: Refresher, claim: impl Fn() -> bool) {
        let looks = async {
            while !claim() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = refresher.run() => {}
            () = looks => {}
            () = tokio::time::sleep(Duration::from_secs(60)) => panic!("it did not come to that"),
        }
    }

    fn usable(&self) -> u64 {
        self.stock.pool().census().usable
    }

    fn asked(&self) -> usize {
        self.provider.asked.load(SeqCst)
    }

    fn desk(&self) -> Arc<Desk> {
        let (seat, epoch) = self.stock.fill_seat(0).unwrap();
        let bells = self.stock.bells().try_clone().unwrap();
        Desk::new(Arc::clone(self.stock.region()), bells, seat, epoch)
    }
}

#[tokio::test]
async fn a_login_that_breaks_down_is_trouble_and_its_slot_comes_in() {
    let scene = Scene::new(1, |number| match number {
        0 => panic!("what no code may do"),
        _ => good(),
    });
    let refresher = scene.refresher("pw", 1);
    scene.until(refresher, || scene.usable() == 1).await;
    assert_eq!(scene.asked(), 2);
    assert_eq!(scene.stock.region().supervisors().logins_failed.get(), 1);
}

#[tokio::test]
async fn a_good_token_stays_lent_when_its_renewal_is_refused_or_the_server_busy() {
    for failure in [busy, refused] {
        let scene = Scene::new(
            1,
            move |number| if number == 0 { good() } else { failure() },
        );
        let refresher = scene.refresher("pw", 1);
        let handle = refresher.handle();
        let renewal = async {
            while scene.usable() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            handle.renew(None).await;
        };
        let running = scene.until(refresher, || {
            scene.asked() == 2 && {
                let counters = scene.stock.region().supervisors();
                counters.logins_failed.get() + counters.logins_refused.get() == 1
            }
        });
        tokio::join!(renewal, running);
        assert_eq!(scene.usable(), 1);
        assert_eq!(scene.stock.hopeless(), None);
    }
}

#[tokio::test]
async fn when_all_are_refused_nobody_need_wait_until_one_is_in() {
    let scene = Scene::new(2, |number| if number == 0 { refused() } else { good() });
    let refresher = scene.refresher("pw", 2);
    let handle = refresher.handle();
    let hopeless = || scene.stock.hopeless();
    let steps = async {
        while hopeless().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(
            hopeless(),
            Some(Hopeless::Refused(1)),
            "accounts, not slots"
        );
        handle.renew(None).await;
    };
    let running = scene.until(refresher, || scene.usable() == 2 && hopeless().is_none());
    tokio::join!(steps, running);
}

#[tokio::test]
async fn a_refused_accounts_rest_outlives_its_supervisor_but_not_its_password() {
    let scene = Scene::new(1, |_| refused());
    let refresher = scene.refresher("wrong", 1);
    let resting = || scene.stock.legacy(SlotIndex::new(0)).rest.is_some();
    scene.until(refresher, resting).await;
    let next = scene.refresher("wrong", 1);
    let until = next.handle.ledger().schedule.resting_until(0).unwrap();
    assert!(until > clock::now() + Duration::from_secs(200));
    scene
        .until(next, || {
            scene.stock.hopeless() == Some(Hopeless::Refused(1))
        })
        .await;
    assert_eq!(scene.asked(), 1, "not asked again");
    let mended = scene.refresher("right", 1);
    scene.until(mended, || scene.asked() == 2).await;
}

#[tokio::test]
async fn a_refusal_while_the_account_rests_is_answered_at_once() {
    let scene = Scene::new(1, |number| if number == 0 { good() } else { refused() });
    let desk = scene.desk();
    let refresher = scene.refresher("pw", 1);
    let handle = refresher.handle();
    let holder = async {
        let lease = loop {
            match desk.try_lease() {
                Some(lease) => break lease,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        handle.renew(None).await;
        while scene.stock.region().supervisors().logins_refused.get() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(scene.usable() == 1, "refused, and lent on");
        assert!(!lease.refreshed(lease.token_version()).await);
        scene.bell.send_replace(());
        lease
    };
    let held = async {
        tokio::time::timeout(Duration::from_secs(20), holder)
            .await
            .unwrap()
    };
    tokio::select! {
        () = refresher.run() => {}
        lease = held => drop(lease),
    }
    assert_eq!(scene.asked(), 2);
}

#[test]
fn a_ring_looks_at_the_slots_that_were_reported_and_at_no_other() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let scene = Scene::new(16_384, |_| good());
    let desk = scene.desk();
    let mut refresher = scene.refresher("pw", 16_384);
    assert_eq!(refresher.look_at_reported(), 0);
    for slot in [0, 77, 16_383] {
        scene
            .stock
            .install(SlotIndex::new(slot), b"abc", there().origin)
            .unwrap();
    }
    let leases: Vec<_> = std::iter::from_fn(|| desk.try_lease()).collect();
    assert_eq!(leases.len(), 3);
    for lease in &leases {
        lease.report_refused(lease.token_version());
        lease.report_refused(lease.token_version());
    }
    desk.report_unreachable();
    assert_eq!(refresher.look_at_reported(), 3);
    assert_eq!(refresher.look_at_reported(), 0, "a ring for something else");
}
