//! What the sections of a segment mean: rows in (address, id) order, the pair table over their
//! addresses and the indexes over their codes (storage-format.md, sections 3.1 to 3.5). The one
//! place where `index` and `storage` meet.

mod info;
mod parts;
#[cfg(feature = "__internals")]
mod probe;
mod verify;
mod write;

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::db::threads::Threads;
use crate::error::{Corruption, Error, Result};
use crate::index::{Rows, Workers as _};
use crate::storage::failpoint;
use crate::storage::fs::Fs;
use crate::storage::manifest::{Schema, SegmentEntry};
use crate::storage::segment::{SegmentId, SegmentReader, Tag};
use info::Info;
use parts::Parts;
#[cfg(feature = "__internals")]
pub use probe::{Probe, ProbeAnswer, ProbedSegment};

const INFO: Tag = *b"INFO    ";
const IDS: Tag = *b"IDS     ";
const ADDRESSES: Tag = *b"ADDRESS ";
const CODES: Tag = *b"CODES   ";
/// A live segment.
pub(crate) struct Segment {
    entry: SegmentEntry,
    info: Info,
    reader: Arc<SegmentReader>,
    schema: Schema,
    /// Filled at first use: the rows were checked.
    checked_rows: OnceLock<()>,
    /// Held while many bytes are checked on all cores: whoever else needs them waits.
    checking: Mutex<()>,
    parts: Parts,
    /// Set when no manifest names the file any more: the last user removes it.
    obsolete: AtomicBool,
    fs: Arc<dyn Fs>,
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Segment").field("entry", &self.entry).finish_non_exhaustive()
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if *self.obsolete.get_mut() {
            // A file that stays behind is removed at the next open: no manifest names it.
            failpoint::reach("segment.remove");
            let _left_for_open = self.fs.remove(self.reader.path());
            failpoint::reach("segment.removed");
        }
    }
}

/// Fewer rows are checked in the time that a thread takes to start.
const MANY_ROWS: u64 = 1 << 18;
/// Pieces of bytes from which on threads check them.
const MANY_PIECES: usize = 4;
/// Rows that are checked as one piece.
const PIECE_ROWS: usize = 1 << 17;

impl Segment {
    /// Opens a segment that the manifest names.
    pub(crate) fn open(
        fs: &Arc<dyn Fs>,
        path: &Path,
        schema: &Schema,
        entry: SegmentEntry,
        mmap: bool,
    ) -> Result<Self> {
        let id = SegmentId { database_id: schema.database_id, number: entry.number };
        let length = Some(entry.file_bytes);
        let reader = SegmentReader::open(fs.as_ref(), path, id, length, mmap)?;
        Self::of_reader(fs, reader, schema, entry)
    }

    fn of_reader(
        fs: &Arc<dyn Fs>,
        reader: SegmentReader,
        schema: &Schema,
        entry: SegmentEntry,
    ) -> Result<Self> {
        let info = Info::decode(reader.required(INFO, "section INFO")?)
            .map_err(|what| what.at(reader.path(), reader.section_offset(INFO)))?;
        let segment = Self {
            entry,
            info,
            reader: Arc::new(reader),
            schema: *schema,
            checked_rows: OnceLock::new(),
            checking: Mutex::new(()),
            parts: Parts::default(),
            obsolete: AtomicBool::new(false),
            fs: Arc::clone(fs),
        };
        segment.check_info(schema)?;
        Ok(segment)
    }

    fn check_info(&self, schema: &Schema) -> Result<()> {
        let (info, entry) = (&self.info, &self.entry);
        let pairs = [
            ("row count", entry.row_count, info.row_count),
            ("file length", entry.file_bytes, self.reader.file_bytes()),
            ("code bits", u64::from(schema.code_bits), u64::from(info.code_bits)),
            ("address bits", u64::from(schema.address_bits), u64::from(info.address_bits)),
        ];
        for (field, expected, found) in pairs {
            if expected != found {
                return Err(self.damaged(INFO, Corruption::Mismatch { field, expected, found }));
            }
        }
        Ok(())
    }

    fn damaged(&self, tag: Tag, what: Corruption) -> Error {
        what.at(self.reader.path(), self.reader.section_offset(tag))
    }

    /// How the manifest names it.
    pub(crate) fn entry(&self) -> SegmentEntry {
        self.entry
    }

    pub(crate) fn number(&self) -> u64 {
        self.entry.number
    }

    pub(crate) fn row_count(&self) -> u64 {
        self.entry.row_count
    }

    pub(crate) fn max_id(&self) -> u64 {
        self.info.max_id
    }

    /// Bounds of the ids of its rows, both included.
    pub(crate) fn id_range(&self) -> (u64, u64) {
        (self.info.min_id, self.info.max_id)
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.entry.file_bytes
    }

