//! Medians, spreads, and how they are printed.

use std::fmt;

/// The middle of several measurements, with the lowest and the highest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    low: f64,
    high: f64,
}

impl Summary {
    /// Of at least one value.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        Self::within(&sorted(values), 0)
    }

    /// Of `values` in rising order, with the bounds that are left when so many are taken off at either end.
    fn within(values: &[f64], off: usize) -> Self {
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        Self {
            median: f64::midpoint(at(last / 2), at(values.len() / 2)),
            low: at(off),
            high: at(last.saturating_sub(off)),
        }
    }

    /// The middle of several measurements, of at least one, with the bounds that the true one is within with 95 % certainty, however the
    /// measurements are distributed: each lies on either side of it like a coin (the sign test's interval, from the normal
    /// approximation of the binomial distribution).
    pub(crate) fn of_median(values: impl IntoIterator<Item = f64>) -> Self {
        let values = sorted(values);
        let count = values.len() as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not below 0, and an index of `values`"
        )]
        let off = ((count - 1.96 * count.sqrt()) / 2.0).max(0.0) as usize;
        Self::within(&values, off)
    }
}

fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
}

/// `median (low-high)`, or with a sign where it is asked for `median (low to high)`, with as many decimals as the precision says.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(1);
        let Self { median, low, high } = self;
        let text = if f.sign_plus() {
            format!("{median:+.decimals$} ({low:+.decimals$} to {high:+.decimals$})")
        } else {
            format!("{median:.decimals$} ({low:.decimals$}-{high:.decimals$})")
        };
        match f.width() {
            Some(width) => write!(f, "{text:>width$}"),
            None => f.write_str(&text),
        }
    }
}

/// The value that the share `rank` of `sorted` does not exceed.
pub(crate) fn percentile<T: Copy>(sorted: &[T], rank: f64) -> Option<T> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index of `sorted`"
    )]
    let index = (sorted.len() as f64 * rank) as usize;
    sorted
        .get(index.min(sorted.len().saturating_sub(1)))
        .copied()
}
