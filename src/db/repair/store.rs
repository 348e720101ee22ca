//! Which record store the repair goes on with: the one that is there, or a copy of it that was
//! salvaged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Repair;
use crate::db::record::encode_id;
use crate::error::{Error, Result};
use crate::storage::failpoint;
use crate::storage::records::{Access, Family, Records, RecordsBatch, RecordsSnapshot};
use crate::storage::salvage::{copy_store, rebuild_manifest, tables_on_disk};
use crate::storage::superblock::Superblock;
use crate::storage::tree::{ensure_dir, is_absent};

/// The copy that takes the place of the original, as it is called in the moment of the change.
pub(super) const READY: &str = "ready";
/// SUPERBLOCK of a store that is about to take the original's place, inside of it.
pub(super) const NEXT_SUPERBLOCK: &str = "SUPERBLOCK.new";
const COPY: &str = "copy";
const FROM_TABLES: &str = "tables";
const FRESH: &str = "fresh";
const SCRATCH: &str = "scratch";
/// Entries in one batch.
const BATCH: usize = 1000;
const BATCH_BYTES: usize = 4 << 20;

/// The store to go on with.
pub(super) struct Work {
    pub(super) path: PathBuf,
    /// It is a copy that takes the original's place.
    pub(super) copied: bool,
    /// The original did not open, or ended too early: what its end was, nobody knows.
    pub(super) salvaged: bool,
    /// The last sequence number of the store that was read.
    pub(super) sequence: u64,
    /// There may have been notes where it cannot be read.
    pub(super) notes_in_doubt: bool,
}

/// What a look at all entries of a store found.
struct Census {
    records: u64,
    sequence: u64,
    /// There are entries that cannot be read.
    gaps: bool,
    /// A whole family cannot be read.
    blind: bool,
    /// There are entries of the family with the notes that cannot be read.
    notes_in_doubt: bool,
    errors: Vec<String>,
}

impl Repair {
    /// Finishes what an earlier repair left between its renames.
    pub(super) fn finish_swap(&mut self) -> Result<()> {
        let (records, ready) = (self.layout.records(), self.layout.salvage().join(READY));
        let halfway = !records.exists() && ready.is_dir();
        if self.options.dry_run && (halfway || records.join(NEXT_SUPERBLOCK).is_file()) {
            let rule = "cannot look at a repair that was interrupted; run it again first";
            return Err(Error::invalid("dry run", rule));
        }
        if halfway {
            self.fs.rename(&ready, &records)?;
            self.fs.sync_dir(self.layout.root())?;
            failpoint::reach("repair.resumed");
        }
        self.take_superblock()?;
        crate::storage::tree::remove_tree(self.fs.as_ref(), &self.layout.salvage())
    }

