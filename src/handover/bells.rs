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
