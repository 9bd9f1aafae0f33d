//! What a key's value becomes: the type of the field decides how it is read.

use std::{path::PathBuf, time::Duration};

use super::{
    key::{Default, Key, Kind},
    reader::{Reader, Table},
    tree::Value,
};

/// A type that a key can be read into: the value that was given, or the default; what is wrong is noted.
pub(in crate::config) trait Read: Sized {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self;

    /// The same, where a key that is left out, and need not be given, has the value that stands in `base`.
    fn read_over(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key, base: Option<&Self>) -> Self
    where
        Self: Clone,
    {
        match base {
            Some(base)
                if table.find(key).is_none() && !matches!(key.default, Default::Required) =>
            {
                base.clone()
            }
            _ => Self::read(reader, table, key),
        }
    }
}

impl Read for bool {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        let given = reader.read(table, key, |value| match value {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        });
        given.unwrap_or(matches!(key.default, Default::Flag(true)))
    }
}

impl Read for u64 {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        let fits = |number: &u64| match key.kind {
            Kind::Whole { min, max, .. } => (min..=max).contains(number),
            Kind::OneOf(numbers) => numbers.iter().any(|one| u64::from(*one) == *number),
            _ => false,
        };
        let given = reader.read(table, key, |value| match value {
            Value::Whole(number) => u64::try_from(*number).ok().filter(fits),
            _ => None,
        });
        given.unwrap_or(match (key.default, key.kind) {
            (Default::Whole(number), _) => number,
            (_, Kind::Whole { min, .. }) => min,
            _ => 0,
        })
    }
}

/// Smaller numbers: the key's bounds are within theirs.
macro_rules! read_numbers {
    ($($Number:ty),+) => {$(
        impl Read for $Number {
            fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
                Self::try_from(u64::read(reader, table, key)).unwrap_or(Self::MAX)
            }
        }

        /// 0 means that there is no bound.
        impl Read for Option<$Number> {
            fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
                Some(<$Number>::read(reader, table, key)).filter(|bound| *bound > 0)
            }
        }
    )+};
}

read_numbers!(u16, u32, usize);

/// The key's name tells the unit: `…_ms`, or seconds.
impl Read for Duration {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        let number = u64::read(reader, table, key);
        if key.path.ends_with("_ms") {
            Self::from_millis(number)
        } else {
            Self::from_secs(number)
        }
    }
}

/// 0 means that there is no limit.
impl Read for Option<Duration> {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        Some(Duration::read(reader, table, key)).filter(|limit| !limit.is_zero())
    }
}

impl Read for Option<String> {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        reader.text(table, key).map(str::to_owned)
    }
}

impl Read for String {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        Option::<String>::read(reader, table, key).unwrap_or_default()
    }
}

/// Relative to the directory of the file.
impl Read for Option<PathBuf> {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        let text = reader.text(table, key)?;
        Some(reader.paths.resolve(text))
    }
}

/// Relative to the directory of the file.
impl Read for PathBuf {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        Option::<PathBuf>::read(reader, table, key).unwrap_or_default()
    }
}

/// HTTP statuses, each once, in rising order.
impl Read for Vec<u16> {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        let given = reader.read(table, key, |value| match value {
            Value::List(items) => Some(items),
            _ => None,
        });
        let Some(items) = given else {
            return match key.default {
                Default::Statuses(list) => list.to_vec(),
                _ => Vec::new(),
            };
        };
        let mut statuses = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match &item.value {
                Value::Whole(status @ 400..=599) => statuses.extend(u16::try_from(*status)),
                value => {
                    let name = format!("{}[{index}]", table.dotted(key.leaf()));
                    let allowed = "an HTTP status from 400 to 599";
                    reader.note(Some(item.origin), &name, value.describe(), allowed);
                }
            }
        }
        statuses.sort_unstable();
        statuses.dedup();
        statuses
    }
}
