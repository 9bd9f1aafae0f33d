//! What a request holds, and what it is told, where its host counts or bounds requests. A connection has one place for it, used again for
//! each request; none as long as it asks hosts that do neither, and each step then costs a look.

use tpp::lending::{Asked, Lease};

use crate::gateway::tally::Tally;

/// The holdings of a connection, if it ever had any.
#[derive(Default)]
pub(crate) struct Holdings(Option<Box<Sheet>>);

/// Those of the request in hand.
#[derive(Default)]
pub(crate) struct Sheet {
    /// What its host counts of it, if it counts.
    pub(crate) tally: Option<Tally>,
    /// Leave of the host's breaker, until what came of it is told.
    pub(crate) asked: Option<Asked>,
    /// The same of the breaker for the backend alone.
    pub(crate) asked_backend: Option<Asked>,
    /// When the head of its answer came, by the worker's clock.
    pub(crate) answered_at: u64,
    /// Of the host: one of so many that may be under way.
    pub(crate) permit: Option<Lease>,
    /// The same of the backend.
    pub(crate) backend_permit: Option<Lease>,
    /// When it had the last of them, by the worker's clock.
    pub(crate) permitted_at: Option<u64>,
    /// Lines of the gateway's own for the answer.
    pub(crate) answer_fields: Vec<u8>,
    /// So much of them does not depend on the backend.
    pub(crate) kept_fields: usize,
}

impl Holdings {
    /// What there is.
    pub(crate) fn get(&self) -> Option<&Sheet> {
        self.0.as_deref()
    }

    /// The same, to be taken from.
    pub(crate) fn get_mut(&mut self) -> Option<&mut Sheet> {
        self.0.as_deref_mut()
    }

    /// Where something is put.
    pub(crate) fn sheet(&mut self) -> &mut Sheet {
        self.0.get_or_insert_default()
    }

    /// What the request's host counts of it, if it counts.
    pub(crate) fn tally(&self) -> Option<&Tally> {
        self.get()?.tally.as_ref()
    }

    /// Lines of the gateway's own for the answer.
    pub(crate) fn answer_fields(&self) -> &[u8] {
        self.get().map_or(&[], |sheet| &sheet.answer_fields)
    }

    /// An answer of this status is on its way to the client.
    pub(crate) fn note_status(&mut self, status: u16) {
        if let Some(sheet) = self.get_mut()
            && let Some(tally) = &mut sheet.tally
        {
            tally.answered(status);
        }
    }

    /// The request is over: gives back what it held.
    pub(crate) fn release(&mut self) {
        if let Some(sheet) = self.get_mut() {
            sheet.release();
        }
    }
}

impl Sheet {
    #[inline(never)]
    fn release(&mut self) {
        let mut fields = std::mem::take(&mut self.answer_fields);
        fields.clear();
        *self = Self {
            answer_fields: fields,
            ..Self::default()
        };
    }
}
