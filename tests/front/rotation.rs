//! Certificates that change while clients come and go, and files that are broken.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use super::{
    browser::{Browser, Secure},
    common::{load::while_clients_work, settings::Settings, wait_until},
    handshakes::FAILED,
    scene::{DEFAULT_HOST, Scene, secure, with_files},
};

/// Two of each kind.
const CLIENTS: usize = 6;

#[test]
fn ten_rotations_and_ten_reloads_under_load_fail_no_handshake_and_no_request() {
    let (scene, _) = Scene::new("", DEFAULT_HOST).certificate("one", &["a.test"]);
    let proxy = scene.start();
    let address = secure(&proxy);
    let served = [const { AtomicUsize::new(0) }; CLIENTS];
    let regular = Browser::trusting(&scene.authority);
    let kept: [Mutex<Option<Secure>>; CLIENTS] = Default::default();
    let come = |number: usize| {
        let new = |browser: &Browser| browser.connect(address, "a.test").expect("a handshake");
        let mut kept = kept[number].lock().expect("one thread a client");
        let client = match (number % 3, kept.take()) {
            // With a handshake from its beginning, or going on with a session, or always over one connection.
            (0, _) => new(&Browser::trusting(&scene.authority)),
            (1, _) | (_, None) => new(&regular),
            (_, Some(client)) => client,
        };
        let client = kept.insert(client);
        let answer = client.get("a.test", "/").expect("an answer");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.field("connection"), None, "it is not to end");
        served[number].fetch_add(1, SeqCst);
    };
    let pids = proxy.worker_pids();
    let reload = |settings: &Settings, what: &str| {
        settings.write_to(proxy.directory());
        let outcome = proxy.ctl(&["reload"]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.out.contains(what), "{outcome:?}");
        let before = served.each_ref().map(|count| count.load(SeqCst));
        wait_until("all clients go on", || {
            let mut counts = served.iter().zip(before);
            counts.all(|(count, before)| count.load(SeqCst) > before)
        });
    };
    let rotate = |round: usize| {
        let issued = scene.authority.issue(&["a.test"]);
        let settings = with_files(scene.settings.clone(), "one", &issued);
        reload(&settings, "certificates (1 changed)");
        let shown = Browser::trusting(&scene.authority).connect(address, "a.test");
        assert_eq!(shown.expect("a handshake").shown(), issued.der);
        let host = DEFAULT_HOST.replace("default", &format!("round-{round}.test"));
        reload(&settings.further(&host), "virtual_hosts");
    };
    while_clients_work(CLIENTS, come, || (0..10).for_each(rotate));
    assert_eq!(proxy.worker_pids(), pids, "no worker is replaced for it");
    assert_eq!(proxy.metric(FAILED), Some(0.0));
}

#[test]
fn a_changed_file_is_noticed_and_a_broken_one_changes_nothing() {
    let (scene, old) = Scene::new("", DEFAULT_HOST).certificate("one", &["a.test"]);
    let proxy = scene.start();
    let shown = || {
        let browser = Browser::trusting(&scene.authority);
        let client = browser
            .connect(secure(&proxy), "a.test")
            .expect("a handshake");
        client.shown()
    };
    let error = || proxy.status().certificates[0].error.clone();
    // Its key is still the old one's.
    let new = scene.authority.issue(&["a.test"]);
    let half = scene.settings.clone().file("one.pem", &new.pem);
    half.write_to(proxy.directory());
    wait_until("it is told that they do not fit", || {
        error().is_some_and(|error| error.contains("the key of another certificate"))
    });
    assert_eq!(shown(), old.der);
    let outcome = proxy.ctl(&["reload"]);
    assert!(outcome.code != Some(0), "{outcome:?}");
    assert_eq!(shown(), old.der);
    with_files(scene.settings.clone(), "one", &new).write_to(proxy.directory());
    wait_until("the new one is shown", || shown() == new.der);
    assert_eq!(error(), None);
    let ends = proxy.metric("tpp_certificate_not_after_seconds{certificate=\"one\"}");
    assert_eq!(ends, Some(proxy.status().certificates[0].not_after as f64));
    let told = proxy.ctl(&["status"]).out;
    assert!(
        told.contains("one: good for") && told.contains("; a.test"),
        "{told}"
    );
}

#[test]
fn a_listener_comes_and_goes_with_a_reload_and_sessions_outlive_the_supervisor() {
    let (scene, _) = Scene::new("", DEFAULT_HOST).certificate("one", &["a.test"]);
    let mut proxy = scene.start();
    let address = secure(&proxy);
    let browser = Browser::trusting(&scene.authority);
    let mut first = browser.connect(address, "a.test").expect("a handshake");
    assert_eq!(first.get("a.test", "/").expect("an answer").status, 200);
    let outcome = proxy.upgrade(None);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(secure(&proxy), address);
    let mut second = browser.connect(address, "a.test").expect("a handshake");
    assert!(second.is_resumed(), "the successor's workers know the keys");
    assert_eq!(second.get("a.test", "/").expect("an answer").status, 200);
    // The same socket, and no TLS any more.
    let plain = scene.settings.clone().replace("tls = true", "tls = false");
    plain.write_to(proxy.directory());
    let outcome = proxy.ctl(&["reload"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    wait_until("it is plain", || {
        let mut client = super::browser::dial(address).expect("connect");
        super::browser::ask(&mut client, "a.test", "/").is_ok_and(|answer| answer.status == 200)
    });
}
