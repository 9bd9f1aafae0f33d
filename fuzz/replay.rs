//! Runs a fuzz target's function over its committed corpus, so that what fuzzing has found stays found without it.

use std::{fs, path::Path};

/// Hands every file of `corpus` to `target`, which panics where a promise is broken.
pub(crate) fn replay(corpus: &str, target: impl Fn(&[u8])) {
    let entries = fs::read_dir(Path::new(corpus)).expect("a committed corpus");
    let mut inputs = 0;
    for entry in entries {
        let path = entry.expect("an entry").path();
        println!("{}", path.display());
        target(&fs::read(&path).expect("an input"));
        inputs += 1;
    }
    assert!(inputs > 0, "{corpus} is empty");
}
