use std::collections::HashMap;

use tokio::sync::Semaphore;

use super::*;
use crate::health::rules::{Kind, Rules, Trust};

/// Answers as it is told, and counts.
#[derive(Debug, Default)]
struct Scripted {
    failing: Mutex<HashMap<String, String>>,
    asked: Mutex<Vec<(String, Instant)>>,
    at_once: Mutex<(usize, usize)>,
    /// Checks end as permits come, if there is one.
    gate: Option<Semaphore>,
}

impl Scripted {
    fn fail(&self, id: &str, reason: &str) {
        let mut failing = self.failing.lock().unwrap();
        failing.insert(id.to_owned(), reason.to_owned());
    }

    fn mend(&self, id: &str) {
        self.failing.lock().unwrap().remove(id);
    }

    fn asked(&self, id: &str) -> Vec<Instant> {
        let asked = self.asked.lock().unwrap();
        let of_it = asked.iter().filter(|(asked, _)| asked == id);
        of_it.map(|(_, at)| *at).collect()
    }

    fn most_at_once(&self) -> usize {
        self.at_once.lock().unwrap().1
    }
}

impl Probe for Arc<Scripted> {
    async fn check(&self, target: &Target) -> Result<Alive, String> {
        let id = target.id.clone();
        self.asked
            .lock()
            .unwrap()
            .push((id.clone(), Instant::now()));
        {
            let mut at_once = self.at_once.lock().unwrap();
            at_once.0 += 1;
            at_once.1 = at_once.1.max(at_once.0);
        }
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        self.at_once.lock().unwrap().0 -= 1;
        let failing = self.failing.lock().unwrap().get(&id).cloned();
        match failing.as_deref() {
            None => Ok(Alive::Well),
            Some("refused") => Ok(Alive::Refused),
            Some("panic") => panic!("as it was told"),
            Some("hang") => std::future::pending().await,
            Some(reason) => Err(reason.to_owned()),
        }
    }
}

fn target(id: &str) -> Target {
    Target {
        id: id.to_owned(),
        upstream: tpp::config::Upstream::at(id, 80),
        trust: Trust::default(),
        addresses: vec![([127, 0, 0, 1], 80).into()],
        rules: Rules {
            kind: Kind::Tcp,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            healthy_threshold: 2,
            unhealthy_threshold: 3,
        },
    }
}

/// Checks of `ids`, under way.
fn checks(probe: &Arc<Scripted>, ids: &[&str], begin: Begin) -> Checks {
    let checks = Checks::default();
    checks.replace(ids.iter().map(|id| target(id)).collect(), |_| begin);
    tokio::spawn(Checker::new(checks.clone(), Arc::clone(probe)).run());
    checks
}

