//! What is not as the configuration file has it.

use tpp::control::GatewayStatus;

use super::{Tone, text::visible};

/// Entries that are named; more are counted.
const NAMED: usize = 5;

/// A line for what was changed by API, one for what was made by it, and one for each change that does not hold.
pub(super) fn lines(gateway: &GatewayStatus) -> Vec<(&'static str, String, Tone)> {
    let told = [("override", "overrides"), ("api", "by API")];
    let told = told.into_iter().filter_map(|(source, label)| {
        let names = of_source(gateway, source);
        (!names.is_empty()).then(|| (label, listed(&names), Tone::Plain))
    });
    let aside = gateway.set_aside.iter();
    let aside = aside.map(|one| ("set aside", visible(one).into_owned(), Tone::Warning));
    told.chain(aside).collect()
}

fn of_source(gateway: &GatewayStatus, source: &str) -> Vec<String> {
    let backends = gateway.backends.iter().filter(|one| one.source == source);
    let domains = gateway.domains.iter().filter(|one| one.source == source);
    let backends = backends.map(|one| format!("backend {}", visible(&one.id)));
    let domains = domains.map(|one| format!("domain {}", visible(&one.domain)));
    backends.chain(domains).collect()
}

fn listed(names: &[String]) -> String {
    let (named, more) = names.split_at(names.len().min(NAMED));
    match more.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
