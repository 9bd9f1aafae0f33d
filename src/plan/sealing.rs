//! Memory files that are written once and then never change.

use std::{fs::File, io, os::unix::fs::FileExt};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use zeroize::Zeroizing;

use crate::region;

/// Neither its bytes nor its length change, ever.
const SEALS: SealFlag = SealFlag::F_SEAL_WRITE
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_SHRINK)
    .union(SealFlag::F_SEAL_SEAL);

/// A file to be written, and then sealed.
pub(crate) fn file(name: &std::ffi::CStr) -> io::Result<File> {
    region::sealable_file(name)
}

/// From here on it never changes.
pub(crate) fn seal(file: &File) -> io::Result<()> {
    fcntl(file, FcntlArg::F_ADD_SEALS(SEALS))?;
    Ok(())
}

/// Whether it can never change any more.
pub(crate) fn is_sealed(file: &File) -> bool {
    let seals = fcntl(file, FcntlArg::F_GET_SEALS).map(SealFlag::from_bits_retain);
    seals.is_ok_and(|seals| seals.contains(SEALS))
}

/// All its bytes.
pub(crate) fn read(file: &File) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = Zeroizing::new(vec![0; length]);
    // At an offset of its own: other processes have the same open file.
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
