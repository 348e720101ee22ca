//! Verify: reads every byte and holds the parts of a database against each other, both ways.
//!
//! Records and segment rows lie in the same order, so one pass over the records walks a cursor
//! through each segment beside it.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::db::columns::Columns;
use crate::db::engine::Engine;
use crate::db::record::{
    KeyEntry, Location, Pending, Record, decode_id, decode_pending, decode_record, encode_id,
};
use crate::db::view::View;
use crate::error::{Error, Result};
use crate::index::{Rows, fingerprint};
use crate::storage::manifest::{SCHEMA_KEY, Schema};
use crate::storage::records::Family;
use crate::storage::superblock::Superblock;
use crate::storage::watermark;

/// What [`Database::verify`](crate::Database::verify) found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Records read.
    pub records: u64,
    /// Values read.
    pub values: u64,
    /// Segments read.
    pub segments: u64,
    /// Rows of segments read, deleted ones included.
    pub segment_rows: u64,
    /// Bytes of segments and of the record store's files.
    pub bytes: u64,
    /// Everything that is not as it must be; empty for a sound database.
    pub damages: Vec<Damage>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damages.is_empty()
    }
}

/// One thing that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong with it, as a sentence without its end.
    pub description: String,
}

/// Damages beyond this many are not listed: a broken disk would fill the memory.
const MAX_DAMAGES: usize = 1000;

/// One verification under way.
struct Verifier<'a> {
    engine: &'a Engine,
    view: &'a View,
    report: VerifyReport,
    /// Rows of the memtable by id, each with the run that it is in.
    memtable: HashMap<u64, (&'a Columns, usize)>,
    /// Records have patches, which the schema must tell.
    patched: bool,
    cursors: Vec<Cursor<'a>>,
    /// Records in the memtable, to find rows without a record.
    memtable_records: u64,
    /// Deleted rows that the cursors passed.
    deleted_rows: u64,
}

/// How far the pass over the records has come in one segment.
struct Cursor<'a> {
    path: &'a Path,
    rows: Rows<'a>,
    /// The fingerprint of each row's patches; `None` where no row has any.
    patches: Option<Vec<u64>>,
    next: usize,
}

impl Engine {
    pub(crate) fn verify(&self) -> Result<VerifyReport> {
        let view = self.view();
        let mut verifier = Verifier {
            engine: self,
            view: &view,
            report: VerifyReport::default(),
            memtable: HashMap::new(),
            patched: false,
            cursors: Vec::new(),
            memtable_records: 0,
            deleted_rows: 0,
        };
        verifier.superblock();
        verifier.watermark();
        verifier.segments();
        verifier.memtable();
        match self.records().verify_tables() {
            // It opens each table by its name; beside a writer one may be gone by then.
            Err(error) if error.is_corruption() || !self.read_only => verifier.error(&error),
            _ => {}
        }
        verifier.families();
        verifier.model();
        let mut report = verifier.report;
        report.bytes += view.records.records().file_bytes();
        Ok(report)
    }
}

impl<'a> Verifier<'a> {
    /// Reads the record store, family by family; one that cannot be read is a damage of its own.
    fn families(&mut self) {
        for check in [Self::records, Self::keys, Self::values, Self::pending, Self::tombstones] {
            if let Err(error) = check(self) {
                self.error(&error);
            }
        }
    }

    fn damage(&mut self, path: &Path, description: impl Into<String>) {
        if self.report.damages.len() < MAX_DAMAGES {
            let (path, description) = (path.to_path_buf(), description.into());
            self.report.damages.push(Damage { path, description });
        }
    }

    fn record_damage(&mut self, description: impl Into<String>) {
        let path = self.engine.layout.records();
        self.damage(&path, description);
    }

    fn error(&mut self, error: &Error) {
        let path = match error {
            Error::Io { path, .. }
            | Error::Corruption { path, .. }
            | Error::Records { path, .. }
            | Error::UnsupportedFormat { path, .. } => path.clone(),
            _ => self.engine.layout.root().to_path_buf(),
        };
        self.damage(&path, error.to_string());
    }

    fn watermark(&mut self) {
        let fs = self.engine.options.fs.as_ref();
        if let Err(error) = watermark::verify(fs, &self.engine.layout.records()) {
            self.error(&error);
        }
    }

