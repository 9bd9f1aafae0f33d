//! The formats that records are written in, and which of them a host speaks.
//!
//! `meta` and signs of life are understood in all formats, as far as they name formats: hosts of different versions agree by them.
use std::fmt;

use serde::{Deserialize, Serialize};

/// Of accounts' records: a share is an array, to which nothing can be added.
pub const ROWS: u32 = 1;
/// A share is an object, to which a later tpp may add fields, as to all other records.
pub const NAMED: u32 = 2;

/// The formats that a host reads and writes: from the oldest to the newest. In JSON an array of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "[u32; 2]", into = "[u32; 2]")]
pub struct Formats {
    /// The oldest.
    pub oldest: u32,
    /// The newest; not below the oldest.
    pub newest: u32,
}

/// The oldest is above the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("two formats are expected, the oldest first")]
pub struct UpsideDown;

impl Formats {
    /// Those of this tpp.
    pub const SPOKEN: Self = Self {
        oldest: ROWS,
        newest: NAMED,
    };
    /// Those of a tpp that says nothing of formats.
    pub const UNSAID: Self = Self {
        oldest: ROWS,
        newest: ROWS,
    };

    /// These without those above `newest`; the oldest stays.
    #[must_use]
    pub fn up_to(self, newest: u32) -> Self {
        Self {
            newest: self.newest.min(newest).max(self.oldest),
            ..self
        }
    }

    /// Whether a format is among them.
    #[must_use]
    pub fn has(self, format: u32) -> bool {
        (self.oldest..=self.newest).contains(&format)
    }

    /// The newest format that is among these and among all others'.
    #[must_use]
    pub fn newest_of_all(self, others: impl Iterator<Item = Self>) -> Option<u32> {
        let both = others.fold(self, |all, one| Self {
            oldest: all.oldest.max(one.oldest),
            newest: all.newest.min(one.newest),
        });
        (both.oldest <= both.newest).then_some(both.newest)
    }
}

impl Default for Formats {
    fn default() -> Self {
        Self::UNSAID
    }
}

impl TryFrom<[u32; 2]> for Formats {
    type Error = UpsideDown;

    fn try_from([oldest, newest]: [u32; 2]) -> Result<Self, UpsideDown> {
        let formats = Self { oldest, newest };
        if oldest <= newest {
            Ok(formats)
        } else {
            Err(UpsideDown)
        }
    }
}

impl From<Formats> for [u32; 2] {
    fn from(formats: Formats) -> Self {
        [formats.oldest, formats.newest]
    }
}

impl fmt::Display for Formats {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.oldest, self.newest) {
            (oldest, newest) if oldest == newest => write!(to, "format {newest}"),
            (oldest, newest) => write!(to, "formats {oldest} to {newest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formats(oldest: u32, newest: u32) -> Formats {
        Formats { oldest, newest }
    }

    #[test]
    fn the_newest_that_all_speak_is_found_or_there_is_none() {
        let of_all = |others: &[Formats]| formats(1, 3).newest_of_all(others.iter().copied());
        assert_eq!(of_all(&[]), Some(3));
        assert_eq!(of_all(&[formats(2, 4), formats(1, 2)]), Some(2));
        assert_eq!(of_all(&[formats(1, 1), formats(2, 2)]), None);
        assert_eq!(of_all(&[formats(4, 5)]), None);
        assert_eq!(formats(2, 3).up_to(1), formats(2, 2));
        assert_eq!(formats(1, 2).up_to(9), formats(1, 2));
    }

    #[test]
    fn formats_are_an_array_of_both_and_never_upside_down() {
        let text = serde_json::to_string(&formats(1, 2)).expect("it is written");
        assert_eq!(text, "[1,2]");
        assert_eq!(
            serde_json::from_str::<Formats>(&text).expect("it reads"),
            formats(1, 2)
        );
        assert!(serde_json::from_str::<Formats>("[2,1]").is_err());
        assert_eq!(formats(1, 1).to_string(), "format 1");
        assert_eq!(formats(1, 2).to_string(), "formats 1 to 2");
    }
}
