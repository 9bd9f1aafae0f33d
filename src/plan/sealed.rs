//! A plan in a memory file that nobody can change any more: written once, read by every worker.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::FileExt,
    },
};

use super::{Plan, sealing};

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The system would not give the memory, or the file cannot be read.
    #[error("the plan's memory file: {0}")]
    File(#[from] io::Error),
    /// It can still be changed by others.
    #[error("the plan is not sealed")]
    Unsealed,
    /// It is in another version's words.
    #[error("the plan is not readable: {0}")]
    Words(#[from] serde_json::Error),
}

/// A plan's memory file, with what must be known without reading it.
#[derive(Debug)]
pub struct Sealed {
    file: File,
    generation: u64,
}

impl Sealed {
    /// Writes `plan` down.
    ///
    /// # Errors
    /// If the system has no memory or no descriptor left.
    pub fn of(plan: &Plan) -> Result<Self, PlanError> {
        let json = serde_json::to_vec(plan)?;
        let file = sealing::file(c"tpp-plan")?;
        file.write_all_at(&json, 0)?;
        sealing::seal(&file)?;
        Ok(Self {
            file,
            generation: plan.generation,
        })
    }

    /// Generation of the plan in it.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The plan in `file`, which another process may have sent, and its file to pass on.
    ///
    /// # Errors
    /// If it is not sealed, or no plan of this version.
    pub fn read(file: OwnedFd) -> Result<(Self, Plan), PlanError> {
        let file = File::from(file);
        if !sealing::is_sealed(&file) {
            return Err(PlanError::Unsealed);
        }
        let plan: Plan = serde_json::from_slice(&sealing::read(&file)?)?;
        let generation = plan.generation;
        Ok((Self { file, generation }, plan))
    }
}

impl AsFd for Sealed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::*;
    use crate::{
        config::{self, Format},
        lending::WorkerSettings,
        plan::{Place, Server},
    };

    fn plan(addresses: usize) -> Plan {
        let text =
            "[upstream]\nhost = \"h\"\n[[credentials]]\nusername = \"u\"\npassword = \"p\"\n";
        let nothing_set = BTreeMap::<String, String>::new();
        let (file, directory) = (Path::new("tpp.toml"), Path::new("/"));
        let config = config::parse(text, file, Format::Toml, directory, &nothing_set).unwrap();
        let addresses: Vec<_> = (0..addresses)
            .map(|n| format!("10.{}.{}.1:80", n / 256, n % 256).parse().unwrap())
            .collect();
        let places: Vec<Place> = Server::of(&config.upstream, config.token.scope).at(&addresses);
        Plan::plain(7, WorkerSettings::of(&config, 2), places)
    }

    #[test]
    fn a_plan_of_any_size_is_read_as_it_was_written() {
        for addresses in [0, 1, 5000] {
            let plan = plan(addresses);
            let sealed = Sealed::of(&plan).unwrap();
            assert_eq!(sealed.generation(), 7);
            for _ in 0..2 {
                let sent = sealed.as_fd().try_clone_to_owned().unwrap();
                let (passed_on, read) = Sealed::read(sent).unwrap();
                assert_eq!((read, passed_on.generation()), (plan.clone(), 7));
            }
        }
        let large = Sealed::of(&plan(5000)).unwrap();
        assert!(large.file.metadata().unwrap().len() > 64 * 1024);
    }

    #[test]
    fn nobody_can_change_it_any_more() {
        let sealed = Sealed::of(&plan(1)).unwrap();
        assert!(sealed.file.write_all_at(b"[", 0).is_err());
        assert!(sealed.file.set_len(0).is_err());
        assert!(sealed.file.set_len(1 << 20).is_err());
    }

    #[test]
    fn a_file_that_could_still_change_or_is_no_plan_is_refused() {
        let flags = MFdFlags::MFD_ALLOW_SEALING;
        let file = File::from(memfd_create("none", flags).unwrap());
        let open = || file.as_fd().try_clone_to_owned().unwrap();
        assert!(matches!(Sealed::read(open()), Err(PlanError::Unsealed)));
        file.write_all_at(b"{\"generation\":1}", 0).unwrap();
        sealing::seal(&file).unwrap();
        assert!(matches!(Sealed::read(open()), Err(PlanError::Words(_))));
    }
}
