//! Bells by their names.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::Role;
use crate::bells::BellBoard;

/// Bells that came one by one; `None` if one of `seats` seats, or the supervisor, has none.
#[must_use]
pub fn bells_of(
    seats: usize,
    named: impl IntoIterator<Item = (Role, OwnedFd)>,
) -> Option<BellBoard> {
    let mut supervisor = None;
    let mut found: Vec<_> = (0..seats).map(|_| None).collect();
    for (role, bell) in named {
        match role {
            Role::SupervisorBell => supervisor = Some(bell),
            Role::Bell(seat) if seat.get() < seats => found[seat.get()] = Some(bell),
            _ => {}
        }
    }
    let seats = found.into_iter().collect::<Option<_>>()?;
    Some(BellBoard::from_descriptors(seats, supervisor?))
}

/// All bells of `board` with their names.
pub fn names_of(board: &BellBoard) -> impl Iterator<Item = (Role, BorrowedFd<'_>)> {
    board
        .seats()
        .map(|(seat, bell)| (Role::Bell(seat), bell))
        .chain([(Role::SupervisorBell, board.supervisor())])
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::ids::SeatIndex;

    fn named(board: &BellBoard) -> Vec<(Role, OwnedFd)> {
        let copy =
            |(role, bell): (Role, BorrowedFd<'_>)| (role, bell.try_clone_to_owned().unwrap());
        names_of(board).map(copy).collect()
    }

    #[test]
    fn bells_go_to_their_seats_in_whatever_order_they_come() {
        let board = BellBoard::create(3).unwrap();
        let mut all = named(&board);
        all.reverse();
        let again = bells_of(3, all).expect("none is missing");
        // One descriptor is the other's duplicate: what rings there is heard here, and at no other seat.
        crate::pool::Bells::ring(&board, SeatIndex::new(1));
        let rings = |bell: BorrowedFd<'_>| nix::unistd::read(bell, &mut [0; BellBoard::RING_BYTES]);
        assert!(rings(again.seat(SeatIndex::new(0)).as_fd()).is_err());
        assert!(rings(again.seat(SeatIndex::new(2)).as_fd()).is_err());
        assert!(rings(again.supervisor()).is_err());
        assert!(rings(again.seat(SeatIndex::new(1))).is_ok());
    }

    #[test]
    fn a_board_that_lacks_one_is_none() {
        let board = BellBoard::create(2).unwrap();
        for lost in 0..3 {
            let mut some = named(&board);
            some.remove(lost);
            assert!(bells_of(2, some).is_none(), "without number {lost}");
        }
        assert!(bells_of(3, named(&board)).is_none(), "a seat without one");
    }
}
