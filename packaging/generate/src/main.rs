//! Writes manual pages and shell completions into a directory: `tpp-generate DIRECTORY`.
//!
//! They are made from what the programs themselves use: their command lines, the table of configuration
//! keys, and the commented example.

use std::{fs, path::Path};

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;

mod config_page;
mod page;
mod program_page;

#[path = "../../../program/src/cli.rs"]
mod tpp_cli;

#[path = "../../../src/bin/tppctl/args.rs"]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "described here, used in tppctl")
)]
mod tppctl_args;

fn main() -> anyhow::Result<()> {
    let directory = std::env::args_os().nth(1);
    let directory = directory.context("say where to: tpp-generate DIRECTORY")?;
    let directory = Path::new(&directory);
    fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
    for (name, program, more) in [
        ("tpp", tpp_cli::Cli::command(), program_page::TPP),
        ("tppctl", tppctl_args::Args::command(), program_page::TPPCTL),
    ] {
        let program = without_hidden(&program);
        let page = program_page::render(program.clone(), more)?;
        write(directory, &format!("{name}.1"), &page)?;
        complete(directory, name, program)?;
    }
    write(directory, "tpp.toml.5", &config_page::render()?)
}

/// The same without the options and subcommands that are not for people: clap's completions would offer them.
fn without_hidden(program: &Command) -> Command {
    // clap wants names for ever, and this process is a short one.
    let name: &'static str = program.get_name().to_owned().leak();
    let mut shown = Command::new(name)
        .about(program.get_about().cloned().unwrap_or_default())
        .args(program.get_arguments().filter(|arg| !arg.is_hide_set()))
        .subcommand_value_name("COMMAND")
        .subcommand_required(program.is_subcommand_required_set());
    if program.get_version().is_some() {
        shown = shown.version(env!("CARGO_PKG_VERSION"));
    }
    for subcommand in program.get_subcommands() {
        if !subcommand.is_hide_set() {
            shown = shown.subcommand(without_hidden(subcommand));
        }
    }
    shown
}

/// One file for each shell, named as clap does it: `tpp.bash`, `_tpp`, `tpp.fish`.
fn complete(directory: &Path, name: &str, mut program: Command) -> anyhow::Result<()> {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut program, name, directory)
            .with_context(|| format!("write the completions of {name} for {shell}"))?;
    }
    Ok(())
}

fn write(directory: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = directory.join(name);
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}
