//! Rounds: readings of everything anew, each of which may take several runs. A source says in which round it was read
//! last, so that a run goes on where the one before was stopped. Each set of paths has a round of its own, and so has each
//! release, which may read otherwise.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Journal, Origin, SourceNote, key_of, text_of};
use crate::db::{Database, Readable as _, WriteBatch, WriteOptions};
use crate::ingest::IngestError;

const ROUNDS: &[u8] = b"ingest/round/";

/// A round that is under way. There is a note of it as long as it did not come to its end.
#[derive(Debug)]
pub(super) struct Round {
    name: Vec<u8>,
    began: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct RoundNote {
    /// When it began, in nanoseconds since 1970: what sources call it.
    began: u64,
}

impl Round {
    /// The round of these paths that was stopped, or a new one.
    pub(super) fn enter(
        db: &Database,
        given: &[PathBuf],
        listed: &[PathBuf],
    ) -> Result<Self, IngestError> {
        let mut hash = blake3::Hasher::new();
        hash.update(env!("CARGO_PKG_VERSION").as_bytes());
        for paths in [given, listed] {
            hash.update(&(paths.len() as u64).to_le_bytes());
            for key in paths.iter().map(|path| key_of(path)) {
                hash.update(&(key.len() as u64).to_le_bytes());
                hash.update(&key);
            }
        }
        let name = [ROUNDS, &hash.finalize().to_hex().as_bytes()[..32]].concat();
        // One that cannot be read is no hindrance to reading everything again.
        let stopped = db.note(&name)?.and_then(|note| serde_json::from_slice(&note).ok());
        if let Some(RoundNote { began }) = stopped {
            return Ok(Self { name, began });
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let began = u64::try_from(now).unwrap_or(u64::MAX);
        let mut batch = WriteBatch::new();
        batch.put_note(&name, &text_of(&RoundNote { began })?);
        db.write(batch, WriteOptions::default())?;
        Ok(Self { name, began })
    }

    /// What sources call it.
    pub(super) fn began(&self) -> u64 {
        self.began
    }
}

impl Journal<'_> {
    /// The run came to its end, and so did its round.
    pub(in crate::ingest) fn end_round(&self) -> Result<(), IngestError> {
        if let Some(round) = &self.round {
            let mut batch = WriteBatch::new();
            batch.delete_note(&round.name);
            self.db.write(batch, WriteOptions::default())?;
        }
        Ok(())
    }

    /// What this run's sources call its round, if it has one.
    pub(super) fn round(&self) -> Option<u64> {
        self.round.as_ref().map(Round::began)
    }

    /// Whether a source was read in this round already, or begun, as it is and as this run would read it.
    pub(super) fn is_of_round(&self, origin: &Origin, note: &[u8]) -> bool {
        let note = serde_json::from_slice::<SourceNote>(note);
        note.is_ok_and(|note| {
            let is_of_it = note.round.is_some() && note.round == self.round();
            is_of_it && is_same(origin, &note) && self.is_as_chosen(origin, &note)
        })
    }
}

/// Whether a source is as it was when it was read, as far as its size and time tell.
pub(super) fn is_same(origin: &Origin, note: &SourceNote) -> bool {
    (note.bytes, note.modified) == (origin.bytes, origin.modified)
}