    fn superblock(&mut self) {
        let path = self.engine.layout.superblock();
        // Held so that the background does not write it while it is read.
        let _commit = self.engine.lock_commit();
        match Superblock::read(self.engine.options.fs.as_ref(), &path) {
            Err(error) | Ok((_, Some(error))) => self.error(&error),
            Ok((superblock, None)) => {
                let known = self.view.records.records().latest_sequence();
                if superblock.sequence > known && !self.engine.read_only {
                    self.damage(
                        &path,
                        format!(
                            "it knows sequence {}, the records end at {known}",
                            superblock.sequence
                        ),
                    );
                }
            }
        }
    }

    fn segments(&mut self) {
        for segment in &self.view.segments {
            self.report.segments += 1;
            self.report.bytes += segment.file_bytes();
            let read = segment.verify().and_then(|patches| Ok((segment.rows()?, patches)));
            match read {
                Ok((rows, patches)) => {
                    self.report.segment_rows += rows.len() as u64;
                    self.cursors.push(Cursor { path: segment.path(), rows, patches, next: 0 });
                }
                Err(error) => self.error(&error),
            }
        }
    }

    fn memtable(&mut self) {
        for run in self.view.memtable.runs() {
            let rows = run.rows();
            for row in 0..rows.len() {
                if self.view.is_live(rows.id(row)) {
                    self.memtable.insert(rows.id(row), (run, row));
                }
            }
        }
    }

    /// Every record against its key, its value and its row.
    fn records(&mut self) -> Result<()> {
        let view = self.view;
        let schema = self.engine.schema;
        view.records.scan(Family::Records, &[], |key, value| {
            let damage = |what| view.records.damage(&what);
            let location = Location::decode(key).map_err(damage)?;
            let record = decode_record(&schema, location, value).map_err(damage)?;
            self.report.records += 1;
            self.patched |= !record.patches.is_empty();
            self.key_of(&record, location)?;
            self.value_of(&record)?;
            self.row_of(&record, location);
            Ok(ControlFlow::Continue(()))
        })?;
        for index in 0..self.cursors.len() {
            self.pass_deleted(index, None);
        }
        if self.memtable_records != self.memtable.len() as u64 {
            let (pending, found) = (self.memtable.len(), self.memtable_records);
            self.record_damage(format!("pending names {pending} records, {found} are there"));
        }
        let stored = view.records.get(Family::Meta, SCHEMA_KEY)?;
        if self.patched && !stored.is_some_and(|schema| Schema::is_patched(&schema)) {
            self.record_damage("records have patch addresses, of which the schema says nothing");
        }
        let (expected, found) = (view.state.record_count, self.report.records);
        if expected != found {
            self.record_damage(format!("it holds {found} records, its state says {expected}"));
        }
        Ok(())
    }

    fn key_of(&mut self, record: &Record, location: Location) -> Result<()> {
        let expected = KeyEntry { location, has_value: record.has_value };
        let entry = self.view.records.get(Family::Keys, &record.key)?;
        if entry.is_none_or(|entry| entry != expected.encode()) {
            self.record_damage(format!("record {} and its key do not name each other", record.id));
        }
        Ok(())
    }

    fn value_of(&mut self, record: &Record) -> Result<()> {
        if record.has_value
            && self.view.records.get(Family::Values, &encode_id(record.id))?.is_none()
        {
            self.record_damage(format!("the value of record {} is missing", record.id));
        }
        self.report.values += u64::from(record.has_value);
        Ok(())
    }

    /// The record must be one row of one segment, or of the memtable, with the same code.
    fn row_of(&mut self, record: &Record, location: Location) {
        let code = record.code.as_bytes();
        let patches = fingerprint(record.patch_values());
        if record.id >= self.view.state.sealed_bound {
            let row = self.memtable.get(&record.id);
            let equal = row.is_some_and(|(run, row)| {
                let rows = run.rows();
                rows.code(*row) == code
                    && rows.address(*row) == location.address
                    && fingerprint(run.patches.of(*row)) == patches
            });
            self.memtable_records += u64::from(row.is_some());
            if !equal {
                self.record_damage(format!("record {} and its pending entry differ", record.id));
            }
            return;
        }
        let mut found = 0;
        for index in 0..self.cursors.len() {
            self.pass_deleted(index, Some(location));
            let cursor = &mut self.cursors[index];
            let row = cursor.next;
            let here = row < cursor.rows.len()
                && (cursor.rows.address(row), cursor.rows.id(row))
                    == (location.address, location.id);
            if here {
                cursor.next += 1;
                found += 1;
                let (path, equal) = (cursor.path, cursor.rows.code(row) == code);
                let same = cursor.patches.as_ref().map_or(0, |rows| rows[row]) == patches;
                for (what, equal) in [("code", equal), ("patches", same)] {
                    if !equal {
                        let id = record.id;
                        self.damage(path, format!("the {what} of record {id} differ from it"));
                    }
                }
            }
        }
        // A segment that could not be read has been reported and has no cursor.
        if found != 1 && self.cursors.len() == self.view.segments.len() {
            self.record_damage(format!("record {} is in {found} segments, not in one", record.id));
        }
        if !self.view.is_live(record.id) {
            self.record_damage(format!("record {} has a tombstone", record.id));
        }
    }

