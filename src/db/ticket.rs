//! A batch on its way through group commit: queued by its writer, answered by whoever commits it.

use parking_lot::Mutex;

use crate::db::batch::WriteBatch;
use crate::error::Result;

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Records under keys that were new.
    pub inserted: u64,
    /// Records that took the place of another under the same key.
    pub replaced: u64,
    /// Records that were deleted; a delete of an absent key counts nothing.
    pub deleted: u64,
}

/// A batch in the queue, and later its answer.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) sync: bool,
    batch: Mutex<WriteBatch>,
    answer: Mutex<Option<Result<Written>>>,
}

impl Ticket {
    pub(crate) fn new(batch: WriteBatch, sync: bool) -> Self {
        Self { sync, batch: Mutex::new(batch), answer: Mutex::new(None) }
    }

    /// Takes the batch out, for the one who commits it.
    pub(crate) fn take_batch(&self) -> WriteBatch {
        std::mem::take(&mut self.batch.lock())
    }

    /// The answer, once there is one; its writer alone asks.
    pub(crate) fn take_answer(&self) -> Option<Result<Written>> {
        self.answer.lock().take()
    }

    pub(crate) fn answer(&self, answer: Result<Written>) {
        *self.answer.lock() = Some(answer);
    }
}
