//! Whether a number that was looked at again and again grows.

/// What the numbers count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Kibibytes,
    Descriptors,
}

/// Numbers, each with its time in seconds.
#[derive(Debug)]
pub(crate) struct Series {
    kind: Kind,
    points: Vec<(f64, f64)>,
}

/// Fewer points than this tell nothing.
const FEWEST: usize = 6;
/// Growth over the second half that is no growth: a share of the mean, or so much.
const SHARE: f64 = 0.03;
const KIBIBYTES: f64 = 1024.0;
const DESCRIPTORS: f64 = 4.0;

impl Series {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            points: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, time: f64, value: f64) {
        self.points.push((time, value));
    }

    pub(crate) fn last(&self) -> f64 {
        self.points.last().map_or(0.0, |(_, value)| *value)
    }

    /// In words, and whether it is flat: judged by the line fitted to the second half, when all caches are filled.
    pub(crate) fn verdict(&self) -> (String, bool) {
        let half = &self.points[self.points.len() / 2..];
        if half.len() < FEWEST {
            return ("too few looks to judge".to_owned(), true);
        }
        let (slope, mean) = fit(half);
        let time = half[half.len() - 1].0 - half[0].0;
        let growth = slope * time;
        let (unit, least) = match self.kind {
            Kind::Kibibytes => (" KiB", KIBIBYTES),
            Kind::Descriptors => ("", DESCRIPTORS),
        };
        let is_flat = growth <= least.max(mean * SHARE);
        let word = if is_flat { "flat" } else { "NOT FLAT" };
        let text = format!(
            "{word}: mean {mean:.0}{unit}, {growth:+.1}{unit} in the last {time:.0} s ({:+.2}{unit} a minute)",
            slope * 60.0
        );
        (text, is_flat)
    }
}

/// Least squares: the slope, and the mean of the values.
fn fit(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let mean_time = points.iter().map(|(time, _)| time).sum::<f64>() / count;
    let mean = points.iter().map(|(_, value)| value).sum::<f64>() / count;
    let moments = points
        .iter()
        .map(|(time, value)| (time - mean_time) * (value - mean));
    let spread: f64 = points
        .iter()
        .map(|(time, _)| (time - mean_time).powi(2))
        .sum();
    (moments.sum::<f64>() / spread, mean)
}
