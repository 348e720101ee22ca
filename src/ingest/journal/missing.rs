//! What is no longer there at the end of a run that came to its end: records whose files are missing, and rejects
//! that no run can meet any more.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::below::{Below, folder_of, upwards};
use super::rejects::for_each_noted_reject;
use super::{Journal, REJECTS, SOURCES, SourceNote, hash, parse, text_of};
use crate::db::{Readable as _, WriteBatch, WriteOptions};
use crate::ingest::IngestError;
use crate::ingest::source::{LINK_LOOP, NOT_REGULAR, UNREADABLE, key_of};

/// Changes of one batch.
const CHANGES: usize = 1000;

impl Journal<'_> {
    /// Forgets the rejects below `paths` that have no cause any more, though no record took their place: entries of
    /// shards that were asked for and are not there, and what could not be looked at and was not met again.
    pub(in crate::ingest) fn forget_rejects(&self, paths: &[PathBuf]) -> Result<(), IngestError> {
        let mut gone = Vec::from_iter(std::mem::take(&mut *self.asked.lock()));
        let lost = self.lost.lock();
        for_each_noted_reject(self.db, paths, &mut |reject| {
            // Those of files and shards are told by their notes; a folder, a loop, a pipe has none.
            let is_of_walk = [UNREADABLE, LINK_LOOP, NOT_REGULAR].contains(&reject.kind.as_str());
            if is_of_walk && !lost.holds(&reject.key) && !self.is_of_source(&reject.key)? {
                gone.push(reject.key);
            }
            Ok(())
        })?;
        for keys in gone.chunks(CHANGES) {
            let mut batch = WriteBatch::new();
            keys.iter().for_each(|key| batch.delete_note(&[REJECTS, key].concat()));
            self.db.write(batch, WriteOptions::default())?;
        }
        Ok(())
    }

    /// Whether a key is that of a file, or of a shard or an entry of it, that was read.
    fn is_of_source(&self, key: &[u8]) -> Result<bool, IngestError> {
        for key in upwards(key) {
            if self.db.note(&[SOURCES, key].concat())?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Deletes the records of files and shards below `paths` that the walk did not meet, and those of entries that
    /// are no longer in a shard that was read anew. Returns how many there were.
    pub(in crate::ingest) fn delete_missing(&self, paths: &[PathBuf]) -> Result<u64, IngestError> {
        let Some(met) = &self.met else { return Ok(0) };
        let met = met.lock();
        let lost = self.lost.lock();
        let (mut missing, mut read_anew) = (Vec::new(), Vec::new());
        for path in paths {
            let key = key_of(path);
            let folder = folder_of(&key);
            for prefix in [key.clone(), folder.clone()] {
                self.db.for_each_note(&[SOURCES, &prefix].concat(), |name, note| {
                    let source = &name[SOURCES.len()..];
                    if source != key && !source.starts_with(&folder) {
                        return Ok(ControlFlow::Continue(()));
                    }
                    if met.contains(&hash(source)) {
                        if may_have_leftovers(note) {
                            read_anew.push(source.to_vec());
                        }
                    } else if !lost.holds(source) {
                        missing.push(source.to_vec());
                    }
                    Ok(ControlFlow::Continue(()))
                })?;
            }
        }
        for sources in [&mut missing, &mut read_anew] {
            sources.sort_unstable();
            sources.dedup();
        }
        let mut deleted = 0;
        for source in missing {
            deleted += self.delete_source(&source, &met)?;
        }
        for shard in read_anew {
            deleted += self.delete_leftovers(&shard, &met, &lost)?;
        }
        Ok(deleted)
    }

    /// Deletes the record of a file or all records of a shard, but for those that are files of their own by
    /// now, and then what is noted of it.
    fn delete_source(&self, source: &[u8], met: &HashSet<u128>) -> Result<u64, IngestError> {
        let mut keys = vec![source.to_vec()];
        let entries = [source, b"/"].concat();
        // What is below the key of a file is not of this file: shards alone have entries, and no hash.
        if self.source_note(source)?.is_none_or(|note| note.hash.is_none()) {
            self.db.for_each_key(&entries, |key| {
                if !met.contains(&hash(key)) && self.db.note(&[SOURCES, key].concat())?.is_none() {
                    keys.push(key.to_vec());
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        let deleted = self.delete(&keys)?;
        let mut batch = WriteBatch::new();
        batch.delete_note(&[REJECTS, source].concat());
        self.forget_rejects_below(source, &mut batch)?;
        batch.delete_note(&[SOURCES, source].concat());
        self.db.write(batch, WriteOptions::default())?;
        Ok(deleted)
    }

    /// Deletes the records of a shard that are older than its last reading, which came to its end: their entries
    /// are gone. Those stay that are files of their own by now or whose entries were rejected, as a file that was
    /// rejected keeps the record that it has.
    fn delete_leftovers(
        &self,
        shard: &[u8],
        met: &HashSet<u128>,
        lost: &Below,
    ) -> Result<u64, IngestError> {
        let Some(note) = self.source_note(shard)? else { return Ok(0) };
        let rejected = self.db.note(&[REJECTS, shard].concat())?.is_some();
        // Nobody knows what was behind damage.
        let Some(since) = note.since.filter(|_| note.finished && !rejected) else { return Ok(0) };
        let mut keys = Vec::new();
        self.db.snapshot().visit_keys(&[shard, b"/"].concat(), |key, id| {
            if id < since && !met.contains(&hash(key)) && !lost.holds(key) {
                let noted = |prefix| self.db.note(&[prefix, key].concat());
                if noted(SOURCES)?.is_none() && noted(REJECTS)?.is_none() {
                    keys.push(key.to_vec());
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let deleted = self.delete(&keys)?;
        let mut batch = WriteBatch::new();
        let note = text_of(&SourceNote { since: None, ..note })?;
        batch.put_note(&[SOURCES, shard].concat(), &note);
        self.db.write(batch, WriteOptions::default())?;
        Ok(deleted)
    }

    fn source_note(&self, source: &[u8]) -> Result<Option<SourceNote>, IngestError> {
        let note = self.db.note(&[SOURCES, source].concat())?;
        note.map(|note| parse(source, &note)).transpose()
    }

    fn delete(&self, keys: &[Vec<u8>]) -> Result<u64, IngestError> {
        let mut deleted = 0;
        for keys in keys.chunks(CHANGES) {
            let mut batch = WriteBatch::new();
            keys.iter().for_each(|key| batch.delete(key));
            deleted += self.db.write(batch, WriteOptions::default())?.deleted;
        }
        Ok(deleted)
    }
}

/// Whether the note of a source says so; one that makes no sense is told where it is needed.
fn may_have_leftovers(note: &[u8]) -> bool {
    serde_json::from_slice(note).is_ok_and(|note: SourceNote| note.since.is_some())
}
