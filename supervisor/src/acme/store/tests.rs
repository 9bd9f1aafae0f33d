use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::acme::schedule::Kind;

fn held(host: &str) -> Held {
    let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    let key = Zeroizing::new(made.signing_key.serialize_pem());
    Held::of("https://ca.test/dir", host, (made.cert.pem(), key)).unwrap()
}

fn record(host: &str) -> Record {
    let why = (Kind::Refused, "no".to_owned());
    Record {
        held: Some(held(host)),
        window: Some(Window::silent(None, 7)),
        trouble: Some(Trouble::after(None, why, None, ("x", 0.0), 7)),
    }
}

#[test]
fn what_is_kept_is_found_again_by_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::new(&directory.path().join("state"));
    assert!(store.load("a.test").held.is_none());
    let kept = record("a.test");
    store.save("a.test", &kept).unwrap();
    let found = store.load("a.test");
    assert_eq!(found.held.unwrap().certified, kept.held.unwrap().certified);
    assert_eq!((found.window, found.trouble), (kept.window, kept.trouble));
    assert!(store.load("b.test").held.is_none());
    let file = directory.path().join("state/acme/certificates/a.test.json");
    for (path, mode) in [(file.parent().unwrap(), 0o700), (&file, 0o600)] {
        let found = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{}", path.display());
    }
}

#[test]
fn what_tpp_did_not_write_is_put_aside_and_its_text_told_to_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::new(directory.path());
    store.save("a.test", &record("a.test")).unwrap();
    let file = directory.path().join("acme/certificates/a.test.json");
    let whole = fs::read_to_string(&file).unwrap();
    for strange in ["", "{}", "{\"format\":2}", &whole[..whole.len() / 2]] {
        fs::write(&file, strange).unwrap();
        let found = store.load("a.test");
        assert!(found.held.is_none() && found.trouble.is_none());
        let aside = file.with_extension("json.rejected");
        assert_eq!(fs::read_to_string(aside).unwrap(), strange);
        assert!(!file.exists());
    }
    // A certificate that is another host's is none, and what was in vain is known all the same.
    store.save("a.test", &record("b.test")).unwrap();
    let found = store.load("a.test");
    assert!(found.held.is_none() && found.trouble.is_some());
}

#[test]
fn an_account_is_its_authoritys() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::new(directory.path());
    let credentials = r#"{"id":"https://ca.test/acct/1","key_pkcs8":"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg","directory":"https://ca.test/dir"}"#;
    let credentials = || serde_json::from_str(credentials).unwrap();
    let (own, other) = ("https://ca.test/dir", "https://ca-test/dir");
    store
        .keep_account(&SavedAccount::new(own, Some("a@b.test"), credentials()))
        .unwrap();
    let found = store.account(own).unwrap();
    assert_eq!(found.email.as_deref(), Some("a@b.test"));
    assert!(
        store.account(other).is_none(),
        "though its file has the same name"
    );
    store.forget_account(own);
    assert!(store.account(own).is_none());
}

#[test]
fn where_nothing_can_be_written_that_is_said() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("acme"), "a file").unwrap();
    let said = Store::new(directory.path()).save("a.test", &Record::default());
    let said = said.unwrap_err();
    assert!(said.contains("acme/certificates/a.test.json: "), "{said}");
}
