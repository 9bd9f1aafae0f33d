//! The table of those who hold a token.

use tpp::control::TokenStatus;

use super::{
    Page, Tone,
    table::{Cell, Grid, Kind, Row, Table},
    text::{compact, short_span, visible},
};

/// A line for each slot of `tokens` that is held.
pub(crate) fn holders(tokens: &[TokenStatus], page: Page) -> String {
    let table = holders_table(tokens);
    if table.rows.is_empty() {
        return "nobody holds a token\n".into();
    }
    table.render(page)
}

/// The same, for another layout.
pub(crate) fn holders_grid(tokens: &[TokenStatus]) -> Grid {
    holders_table(tokens).grid()
}

fn holders_table(tokens: &[TokenStatus]) -> Table<8> {
    let columns = [
        ("POOL", Kind::Word),
        ("SLOT", Kind::Number),
        ("USER", Kind::Elastic),
        ("CLIENT", Kind::Word),
        ("HELD", Kind::Number),
        ("DOING", Kind::Word),
        ("WORKER", Kind::Number),
        ("USES", Kind::Number),
    ];
    let rows = tokens.iter().filter_map(row).collect();
    Table { columns, rows }
}

fn row(token: &TokenStatus) -> Option<Row<8>> {
    let held = token.held_ms?;
    let doing = match token.idle_ms {
        None => Cell::from("a request"),
        Some(idle) => Cell::toned(format!("idle {}", short_span(idle)), Tone::Faint),
    };
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let cells = [
        visible(&token.pool).into(),
        token.slot.to_string().into(),
        visible(&token.user).into(),
        or_dash(token.client.as_deref().map(|client| visible(client).into())).into(),
        short_span(held).into(),
        doing,
        or_dash(token.holder.map(|seat| seat.to_string())).into(),
        compact(token.uses).into(),
    ];
    Some(Row { cells, note: None })
}
