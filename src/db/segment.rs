//! What the sections of a segment mean: rows in (address, id) order and the pair table over their
//! addresses (storage-format.md, section 3.2). The one place where `index` and `storage` meet.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use self_cell::self_cell;

use crate::bytes::{Reader, Writer};
use crate::db::columns::Columns;
use crate::db::options::IndexOptions;
use crate::error::{Corruption, Error, Result};
use crate::index::{PairTable, PairTableColumns, Rows};
use crate::storage::fs::Fs;
use crate::storage::manifest::{Schema, SegmentEntry};
use crate::storage::segment::{SegmentId, SegmentReader, SegmentWriter, Tag};

const INFO: Tag = *b"INFO    ";
const IDS: Tag = *b"IDS     ";
const ADDRESSES: Tag = *b"ADDRESS ";
const CODES: Tag = *b"CODES   ";
const HIGH_OFFSETS: Tag = *b"BALL.HO ";
const LOW_SUFFIXES: Tag = *b"BALL.LS ";
const LOW_OFFSETS: Tag = *b"BALL.LO ";
const HIGH_SUFFIXES: Tag = *b"BALL.HS ";
const POSITIONS: Tag = *b"BALL.POS";

const ROW_SECTIONS: u16 = 4;
const TABLE_SECTIONS: u16 = 5;

self_cell!(
    struct OpenTable {
        owner: Arc<SegmentReader>,
        #[covariant]
        dependent: PairTable,
    }
);

/// A live segment.
pub(crate) struct Segment {
    entry: SegmentEntry,
    info: Info,
    reader: Arc<SegmentReader>,
    code_bytes: usize,
    address_bits: u8,
    /// Filled at first use: the rows were checked; the pair table was checked, if there is one.
    checked_rows: OnceLock<()>,
    table: OnceLock<Option<OpenTable>>,
    /// Set when no manifest names the file any more: the last user removes it.
    obsolete: AtomicBool,
    fs: Arc<dyn Fs>,
}

/// The section INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Info {
    row_count: u64,
    code_bits: u16,
    address_bits: u8,
    min_id: u64,
    max_id: u64,
}

