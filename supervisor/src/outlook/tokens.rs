//! Each slot: what the schedule knows of its token, and the region of its holder.

use std::{collections::BTreeSet, time::Instant};

use tpp::{
    control::TokenStatus,
    lending::Stock,
    pool::{Pool, SlotIndex, SlotState},
};

use super::slow::millis;
use crate::{pools::Running, refresh::Book, schedule::SlotState as TokenState};

/// State of a slot whose user the server refuses.
const REFUSED: &str = "refused";
/// State of a slot that is still held, and not to be lent again.
const RETIRING: &str = "retiring";

/// State of a slot that would be lent, if its pool were not paused.
const PAUSED: &str = "paused";

/// Each slot of the pool called `name`, at `now`.
pub(super) fn each(name: &str, running: &Running, now: Instant) -> Vec<TokenStatus> {
    let (stock, ledger) = (&running.stock, running.refresher.ledger());
    let pool = stock.pool();
    let is_paused = stock.terms().is_paused();
    (0..)
        .zip(0..ledger.slots())
        .filter_map(|(number, index)| {
            let view = ledger.schedule.view(number);
            let note = ledger.note(index);
            let is_withheld = is_paused && is_held_back(&pool, index);
            let held = match pool.slot_state(index) {
                // A pause takes nobody's token away.
                SlotState::Retiring(seat) if is_withheld => SlotState::Leased(seat),
                held => held,
            };
            // A slot that is nobody's any more is shown as long as somebody holds it.
            let state = match (&view, held) {
                (Some(view), _) => token_state(view.state, held, is_withheld),
                (None, SlotState::Retiring(_)) => RETIRING,
                (None, _) => return None,
            };
            let since = view.as_ref().and_then(|view| view.since);
            let ends_at = view.as_ref().and_then(|view| view.ends_at);
            let left = |at: Instant| at.saturating_duration_since(now).as_secs();
            let next_login = view.as_ref().and_then(|view| view.next_login);
            let holding = stock.holding(SlotIndex::new(index));
            Some(TokenStatus {
                slot: number,
                user: note.user.clone(),
                state: state.to_owned(),
                age_seconds: since.map(|since| now.saturating_duration_since(since).as_secs()),
                refresh_in_seconds: since.and(next_login).map(left),
                holder: match held {
                    SlotState::Leased(seat)
                    | SlotState::Offered(seat)
                    | SlotState::Retiring(seat) => u32::try_from(seat.get()).ok(),
                    SlotState::Free | SlotState::Unusable => None,
                },
                uses: stock.uses(SlotIndex::new(index)),
                errors: note.errors,
                last_error: note.last_error.clone(),
                fingerprint: note.fingerprint.clone(),
                pool: name.to_owned(),
                provider: running.provider().to_owned(),
                // A key has no end that anybody knows.
                expires_in_seconds: ends_at.map(left).filter(|_| !stock.terms().has_keys()),
                last_used_seconds: stock
                    .last_used(SlotIndex::new(index))
                    .map(|time| time.as_secs()),
                held_ms: holding.map(|holding| millis(holding.held)),
                client: holding.and_then(|holding| Some(holding.client?.to_string())),
                idle_ms: holding.and_then(|holding| holding.idle).map(millis),
            })
        })
        .collect()
}

/// Users whose logins the server refuses, each once.
pub(super) fn refused_users(stock: &Stock, ledger: &Book) -> Vec<String> {
    let pool = stock.pool();
    let refused = (0..).zip(0..ledger.slots()).filter_map(|(number, index)| {
        let view = ledger.schedule.view(number)?;
        // A token in hand may still be good, while its account is refused already.
        let is_refused = ledger.schedule.resting_until(number).is_some()
            || token_state(view.state, pool.slot_state(index), false) == REFUSED;
        is_refused.then(|| ledger.note(index).user.as_str())
    });
    let users: BTreeSet<_> = refused.collect();
    users.into_iter().map(str::to_owned).collect()
}

/// Whether a slot has something to lend and does not lend it.
fn is_held_back(pool: &Pool<'_>, index: usize) -> bool {
    let word = pool.slots[index].word();
    word.usable && word.held_back
}

/// A slot in one word: trouble with its token first, then who has it.
fn token_state(token: TokenState, held: SlotState, is_withheld: bool) -> &'static str {
    match (token, held) {
        (TokenState::Usable, SlotState::Unusable) if is_withheld => PAUSED,
        (_, SlotState::Retiring(_)) => RETIRING,
        (TokenState::Refused, _) => REFUSED,
        // Nobody complained of it, and it must not be lent again all the same: a new one takes its place.
        (TokenState::Usable, SlotState::Unusable) => "renewing",
        (TokenState::Expired, _) => "expired",
        (TokenState::Suspect, _) => "suspect",
        (TokenState::Empty, _) => "empty",
        (TokenState::Usable, SlotState::Free) => "free",
        (TokenState::Usable, SlotState::Leased(_)) => "leased",
        (TokenState::Usable, SlotState::Offered(_)) => "offered",
    }
}
