//! The shared words of one slot and one place in line: what each bit means. Pure packing, no atomics.
//!
//! ```text
//! slot word   63        62..61   60          59..........................0
//!             usable    kind     held back   free: 0
//!                                            leased: seat 8 | epoch 24 | lease number 24   (56 bits)
//!                                            offered: seat 8 | ticket 48                   (56 bits)
//! place word  63..62    61..14   13..0
//!             kind      ticket   slot (granted only)
//! ```

use crate::ids::{Epoch, SeatIndex, SlotIndex, Ticket, mask};

const USABLE: u64 = 1 << 63;
const SLOT_KIND_SHIFT: u32 = 61;
const HELD_BACK: u64 = 1 << 60;
const SLOT_KIND_LEASED: u64 = 1;
const SLOT_KIND_OFFERED: u64 = 2;
const LEASE_NUMBER_BITS: u32 = 24;
const SEAT_SHIFT: u32 = 48;

/// Who has a slot. This word alone decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holder {
    /// Nobody.
    Free,
    /// A connection of a worker.
    Leased {
        /// The worker's seat.
        seat: SeatIndex,
        /// Which filling of the seat.
        epoch: Epoch,
        /// Tells this lease of the slot from that worker's earlier ones.
        number: u32,
    },
    /// Set aside for a place in line that has yet to take it.
    Offered {
        /// Seat of the worker the place belongs to.
        seat: SeatIndex,
        /// The place.
        ticket: Ticket,
    },
}

impl Holder {
    /// Its part of a slot's word. No two leases of a slot have the same, but for 2^24 others in between.
    pub(crate) fn pack(self) -> u64 {
        match self {
            Self::Free => 0,
            Self::Leased {
                seat,
                epoch,
                number,
            } => {
                SLOT_KIND_LEASED << SLOT_KIND_SHIFT
                    | (seat.get() as u64) << SEAT_SHIFT
                    | epoch.get() << LEASE_NUMBER_BITS
                    | u64::from(number) & mask(LEASE_NUMBER_BITS)
            }
            Self::Offered { seat, ticket } => {
                SLOT_KIND_OFFERED << SLOT_KIND_SHIFT
                    | (seat.get() as u64) << SEAT_SHIFT
                    | ticket.get()
            }
        }
    }

    /// Whose seat has it; `None`: nobody's.
    pub(crate) fn seat(self) -> Option<SeatIndex> {
        match self {
            Self::Free => None,
            Self::Leased { seat, .. } | Self::Offered { seat, .. } => Some(seat),
        }
    }
}

/// A slot's word: its holder, and whether it may be lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlotWord {
    /// The slot has what it is lent for: a token that may be used.
    pub usable: bool,
    /// Its pool is paused, or the time of its tenure over: it is lent to nobody until that ends.
    pub held_back: bool,
    /// Who has it.
    pub holder: Holder,
}

impl SlotWord {
    /// Usable and free: what a claim expects.
    pub const IDLE: Self = Self {
        usable: true,
        held_back: false,
        holder: Holder::Free,
    };
    /// The bit that [`Self::usable`] stands for, for the moves that change nothing else.
    pub(crate) const USABLE_BIT: u64 = USABLE;
    /// The bit that [`Self::held_back`] stands for.
    pub(crate) const HELD_BACK_BIT: u64 = HELD_BACK;
    /// What nothing writes is read as.
    const NOTHING: Self = Self {
        usable: false,
        held_back: false,
        holder: Holder::Free,
    };

    /// Whether whoever holds it next may have it.
    #[must_use]
    pub fn may_be_lent(self) -> bool {
        self.usable && !self.held_back
    }

    pub(crate) fn pack(self) -> u64 {
        let flag = |is_set, bit| if is_set { bit } else { 0 };
        self.holder.pack() | flag(self.usable, USABLE) | flag(self.held_back, HELD_BACK)
    }

    /// Reads a word. One that nothing writes is read as free and not usable, so that a damaged word is
    /// never lent.
    pub(crate) fn unpack(word: u64) -> Self {
        let read = Self::unpack_any(word);
        // An exchange that expects what was read would fail on stray bits for ever.
        if read.pack() == word {
            read
        } else {
            Self::NOTHING
        }
    }