async fn until(checks: &Checks, claim: impl Fn(&Checks) -> bool) {
    let mut turns = checks.turns();
    while !claim(checks) {
        turns.changed().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_goes_down_after_its_threshold_and_comes_back() {
    let probe = Arc::new(Scripted::default());
    let checks = checks(&probe, &["a", "b"], Begin::Assumed);
    checks.looked_at(&["a".to_owned(), "b".to_owned()]).await;
    probe.fail("a", "connection refused");
    until(&checks, |checks| checks.health("a") == Some(Health::Down)).await;
    let seen = &checks.seen()["a"];
    assert_eq!(seen.last_error.as_deref(), Some("connection refused"));
    assert_eq!((seen.passed > 0, seen.failed), (true, 3));
    assert_eq!(checks.health("b"), Some(Health::Up));
    probe.mend("a");
    until(&checks, |checks| checks.health("a") == Some(Health::Up)).await;
    assert_eq!(checks.health("none"), None);
}

#[tokio::test(start_paused = true)]
async fn checks_come_at_their_interval_give_or_take_a_tenth() {
    let probe = Arc::new(Scripted::default());
    let _checks = checks(&probe, &["a"], Begin::Assumed);
    tokio::time::sleep(Duration::from_secs(300)).await;
    let asked = probe.asked("a");
    assert!((26..=34).contains(&asked.len()), "{}", asked.len());
    let gaps: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let within = Duration::from_millis(8990)..=Duration::from_millis(11_010);
    assert!(gaps.iter().all(|gap| within.contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| gap != &gaps[0]), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn the_first_checks_of_many_are_spread() {
    let probe = Arc::new(Scripted::default());
    let ids: Vec<_> = (0..100).map(|number| format!("b{number}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let began = Instant::now();
    let _checks = checks(&probe, &ids, Begin::Inherited(Health::Up));
    // Half as long again: timers round up, and the last of a hundred is late.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let first = ids.iter().map(|id| probe.asked(id)[0] - began);
    let early = first
        .filter(|after| *after < Duration::from_secs(1))
        .count();
    assert!(
        (20..=80).contains(&early),
        "{early} of 100 in the first half"
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_than_so_many_are_under_way_at_once() {
    let probe = Arc::new(Scripted {
        gate: Some(Semaphore::new(0)),
        ..Scripted::default()
    });
    let ids: Vec<_> = (0..3 * MOST_AT_ONCE).map(|one| one.to_string()).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let checks = checks(&probe, &ids, Begin::Unproved);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(probe.most_at_once(), MOST_AT_ONCE);
    probe.gate.as_ref().unwrap().add_permits(ids.len());
    let names: Vec<_> = ids.iter().map(|id| (*id).to_owned()).collect();
    checks.looked_at(&names).await;
    assert_eq!(probe.most_at_once(), MOST_AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_or_breaks_down_has_failed() {
    let probe = Arc::new(Scripted::default());
    probe.fail("a", "hang");
    probe.fail("b", "panic");
    let checks = checks(&probe, &["a", "b", "c"], Begin::Assumed);
    let down = |id, checks: &Checks| checks.health(id) == Some(Health::Down);
    until(&checks, |checks| down("a", checks) && down("b", checks)).await;
    let reason = |id: &str| checks.seen()[id].last_error.clone().unwrap();
    assert_eq!(reason("a"), "no whole answer within 5s");
    assert_eq!(reason("b"), "the check broke down");
    assert_eq!(checks.health("c"), Some(Health::Up));
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_turned_down_is_not_tried_again_soon() {
    let probe = Arc::new(Scripted::default());
    probe.fail("a", "refused");
    let checks = checks(&probe, &["a"], Begin::Unproved);
    tokio::time::sleep(Duration::from_secs(900)).await;
    assert!(probe.asked("a").len() <= 4, "{:?}", probe.asked("a"));
    assert_eq!(checks.health("a"), Some(Health::Up), "who refuses lives");
}

#[tokio::test(start_paused = true)]
async fn who_stays_keeps_its_state_and_another_server_of_its_name_does_not() {
    let probe = Arc::new(Scripted::default());
    probe.fail("a", "connection refused");
    let checks = checks(&probe, &["a", "gone"], Begin::Assumed);
    until(&checks, |checks| checks.health("a") == Some(Health::Down)).await;
    let since = checks.seen()["a"].clone();
    let mut slower = target("a");
    slower.rules.interval = Duration::from_secs(60);
    checks.replace(vec![slower, target("new")], |_| Begin::Unproved);
    assert_eq!(checks.seen()["a"], since);
    assert_eq!(checks.health("gone"), None);
    assert_eq!(checks.health("new"), Some(Health::Down));
    checks.looked_at(&["new".to_owned()]).await;
    assert_eq!(checks.health("new"), Some(Health::Up));
    let mut elsewhere = target("a");
    elsewhere.upstream.port = 81;
    checks.replace(vec![elsewhere], |_| Begin::Assumed);
    assert_eq!(checks.health("a"), Some(Health::Up));
}
