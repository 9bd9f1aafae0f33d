//! Which machine this is: the same after a reboot, another one for a clone.

use std::{fs, io, path::Path};

use ring::digest::{Context, SHA256};

/// Its name in the state directory.
const ID_FILE: &str = "host-id";

/// What stands for this machine: a hash of an id of our own, the machine's id and that of its hardware.
///
/// # Errors
/// If the own id can be neither read nor written.
pub(crate) fn machine(state_directory: &Path) -> io::Result<String> {
    let own = own_id(&state_directory.join(ID_FILE))?;
    let of_the_system = ["/etc/machine-id", "/sys/class/dmi/id/product_uuid"]
        .map(|path| fs::read_to_string(path).unwrap_or_default());
    let mut digest = Context::new(&SHA256);
    for part in [&own].into_iter().chain(&of_the_system) {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    Ok(hex(&digest.finish().as_ref()[..16]))
}

fn own_id(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(id) if !id.trim().is_empty() => return Ok(id),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let id = hex(&rand::random::<[u8; 16]>());
    // Whole or not at all: half an id would be another machine's the next time.
    let new = path.with_extension("new");
    fs::write(&new, &id)?;
    fs::rename(&new, path)?;
    Ok(id)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The machine's name.
#[must_use]
pub(crate) fn host_name() -> String {
    let name = nix::sys::utsname::uname().ok();
    let name = name.as_ref().and_then(|uname| uname.nodename().to_str());
    name.unwrap_or("localhost").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_the_same_at_each_start_and_another_with_another_id() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = machine(one.path()).unwrap();
        assert_eq!(machine(one.path()).unwrap(), first);
        assert_ne!(machine(two.path()).unwrap(), first);
        assert_eq!(first.len(), 32);
    }
}
