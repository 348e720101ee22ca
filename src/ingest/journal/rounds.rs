//! Rounds: readings of everything anew, each of which may take several runs. A source says in which round it was read
//! last, so that a run goes on where the one before was stopped.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Journal, Origin, SourceNote, text_of};
use crate::db::{Database, Readable as _, WriteBatch, WriteOptions};
use crate::ingest::IngestError;

const ROUND: &[u8] = b"ingest/round";

/// The note of the last round.
#[derive(Debug, Serialize, Deserialize)]
struct RoundNote {
    /// When it began, in nanoseconds since 1970, and later than all before: its name.
    began: u64,
    finished: bool,
}

/// The name of the round that a run goes on with or, if the last one came to its end, begins.
pub(super) fn enter(db: &Database) -> Result<u64, IngestError> {
    // One that cannot be read is no hindrance to reading everything again.
    let last = db.note(ROUND)?.and_then(|note| serde_json::from_slice::<RoundNote>(&note).ok());
    if let Some(RoundNote { began, finished: false }) = last {
        return Ok(began);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let now = u64::try_from(now).unwrap_or(u64::MAX);
    let began = last.map_or(now, |last| now.max(last.began.saturating_add(1)));
    write(db, &RoundNote { began, finished: false })?;
    Ok(began)
}

fn write(db: &Database, note: &RoundNote) -> Result<(), IngestError> {
    let mut batch = WriteBatch::new();
    batch.put_note(ROUND, &text_of(note)?);
    db.write(batch, WriteOptions::default())?;
    Ok(())
}

impl Journal<'_> {
    /// The run came to its end, and so did its round.
    pub(in crate::ingest) fn end_round(&self) -> Result<(), IngestError> {
        self.round.map_or(Ok(()), |began| write(self.db, &RoundNote { began, finished: true }))
    }

    /// Whether a source was read in this round already, or begun, as it is and as this run would read it.
    pub(super) fn is_of_round(&self, origin: &Origin, note: &[u8]) -> bool {
        let note = serde_json::from_slice::<SourceNote>(note);
        note.is_ok_and(|note| {
            note.round == self.round
                && self.is_same(origin, &note)
                && self.is_as_chosen(origin, &note)
        })
    }
}
