use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};
use tpp::config::{self, BackendState, Format};

use super::*;
use crate::desired::edit::Refusal;

const FILE: &str = r#"
[[backends]]
id = "one"
address = "127.0.0.1:3001"
tags = ["a"]
[[backends]]
id = "two"
address = "127.0.0.1:3002"
tags = ["b"]
[[virtual_hosts]]
domain = "a.example"
enabled_backends_tag = "a"
"#;

fn file(text: &str) -> Arc<Config> {
    file_in(Path::new("/"), text)
}

/// A file with `text` in `directory`, where the files are that it names.
fn file_in(directory: &Path, text: &str) -> Arc<Config> {
    let none = BTreeMap::<String, String>::new();
    let path = Path::new("tpp.toml");
    let config = config::parse(text, path, Format::Toml, directory, &none);
    Arc::new(config.unwrap())
}

fn state() -> State {
    State::restored(file(FILE), None)
}

/// What a successor with `text` makes of `state`.
fn succeeded(state: &State, text: &str) -> State {
    let saved = serde_json::to_value(state.saved()).unwrap();
    let saved = serde_json::from_value(saved).unwrap();
    State::restored(file(text), Some(saved))
}

fn new_backend() -> Value {
    json!({"id": "three", "address": "127.0.0.1:3003", "tags": ["c"]})
}

fn subset(body: &Value) -> (&Value, config::Overlay) {
    (body, config::Overlay::Subset)
}

