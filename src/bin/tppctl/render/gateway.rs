//! The tables of virtual hosts and of backends.

use tpp::control::{BackendStatus, BreakerStatus, BreakerWord, DomainStatus};

use super::{
    Page, Tone,
    table::{Cell, Kind, Row, Table},
    text::{compact, visible},
};

/// A line for each virtual host.
pub(crate) fn domains(domains: &[DomainStatus], page: Page) -> String {
    if domains.is_empty() {
        return "no virtual hosts\n".into();
    }
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
    .render(page)
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

/// A line for each backend, and below it why the last check that failed did.
pub(crate) fn backends(backends: &[BackendStatus], page: Page) -> String {
    if backends.is_empty() {
        return "no backends\n".into();
    }
    let columns = [
        ("BACKEND", Kind::Elastic),
        ("ADDRESS", Kind::Word),
        ("TAGS", Kind::Word),
        ("WEIGHT", Kind::Number),
        ("STATE", Kind::Word),
        ("HEALTH", Kind::Word),
        ("ACTIVE", Kind::Number),
        ("BREAKER", Kind::Word),
        ("SOURCE", Kind::Word),
    ];
    Table {
        columns,
        rows: backends.iter().map(backend).collect(),
    }
    .render(page)
}

fn backend(backend: &BackendStatus) -> Row<9> {
    let state = match backend.state.as_str() {
        "ready" => Tone::Plain,
        _ => Tone::Warning,
    };
    let (word, health) = match (&backend.health, backend.healthy) {
        (None, _) => ("-", Tone::Faint),
        (Some(_), true) => ("up", Tone::Good),
        (Some(_), false) => ("down", Tone::Bad),
    };
    let cells = [
        visible(&backend.id).into(),
        visible(&backend.address).into(),
        visible(&backend.tags.join(",")).into(),
        compact(backend.weight.into()).into(),
        Cell::toned(visible(&backend.state), state),
        Cell::toned(word, health),
        compact(backend.in_flight).into(),
        breaker(&backend.breaker),
        visible(&backend.source).into(),
    ];
    let error = backend.health.as_ref().filter(|_| !backend.healthy);
    let error = error.and_then(|health| health.last_error.as_ref());
    let note = error.map(|error| Cell::toned(format!("last error: {}", visible(error)), Tone::Bad));
    Row { cells, note }
}
