//! What the fuzz targets of this crate call: bytes in, a panic where something is not as promised.
//!
//! It is built for fuzzing and for tests alone; the tests run it over the committed corpora.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    os::fd::AsRawFd,
    os::unix::fs::FileExt,
    path::Path,
};

use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    config::{self, Config, Format, MAX_SESSIONS},
    control::{
        Request, Response,
        frame::{self, FrameError, MAX_FRAME_BYTES, MAX_REQUEST_BYTES},
    },
    lending::WorkerSettings,
};

pub use crate::region::fuzzing::region_header;

#[cfg(test)]
#[path = "../fuzz/replay.rs"]
mod replay;

/// Stands where a configuration names its upstream and nothing else.
const UPSTREAM: &str = "[upstream]\nhost = \"db.example\"\n";

/// Any text as `tpp.toml`.
pub fn config_toml(bytes: &[u8]) {
    config(bytes, Format::Toml);
}

/// Any text as `config.yaml`.
pub fn config_yaml(bytes: &[u8]) {
    config(bytes, Format::Yaml);
}

fn config(bytes: &[u8], format: Format) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    // It may name files, and some of those never end or answer to being opened.
    if ["/dev", "/proc", "/sys"]
        .iter()
        .any(|root| text.contains(root))
    {
        return;
    }
    if let Ok(config) = parse(text, format) {
        assert_sound(&config);
    }
}

fn parse(text: &str, format: Format) -> Result<Config, config::Problems> {
    let nothing_set = BTreeMap::<String, String>::new();
    let directory = Path::new("/nonexistent");
    let parsed = config::parse(text, Path::new("fuzzed"), format, directory, &nothing_set);
    parsed.inspect_err(|problems| {
        assert!(
            !problems.to_string().trim().is_empty(),
            "refused without a word"
        );
    })
}

/// What [`Config`] promises, and that workers get of it what the supervisor has.
fn assert_sound(config: &Config) {
    assert!(!config.addresses().is_empty());
    let gateway = &config.gateway;
    let accounts = gateway.pools.iter().flat_map(|pool| &pool.credentials);
    assert!(accounts.map(|one| one.sessions).sum::<usize>() <= MAX_SESSIONS);
    assert!(config.sessions() > 0 || !gateway.pools.iter().any(|pool| pool.name == "default"));
    assert_eq!(gateway.check(), []);
    let users: HashSet<_> = config.credentials.iter().map(|one| &one.username).collect();
    assert_eq!(users.len(), config.credentials.len(), "a user twice");
    for credential in &config.credentials {
        assert!(!credential.username.is_empty() && !credential.password.expose().is_empty());
    }
    let settings = WorkerSettings::of(config, 1);
    let json = serde_json::to_vec(&settings).expect("plain data");
    let read: WorkerSettings = serde_json::from_slice(&json).expect("what was written");
    assert_eq!(read, settings);
}

/// Any bytes as a credentials file, and as a password file.
pub fn credentials(bytes: &[u8]) {
    let file = File::from(memfd_create("fuzzed", MFdFlags::MFD_CLOEXEC).expect("memory"));
    file.write_all_at(bytes, 0).expect("memory");
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let of_lines = parse(
        &format!("credentials_file = \"{path}\"\n{UPSTREAM}"),
        Format::Toml,
    );
    if let Ok(config) = of_lines {
        assert_sound(&config);
        let text = std::str::from_utf8(bytes).expect("only text is taken");
        let accounts = config.credentials.iter();
        let accounts = accounts.map(|one| (one.username.as_str(), one.password.expose()));
        assert_eq!(accounts.collect::<Vec<_>>(), accounts_in(text));
    }
    let account = format!("[[credentials]]\nusername = \"u\"\npassword_file = \"{path}\"\n");
    if let Ok(config) = parse(&format!("{UPSTREAM}{account}"), Format::Toml) {
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        let password = config.credentials[0].password.expose().as_bytes();
        assert!(bytes.starts_with(password), "a password nobody wrote");
        assert!(bytes.len() <= password.len() + 2, "a password cut short");
    }
}

/// The accounts in the lines of a sound credentials file, read in another way than the program does.
fn accounts_in(text: &str) -> Vec<(&str, &str)> {
    let text = text.trim_start_matches('\u{feff}');
    let lines = text.split_inclusive('\n').map(|line| {
        let ended = line.strip_suffix("\r\n").or(line.strip_suffix('\n'));
        ended.unwrap_or(line)
    });
    let lines = lines.filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#'));
    lines
        .map(|line| {
            let colon = line.find(':').expect("refused without one");
            (line[..colon].trim(), &line[colon + 1..])
        })
        .collect()
}

/// Any bytes as a frame to the supervisor, and as one to `tppctl`.
pub fn control_frame(bytes: &[u8]) {
    frame_of::<Request>(bytes, MAX_REQUEST_BYTES);
    frame_of::<Response>(bytes, MAX_FRAME_BYTES);
}

fn frame_of<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    bound: usize,
) {
    let mut rest = bytes;
    let message = match frame::read::<T>(&mut rest, bound) {
        Ok(message) => message,
        Err(FrameError::Io(error)) => panic!("memory does not fail: {error}"),
        Err(FrameError::TooLong {
            bytes: announced, ..
        }) => {
            assert!(announced > bound);
            return assert_eq!(bytes.len() - rest.len(), frame::HEADER_BYTES, "read on");
        }
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let announced = u32::from_be_bytes(bytes[..frame::HEADER_BYTES].try_into().expect("four"));
    let taken = bytes.len() - rest.len();
    assert_eq!(
        taken,
        frame::HEADER_BYTES + announced as usize,
        "read past its frame"
    );
    let again = frame::encode(&message).expect("it came in a frame");
    let back: T = frame::read(&mut again.as_slice(), MAX_FRAME_BYTES).expect("our own frame");
    assert_eq!(back, message);
}

#[cfg(test)]
mod tests {
    use super::{replay::replay, *};

    macro_rules! corpus {
        ($name:literal) => {
            concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/", $name)
        };
    }

    #[test]
    fn the_corpus_of_toml_configurations_is_judged_as_promised() {
        replay(corpus!("config_toml"), config_toml);
    }

    #[test]
    fn the_corpus_of_yaml_configurations_is_judged_as_promised() {
        replay(corpus!("config_yaml"), config_yaml);
    }

    #[test]
    fn the_corpus_of_credentials_is_read_as_promised() {
        replay(corpus!("credentials"), credentials);
    }

    #[test]
    fn the_corpus_of_control_frames_is_read_as_promised() {
        replay(corpus!("control_frame"), control_frame);
    }

    #[test]
    fn the_corpus_of_regions_is_judged_as_promised() {
        replay(corpus!("region_header"), region_header);
    }
}