    pub(crate) fn path(&self) -> &Path {
        self.reader.path()
    }

    fn code_bytes(&self) -> usize {
        usize::from(self.schema.code_bits / 8)
    }

    /// Has the file removed when its last user is gone.
    pub(crate) fn mark_obsolete(&self) {
        self.obsolete.store(true, Ordering::Release);
    }

    /// The rows, in (address, id) order; checked at first use.
    pub(crate) fn rows(&self) -> Result<Rows<'_>> {
        self.ensure(&[IDS, ADDRESSES, CODES])?;
        let rows = self.places()?;
        self.reader.required(CODES, "section CODES")?;
        Ok(rows)
    }

    /// The rows for who looks at no code: those are not checked, and most of the bytes are theirs.
    pub(crate) fn places(&self) -> Result<Rows<'_>> {
        self.ensure(&[IDS, ADDRESSES])?;
        let addresses = self.reader.required(ADDRESSES, "section ADDRESS")?;
        let rows = self.with_addresses(addresses)?;
        if self.checked_rows.get().is_none() {
            self.check_rows(&rows)?;
            let _already_set = self.checked_rows.set(());
        }
        Ok(rows)
    }

    /// The rows for who looks at ids alone, as a ball by the pair table does: neither codes nor addresses
    /// are checked.
    pub(crate) fn ids(&self) -> Result<Rows<'_>> {
        self.ensure(&[IDS])?;
        self.with_addresses(self.reader.unchecked(ADDRESSES, "section ADDRESS")?)
    }

    fn with_addresses<'a>(&'a self, addresses: &'a [u8]) -> Result<Rows<'a>> {
        let ids = self.reader.required(IDS, "section IDS")?;
        let codes = self.reader.unchecked(CODES, "section CODES")?;
        let rows = Rows::new(ids, addresses, codes, self.code_bytes())
            .map_err(|what| self.damaged(CODES, what))?;
        let (expected, found) = (self.info.row_count, rows.len() as u64);
        if found == expected {
            return Ok(rows);
        }
        Err(self.damaged(IDS, Corruption::Mismatch { field: "row count", expected, found }))
    }

    /// Checks sections that were not checked yet, on all cores if they are long: that decides when the first
    /// answer comes. Short ones are checked where they are used.
    pub(super) fn ensure(&self, tags: &[Tag]) -> Result<()> {
        if self.entry.row_count < MANY_ROWS || self.reader.are_checked(tags) {
            return Ok(());
        }
        let _checking = self.checking.lock();
        self.reader.check_by(tags, |count, job| self.threads().run(count, job))
    }

    /// The same for sections that may be long where rows are few.
    fn ensure_all(&self, tags: &[Tag]) -> Result<()> {
        if self.reader.are_checked(tags) {
            return Ok(());
        }
        let _checking = self.checking.lock();
        self.reader.check_by(tags, |count, job| match count {
            0..MANY_PIECES => Threads::one().run(count, job),
            _ => Threads::foreground().run(count, job),
        })
    }

    /// Who checks what is read for the first time.
    fn threads(&self) -> Threads<'static> {
        let many = self.entry.row_count >= MANY_ROWS;
        if many { Threads::foreground() } else { Threads::one() }
    }

    /// Rows rise by (address, id) and stay in range.
    fn check_rows(&self, rows: &Rows<'_>) -> Result<()> {
        let count = rows.len().div_ceil(PIECE_ROWS);
        let pieces: Vec<_> = (0..count).map(|_| OnceLock::new()).collect();
        self.threads().run(count, &|piece| {
            let end = rows.len().min((piece + 1) * PIECE_ROWS);
            pieces[piece].get_or_init(|| self.check_piece(rows, piece * PIECE_ROWS..end));
        });
        // The first damage in the order of the file is told.
        pieces.into_iter().filter_map(OnceLock::into_inner).collect()
    }

    /// The same for some rows; the first of them comes behind the one before.
    fn check_piece(&self, rows: &Rows<'_>, piece: Range<usize>) -> Result<()> {
        let before = piece.start.checked_sub(1);
        let mut previous = before.map(|row| (rows.address(row), rows.id(row)));
        for row in piece {
            let (address, id) = (rows.address(row), rows.id(row));
            if previous >= Some((address, id)) {
                return Err(self.damaged(ADDRESSES, Corruption::Unsorted { field: "address, id" }));
            }
            if id < self.info.min_id || id > self.info.max_id {
                return Err(self.damaged(IDS, Corruption::OutOfRange { field: "id", value: id }));
            }
            previous = Some((address, id));
        }
        let last = previous.map_or(0, |(address, _)| u64::from(address));
        if last >> self.schema.address_bits != 0 {
            let what = Corruption::OutOfRange { field: "address", value: last };
            return Err(self.damaged(ADDRESSES, what));
        }
        Ok(())
    }
}