    fn unpack_any(word: u64) -> Self {
        let seat = SeatIndex::new((word >> SEAT_SHIFT & mask(SeatIndex::BITS)) as usize);
        let holder = match word >> SLOT_KIND_SHIFT & mask(2) {
            0 => Holder::Free,
            SLOT_KIND_LEASED => Holder::Leased {
                seat,
                epoch: Epoch::new(word >> LEASE_NUMBER_BITS),
                number: u32::try_from(word & mask(LEASE_NUMBER_BITS)).expect("masked to 24 bits"),
            },
            SLOT_KIND_OFFERED => Holder::Offered {
                seat,
                ticket: Ticket::new(word),
            },
            _ => return Self::NOTHING,
        };
        Self {
            usable: word & USABLE != 0,
            held_back: word & HELD_BACK != 0,
            holder,
        }
    }

    /// The same word with another holder.
    pub(crate) fn held_by(self, holder: Holder) -> Self {
        Self { holder, ..self }
    }
}

const PLACE_KIND_SHIFT: u32 = 62;
const PLACE_KIND_WAITING: u64 = 1;
const PLACE_KIND_GRANTED: u64 = 2;
const PLACE_KIND_GONE: u64 = 3;

/// One place in a worker's window of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nobody stands here.
    Empty,
    /// Someone waits.
    Waiting(Ticket),
    /// A slot was offered to the one who waits here; the slot's word must agree before it is taken.
    Granted(Ticket, SlotIndex),
    /// Served, or left: nobody looks here again until the worker clears the place.
    Gone(Ticket),
}

impl Place {
    pub(crate) fn pack(self) -> u64 {
        let (kind, ticket, slot) = match self {
            Self::Empty => return 0,
            Self::Waiting(ticket) => (PLACE_KIND_WAITING, ticket, 0),
            Self::Granted(ticket, slot) => (PLACE_KIND_GRANTED, ticket, slot.get() as u64),
            Self::Gone(ticket) => (PLACE_KIND_GONE, ticket, 0),
        };
        kind << PLACE_KIND_SHIFT | ticket.get() << SlotIndex::BITS | slot
    }

    /// Reads a word. One that nothing writes is read as empty.
    pub(crate) fn unpack(word: u64) -> Self {
        let ticket = Ticket::new(word >> SlotIndex::BITS);
        let slot = word & mask(SlotIndex::BITS);
        match word >> PLACE_KIND_SHIFT {
            // An exchange that expects what was read would fail on stray bits for ever.
            PLACE_KIND_WAITING | PLACE_KIND_GONE if slot != 0 => Self::Empty,
            PLACE_KIND_WAITING => Self::Waiting(ticket),
            PLACE_KIND_GRANTED => Self::Granted(ticket, SlotIndex::new(slot as usize)),
            PLACE_KIND_GONE => Self::Gone(ticket),
            _ => Self::Empty,
        }
    }
}

#[cfg(all(test, not(tpp_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_holder() -> impl Strategy<Value = Holder> {
        let seat = || (0..SeatIndex::CAPACITY).prop_map(SeatIndex::new);
        prop_oneof![
            Just(Holder::Free),
            (seat(), any::<u64>(), 0..1_u32 << LEASE_NUMBER_BITS).prop_map(
                |(seat, epoch, number)| {
                    Holder::Leased {
                        seat,
                        epoch: Epoch::new(epoch),
                        number,
                    }
                }
            ),
            (seat(), any::<u64>()).prop_map(|(seat, ticket)| Holder::Offered {
                seat,
                ticket: Ticket::new(ticket)
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_slot_word_survives_packing(usable: bool, held_back: bool, holder in any_holder()) {
            let word = SlotWord { usable, held_back, holder };
            prop_assert_eq!(SlotWord::unpack(word.pack()), word);
        }

        #[test]
        fn any_bits_read_as_what_an_exchange_can_expect_or_as_nothing(bits: u64) {
            let (word, place) = (SlotWord::unpack(bits), Place::unpack(bits));
            prop_assert!(word.pack() == bits || word == SlotWord::NOTHING);
            prop_assert!(place.pack() == bits || place == Place::Empty);
        }

        #[test]
        fn a_place_survives_packing(ticket: u64, slot in 0..SlotIndex::CAPACITY) {
            let ticket = Ticket::new(ticket);
            for place in [
                Place::Empty,
                Place::Waiting(ticket),
                Place::Granted(ticket, SlotIndex::new(slot)),
                Place::Gone(ticket),
            ] {
                prop_assert_eq!(Place::unpack(place.pack()), place);
            }
        }
    }
}
