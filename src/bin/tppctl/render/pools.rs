//! The table of pools.

use tpp::control::PoolSummary;

use super::{
    Page, Tone,
    table::{Cell, Grid, Kind, Row, Table},
    text::{compact, short_span, visible},
};

/// A line for each pool.
pub(crate) fn pools(pools: &[PoolSummary], page: Page) -> String {
    if pools.is_empty() {
        return "no pools\n".into();
    }
    pools_table(pools).render(page)
}

/// The same, for another layout.
pub(crate) fn pools_grid(pools: &[PoolSummary]) -> Grid {
    pools_table(pools).grid()
}

fn pools_table(pools: &[PoolSummary]) -> Table<8> {
    let columns = [
        ("POOL", Kind::Elastic),
        ("STATE", Kind::Word),
        ("TOKENS", Kind::Number),
        ("OF", Kind::Number),
        ("IN USE", Kind::Number),
        ("FREE", Kind::Number),
        ("WAIT", Kind::Number),
        ("LONGEST", Kind::Number),
    ];
    Table {
        columns,
        rows: pools.iter().map(row).collect(),
    }
}

fn row(pool: &PoolSummary) -> Row<8> {
    let (state, tone) = match pool {
        PoolSummary { paused: true, .. } => ("paused", Tone::Warning),
        PoolSummary {
            all_refused: true, ..
        } => ("refused", Tone::Bad),
        _ => ("lends", Tone::Good),
    };
    let numbers = pool.numbers;
    let cells = [
        visible(&pool.name).into(),
        Cell::toned(state, tone),
        compact(numbers.total).into(),
        compact(pool.configured_tokens).into(),
        compact(numbers.in_use).into(),
        compact(numbers.available).into(),
        compact(numbers.waiting).into(),
        short_span(pool.longest_wait_ms).into(),
    ];
    Row { cells, note: None }
}
