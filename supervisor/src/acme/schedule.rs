//! When a certificate is ordered, when its authority is asked about it, and when a try in vain is made again. Pure: it is told the time,
//! in Unix seconds, for a certificate's own are such, and a record of it outlives the process.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// First and longest pause after the authority could not be reached, or had troubles of its own, seconds.
const UNREACHABLE: (u64, u64) = (20, 3600);
/// The same after it refused. Five in an hour are what a public authority bears of one host.
const REFUSED: (u64, u64) = (15 * 60, 24 * 3600);
/// The same after it said that this was too often, and not for how long.
const LIMITED: (u64, u64) = (3600, 24 * 3600);
/// The longest that an authority is believed to want to be spared, seconds.
const LONGEST_SPARED: u64 = 8 * 24 * 3600;
/// How soon and how late an authority is asked again about a certificate, seconds.
const ASKED: (u64, u64) = (60, 24 * 3600);
/// When it is asked again if it did not answer, or does not know the question, seconds.
const ASKED_IN_VAIN: u64 = 6 * 3600;

/// From when until when a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) from: u64,
    pub(super) until: u64,
}

/// What the authority said of when a certificate is to be renewed (RFC 9773).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    /// From when until when; `None`: it says nothing of it.
    suggested: Option<(u64, u64)>,
    /// When it is asked again.
    ask_again: u64,
}

/// Why a try was in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// The authority cannot be reached, or has troubles of its own.
    Unreachable,
    /// It says that this was too often.
    Limited,
    /// It does not want to, or what it gave cannot be used.
    Refused,
}

/// Tries in vain, one after another and of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trouble {
    /// With what they were made: with something else it may go better, and at once.
    of: String,
    pub(super) kind: Kind,
    pub(super) failures: u32,
    /// Why the last one was.
    pub(super) words: String,
    /// Until when there is no other.
    until: u64,
}

/// All that decides when something is done for a host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'c> {
    /// Of the certificate in hand; `None`: there is none of this authority.
    pub(super) term: Option<Term>,
    pub(super) window: Option<&'c Window>,
    pub(super) trouble: Option<&'c Trouble>,
    /// With what it would be tried now.
    pub(super) with: &'c str,
    /// A number from 0 to 1 that was drawn for this certificate: not all are renewed at once.
    pub(super) lot: f64,
}

impl Case<'_> {
    /// When a certificate is ordered.
    pub(super) fn order_at(&self) -> u64 {
        let wanted = self.term.map_or(0, |term| self.renew_at(term));
        let trouble = self.trouble.filter(|one| one.of == self.with);
        wanted.max(trouble.map_or(0, |one| one.until))
    }

    /// When the authority is asked when the certificate in hand is to be renewed; `None`: there is none.
    pub(super) fn ask_at(&self) -> Option<u64> {
        self.term?;
        Some(self.window.map_or(0, |window| window.ask_again))
    }

    /// At some moment of what the authority suggests; else when a third of its life is left, or a little before. Never so late that
    /// a few tries in vain would be its end, nor so soon that an authority in error would be asked without end.
    fn renew_at(&self, term: Term) -> u64 {
        let life = term.until.saturating_sub(term.from);
        match self.window.and_then(|window| window.suggested) {
            Some((from, until)) => {
                let within = part(until.saturating_sub(from), self.lot);
                let (earliest, latest) = (term.from + life / 100, term.until - life / 20);
                from.saturating_add(within).clamp(earliest, latest)
            }
            None => term.until - life / 3 - part(life / 30, self.lot),
        }
    }
}

impl Window {
    /// As the authority said it at `now`, and how long it is to be spared.
    pub(super) fn said(suggested: (u64, u64), spared: Duration, now: u64) -> Self {
        Self {
            suggested: Some(suggested),
            ask_again: now + spared.as_secs().clamp(ASKED.0, ASKED.1),
        }
    }

    /// It said nothing at `now`. What it said `before` stays true.
    pub(super) fn silent(before: Option<&Self>, now: u64) -> Self {
        Self {
            suggested: before.and_then(|before| before.suggested),
            ask_again: now + ASKED_IN_VAIN,
        }
    }

    /// Whether the authority answers such questions.
    pub(super) fn is_said(&self) -> bool {
        self.suggested.is_some()
    }
}

impl Trouble {
    /// Another try in vain at `now`, with `of`, after those `before`. `spared`: for how long the authority wants no other.
    pub(super) fn after(
        before: Option<&Self>,
        (kind, words): (Kind, String),
        spared: Option<Duration>,
        (of, lot): (&str, f64),
        now: u64,
    ) -> Self {
        let row = before.filter(|before| before.kind == kind && before.of == of);
        let failures = row.map_or(0, |before| before.failures).saturating_add(1);
        let (first, longest) = match kind {
            Kind::Unreachable => UNREACHABLE,
            Kind::Refused => REFUSED,
            Kind::Limited => LIMITED,
        };
        let doubled = first.saturating_mul(1 << (failures - 1).min(20));
        let own = doubled.min(longest);
        let own = own + part(own / 10, lot);
        let pause = match (
            kind,
            spared.map(|spared| spared.as_secs().min(LONGEST_SPARED)),
        ) {
            // It knows when its limit ends.
            (Kind::Limited, Some(spared)) => spared.max(1),
            (_, spared) => own.max(spared.unwrap_or(0)),
        };
        Self {
            of: of.to_owned(),
            kind,
            failures,
            words,
            until: now + pause,
        }
    }
}

/// `lot` of `whole`; `lot` is from 0 to 1.
fn part(whole: u64, lot: f64) -> u64 {
    (whole as f64 * lot.clamp(0.0, 1.0)) as u64
}

#[cfg(test)]
mod tests;