impl Info {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.u64(self.row_count);
        out.u16(self.code_bits);
        out.u8(self.address_bits);
        out.bytes(&[0; 5]);
        out.u64(self.min_id);
        out.u64(self.max_id);
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Corruption> {
        let mut input = Reader::new(bytes);
        let (row_count, code_bits, address_bits) = (input.u64()?, input.u16()?, input.u8()?);
        if input.bytes(5)? != [0; 5] {
            return Err(Corruption::OutOfRange { field: "reserved", value: 1 });
        }
        let (min_id, max_id) = (input.u64()?, input.u64()?);
        input.end("info length")?;
        Ok(Self { row_count, code_bits, address_bits, min_id, max_id })
    }
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
            let _left_for_open = self.fs.remove(self.reader.path());
        }
    }
}

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
        let reader = SegmentReader::open(fs.as_ref(), path, id, mmap)?;
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
            code_bytes: usize::from(schema.code_bits / 8),
            address_bits: schema.address_bits,
            checked_rows: OnceLock::new(),
            table: OnceLock::new(),
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

    pub(crate) fn number(&self) -> u64 {
        self.entry.number
    }

    pub(crate) fn row_count(&self) -> u64 {
        self.entry.row_count
    }

    pub(crate) fn max_id(&self) -> u64 {
        self.info.max_id
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.entry.file_bytes
    }

    pub(crate) fn path(&self) -> &Path {
        self.reader.path()
    }

    /// Whether it carries these indexes and no others, as far as its size allows.
    pub(crate) fn carries(&self, _index: IndexOptions) -> bool {
        true
    }

    /// Has the file removed when its last user is gone.
    pub(crate) fn mark_obsolete(&self) {
        self.obsolete.store(true, Ordering::Release);
    }

    /// The rows, in (address, id) order; checked at first use.
    pub(crate) fn rows(&self) -> Result<Rows<'_>> {
        let ids = self.reader.required(IDS, "section IDS")?;
        let addresses = self.reader.required(ADDRESSES, "section ADDRESS")?;
        let codes = self.reader.required(CODES, "section CODES")?;
        let rows = Rows::new(ids, addresses, codes, self.code_bytes)
            .map_err(|what| self.damaged(CODES, what))?;
        if self.checked_rows.get().is_none() {
            self.check_rows(&rows)?;
            let _already_set = self.checked_rows.set(());
        }
        Ok(rows)
    }

    /// Rows are as many as INFO says, rise by (address, id), and stay in range.
    fn check_rows(&self, rows: &Rows<'_>) -> Result<()> {
        let found = rows.len() as u64;
        if found != self.info.row_count {
            let expected = self.info.row_count;
            return Err(
                self.damaged(IDS, Corruption::Mismatch { field: "row count", expected, found })
            );
        }
        let mut previous = None;
        for row in 0..rows.len() {
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
        if last >> self.address_bits != 0 {
            let what = Corruption::OutOfRange { field: "address", value: last };
            return Err(self.damaged(ADDRESSES, what));
        }
        Ok(())
    }

    /// The pair table, `None` where the segment is too small to have one; checked at first use.
    pub(crate) fn table(&self) -> Result<Option<&PairTable<'_>>> {
        if self.table.get().is_none() {
            let opened = self.open_table()?;
            let _already_set = self.table.set(opened);
        }
        Ok(self.table.get().and_then(Option::as_ref).map(OpenTable::borrow_dependent))
    }

    fn open_table(&self) -> Result<Option<OpenTable>> {
        if self.reader.section(HIGH_OFFSETS)?.is_none() {
            return Ok(None);
        }
        let rows = u32::try_from(self.info.row_count).map_err(|_| {
            let value = self.info.row_count;
            self.damaged(INFO, Corruption::OutOfRange { field: "row count", value })
        })?;
        OpenTable::try_new(Arc::clone(&self.reader), |reader| {
            let table = PairTable::open(
                reader.required(HIGH_OFFSETS, "section BALL.HO")?,
                reader.required(LOW_SUFFIXES, "section BALL.LS")?,
                reader.required(LOW_OFFSETS, "section BALL.LO")?,
                reader.required(HIGH_SUFFIXES, "section BALL.HS")?,
                reader.required(POSITIONS, "section BALL.POS")?,
                rows,
                self.address_bits,
            );
            table.map_err(|what| self.damaged(HIGH_OFFSETS, what))
        })
        .map(Some)
    }

    /// Reads every byte: checksums, padding, order, and the pair table against one built anew
    /// from the addresses.
    pub(crate) fn verify(&self) -> Result<()> {
        self.reader.verify()?;
        let rows = self.rows()?;
        let table = self.table()?;
        let wanted = has_table(&rows, self.address_bits);
        if table.is_some() != wanted {
            return Err(self.damaged(INFO, Corruption::Missing { what: "the pair table" }));
        }
        if wanted {
            let built = PairTableColumns::build(rows.addresses(), self.address_bits)
                .map_err(|what| self.damaged(ADDRESSES, what))?;
            for (tag, what, expected) in table_sections(&built) {
                if self.reader.required(tag, what)? != expected {
                    return Err(self.damaged(tag, Corruption::Unsorted { field: what }));
                }
            }
        }
        Ok(())
    }

    /// Writes a segment of these rows, durable and under its final name on return. The manifest
    /// does not name it yet.
    pub(crate) fn write(
        fs: &dyn Fs,
        draft: &Path,
        path: &Path,
        schema: &Schema,
        number: u64,
        columns: &Columns,
    ) -> Result<SegmentEntry> {
        let rows = columns.rows();
        let ids = || (0..rows.len()).map(|row| rows.id(row));
        let info = Info {
            row_count: rows.len() as u64,
            code_bits: schema.code_bits,
            address_bits: schema.address_bits,
            min_id: ids().min().unwrap_or(0),
            max_id: ids().max().unwrap_or(0),
        };
        let table = has_table(&rows, schema.address_bits)
            .then(|| PairTableColumns::build(rows.addresses(), schema.address_bits))
            .transpose()
            .map_err(|what| what.at(draft, 0))?;
        let section_count = ROW_SECTIONS + if table.is_some() { TABLE_SECTIONS } else { 0 };
        let id = SegmentId { database_id: schema.database_id, number };
        let mut writer = SegmentWriter::create(fs, draft, id, section_count)?;
        writer.section(INFO, &info.encode())?;
        writer.section(IDS, &columns.ids)?;
        writer.section(ADDRESSES, &columns.addresses)?;
        writer.section(CODES, &columns.codes)?;
        if let Some(table) = &table {
            for (tag, _, bytes) in table_sections(table) {
                writer.section(tag, bytes)?;
            }
        }
        let file_bytes = writer.finish(path)?;
        Ok(SegmentEntry { number, row_count: info.row_count, file_bytes })
    }
}

