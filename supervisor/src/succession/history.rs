//! The supervisors of a pool, one after the other: kept in the region, so that each one knows its predecessors.

use tpp::{control::SupervisorEvent, lending::Stock};
use tracing::warn;

/// Events that are kept.
const KEPT: usize = 16;

/// The events so far, the oldest first. One that cannot be read counts as none: they are for people.
pub(crate) fn read(stock: &Stock) -> Vec<SupervisorEvent> {
    let mut json = Vec::new();
    stock.region().history().read(&mut json);
    serde_json::from_slice(&json).unwrap_or_default()
}

/// Adds an event; the oldest makes room.
pub(crate) fn note(stock: &Stock, event: SupervisorEvent) {
    let mut events = read(stock);
    events.push(event);
    events.drain(..events.len().saturating_sub(KEPT));
    let json = serde_json::to_vec(&events).expect("events are plain data");
    if let Err(error) = stock.region().history().publish(&json) {
        warn!(%error, "history not kept");
    }
}
