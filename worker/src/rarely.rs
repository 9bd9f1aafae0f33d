//! What few requests come to.

use std::{future::Future, hint::cold_path, pin::Pin};

/// `future`, apart from the way of those that never come to it: boxed, so that it takes no room in every task, and behind a pointer, so
/// that its code does not lie among theirs. A request meets cold caches, and each line of code that it does not run costs as well.
#[cold]
#[inline(never)]
pub(crate) fn rarely<'a, T>(
    future: impl Future<Output = T> + Send + 'a,
) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    Box::pin(future)
}

/// What nearly always turns out well.
pub(crate) trait Likely {
    /// The same. The compiler lays what follows if it does not turn out well apart from what follows if it does.
    fn likely(self) -> Self;
}

impl<T, E> Likely for Result<T, E> {
    #[inline(always)]
    fn likely(self) -> Self {
        match self {
            Ok(value) => Ok(value),
            Err(error) => {
                cold_path();
                Err(error)
            }
        }
    }
}

impl<T> Likely for Option<T> {
    #[inline(always)]
    fn likely(self) -> Self {
        match self {
            Some(value) => Some(value),
            None => {
                cold_path();
                None
            }
        }
    }
}

/// `holds`, which it hardly ever does.
#[inline(always)]
pub(crate) fn seldom(holds: bool) -> bool {
    if holds {
        cold_path();
        true
    } else {
        false
    }
}