/// Whether a segment of so many rows has a pair table.
fn has_table(rows: &Rows<'_>, address_bits: u8) -> bool {
    u32::try_from(rows.len()).is_ok_and(|rows| PairTable::worthwhile(rows, address_bits))
}

fn table_sections(table: &PairTableColumns) -> [(Tag, &'static str, &[u8]); 5] {
    [
        (HIGH_OFFSETS, "section BALL.HO", &table.high_offsets),
        (LOW_SUFFIXES, "section BALL.LS", &table.low_suffixes),
        (LOW_OFFSETS, "section BALL.LO", &table.low_offsets),
        (HIGH_SUFFIXES, "section BALL.HS", &table.high_suffixes),
        (POSITIONS, "section BALL.POS", &table.positions),
    ]
}

/// Opens bytes as a segment, whatever they are, and asks it everything: what the fuzz target does.
/// Says how many neighbours a ball and a k-NN query found.
///
/// # Errors
///
/// [`Error::Corruption`] for bytes that are no sound segment.
#[cfg(feature = "__internals")]
pub fn probe_segment(bytes: &[u8], address: u32, radius: u32) -> Result<usize> {
    use crate::hamming::Level;
    use crate::index::{Counters, HalfBalls, TopK, ball_scan, scan};
    use crate::storage::fs::OsFs;
    use crate::storage::mmap::Mapping;

    let path = Path::new("probe.seg");
    let at = |what: Corruption| what.at(path, 0);
    let mut header = Reader::new(bytes);
    let mut database_id = [0; 16];
    header.bytes(16).map_err(at)?;
    database_id.copy_from_slice(header.bytes(16).map_err(at)?);
    let number = header.u64().map_err(at)?;
    let mapping = Mapping::Owned(bytes.to_vec());
    let reader = SegmentReader::of_mapping(path, mapping, SegmentId { database_id, number })?;
    let info = Info::decode(reader.required(INFO, "section INFO")?).map_err(at)?;
    let (code_bits, address_bits) = (info.code_bits, info.address_bits);
    crate::db::options::validate_widths(code_bits, address_bits)?;
    let schema = Schema { database_id, code_bits, address_bits };
    let file_bytes = bytes.len() as u64;
    let entry = SegmentEntry { number, row_count: info.row_count, file_bytes };
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    let segment = Segment::of_reader(&fs, reader, &schema, entry)?;
    let rows = segment.rows()?;
    let (mut hits, mut counters) = (Vec::new(), Counters::default());
    let address = address >> (32 - address_bits);
    if let Some(table) = segment.table()? {
        let balls = HalfBalls::new(address_bits);
        table.ball(Level::best(), &balls, address, radius, &mut hits, &mut counters);
    } else {
        ball_scan(&rows, Level::best(), address, radius, &mut hits, &mut counters);
    }
    let mut top = TopK::new(10);
    let query = vec![0x5a; usize::from(code_bits / 8)];
    scan(&rows, Level::best(), &query, &mut top, |_| true, &mut counters);
    let found = hits.len() + top.into_sorted().len();
    segment.verify()?;
    Ok(found)
}
