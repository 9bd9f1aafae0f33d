//! Causes by which something is counted: an enum of them, in order, each with the name that metrics and log lines give it.

macro_rules! causes {
    ($(#[doc = $type_doc:literal])+ $type:ident { $($(#[doc = $doc:literal])+ $name:ident = $label:literal),+ $(,)? }) => {
        $(#[doc = $type_doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type {
            $($(#[doc = $doc])+ $name,)+
        }

        impl $type {
            /// All of them.
            pub const ALL: [Self; [$($label),+].len()] = [$(Self::$name),+];

            /// As metrics and log lines name it.
            #[must_use]
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }
        }
    };
}

pub(super) use causes;
