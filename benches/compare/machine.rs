//! What the numbers were taken on.

use std::{fs, path::PathBuf, process::Command};

use crate::{Result, servers::find};

/// Prints processor, kernel and the versions of all that takes part.
pub(crate) fn print(builds: &[PathBuf]) -> Result<()> {
    let processors = std::thread::available_parallelism()?;
    println!("processors  {processors} x {}", processor_model());
    println!(
        "kernel      {}",
        fs::read_to_string("/proc/sys/kernel/osrelease")?.trim()
    );
    println!(
        "load        {}",
        fs::read_to_string("/proc/loadavg")?.trim()
    );
    // Not all of them take part in every measurement.
    for program in ["nginx", "haproxy", "wrk"] {
        let version = find(program).map(|file| first_line(Command::new(file).arg("-v")));
        println!("{program:<12}{}", version.as_deref().unwrap_or("not here"));
    }
    println!(
        "rustc       {}",
        first_line(Command::new("rustc").arg("--version"))
    );
    for build in builds {
        println!(
            "tpp         {}, {}",
            first_line(Command::new(build).arg("--version")),
            build.display()
        );
    }
    if builds.is_empty() {
        println!("tpp         NOT MEASURED");
    }
    Ok(())
}

fn processor_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(':'));
    model
        .map_or("unknown", |(_, model)| model.trim())
        .to_owned()
}

/// First line that `command` prints, on either stream; some tell their version on stderr, and fail.
fn first_line(command: &mut Command) -> String {
    let Ok(output) = command.output() else {
        return "unknown".to_owned();
    };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text)
        .lines()
        .next()
        .unwrap_or("unknown")
        .to_owned()
}