    /// Puts the SUPERBLOCK that came with a store in its place, unless the database has been written to
    /// since and has a newer one.
    pub(super) fn take_superblock(&mut self) -> Result<()> {
        let (next, known) = (self.layout.records().join(NEXT_SUPERBLOCK), self.layout.superblock());
        if !next.is_file() {
            return Ok(());
        }
        let fs = self.fs.as_ref();
        let read = |path: &Path| match Superblock::read(fs, path) {
            Ok((superblock, _)) => Ok(Some(superblock.generation)),
            Err(error) if error.is_corruption() || is_absent(&error) => Ok(None),
            // Longer than it can be.
            Err(Error::InvalidArgument { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        // None that can be read is older than any.
        if read(&next)? <= read(&known)? {
            return fs.remove(&next);
        }
        fs.rename(&next, &known)?;
        fs.sync_dir(self.layout.root())
    }

    pub(super) fn choose_store(&mut self) -> Result<Work> {
        let path = self.layout.records();
        let mark = self.superblock.map_or(0, |superblock| superblock.sequence);
        let original = self.examine(&path, Access::ReadOnly)?;
        // Logs are read up to their first damage, so that what is left is what was there at some
        // moment; a manifest made from tables would go on behind the damage.
        let log_at_fault = original.is_none()
            && self.report.damages.iter().any(|damage| {
                damage.description.contains(".log") || damage.description.contains("Size mismatch")
            });
        let whole =
            original.as_ref().is_some_and(|census| census.sequence >= mark && !census.blind);
        if let Some(census) = original.as_ref().filter(|_| whole) {
            return self.rewritten(&path, census, false);
        }
        if let Some(census) = original.as_ref().filter(|census| census.sequence < mark) {
            let found = census.sequence;
            let error = Error::RolledBack { path: path.clone(), expected: mark, found };
            self.report.note(&path, &error.to_string());
        }
        ensure_dir(self.fs.as_ref(), &self.layout.salvage())?;
        let (path, census) = self.best_copy(&path, mark, log_at_fault)?;
        self.rewritten(&path, &census, true)
    }

    /// The copy that holds most of what the store held.
    fn best_copy(
        &mut self,
        records: &Path,
        mark: u64,
        log_at_fault: bool,
    ) -> Result<(PathBuf, Census)> {
        let folder = self.layout.salvage();
        let (copy, other) = (folder.join(COPY), folder.join(FROM_TABLES));
        copy_store(self.fs.as_ref(), records, &copy)?;
        failpoint::reach("repair.copied");
        let before = tables_on_disk(self.fs.as_ref(), &copy)?;
        let mut first = self.examine(&copy, Access::Salvage)?;
        if first.is_none() {
            copy_store(self.fs.as_ref(), records, &copy)?;
            first = self.examine(&copy, Access::Lenient)?;
        }
        let left_out = match &first {
            // Its manifest does not name them, so opening removed them from the copy.
            Some(_) => {
                let left = tables_on_disk(self.fs.as_ref(), &copy)?;
                before.iter().any(|table| !left.contains(table))
            }
            None => true,
        };
        if let Some(census) = &first
            && !census.blind
            && (census.sequence >= mark || !left_out || log_at_fault)
        {
            return first.map(|census| (copy, census)).ok_or(Error::Poisoned);
        }
        copy_store(self.fs.as_ref(), records, &other)?;
        rebuild_manifest(self.fs.as_ref(), &other, &folder.join(SCRATCH))?;
        failpoint::reach("repair.tables");
        let second = self.examine(&other, Access::Lenient)?;
        match (first, second) {
            (Some(first), Some(second)) if first.records >= second.records => Ok((copy, first)),
            (_, Some(second)) => Ok((other, second)),
            (Some(first), None) => Ok((copy, first)),
            (None, None) => Err(Records::open(&other, Access::ReadOnly, 0, None)
                .err()
                .unwrap_or_else(|| Error::NotADatabase { path: self.layout.root().to_path_buf() })),
        }
    }

    /// Reads all of a store; `None` if it cannot be opened.
    fn examine(&mut self, path: &Path, access: Access) -> Result<Option<Census>> {
        let records = match Records::open(path, access, 0, None) {
            Ok(records) => Arc::new(records),
            Err(error) if error.is_corruption() => {
                self.report.note(&self.layout.records(), &self.original_names(&error.to_string()));
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut census = Census {
            records: 0,
            sequence: records.latest_sequence(),
            gaps: false,
            blind: false,
            notes_in_doubt: false,
            errors: Vec::new(),
        };
        if let Err(error) = records.verify_tables() {
            census.gaps = true;
            census.errors.push(error.to_string());
        }
        let snapshot = records.snapshot();
        for family in Family::ALL {
            let gaps = snapshot.scan_sound(family, |_, _| {
                census.records += u64::from(family == Family::Records);
                Ok(())
            })?;
            census.gaps |= !gaps.is_empty();
            census.blind |= gaps.iter().any(|gap| gap.whole);
            census.notes_in_doubt |= family == Family::Meta && !gaps.is_empty();
            census.errors.extend(
                gaps.into_iter().map(|gap| format!("family {}: {}", family.name(), gap.error)),
            );
        }
        for error in &census.errors {
            self.report.note(&self.layout.records(), &self.original_names(error));
        }
        Ok(Some(census))
    }

    /// Errors about a copy are told of the original.
    fn original_names(&self, error: &str) -> String {
        let original = self.layout.records().display().to_string();
        [COPY, FROM_TABLES].iter().fold(error.to_owned(), |text, name| {
            text.replace(&self.layout.salvage().join(name).display().to_string(), &original)
        })
    }

    /// A store with gaps is written anew without them, so that what cannot be read is out of the way.
    fn rewritten(&mut self, path: &Path, census: &Census, salvaged: bool) -> Result<Work> {
        let work = Work {
            path: path.to_path_buf(),
            copied: salvaged,
            salvaged,
            sequence: census.sequence,
            notes_in_doubt: census.notes_in_doubt,
        };
        if !census.gaps {
            return Ok(work);
        }
        ensure_dir(self.fs.as_ref(), &self.layout.salvage())?;
        let fresh = self.layout.salvage().join(FRESH);
        crate::storage::tree::remove_tree(self.fs.as_ref(), &fresh)?;
        let access = if salvaged { Access::Lenient } else { Access::ReadOnly };
        let source = Arc::new(Records::open(path, access, 0, None)?);
        let target = Records::open(&fresh, Access::Create, 0, None)?;
        copy_entries(&source.snapshot(), &target)?;
        failpoint::reach("repair.fresh");
        Ok(Work { path: fresh, copied: true, ..work })
    }

    /// The copy takes the original's place, which is set aside whole.
    pub(super) fn swap(&mut self, work: &Work) -> Result<()> {
        let (records, ready) = (self.layout.records(), self.layout.salvage().join(READY));
        let aside = self.set_aside()?;
        let fs = self.fs.as_ref();
        fs.rename(&work.path, &ready)?;
        fs.sync_dir(&self.layout.salvage())?;
        failpoint::reach("repair.ready");
        fs.rename(&records, &aside.join("records"))?;
        fs.sync_dir(&aside)?;
        failpoint::reach("repair.away");
        fs.rename(&ready, &records)?;
        fs.sync_dir(self.layout.root())?;
        failpoint::reach("repair.swapped");
        Ok(())
    }
}

/// Copies what can be read, durably.
fn copy_entries(source: &RecordsSnapshot, target: &Records) -> Result<()> {
    for family in Family::ALL {
        let (mut batch, mut entries, mut bytes) = (RecordsBatch::default(), 0, 0);
        source.scan_sound(family, |key, value| {
            batch.put(family, key, value);
            entries += 1;
            bytes += key.len() + value.len();
            if entries >= BATCH || bytes >= BATCH_BYTES {
                (entries, bytes) = (0, 0);
                target.write(std::mem::take(&mut batch), false)?;
            }
            Ok(())
        })?;
        target.write(batch, false)?;
    }
    target.sync()
}

/// Collects changes and writes them in batches, or only counts them.
pub(super) struct Changes<'a> {
    target: Option<&'a Records>,
    batch: RecordsBatch,
    waiting: usize,
    pub(super) count: u64,
}

impl<'a> Changes<'a> {
    pub(super) fn new(target: Option<&'a Records>) -> Self {
        Self { target, batch: RecordsBatch::default(), waiting: 0, count: 0 }
    }

    pub(super) fn put(
        &mut self,
        family: Family,
        key: impl Into<Vec<u8>>,
        value: impl Into<Vec<u8>>,
    ) -> Result<()> {
        if self.target.is_some() {
            self.batch.put(family, key, value);
        }
        self.counted()
    }

    pub(super) fn delete(&mut self, family: Family, key: &[u8]) -> Result<()> {
        if self.target.is_some() {
            self.batch.delete(family, key);
        }
        self.counted()
    }

    pub(super) fn delete_id(&mut self, family: Family, id: u64) -> Result<()> {
        self.delete(family, &encode_id(id))
    }

    fn counted(&mut self) -> Result<()> {
        self.count += 1;
        self.waiting += 1;
        if self.waiting < BATCH {
            return Ok(());
        }
        self.waiting = 0;
        let batch = std::mem::take(&mut self.batch);
        self.target.map_or(Ok(()), |target| target.write(batch, false))
    }

    /// What has not been written yet.
    pub(super) fn rest(&mut self) -> RecordsBatch {
        self.waiting = 0;
        std::mem::take(&mut self.batch)
    }
}
