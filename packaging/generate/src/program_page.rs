//! The page of a program: from its command line, and what a command line does not tell.

use clap::Command;
use clap_mangen::Man;

use crate::page::{Page, piece, title};

/// What stands behind the commands: a title and its entries.
pub(crate) type Chapter = (&'static str, &'static [(&'static str, &'static str)]);

const EXIT_STATUS: Chapter = (
    "EXIT STATUS",
    &[
        ("0", "Done."),
        ("1", "It failed; one line says why."),
        ("2", "Wrong use."),
        (
            "78",
            "The configuration is wrong; a line for each problem names file, line, key, what was found and what is allowed.",
        ),
    ],
);

/// The rest of tpp(1).
pub(crate) const TPP: &[Chapter] = &[
    (
        "SIGNALS",
        &[
            (
                "SIGHUP",
                "Reads the configuration again and puts all of it in force, or nothing, as tppctl reload does.",
            ),
            (
                "SIGTERM, SIGINT",
                "Drains and stops: what is open is finished, for at most workers.drain_timeout_seconds. A second one stops at once.",
            ),
            (
                "SIGUSR1",
                "Replaces all workers one by one, as tppctl restart does.",
            ),
            (
                "SIGUSR2",
                "Starts the executable anew in this one's place, as tppctl upgrade does.",
            ),
            (
                "SIGQUIT",
                "Ends the supervisor alone. Its workers serve on until another one takes them over, for at most workers.orphan_timeout_seconds.",
            ),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            (
                "TPP_...",
                "Variables that override the configuration file: see tpp.toml(5).",
            ),
            (
                "RUST_LOG",
                "The log filter, unless TPP_TELEMETRY_LOG_FILTER is set.",
            ),
            (
                "CREDENTIALS_DIRECTORY",
                "Set by systemd; files with passwords are looked for there first: see tpp.toml(5).",
            ),
        ],
    ),
    (
        "FILES",
        &[
            ("/etc/tpp/tpp.toml", "The configuration."),
            (
                "/etc/tpp/credentials/",
                "Files with passwords, readable by root alone, which systemd passes to the service.",
            ),
            (
                "/run/tpp/control.sock",
                "The socket for tppctl; root and the service's own user may use it.",
            ),
        ],
    ),
    EXIT_STATUS,
];

/// The rest of tppctl(1).
pub(crate) const TPPCTL: &[Chapter] = &[
    (
        "ENVIRONMENT",
        &[(
            "TPP_CONTROL_SOCKET",
            "The control socket, unless --socket names it.",
        )],
    ),
    (
        "FILES",
        &[("/run/tpp/control.sock", "The control socket by default.")],
    ),
    EXIT_STATUS,
];

/// The page of `program`, with `more` behind its commands.
pub(crate) fn render(program: Command, more: &[Chapter]) -> anyhow::Result<String> {
    let name = program.get_name().to_owned();
    let man = Man::new(program.clone());
    let mut text = title(&name, "1");
    text += &section(|out| man.render_name_section(out))?;
    text += &section(|out| man.render_synopsis_section(out))?;
    text += &section(|out| man.render_options_section(out))?;
    let mut page = Page::default();
    page.section("COMMANDS");
    text += &page.finish();
    for command in program.get_subcommands() {
        text += &describe(&name, command)?;
    }
    let mut page = Page::default();
    for (heading, entries) in more {
        page.section(heading);
        for (word, meaning) in *entries {
            page.entry(word, &[meaning]);
        }
    }
    let others = [("tpp", "1"), ("tppctl", "1"), ("tpp.toml", "5")];
    let others: Vec<_> = others
        .into_iter()
        .filter(|(other, _)| *other != name)
        .collect();
    page.see_also(&others);
    Ok(text + &page.finish())
}

/// A command with its options, as a subsection.
fn describe(program: &str, command: &Command) -> anyhow::Result<String> {
    let mut page = Page::default();
    page.subsection(&format!("{program} {}", command.get_name()));
    if let Some(about) = command.get_about() {
        page.paragraph(&format!("{about}."));
    }
    let man = Man::new(command.clone().disable_help_flag(true));
    let options = section(|out| man.render_options_section(out))?;
    // Its heading is one for a whole page.
    Ok(page.finish() + options.strip_prefix(".SH OPTIONS\n").unwrap_or(&options))
}

fn section(
    render: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>,
) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    render(&mut bytes)?;
    Ok(piece(&String::from_utf8(bytes)?))
}
