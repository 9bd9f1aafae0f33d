//! The executables that the tests try.

use std::{env, path::PathBuf};

/// The executable `name`, which cargo builds beside the tests when it builds the whole workspace.
pub(crate) fn built(name: &str) -> PathBuf {
    // A test lies in `deps`, one level below.
    let mut path = env::current_exe().expect("where this test lies");
    path.pop();
    path.pop();
    path.push(name);
    assert!(
        path.exists(),
        "{} is missing: run `cargo test --workspace`, or `cargo build --workspace` first",
        path.display()
    );
    path
}
