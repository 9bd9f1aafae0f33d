//! Sessions spread over places by weight: a list in which each place stands as often as its weight says, evenly mixed. Pure.

use tpp::plan::Place;

/// A list need be no longer: it is right to a percent.
const MOST: u64 = 256;
/// What a backend's weight is multiplied with before its addresses share it: many numbers of addresses divide it.
const FINE: u64 = 60;

/// One backend: its places, and the weight of all of them together.
pub(super) type Weighted = (Vec<Place>, u32);

/// The list.
pub(super) fn spread(backends: Vec<Weighted>) -> Vec<Place> {
    let weighed = backends.into_iter().flat_map(|(places, weight)| {
        let each = u64::from(weight) * FINE / (places.len().max(1) as u64);
        places.into_iter().map(move |place| (place, each.max(1)))
    });
    let mut weighed: Vec<_> = weighed.collect();
    make_small(&mut weighed);
    let total: u64 = weighed.iter().map(|(_, weight)| weight).sum();
    // Smooth weighted round robin: who is owed most comes next, and then owes a whole round.
    let mut owed: Vec<i64> = vec![0; weighed.len()];
    let mut list = Vec::new();
    for _ in 0..total {
        for (owed, (_, weight)) in owed.iter_mut().zip(&weighed) {
            *owed += weight.cast_signed();
        }
        // The first of those that are owed most: `max_by_key` takes the last.
        let Some(most) = (0..owed.len()).rev().max_by_key(|&at| owed[at]) else {
            break;
        };
        owed[most] -= total.cast_signed();
        list.push(weighed[most].0);
    }
    list
}

/// Divides the weights by what they have in common, and further if the list would be too long.
fn make_small(weighed: &mut [(Place, u64)]) {
    let common = weighed
        .iter()
        .fold(0, |common, (_, weight)| gcd(common, *weight));
    let total: u64 = weighed
        .iter()
        .map(|(_, weight)| weight / common.max(1))
        .sum();
    let places = weighed.len() as u64;
    for (_, weight) in weighed {
        *weight /= common.max(1);
        if total > MOST.max(places) {
            *weight = (*weight * MOST / total).max(1);
        }
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use tpp::ids::Origin;

    use super::*;

    fn places(numbers: &[u16]) -> Vec<Place> {
        let place = |number: &u16| Place {
            address: ([127, 0, 0, 1], *number).into(),
            origin: Origin::new(u64::from(*number)),
        };
        numbers.iter().map(place).collect()
    }

    fn ports(backends: &[(&[u16], u32)]) -> Vec<u16> {
        let backends = backends.iter();
        let backends = backends.map(|(numbers, weight)| (places(numbers), *weight));
        let list = spread(backends.collect());
        list.iter().map(|place| place.address.port()).collect()
    }

    #[test]
    fn equal_ones_stand_once_each() {
        assert_eq!(ports(&[(&[1], 1), (&[2], 1), (&[3], 1)]), [1, 2, 3]);
        assert_eq!(ports(&[(&[1, 2], 7)]), [1, 2]);
        assert!(ports(&[]).is_empty());
    }

    #[test]
    fn weights_are_kept_and_mixed() {
        assert_eq!(ports(&[(&[1], 30), (&[2], 10)]), [1, 1, 2, 1]);
        assert_eq!(
            ports(&[(&[1, 2], 2), (&[3], 1)]),
            [1, 2, 3],
            "two addresses share a weight"
        );
    }

    #[test]
    fn shares_are_right_to_a_percent_however_large_the_weights() {
        let list = ports(&[(&[1], 997), (&[2], 499), (&[3], 1)]);
        let share = |port: u16| {
            let count = list.iter().filter(|one| **one == port).count();
            count as f64 / list.len() as f64
        };
        assert!(list.len() <= 300, "{}", list.len());
        assert!((share(1) - 997.0 / 1497.0).abs() < 0.01, "{}", share(1));
        assert!((share(2) - 499.0 / 1497.0).abs() < 0.01, "{}", share(2));
        assert!(share(3) > 0.0);
    }
}
