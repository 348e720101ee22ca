//! Repair: a closed database is made whole again from what is left of it.
//!
//! The record store is the truth. Where it reads, nothing is lost: segments, keys and the rest are
//! derived from it, and a record whose own entry is gone comes back from its key and its row. Where it
//! does not read, a copy of it is salvaged and takes its place; the original goes to `damaged/`
//! whole. Everything is planned before anything is changed, and every step may be the last: what is
//! there then is still a damaged database, or one that was repaired.

mod apply;
mod evidence;
mod plan;
mod report;
mod store;

use std::path::Path;
use std::sync::Arc;

pub use report::{RepairOptions, RepairReport};

use crate::db::engine::Engine;
use crate::db::options::Options;
use crate::error::{Error, Result};
use crate::storage::failpoint;
use crate::storage::fs::{Fs, OsFs};
use crate::storage::layout::Layout;
use crate::storage::lock::Lock;
use crate::storage::manifest::Schema;
use crate::storage::records::{Access, Records};
use crate::storage::superblock::Superblock;
use crate::storage::tree::{ensure_dir, remove_tree};
use crate::storage::watermark;
use plan::{Findings, Plan};
use store::Work;

/// One repair under way.
struct Repair {
    layout: Layout,
    fs: Arc<dyn Fs>,
    options: RepairOptions,
    report: RepairReport,
    superblock: Option<Superblock>,
}

/// Repairs the database in a directory.
pub(crate) fn repair(path: &Path, options: RepairOptions) -> Result<RepairReport> {
    repair_with(path, options, Arc::new(OsFs))
}

/// The same through a file system of the caller.
pub(crate) fn repair_with(
    path: &Path,
    options: RepairOptions,
    fs: Arc<dyn Fs>,
) -> Result<RepairReport> {
    let layout = Layout::new(path);
    let is_there = layout.superblock().is_file()
        || layout.records().is_dir()
        || layout.salvage().join(store::READY).is_dir();
    if !is_there {
        return Err(Error::NotADatabase { path: path.to_path_buf() });
    }
    let lock = Lock::acquire(&layout.lock(), path)?;
    failpoint::reach("repair.begin");
    let report = RepairReport { dry_run: options.dry_run, ..RepairReport::default() };
    let mut repair = Repair { layout, fs, options, report, superblock: None };
    let done = repair.run();
    // If it ended between the two renames, the store lies there: the next repair puts it in place.
    let tidied = if repair.layout.records().exists() {
        remove_tree(repair.fs.as_ref(), &repair.layout.salvage())
    } else {
        Ok(())
    };
    drop(lock);
    done.and(tidied)?;
    failpoint::reach("repair.tidied");
    if !repair.options.dry_run {
        repair.verify()?;
    }
    failpoint::reach("repair.end");
    Ok(repair.report)
}

impl Repair {
    fn run(&mut self) -> Result<()> {
        self.finish_swap()?;
        if !self.options.dry_run {
            // A dry run changes nothing, so it may see more damage than there is.
            watermark::cut_unwritten(self.fs.as_ref(), &self.layout.records())?;
        }
        self.read_superblock()?;
        let work = self.choose_store()?;
        let findings = self.plan(&work)?;
        self.count_losses(&work, &findings);
        if self.report.is_lossy() && !self.options.accept_loss && !self.options.dry_run {
            return Err(self.refusal());
        }
        failpoint::reach("repair.planned");
        if self.options.dry_run {
            return Ok(());
        }
        self.apply(&work)
    }

