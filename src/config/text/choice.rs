//! Words of which one may stand as a value.

/// An enum whose variants are written as words; the first is the default. It brings `WORDS`, for its key, and reads
/// itself from a table.
macro_rules! choice {
    (
        $(#[$about:meta])*
        pub enum $Choice:ident {
            $(#[$about_default:meta])*
            $Default:ident = $default:literal,
            $($(#[$about_word:meta])* $Word:ident = $word:literal,)+
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum $Choice {
            $(#[$about_default])*
            #[serde(rename = $default)]
            $Default,
            $($(#[$about_word])* #[serde(rename = $word)] $Word,)+
        }

        impl $Choice {
            pub(in crate::config) const WORDS: &'static [&'static str] = &[$default, $($word),+];

            /// As it is written.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    Self::$Default => $default,
                    $(Self::$Word => $word,)+
                }
            }
        }

        impl $crate::config::text::write::Write for $Choice {
            fn write(
                &self,
                key: &$crate::config::text::key::Key,
                map: &mut $crate::config::text::write::Map,
            ) {
                map.insert(key.leaf().to_owned(), self.word().into());
            }
        }

        impl $crate::config::text::values::Read for $Choice {
            fn read(
                reader: &mut $crate::config::text::reader::Reader<'_>,
                table: &$crate::config::text::reader::Table<'_>,
                key: &$crate::config::text::key::Key,
            ) -> Self {
                match reader.text(table, key) {
                    $(Some($word) => Self::$Word,)+
                    _ => Self::$Default,
                }
            }
        }
    };
}

pub(in crate::config) use choice;
