//! This host's sessions: which are lent, and which are on their way out of it.
use std::collections::BTreeMap;

use crate::account::{Account, Session};
use crate::deadlines::Class;
use crate::engine::Ticket;
use crate::event::Use;
use crate::order::{Order, Reason};

/// Why a session leaves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Why {
    /// It is not ours any more.
    Lost,
    /// It goes to this host.
    Give(String, Reason),
    /// It goes back: to whoever is meant to have it when it is out.
    Return(Reason),
}

/// How far out it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Way {
    /// To be lent no more: somebody may still hold it.
    Withdrawn,
    /// Nobody holds it; its token is being removed.
    Idle,
    /// It has no token. Until the record says that it is not ours it counts as one that is.
    Wiped,
}

/// What a session is doing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// Ours, to be lent.
    Lent,
    /// On its way out.
    Leaving(Why, Way),
}

/// A session that is not out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) class: Class,
    pub(crate) stage: Stage,
    pub(crate) seen: Use,
    /// It does not move on before this: it has just come.
    pub(crate) stays_until: u64,
    /// It was ordered to be made floating, and the record has it as a home session still. It has been made so when it is
    /// of that class.
    pub(crate) floats: Option<Ticket>,
}

/// All sessions that are not out, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Local {
    held: BTreeMap<Session, Held>,
}

/// All sessions of an account lie between these.
fn places(account: Account) -> std::ops::RangeInclusive<Session> {
    Session { account, place: 0 }..=Session {
        account,
        place: u16::MAX,
    }
}

impl Local {
    pub(crate) fn all(&self) -> impl Iterator<Item = (Session, &Held)> {
        self.held.iter().map(|(session, held)| (*session, held))
    }

    pub(crate) fn of(&self, account: Account) -> impl DoubleEndedIterator<Item = (Session, &Held)> {
        self.held
            .range(places(account))
            .map(|(session, held)| (*session, held))
    }

    pub(crate) fn get(&self, session: Session) -> Option<&Held> {
        self.held.get(&session)
    }

    pub(crate) fn get_mut(&mut self, session: Session) -> Option<&mut Held> {
        self.held.get_mut(&session)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// How many of an account are not out: floating, home.
    pub(crate) fn count(&self, account: Account) -> [u32; 2] {
        let count = |class| {
            self.of(account)
                .filter(|(_, held)| held.class == class)
                .count()
        };
        [Class::Floating, Class::Home].map(|class| u32::try_from(count(class)).unwrap_or(u32::MAX))
    }

    /// The accounts that sessions are held of.
    pub(crate) fn accounts(&self) -> Vec<Account> {
        let mut accounts: Vec<Account> = self.held.keys().map(|session| session.account).collect();
        accounts.dedup();
        accounts
    }

    /// Lends the first place of an account that is out; says nothing where none below the limit is.
    pub(crate) fn lend(
        &mut self,
        account: Account,
        limit: u32,
        class: Class,
        stays_until: u64,
    ) -> Option<Session> {
        let limit = u16::try_from(limit).unwrap_or(u16::MAX);
        let session = (0..limit)
            .map(|place| Session { account, place })
            .find(|it| !self.held.contains_key(it))?;
        self.hold(session, class, stays_until);
        Some(session)
    }

    /// A session is lent.
    pub(crate) fn hold(&mut self, session: Session, class: Class, stays_until: u64) {
        let held = Held {
            class,
            stage: Stage::Lent,
            seen: Use::Coming,
            stays_until,
            floats: None,
        };
        self.held.insert(session, held);
    }

    /// A session goes: lend it no more. One that is on its way already goes on with the new reason.
    pub(crate) fn withdraw(
        &mut self,
        session: Session,
        why: Why,
        at_once: bool,
        orders: &mut Vec<Order>,
    ) {
        let Some(held) = self.held.get_mut(&session) else {
            return;
        };
        let way = match &held.stage {
            Stage::Lent => Way::Withdrawn,
            Stage::Leaving(_, way) => *way,
        };
        if way == Way::Withdrawn && (at_once || held.stage == Stage::Lent) {
            orders.push(Order::Withdraw { session, at_once });
        }
        held.stage = Stage::Leaving(why, way);
        held.floats = None;
    }

    /// A session that is withdrawn stays after all: it is lent again, with the token it has.
    pub(crate) fn recall(&mut self, session: Session, orders: &mut Vec<Order>) {
        let Some(held) = self.held.get_mut(&session) else {
            return;
        };
        if matches!(held.stage, Stage::Leaving(_, Way::Withdrawn)) {
            held.stage = Stage::Lent;
            orders.push(Order::Lend {
                session,
                class: held.class,
                not_before: 0,
            });
        }
    }

    /// None is in use and none has a token. What is given at this moment is so until its record says what came of it.
    pub(crate) fn empty(&mut self) {
        self.held
            .retain(|_, held| matches!(held.stage, Stage::Leaving(_, Way::Wiped)));
    }

    /// A session is out.
    pub(crate) fn forget(&mut self, session: Session) {
        self.held.remove(&session);
    }

    /// What of it is lent, and so how it is used.
    pub(crate) fn lent(&self) -> impl DoubleEndedIterator<Item = (Session, &Held)> {
        let all = self.held.iter().map(|(session, held)| (*session, held));
        all.filter(|(_, held)| held.stage == Stage::Lent)
    }

    /// How many sessions that are lent are used so.
    pub(crate) fn used(&self, so: Use) -> u32 {
        u32::try_from(self.lent().filter(|(_, held)| held.seen == so).count()).unwrap_or(u32::MAX)
    }
}
