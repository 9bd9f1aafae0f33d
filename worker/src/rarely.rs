//! What few requests come to.

use std::{future::Future, pin::Pin};

/// `future`, apart from the way of those that never come to it: boxed, so that it takes no room in every task, and behind a pointer, so
/// that its code does not lie among theirs. A request meets cold caches, and each line of code that it does not run costs as well.
#[cold]
#[inline(never)]
pub(crate) fn rarely<'a, T>(
    future: impl Future<Output = T> + Send + 'a,
) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    Box::pin(future)
}
