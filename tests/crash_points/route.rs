//! How to get a child to a point without stepping all the way: at full speed to a place on the way, by breakpoint, and
//! only the rest in steps. Else the work for all points of an operation would grow with the square of its length.

use std::collections::HashMap;

/// Offset of an instruction in the program's file; `None`: it lies elsewhere, in a library or the kernel's page.
pub(crate) type Place = Option<u64>;

/// A breakpoint on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Landing {
    /// Where.
    pub(crate) place: u64,
    /// How often it is hit until the child stands where the rest begins.
    pub(crate) hits: u64,
    /// Instructions done then.
    pub(crate) done: u64,
}

/// What a hit costs, in steps: the instruction is put back, stepped over, and the breakpoint set again.
const HIT: u64 = 4;

/// The cheapest way to each point of a path: `path[n]` is where the child stands after `n` instructions. `None`:
/// step all the way.
pub(crate) fn landings(path: &[Place]) -> Vec<Option<Landing>> {
    let mut hits: HashMap<u64, u64> = HashMap::new();
    let mut best: Option<(i64, Landing)> = None;
    let each = path.iter().zip(0..).map(|(place, done)| {
        if let Some(place) = *place {
            let hits = hits.entry(place).or_default();
            // The child stands at its first instruction already: a breakpoint there is not hit by getting there.
            *hits += u64::from(done > 0);
            let landing = Landing {
                place,
                hits: *hits,
                done,
            };
            // Cost of the way to a later point, less what that point's number adds for every choice alike.
            let cost = (HIT * landing.hits) as i64 - done as i64;
            if landing.hits > 0 && cost < best.map_or(0, |(cost, _)| cost) {
                best = Some((cost, landing));
            }
        }
        best.map(|(_, landing)| landing)
    });
    each.collect()
}
