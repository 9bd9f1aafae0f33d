//! The table of slots.

use tpp::control::TokenStatus;

use super::{
    Page, Tone,
    table::{Cell, Kind, Row, Table},
    text::{compact, span, visible},
};

/// A line for each slot, and below it why its last failed login failed.
pub(crate) fn tokens(tokens: &[TokenStatus], page: Page) -> String {
    if tokens.is_empty() {
        return "no tokens\n".into();
    }
    let columns = [
        ("SLOT", Kind::Number),
        ("USER", Kind::Elastic),
        ("STATE", Kind::Word),
        ("AGE", Kind::Number),
        ("REFRESH", Kind::Number),
        ("WORKER", Kind::Number),
        ("USES", Kind::Number),
        ("ERRORS", Kind::Number),
        ("FINGERPRINT", Kind::Word),
    ];
    Table {
        columns,
        rows: tokens.iter().map(row).collect(),
    }
    .render(page)
}

fn row(token: &TokenStatus) -> Row<9> {
    let (tone, error_tone) = match token.state.as_str() {
        "free" | "leased" | "offered" => (Tone::Good, Tone::Faint),
        "empty" | "refused" => (Tone::Bad, Tone::Bad),
        _ => (Tone::Warning, Tone::Warning),
    };
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let cells = [
        token.slot.to_string().into(),
        visible(&token.user).into(),
        Cell::toned(visible(&token.state), tone),
        or_dash(token.age_seconds.map(span)).into(),
        or_dash(token.refresh_in_seconds.map(span)).into(),
        or_dash(token.holder.map(|seat| seat.to_string())).into(),
        compact(token.uses).into(),
        compact(token.errors).into(),
        or_dash(
            token
                .fingerprint
                .as_deref()
                .map(|print| visible(print).into()),
        )
        .into(),
    ];
    let note = token
        .last_error
        .as_ref()
        .map(|error| Cell::toned(format!("last error: {}", visible(error)), error_tone));
    Row { cells, note }
}
