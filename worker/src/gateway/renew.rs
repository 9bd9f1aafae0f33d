//! What becomes of an answer that says that the token is no good.
//!
//! A login is asked for and the request sent once more. If the fresh token is refused as well, the token was not to blame: that
//! answer, and further ones under that token, are passed on at once, and a login is tried again once a minute.

use std::time::Duration;

use crate::{
    gateway::{
        client::Client,
        flight::{Failure, Next},
    },
    wire::attend::{AtEnd, Interrupt, attend},
};

/// What a new token may take to arrive, beyond the login itself.
const REFRESH_MARGIN: Duration = Duration::from_secs(5);

/// A request that was answered so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal {
    /// Of the token that it was sent with.
    pub(crate) version: u64,
    /// It was sent before, and this token was drawn because of what came then.
    pub(crate) is_second: bool,
    /// It can be sent once more.
    pub(crate) can_replay: bool,
}

impl Client {
    /// Whether an answer of this status says that the token is no good.
    // Apart: the compiler makes much of so short a list.
    #[inline(never)]
    pub(crate) fn is_refusal(&self, status: u16) -> bool {
        self.settings.token.renew_on.contains(&status)
    }

    /// Whether a newer token is in, so that the request is to be sent again. If not, the answer is passed on.
    pub(crate) async fn renewed(&mut self, refusal: Refusal) -> Result<bool, Failure> {
        let held = self.held.as_ref().ok_or(Failure::Over(Next::Drop))?;
        self.worker.counters().token_errors.add(1);
        let lease = held.lease();
        if refusal.is_second {
            lease.vouch(refusal.version);
            return Ok(false);
        }
        if lease.is_vouched(refusal.version) {
            return Ok(false);
        }
        if !refusal.can_replay {
            // One login, whatever becomes of this request.
            lease.report_refused(refusal.version);
            return Ok(false);
        }
        self.newer_than(refusal.version).await
    }

    /// Asks for a login in place of the token of `version`, and waits for it. False: none comes, or not in time.
    pub(crate) async fn newer_than(&mut self, version: u64) -> Result<bool, Failure> {
        let held = self.held.as_ref().ok_or(Failure::Over(Next::Drop))?;
        let refreshed = held.lease().refreshed(version);
        let limit = self.settings.token.login_timeout + REFRESH_MARGIN;
        let limit = self.bounded(Some(limit));
        match attend(
            &self.worker.clock,
            &self.timer,
            &mut self.wire,
            AtEnd::Stay,
            limit,
            refreshed,
        )
        .await
        {
            Err(Interrupt::Late) => match self.give_up() {
                Some(reply) => Err(Failure::Reply(reply)),
                None => Ok(false),
            },
            outcome => outcome.map_err(Failure::from),
        }
    }
}