fn key_at_fault(refusal: Result<State, Refusal>) -> String {
    match refusal {
        Err(Refusal::Invalid(problems)) => problems[0].key.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_made_by_api_is_there_again_for_a_successor() {
    let (state, id) = state().create::<Backend>(&new_backend()).unwrap();
    assert_eq!(id, "three");
    let domain = json!({"domain": "New.Example", "enabled_backends_tag": "c"});
    let (state, domain) = state.create::<VirtualHost>(&domain).unwrap();
    assert_eq!(domain, "new.example");
    assert_eq!(state.source::<VirtualHost>(&domain), Source::Api);
    let later = succeeded(&state, FILE);
    assert_eq!((later.revision, &later.gateway), (2, &state.gateway));
    assert!(later.rejected.is_empty() && later.dropped.is_empty());
    let version = |state: &State| state.find::<Backend>("three").unwrap().version();
    assert_eq!(version(&later), version(&state));
}

#[test]
fn what_is_paused_is_so_for_a_successor_and_of_pools_that_are_gone_nothing_is_kept() {
    let untold = serde_json::to_value(state().saved()).unwrap();
    assert!(untold.get("paused").is_none(), "{untold}");
    let paused = state().with_paused("reports", true);
    let names = |state: &State| state.paused.clone().map(Vec::from_iter);
    let later = succeeded(&paused, FILE);
    assert_eq!(names(&later), Some(vec!["reports".to_owned()]));
    assert_eq!(later.revision, 1);
    // The file has no such pool.
    let other = later.with_paused("other", true);
    assert_eq!(names(&other), Some(vec!["other".to_owned()]));
    let resumed = succeeded(&other.with_paused("other", false), FILE);
    assert_eq!(names(&resumed), Some(Vec::new()), "it is known to lend");
}

#[test]
fn nothing_is_made_twice() {
    let (state, _) = state().create::<Backend>(&new_backend()).unwrap();
    let again = state.create::<Backend>(&new_backend()).map(|_| ());
    assert_eq!(again, Err(Refusal::Exists));
}

#[test]
fn an_override_holds_until_the_files_own_entry_is_another() {
    let heavier = state()
        .edit::<Backend>("one", subset(&json!({"weight": 7})), None)
        .unwrap();
    assert_eq!(heavier.source::<Backend>("one"), Source::Override);
    let weight = |state: &State| state.find::<Backend>("one").unwrap().weight;
    let other_place = FILE.replace(":3002", ":4002");
    let same = heavier.under(file(&other_place)).unwrap();
    assert_eq!((weight(&same), same.dropped.len()), (7, 0));
    let own = FILE.replace(":3001", ":4001");
    for state in [
        heavier.under(file(&own)).unwrap(),
        succeeded(&heavier, &own),
    ] {
        assert_eq!(
            (
                weight(&state),
                state.find::<Backend>("one").unwrap().upstream.port
            ),
            (1, 4001)
        );
        assert_eq!(
            state.dropped,
            ["backend one, changed by API: its entry in the file is another now"]
        );
    }
}

#[test]
fn an_entry_that_is_again_as_the_file_has_it_is_the_files() {
    let state = state().set_state("one", BackendState::Drain).unwrap();
    assert_eq!(state.source::<Backend>("one"), Source::Override);
    let state = state.set_state("one", BackendState::Ready).unwrap();
    assert_eq!(state.source::<Backend>("one"), Source::File);
}

#[test]
fn the_file_owns_what_it_declares() {
    let state = state();
    let refused = state.delete::<Backend>("one", None, true);
    assert!(matches!(refused, Err(Refusal::Conflict(_))));
    let (made, _) = state.create::<Backend>(&new_backend()).unwrap();
    let declares =
        format!("{FILE}[[backends]]\nid = \"three\"\naddress = \"127.0.0.1:9\"\ntags = [\"c\"]\n");
    let taken = made.under(file(&declares)).unwrap();
    assert_eq!(taken.find::<Backend>("three").unwrap().upstream.port, 9);
    assert_eq!(taken.source::<Backend>("three"), Source::File);
    assert_eq!(
        taken.dropped,
        ["backend three, made by API: the file declares it now"]
    );
}

#[test]
fn a_change_is_made_to_the_version_it_was_meant_for() {
    let state = state();
    let version = state.find::<Backend>("one").unwrap().version();
    let body = json!({"weight": 2});
    let next = state
        .edit::<Backend>("one", subset(&body), Some(version))
        .unwrap();
    let now = next.find::<Backend>("one").unwrap().version();
    let late = next.edit::<Backend>("one", subset(&body), Some(version));
    assert_eq!(late.unwrap_err(), Refusal::Stale(now));
    let none = next.edit::<Backend>("nine", subset(&body), None);
    assert_eq!(none.unwrap_err(), Refusal::NotFound);
}

#[test]
fn what_is_wrong_changes_nothing_and_is_named() {
    let state = state();
    let edit = |body| state.edit::<VirtualHost>("a.example", subset(&body), None);
    assert_eq!(
        key_at_fault(edit(json!({"enabled_backends_tag": "z"}))),
        "enabled_backends_tag"
    );
    assert_eq!(key_at_fault(edit(json!({"domain": "b.example"}))), "domain");
    assert_eq!(
        key_at_fault(edit(json!({"balanse": "random_two"}))),
        "balanse"
    );
    assert_eq!(key_at_fault(edit(json!({"access": "office"}))), "access");
}

#[test]
fn the_last_backend_of_an_enabled_tag_goes_by_force_alone() {
    let (state, _) = state().create::<Backend>(&new_backend()).unwrap();
    let state = state.switch("a.example", "c", None).unwrap();
    let refused = state.delete::<Backend>("three", None, false);
    assert!(matches!(refused, Err(Refusal::Conflict(reason)) if reason.contains("a.example")));
    let state = state.delete::<Backend>("three", None, true).unwrap();
    assert!(state.find::<Backend>("three").is_none());
    let state = state.switch("a.example", "a", None).unwrap();
    assert!(state.gateway.check().is_empty());
}

#[test]
fn a_switch_moves_all_clients_or_some() {
    let host = |state: &State| {
        let host = state.find::<VirtualHost>("a.example").unwrap();
        (host.enabled_backends_tag.clone(), host.split.clone())
    };
    let split = |tag: &str, percent| BTreeMap::from([(tag.to_owned(), percent)]);
    let state = state().switch("a.example", "b", Some(10)).unwrap();
    assert_eq!(host(&state), ("a".to_owned(), split("b", 10)));
    let state = state.switch("a.example", "b", Some(60)).unwrap();
    assert_eq!(host(&state), ("a".to_owned(), split("b", 60)));
    let state = state.switch("a.example", "b", None).unwrap();
    assert_eq!(host(&state), ("b".to_owned(), BTreeMap::new()));
    assert_eq!(
        host(&state.switch("a.example", "b", None).unwrap()),
        host(&state)
    );
    assert_eq!(
        key_at_fault(state.switch("a.example", "b", Some(50))),
        "percent"
    );
    let unknown = state.switch("a.example", "z", None).unwrap_err();
    assert_eq!(
        unknown,
        Refusal::Conflict("no backend has the tag \"z\"".to_owned())
    );
    assert_eq!(
        state.switch("z.example", "a", None).unwrap_err(),
        Refusal::NotFound
    );
}

#[test]
fn one_bad_entry_spoils_no_other_and_is_kept() {
    let (state, _) = state().create::<Backend>(&new_backend()).unwrap();
    let other = json!({"id": "four", "address": "127.0.0.1:3004", "tags": ["d"]});
    let (state, _) = state.create::<Backend>(&other).unwrap();
    let domain = json!({"domain": "d.example", "enabled_backends_tag": "d"});
    let (state, _) = state.create::<VirtualHost>(&domain).unwrap();
    let mut saved = state.saved();
    assert_eq!(saved.backends[0].entry["id"], "four");
    saved.backends[0].entry["weight"] = json!(-1);
    let later = State::restored(file(FILE), Some(saved));
    assert!(later.find::<Backend>("three").is_some() && later.find::<Backend>("four").is_none());
    let rejected: Vec<_> = later
        .rejected
        .iter()
        .map(|one| (one.kind.as_str(), one.reason.contains("weight")))
        .collect();
    // The host cannot be without the tag that only the bad one has.
    assert_eq!(rejected, [("backend", true), ("domain", false)]);
    assert!(later.gateway.check().is_empty());
    let mut saved = later.saved();
    assert_eq!(saved.rejected.len(), 2, "kept for whoever mends it");
    saved.rejected[0].change.entry["weight"] = json!(1);
    let mended = State::restored(file(FILE), Some(saved));
    assert!(mended.rejected.is_empty());
    assert_eq!(mended.gateway, state.gateway);
}

#[test]
fn a_file_that_does_not_go_with_what_the_api_made_is_refused() {
    let domain = json!({"domain": "b.example", "enabled_backends_tag": "b"});
    let (state, _) = state().create::<VirtualHost>(&domain).unwrap();
    let without = FILE.replace("tags = [\"b\"]", "tags = [\"z\"]");
    let problems = state.under(file(&without)).unwrap_err();
    assert_eq!(
        problems[0].key,
        "virtual_hosts[b.example].enabled_backends_tag"
    );
    let kept = succeeded(&state, &without);
    assert_eq!(kept.rejected.len(), 1, "a start goes on without it");
}

#[test]
fn what_a_host_asks_of_the_front_door_is_there_or_it_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["b.example".to_owned()]).unwrap();
    for (name, text) in [
        ("b.pem", made.cert.pem()),
        ("b.key", made.signing_key.serialize_pem()),
    ] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let tls = format!(
        "{FILE}[[certificates]]\nname = \"b\"\ncert_file = \"b.pem\"\nkey_file = \"b.key\"\n\
         [[listeners]]\naddress = \"127.0.0.1:443\"\ntls = true\n"
    );
    let with_tls = State::restored(file_in(directory.path(), &tls), None);
    let redirected = |state: &State, domain: &str| {
        let body = json!({"domain": domain, "enabled_backends_tag": "a", "http_to_https": true});
        state.create::<VirtualHost>(&body).map(|(state, _)| state)
    };
    let own = json!({"certificate": "acme"});
    let own = |state: &State| state.edit::<VirtualHost>("a.example", subset(&own), None);
    assert_eq!(key_at_fault(own(&state())), "certificate");
    assert_eq!(key_at_fault(own(&with_tls)), "certificate");
    assert_eq!(
        key_at_fault(redirected(&with_tls, "c.example")),
        "http_to_https"
    );
    let covered = redirected(&with_tls, "b.example").unwrap();
    // Without TLS nobody is sent anywhere, and it waits for a file with TLS.
    let waiting = redirected(&state(), "b.example").unwrap();
    assert!(waiting.under(file_in(directory.path(), &tls)).is_ok());
    let waiting = redirected(&state(), "c.example").unwrap();
    let problems = waiting.under(file_in(directory.path(), &tls)).unwrap_err();
    assert_eq!(problems[0].key, "virtual_hosts[c.example].http_to_https");
    assert!(covered.under(file(FILE)).is_ok());
}
