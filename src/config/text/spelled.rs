//! Values that are written as text with a grammar of its own.

use super::{
    key::{Default, Key},
    reader::{Reader, Table},
    values::Read,
    write::{Map, Write},
};

/// A type with one spelling for each of its values.
pub(in crate::config) trait Spelled: Sized {
    /// Reads it; `None`: that is no spelling of any.
    fn spelled(text: &str) -> Option<Self>;

    /// As it is written in a file.
    fn spell(&self) -> String;
}

impl Key {
    /// A text that spells a `T`; left out, it has the value that `default` spells.
    pub(in crate::config) const fn spelled<T: Spelled>(
        path: &'static str,
        allowed: &'static str,
        default: &'static str,
    ) -> Self {
        Self::text(
            path,
            allowed,
            |text| T::spelled(text).is_some(),
            Default::Text(default),
        )
    }
}

impl<T: Spelled + std::default::Default> Read for T {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        let given = reader.text(table, key).and_then(T::spelled);
        given.unwrap_or_default()
    }
}

impl<T: Spelled> Write for T {
    fn write(&self, key: &Key, map: &mut Map) {
        map.insert(key.leaf().to_owned(), self.spell().into());
    }
}
