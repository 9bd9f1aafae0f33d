//! Files that are there whole or not at all, whenever the machine stops.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Keeps `text` as `name` in `directory`, which is there, for our own user alone: when this returns it is there, whatever happens.
///
/// # Errors
/// If it cannot be written; then what was kept before is.
pub(crate) fn keep(directory: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    let new = directory.join(format!("{name}.new"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text)?;
    // Before its name: a name that leads to half a file would be worse than the old one.
    file.sync_all()?;
    fs::rename(&new, directory.join(name))?;
    // The name itself.
    File::open(directory)?.sync_all()
}