    /// Moves a cursor to the first row at or behind `location`; what it passes must be deleted.
    fn pass_deleted(&mut self, index: usize, location: Option<Location>) {
        loop {
            let cursor = &mut self.cursors[index];
            let row = cursor.next;
            if row >= cursor.rows.len() {
                return;
            }
            let (address, id) = (cursor.rows.address(row), cursor.rows.id(row));
            if location.is_some_and(|location| (address, id) >= (location.address, location.id)) {
                return;
            }
            cursor.next += 1;
            let path = cursor.path;
            self.deleted_rows += 1;
            if self.view.is_live(id) {
                self.damage(path, format!("row {row} has id {id}, of which there is no record"));
            }
        }
    }

    fn keys(&mut self) -> Result<()> {
        let view = self.view;
        let mut count = 0;
        view.records.scan(Family::Keys, &[], |_, value| {
            KeyEntry::decode(value).map_err(|what| view.records.damage(&what))?;
            count += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        // Each record was seen to have its key, so a difference is a key without a record.
        if count != self.report.records {
            let records = self.report.records;
            self.record_damage(format!("it holds {count} keys for {records} records"));
        }
        Ok(())
    }

    fn values(&mut self) -> Result<()> {
        let view = self.view;
        let mut count = 0;
        view.records.scan(Family::Values, &[], |key, value| {
            decode_id(key).map_err(|what| view.records.damage(&what))?;
            self.report.bytes += value.len() as u64;
            count += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        if count != self.report.values {
            let expected = self.report.values;
            self.record_damage(format!("it holds {count} values, its records have {expected}"));
        }
        Ok(())
    }

    /// The entries on disk against the memtable that was made of them and of later writes.
    fn pending(&mut self) -> Result<()> {
        let view = self.view;
        let schema = self.engine.schema;
        let mut count = 0;
        view.records.scan(Family::Pending, &[], |key, value| {
            let damage = |what| view.records.damage(&what);
            let id = decode_id(key).map_err(damage)?;
            let Pending { address, code, patches } =
                decode_pending(&schema, value).map_err(damage)?;
            let equal = self.memtable.get(&id).is_some_and(|(run, row)| {
                let (rows, row) = (run.rows(), *row);
                rows.address(row) == address
                    && rows.code(row) == code
                    && fingerprint(run.patches.of(row)) == fingerprint(patches)
            });
            if !equal {
                self.record_damage(format!("pending entry {id} is no row of the memtable"));
            }
            count += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        if count != self.memtable.len() {
            let rows = self.memtable.len();
            self.record_damage(format!("it holds {count} pending entries for {rows} records"));
        }
        Ok(())
    }

    fn tombstones(&mut self) -> Result<()> {
        let view = self.view;
        let mut count = 0;
        view.records.scan(Family::Tombstones, &[], |key, _| {
            let id = decode_id(key).map_err(|what| view.records.damage(&what))?;
            if id >= view.state.sealed_bound {
                self.record_damage(format!("tombstone {id} is of a record that is in no segment"));
            }
            count += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        let rows = self.deleted_rows;
        if count != rows && self.cursors.len() == view.segments.len() {
            self.record_damage(format!("it holds {count} tombstones for {rows} deleted rows"));
        }
        Ok(())
    }

    fn model(&mut self) {
        if let Some(fingerprint) = &self.engine.encoder {
            let path = self.engine.layout.model(fingerprint);
            match self.engine.options.fs.open_read(&path).map(|file| file.metadata()) {
                Ok(Ok(metadata)) => self.report.bytes += metadata.len(),
                Ok(Err(source)) => self.error(&Error::Io { path, op: "inspect", source }),
                Err(error) => self.error(&error),
            }
        }
    }
}
