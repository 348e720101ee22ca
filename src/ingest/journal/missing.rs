//! What is no longer there at the end of a run that came to its end: records whose files are missing, and rejects
//! that no run can meet any more.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::below::{Below, folder_of, upwards};
use super::rejects::{Scope, for_each_noted_reject};
use super::{Journal, REJECTS, SOURCES, SourceNote, hash, parse, text_of};
use crate::db::{Database, Readable as _, WriteBatch, WriteOptions};
use crate::error::Result as DbResult;
use crate::ingest::IngestError;
use crate::ingest::reread::path_of;
use crate::ingest::source::{is_of_walk, key_of};

/// Changes of one batch, about.
const CHANGES: usize = 1000;

impl Journal<'_> {
    /// Forgets the rejects that have no cause any more, though no record took their place: entries of shards that
    /// were asked for and are not there, and what could not be looked at and was not met again.
    pub(in crate::ingest) fn forget_rejects(
        &self,
        given: &[PathBuf],
        listed: &[PathBuf],
    ) -> Result<(), IngestError> {
        let mut gone = Vec::from_iter(std::mem::take(&mut *self.asked.lock()));
        let broken = self.broken.lock();
        gone.retain(|key| !broken.holds(key));
        let lost = self.lost.lock();
        let walked = Scope::new(given, listed);
        for_each_noted_reject(self.db, given, listed, &mut |reject| {
            // Those of files and shards are told by their notes; a folder, a loop, a pipe has none.
            if is_of_walk(&reject.kind)
                && walked.walks(&reject.key)
                && !lost.holds(&reject.key)
                && !self.is_of_source(&reject.key)?
            {
                gone.push(reject.key);
            }
            Ok(())
        })?;
        let mut changes = Changes::new(self.db);
        for key in gone {
            changes.forget(REJECTS, &key);
            changes.settle()?;
        }
        changes.write()?;
        self.db.sync()?;
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

    /// Deletes the records of files and shards below `paths` that are no longer there, and those of entries that are
    /// no longer in a shard that was read anew. Returns how many there were, and whether the user let it come to its
    /// end. What is deleted by then is, and the rest the next time.
    pub(in crate::ingest) fn delete_missing(
        &self,
        paths: &[PathBuf],
    ) -> Result<(u64, bool), IngestError> {
        let Some(met) = self.met.as_ref().filter(|_| self.deletes) else { return Ok((0, true)) };
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
                    } else if !lost.holds(source) && is_missing(source) {
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
        let mut changes = Changes::new(self.db);
        let cancelled = || self.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed));
        let mut left = missing.len() + read_anew.len();
        for source in missing.iter().take_while(|_| !cancelled()) {
            self.delete_source(source, &met, &mut changes)?;
            changes.settle()?;
            left -= 1;
        }
        // What these leave may have been of a source that is missing.
        changes.write()?;
        for shard in read_anew.iter().take_while(|_| !cancelled()) {
            self.delete_leftovers(shard, (&met, &lost), &mut changes)?;
            left -= 1;
        }
        let deleted = changes.write()?;
        self.db.sync()?;
        Ok((deleted, left == 0))
    }

    /// Deletes the record of a file or all records of a shard, and what is noted of it.
    fn delete_source(
        &self,
        source: &[u8],
        met: &HashSet<u128>,
        changes: &mut Changes<'_>,
    ) -> Result<(), IngestError> {
        let Some(note) = self.source_note(source)? else { return Ok(()) };
        // Of a file in whose folder's place a shard is now the key may be that of an entry.
        if !self.is_of_met_shard(source, met)? {
            changes.delete(source);
        }
        // What is below the key of a file is not of this file: shards alone have entries.
        if note.is_shard() {
            let entries = [source, b"/"].concat();
            let (mut keys, mut rejects) = (Vec::new(), Vec::new());
            self.db.for_each_key(&entries, |key| {
                if !self.is_of_another(key, source, met)? {
                    keys.push(key.to_vec());
                }
                Ok(ControlFlow::Continue(()))
            })?;
            self.db.for_each_note(&[REJECTS, &entries].concat(), |name, _| {
                let key = &name[REJECTS.len()..];
                if !self.is_of_another(key, source, met)? {
                    rejects.push(key.to_vec());
                }
                Ok(ControlFlow::Continue(()))
            })?;
            let at_once = keys.len() + rejects.len() <= CHANGES;
            if !at_once {
                // Where this ends half way, and the shard is there again, it is read from its start.
                changes.note(source, &SourceNote { passed: 0, finished: false, ..note })?;
                changes.write()?;
            }
            for key in keys {
                changes.delete(&key);
                if at_once { Ok(()) } else { changes.settle() }?;
            }
            for key in rejects {
                changes.forget(REJECTS, &key);
                if at_once { Ok(()) } else { changes.settle() }?;
            }
        }
        changes.forget(REJECTS, source);
        changes.forget(SOURCES, source);
        Ok(())
    }

    /// Whether a file lies where a shard of this run lies.
    fn is_of_met_shard(&self, file: &[u8], met: &HashSet<u128>) -> Result<bool, IngestError> {
        for above in upwards(file).skip(1).filter(|above| met.contains(&hash(above))) {
            if self.source_note(above)?.is_some_and(|note| note.is_shard()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether what lies below a source is, or lies below, another source.
    fn is_of_another(&self, key: &[u8], source: &[u8], met: &HashSet<u128>) -> DbResult<bool> {
        for key in upwards(key).take_while(|key| key.len() > source.len()) {
            if met.contains(&hash(key)) || self.db.note(&[SOURCES, key].concat())?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Deletes the records of a shard that are older than its last reading, which came to its end: their entries
    /// are gone. Those stay that are of other sources by now or whose entries were rejected, as a file that was
    /// rejected keeps the record that it has.
    fn delete_leftovers(
        &self,
        shard: &[u8],
        (met, lost): (&HashSet<u128>, &Below),
        changes: &mut Changes<'_>,
    ) -> Result<(), IngestError> {
        let Some(note) = self.source_note(shard)? else { return Ok(()) };
        let rejected = self.db.note(&[REJECTS, shard].concat())?.is_some();
        // Nobody knows what was behind damage.
        let Some(since) = note.since.filter(|_| note.finished && !rejected) else { return Ok(()) };
        let mut keys = Vec::new();
        self.db.snapshot().visit_keys(&[shard, b"/"].concat(), |key, id| {
            if id < since
                && !lost.holds(key)
                && !self.is_of_another(key, shard, met)?
                && self.db.note(&[REJECTS, key].concat())?.is_none()
            {
                keys.push(key.to_vec());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for key in keys {
            changes.delete(&key);
            changes.settle()?;
        }
        changes.note(shard, &SourceNote { since: None, ..note })
    }

    fn source_note(&self, source: &[u8]) -> Result<Option<SourceNote>, IngestError> {
        let note = self.db.note(&[SOURCES, source].concat())?;
        note.map(|note| parse(source, &note)).transpose()
    }
}

/// Whether no file is where a source was. A folder in its place is none, and what cannot be looked at may be one.
fn is_missing(source: &[u8]) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    match path_of(source).map(|path| path.metadata()) {
        Some(Ok(meta)) => !meta.is_file(),
        Some(Err(error)) => matches!(error.kind(), NotFound | NotADirectory),
        None => false,
    }
}

/// Whether the note of a source says so; one that makes no sense is told where it is needed.
fn may_have_leftovers(note: &[u8]) -> bool {
    serde_json::from_slice(note).is_ok_and(|note: SourceNote| note.since.is_some())
}

/// Changes that are written some at a time, in their order; durable when the database is synced.
pub(super) struct Changes<'a> {
    db: &'a Database,
    batch: WriteBatch,
    waiting: usize,
    deleted: u64,
}

impl<'a> Changes<'a> {
    pub(super) fn new(db: &'a Database) -> Self {
        Self { db, batch: WriteBatch::new(), waiting: 0, deleted: 0 }
    }

    fn delete(&mut self, key: &[u8]) {
        self.batch.delete(key);
        self.waiting += 1;
    }

    pub(super) fn forget(&mut self, what: &[u8], key: &[u8]) {
        self.batch.delete_note(&[what, key].concat());
        self.waiting += 1;
    }

    pub(super) fn note(&mut self, source: &[u8], note: &SourceNote) -> Result<(), IngestError> {
        self.batch.put_note(&[SOURCES, source].concat(), &text_of(note)?);
        self.waiting += 1;
        Ok(())
    }

    /// Writes what waits if it is much. What came so far may be there without what follows.
    pub(super) fn settle(&mut self) -> Result<(), IngestError> {
        if self.waiting >= CHANGES {
            self.write()?;
        }
        Ok(())
    }

    /// Writes what waits; how many records are deleted by now.
    pub(super) fn write(&mut self) -> Result<u64, IngestError> {
        self.waiting = 0;
        let batch = std::mem::take(&mut self.batch);
        if !batch.is_empty() {
            self.deleted += self.db.write(batch, WriteOptions { sync: false })?.deleted;
        }
        Ok(self.deleted)
    }
}