    /// The superblock, or what is wrong with it. One of a newer format is not ours to touch.
    fn read_superblock(&mut self) -> Result<()> {
        let path = self.layout.superblock();
        match Superblock::read(self.fs.as_ref(), &path) {
            Ok((superblock, torn)) => {
                self.superblock = Some(superblock);
                if let Some(error) = torn {
                    self.report.note(&path, &error.to_string());
                    self.report.superblock_rebuilt = true;
                }
                Ok(())
            }
            Err(error @ (Error::Corruption { .. } | Error::InvalidArgument { .. })) => {
                self.report.note(&path, &error.to_string());
                self.report.superblock_rebuilt = true;
                Ok(())
            }
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                self.report.note(&path, "SUPERBLOCK is missing");
                self.report.superblock_rebuilt = true;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// What has to be done to the store, without doing it.
    fn plan(&mut self, work: &Work) -> Result<Findings> {
        let records = Arc::new(Records::open(&work.path, Access::ReadOnly, 0, None)?);
        let mut plan = Plan::new(self, records.snapshot(), None)?;
        let findings = plan.run()?;
        for segment in &findings.bad_segments {
            self.report.note(&self.layout.segment(segment.number), &segment.reason);
        }
        for note in &findings.notes {
            self.report.note(&self.layout.records(), note);
        }
        Ok(findings)
    }

    fn count_losses(&mut self, work: &Work, findings: &Findings) {
        let report = &mut self.report;
        report.salvaged = work.salvaged;
        report.notes_in_doubt = work.notes_in_doubt;
        report.sequence_expected = self.superblock.map(|superblock| superblock.sequence);
        report.sequence_found = work.sequence;
        // The store's own count is of its last write; that of the superblock may be older.
        let counted = if work.salvaged { None } else { findings.recorded_count };
        let expected = counted.or(self.superblock.map(|superblock| superblock.record_count));
        report.records_before = expected.or(findings.recorded_count);
        report.records_after = findings.record_count;
        let missing = report.records_before.unwrap_or(0).saturating_sub(findings.record_count);
        // A row without record and tombstone is a trace of a record, unless the count says that none
        // is missing: then it is the tombstone that is gone.
        let traces = if counted.is_some() { 0 } else { findings.lost_records };
        report.lost_records = missing.max(traces);
        report.lost_values = findings.lost_values;
        report.records_rebuilt = findings.records_rebuilt;
        report.keys_rebuilt = findings.keys_rebuilt;
        report.rows_rebuilt = findings.rows_to_build;
        report.segments_replaced = findings.bad_segments.len() as u64;
        report.changes = findings.changes;
    }

    fn refusal(&self) -> Error {
        let report = &self.report;
        let mut detail: Vec<String> = Vec::new();
        if let Some(expected) = report.sequence_expected {
            detail.push(format!(
                "the store can be read up to sequence {}, {expected} was durable",
                report.sequence_found
            ));
        }
        if let Some(before) = report.records_before {
            detail.push(format!("{} of {before} records are there", report.records_after));
        }
        if report.notes_in_doubt {
            detail.push("notes may be gone".to_owned());
        }
        let first = report.damages.first();
        detail.extend(first.map(|damage| damage.description.clone()));
        Error::WouldLose {
            path: self.layout.root().to_path_buf(),
            records: report.lost_records,
            values: report.lost_values,
            detail: detail.join("; "),
        }
    }

    /// Opens what was made as anybody would and reads all of it.
    fn verify(&mut self) -> Result<()> {
        let mut options = Options::new().background(false);
        options.fs = Arc::clone(&self.fs);
        let engine = Engine::open(self.layout.root(), options)?;
        self.report.remaining = engine.verify()?.damages;
        engine.sync()
    }

    /// Where this run puts what it sets aside.
    fn set_aside(&mut self) -> Result<std::path::PathBuf> {
        if let Some(folder) = &self.report.kept {
            return Ok(folder.clone());
        }
        ensure_dir(self.fs.as_ref(), &self.layout.damaged())?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seconds = now.map_or(0, |now| now.as_secs());
        let taken = |name: &String| self.layout.damaged().join(name).exists();
        let mut names = std::iter::once(seconds.to_string())
            .chain((2_u32..).map(|number| format!("{seconds}-{number}")));
        let name = names.find(|name| !taken(name)).unwrap_or_default();
        let folder = self.layout.damaged().join(name);
        ensure_dir(self.fs.as_ref(), &folder)?;
        self.report.kept = Some(folder.clone());
        Ok(folder)
    }

    fn schema_of_superblock(&self) -> Option<Schema> {
        self.superblock.map(|superblock| Schema {
            database_id: superblock.database_id,
            code_bits: superblock.code_bits,
            address_bits: superblock.address_bits,
        })
    }
}
