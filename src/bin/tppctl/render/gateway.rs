//! The tables of virtual hosts and of backends.

use tpp::control::{BackendStatus, BreakerStatus, BreakerWord, DomainStatus, EjectionStatus};

use super::{
    Page, Tone,
    slow::milliseconds,
    table::{Cell, Grid, Kind, Row, Table},
    text::{compact, span, visible},
};

/// A line for each virtual host.
pub(crate) fn domains(domains: &[DomainStatus], page: Page) -> String {
    if domains.is_empty() {
        return "no virtual hosts\n".into();
    }
    domains_table(domains).render(page)
}

/// The same, for another layout.
pub(crate) fn domains_grid(domains: &[DomainStatus]) -> Grid {
    domains_table(domains).grid()
}

fn domains_table(domains: &[DomainStatus]) -> Table<8> {
    let columns = [
        ("DOMAIN", Kind::Elastic),
        ("TAG", Kind::Word),
        ("HEALTHY", Kind::Number),
        ("OF", Kind::Number),
        ("ACTIVE", Kind::Number),
        ("WAITING", Kind::Number),
        ("BREAKER", Kind::Word),
        ("SOURCE", Kind::Word),
    ];
    Table {
        columns,
        rows: domains.iter().map(domain).collect(),
    }
}

fn domain(domain: &DomainStatus) -> Row<8> {
    let all = domain.backends.len();
    let tone = match domain.healthy_backends {
        0 => Tone::Bad,
        healthy if healthy < all => Tone::Warning,
        _ => Tone::Good,
    };
    let cells = [
        visible(&domain.domain).into(),
        visible(&domain.enabled_backends_tag).into(),
        Cell::toned(domain.healthy_backends.to_string(), tone),
        all.to_string().into(),
        compact(domain.in_flight).into(),
        compact(domain.waiting).into(),
        breaker(&domain.breaker),
        visible(&domain.source).into(),
    ];
    Row { cells, note: None }
}

fn breaker(status: &BreakerStatus) -> Cell {
    let left = status.breaker_remaining_seconds;
    match status.breaker {
        BreakerWord::Closed => "closed".into(),
        BreakerWord::HalfOpen => Cell::toned("half open", Tone::Warning),
        BreakerWord::Open => Cell::toned(format!("open {left}s"), Tone::Bad),
    }
}

/// A line for each backend, and below it why the last check that failed did, or why it is left out.
pub(crate) fn backends(backends: &[BackendStatus], page: Page) -> String {
    if backends.is_empty() {
        return "no backends\n".into();
    }
    backends_table(backends).render(page)
}

/// The same, for another layout.
pub(crate) fn backends_grid(backends: &[BackendStatus]) -> Grid {
    backends_table(backends).grid()
}

fn backends_table(backends: &[BackendStatus]) -> Table<10> {
    let columns = [
        ("BACKEND", Kind::Elastic),
        ("ADDRESS", Kind::Word),
        ("TAGS", Kind::Word),
        ("WEIGHT", Kind::Number),
        ("STATE", Kind::Word),
        ("HEALTH", Kind::Word),
        ("ACTIVE", Kind::Number),
        ("MEAN", Kind::Number),
        ("BREAKER", Kind::Word),
        ("SOURCE", Kind::Word),
    ];
    Table {
        columns,
        rows: backends.iter().map(backend).collect(),
    }
}

fn backend(backend: &BackendStatus) -> Row<10> {
    let state = match backend.state.as_str() {
        "ready" => Tone::Plain,
        _ => Tone::Warning,
    };
    let (word, health) = match (&backend.health, backend.healthy, &backend.ejected) {
        (Some(_), false, _) => ("down".to_owned(), Tone::Bad),
        (_, _, Some(out)) => (
            format!("out {}", span(out.remaining_seconds)),
            Tone::Warning,
        ),
        (None, _, None) => ("-".to_owned(), Tone::Faint),
        (Some(_), true, None) => ("up".to_owned(), Tone::Good),
    };
    let mean = backend.answers.as_ref();
    let mean = mean.map_or_else(|| "-".to_owned(), |times| milliseconds(times.mean_ms));
    let cells = [
        visible(&backend.id).into(),
        visible(&backend.address).into(),
        visible(&backend.tags.join(",")).into(),
        compact(backend.weight.into()).into(),
        Cell::toned(visible(&backend.state), state),
        Cell::toned(word, health),
        compact(backend.in_flight).into(),
        mean.into(),
        breaker(&backend.breaker),
        visible(&backend.source).into(),
    ];
    let error = backend.health.as_ref().filter(|_| !backend.healthy);
    let error = error.and_then(|health| health.last_error.as_ref());
    let error =
        error.map(|error| Cell::toned(format!("last error: {}", visible(error)), Tone::Bad));
    let out = backend.ejected.as_ref();
    Row {
        cells,
        note: error.or_else(|| out.map(|out| Cell::toned(left_out(out), Tone::Warning))),
    }
}

/// Since when, for how long and why a backend is left out.
fn left_out(out: &EjectionStatus) -> String {
    let since = out.since.map_or_else(String::new, |since| {
        let begun = out.until.saturating_sub(since);
        let for_now = begun.saturating_sub(out.remaining_seconds);
        format!(" for {}", span(for_now))
    });
    let again = match out.times {
        0 | 1 => String::new(),
        times => format!(", time {times} in a row"),
    };
    format!(
        "left out{since}, {} more{again}: {}",
        span(out.remaining_seconds),
        visible(&out.reason)
    )
}
