//! The executable's command line. That it has tests of its own also makes cargo build it, beside `tppctl`, for
//! the whole-program tests in the workspace's root.

use std::process::{Command, Output, Stdio};

fn tpp(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tpp"));
    command.args(arguments).stdin(Stdio::null());
    command.output().expect("start tpp")
}

#[test]
fn version_names_the_program_and_its_version() {
    let output = tpp(&["--version"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.starts_with("tpp ") && said.contains(env!("CARGO_PKG_VERSION")),
        "{said:?}"
    );
}

#[test]
fn a_flag_that_does_not_exist_is_wrong_use() {
    let output = tpp(&["--no-such-flag"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--no-such-flag"), "{said:?}");
}

#[test]
fn a_word_that_is_no_command_is_wrong_use() {
    let output = tpp(&["serve-me"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
