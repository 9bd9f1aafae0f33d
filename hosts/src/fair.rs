//! Who ought to have how many sessions: the max-min fair share, which every host computes alike from the same records.

/// What each of some hosts ought to have of `sessions`, given what each wants: nobody gets more than it wants as long as another wants
/// more than it has; each gets at least `least` as far as there are enough; what nobody wants is spread evenly.
#[must_use]
pub(crate) fn targets(sessions: u32, wants: &[u32], least: u32) -> Vec<u32> {
    let wants: Vec<u32> = wants.iter().map(|want| (*want).max(least)).collect();
    let mut targets = fill(sessions, &wants);
    let left = sessions - targets.iter().sum::<u32>();
    let spread = fill(left, &vec![u32::MAX; wants.len()]);
    for (target, more) in targets.iter_mut().zip(spread) {
        *target += more;
    }
    targets
}

/// Water-filling: as much for each as it wants, up to one level for all. What a level leaves over goes to the first, one each.
fn fill(sessions: u32, wants: &[u32]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..wants.len()).collect();
    order.sort_by_key(|host| (wants[*host], *host));
    let (mut left, mut targets) = (sessions, vec![0; wants.len()]);
    for (done, host) in order.iter().enumerate() {
        let hosts = u32::try_from(order.len() - done).unwrap_or(u32::MAX);
        // Rounded up: those with the least wish and the lowest place have what cannot be divided.
        targets[*host] = wants[*host].min(left.div_ceil(hosts));
        left -= targets[*host];
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_want_they_get_and_the_rest_is_spread() {
        assert_eq!(targets(12, &[2, 4, 0], 0), [4, 6, 2]);
        assert_eq!(targets(0, &[2, 4], 1), [0, 0]);
        assert_eq!(targets(5, &[], 1), [0; 0]);
    }

    #[test]
    fn short_of_sessions_the_modest_are_served_and_the_others_have_alike() {
        assert_eq!(targets(10, &[1, 20, 20], 0), [1, 5, 4]);
        assert_eq!(targets(10, &[0, 20, 20], 1), [1, 5, 4]);
    }

    #[test]
    fn the_targets_sum_up_to_all_sessions() {
        for sessions in 0..40 {
            for wants in [[0, 0, 0], [1, 2, 3], [9, 0, 30], [100, 100, 100]] {
                assert_eq!(
                    targets(sessions, &wants, 1).iter().sum::<u32>(),
                    sessions,
                    "{sessions} {wants:?}"
                );
            }
        }
    }
}
