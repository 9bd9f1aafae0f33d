//! The table of slots.

use tpp::{config::DEFAULT_POOL, control::TokenStatus};

use super::{
    Page, Tone, slow,
    table::{Cell, Kind, Row, Table},
    text::{compact, span, visible},
};

/// A hold shorter than this is nobody's concern, milliseconds.
const LEAST_TOLD: u64 = 1000;

/// A line for each slot, and below it why its last login failed, or who has held it for long; a table for each pool.
pub(crate) fn tokens(tokens: &[TokenStatus], page: Page) -> String {
    if tokens.is_empty() {
        return "no tokens\n".into();
    }
    // Nobody need be told of the one pool of a configuration without pools.
    let is_plain = tokens.iter().all(|token| token.pool == DEFAULT_POOL);
    let pools = tokens.chunk_by(|one, next| one.pool == next.pool);
    let tables = pools.map(|pool| {
        let first = &pool[0];
        let title = format!("pool {}, provider {}", first.pool, first.provider);
        let title = page.paint(&visible(&title), Tone::Heading) + "\n";
        let table = table(pool, page);
        if is_plain { table } else { title + &table }
    });
    tables.collect::<Vec<_>>().join("\n")
}

fn table(tokens: &[TokenStatus], page: Page) -> String {
    let columns = [
        ("SLOT", Kind::Number),
        ("USER", Kind::Elastic),
        ("STATE", Kind::Word),
        ("AGE", Kind::Number),
        ("RENEW", Kind::Number),
        ("ENDS", Kind::Number),
        ("WORKER", Kind::Number),
        ("USES", Kind::Number),
        ("USED", Kind::Number),
        ("ERRORS", Kind::Number),
        ("PRINT", Kind::Word),
    ];
    Table {
        columns,
        rows: tokens.iter().map(row).collect(),
    }
    .render(page)
}

fn row(token: &TokenStatus) -> Row<11> {
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
        or_dash(token.expires_in_seconds.map(span)).into(),
        or_dash(token.holder.map(|seat| seat.to_string())).into(),
        compact(token.uses).into(),
        or_dash(token.last_used_seconds.map(span)).into(),
        compact(token.errors).into(),
        or_dash(
            token
                .fingerprint
                .as_deref()
                .map(|print| visible(print).into()),
        )
        .into(),
    ];
    let error = token.last_error.as_ref();
    let error =
        error.map(|error| Cell::toned(format!("last error: {}", visible(error)), error_tone));
    let held = token.held_ms.filter(|&held| held >= LEAST_TOLD);
    let held = held.map(|held| {
        let held = slow::held(held, token.client.as_deref(), token.idle_ms);
        Cell::toned(format!("held for {held}"), Tone::Faint)
    });
    Row {
        cells,
        note: error.or(held),
    }
}
