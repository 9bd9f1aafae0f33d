//! `tpp dev`: the whole thing on loopback, in front of embedded stand-ins: two for DolphinDB, two web servers.

mod args;
mod scene;
mod told;

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Context;
use tpp::config::{self, Format};

use crate::{
    prepare::Prepared,
    run::{run_prepared, runtime},
    system::{limits, logging::Log},
};

pub use args::DevArgs;

use scene::Scene;
use told::announce;

/// Runs until told to stop.
///
/// # Errors
/// If an address or the directory for the socket is not to be had.
pub fn run(args: DevArgs) -> anyhow::Result<()> {
    // Kept until the end, and removed with the socket in it.
    let directory = TemporaryDirectory::new()?;
    let control_socket = args
        .control_socket
        .clone()
        .unwrap_or_else(|| directory.0.join("control.sock"));
    runtime()?.block_on(async {
        let scene = Scene::start(&args).await?;
        let text = scene.config(&args, &control_socket, &directory.0);
        let no_variables = BTreeMap::<String, String>::new();
        let config = config::parse(
            &text,
            "tpp dev".as_ref(),
            Format::Toml,
            &directory.0,
            &no_variables,
        )?;
        let log = Log::begin(&config.telemetry)?;
        let last = log.clone();
        limits::prepare();
        let prepared = Prepared::of(config, PathBuf::new(), log, Vec::new())?;
        announce(&prepared, &scene, &control_socket).context("print the addresses")?;
        let ended = run_prepared(prepared).await;
        last.flush();
        ended
    })
}

/// A directory of our own, removed with all in it.
struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("tpp-dev-{}", std::process::id()));
        std::fs::create_dir(&path)
            .with_context(|| format!("make the directory {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        // Left behind at worst: an empty directory among other temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
