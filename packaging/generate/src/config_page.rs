//! tpp.toml(5): the table of keys, in the words of the commented example.

use anyhow::{Context, ensure};
use tpp::config::{Effect, KeyDescription, describe};

use crate::page::{Page, title};

const EXAMPLE: &str = include_str!("../../../tpp.toml");

/// The page.
///
/// # Errors
/// If the example lacks a key of the table.
pub(crate) fn render() -> anyhow::Result<String> {
    let keys = describe();
    let mut page = Page::default();
    page.section("NAME");
    page.paragraph("tpp.toml - configuration of the token-pool proxy tpp");
    page.section("DESCRIPTION");
    page.paragraph(
        "tpp reads /etc/tpp/tpp.toml, or the file that --config names. Only upstream.host and at least one account must be given, and neither of them in a file with [[backends]]. \
         An unknown key is an error. A file whose name ends in .yaml or .yml holds the same keys in YAML. \
         Relative paths are relative to the directory of the file. \
         tpp check tells all that is wrong with a file.",
    );
    page.paragraph(
        "TPP_..., where it stands in an explanation, is the environment variable that overrides the key; one that is set but empty counts as not set. \
         A changed file is put in force by tppctl reload or SIGHUP, as a whole or not at all; \
         keys that take a restart are named below.",
    );
    page.section("KEYS");
    let mut section = None;
    for key in &keys {
        let (own_section, _) = split(key.path);
        if section != Some(own_section) {
            page.subsection(&heading(own_section));
            section = Some(own_section);
        }
        entry(&mut page, key)?;
    }
    passwords(&mut page);
    page.section("EXAMPLE");
    page.verbatim(
        "listen = \"0.0.0.0:8080\"\n\n[upstream]\nhost = \"dolphindb.example.com\"\nport = 8848\n\n\
         [[credentials]]\nusername = \"user1\"\npassword_file = \"credentials/user1\"\nsessions = 8\n",
    );
    page.section("FILES");
    page.entry("/etc/tpp/tpp.toml", &["The configuration."]);
    page.entry(
        "/var/lib/tpp",
        &["What the management API was told, and in acme certificates that tpp got by itself: state_directory."],
    );
    page.see_also(&[("tpp", "1"), ("tppctl", "1"), ("systemd.exec", "5")]);
    Ok(title("tpp.toml", "5") + &page.finish())
}

fn heading(section: &str) -> String {
    match section {
        "" => "At the top of the file".to_owned(),
        "credentials" => "[[credentials]], once for each account".to_owned(),
        "pools" => "[[pools]], once for each kind of tokens".to_owned(),
        "pools.credentials" => "[[pools.credentials]], once for each account of a pool".to_owned(),
        "backends" => "[[backends]], once for each server".to_owned(),
        "virtual_hosts" => "[[virtual_hosts]], once for each host name".to_owned(),
        "rate_limits" => "[[rate_limits]], once for each limit".to_owned(),
        "access" => "[[access]], once for each list".to_owned(),
        "listeners" => "[[listeners]], once for each address".to_owned(),
        "certificates" => "[[certificates]], once for each certificate".to_owned(),
        section => format!("[{section}]"),
    }
}

fn entry(page: &mut Page, key: &KeyDescription) -> anyhow::Result<()> {
    let explanation = explanation(key.path)?;
    let mut facts = format!("Allowed: {}", key.allowed);
    match &key.default {
        Some(default) => facts += &format!(". Default: {default}"),
        None if key.required => facts += ". It must be given",
        None => {}
    }
    facts += match key.effect {
        Effect::Live => "",
        Effect::Workers => ". A change starts other workers, and drains those they stand for",
        Effect::Restart => ". A change takes a restart",
    };
    facts.push('.');
    page.entry(split(key.path).1, &[&explanation, &facts]);
    Ok(())
}

fn passwords(page: &mut Page) {
    page.section("PASSWORDS UNDER SYSTEMD");
    page.paragraph(
        "The packaged service cannot read /etc/tpp/credentials: systemd reads it as root and passes the service a copy of each file \
         (LoadCredential=). A relative path in password_file or credentials_file is looked for among these first, \
         so that \"credentials/user1\" means /etc/tpp/credentials/user1 in a shell and the copy of it in the service. \
         The copies are made when the service starts: after a change there, systemctl restart tpp takes it over.",
    );
}

/// Section and name.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// The comment above the key in the example, without the mark that says when a change takes hold.
fn explanation(path: &str) -> anyhow::Result<String> {
    let (wanted_section, wanted) = split(path);
    let (mut section, mut comment) = ("", String::new());
    for line in EXAMPLE.lines() {
        let bare = line.trim_start_matches(['#', ' ']);
        let name = bare.split_once(" = ").map(|(name, _)| name);
        if section == wanted_section && name == Some(wanted) {
            let (text, _mark) = comment.trim_end().rsplit_once(" [").with_context(|| {
                format!("{path}: the example does not say when a change takes hold")
            })?;
            ensure!(!text.is_empty(), "{path}: the example does not explain it");
            return Ok(text.to_owned());
        }
        if bare.starts_with('[') {
            section = bare.trim_matches(['[', ']']);
            comment.clear();
        } else if line.starts_with('#') && name.is_none_or(|name| name.contains(' ')) {
            comment += bare;
            comment.push(' ');
        } else {
            comment.clear();
        }
    }
    anyhow::bail!("{path} does not stand in the example")
}
