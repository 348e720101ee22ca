//! Figures about an open database.

use std::path::PathBuf;

use crate::db::engine::Engine;
use crate::db::options::IndexOptions;
use crate::hamming::Level;

/// Figures about an open database. Records, memtable and segments are of one moment; the bytes and
/// the sequence number of the record store are read beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// The database directory.
    pub path: PathBuf,
    /// The database's random name, in hexadecimal.
    pub database_id: String,
    /// Bits of a code.
    pub code_bits: u16,
    /// Bits of an address.
    pub address_bits: u8,
    /// Fingerprint of the encoder that fills it, if it has one.
    pub encoder: Option<String>,
    /// The indexes over codes that merged segments carry.
    pub index: IndexOptions,
    /// Live records.
    pub records: u64,
    /// The id that the next record gets.
    pub next_id: u64,
    /// Rows of the memtable, deleted ones included.
    pub memtable_rows: u64,
    /// Live segments.
    pub segments: Vec<SegmentStats>,
    /// Patch addresses of all rows, deleted ones included.
    pub patches: u64,
    /// Bytes of the patch tables of segments, by which they are found.
    pub patch_bytes: u64,
    /// Rows that are deleted but still take space in a segment or in the memtable.
    pub deleted_rows: u64,
    /// Bytes of the record store's files, without its log.
    pub record_bytes: u64,
    /// Length of the file BALLAST in bytes, 0 where there is none.
    pub ballast_bytes: u64,
    /// The record store's sequence number.
    pub sequence: u64,
    /// The instruction set that computes distances.
    pub simd: Level,
    /// Why the background could not seal or merge the last time it tried, if it could not.
    pub maintenance_error: Option<String>,
    /// Whether the handle was opened read-only.
    pub read_only: bool,
}

/// Figures about a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentStats {
    /// Its number, which is also the name of its file.
    pub number: u64,
    /// Rows in it, deleted ones included.
    pub rows: u64,
    /// Length of its file in bytes.
    pub bytes: u64,
}

impl Engine {
    pub(crate) fn stats(&self) -> Stats {
        let (view, errors) = (self.view(), self.maintenance_errors.lock());
        let segments = view.segments.iter().map(|segment| SegmentStats {
            number: segment.number(),
            rows: segment.row_count(),
            bytes: segment.file_bytes(),
        });
        let runs = view.memtable.runs().map(|run| run.patches.len() as u64);
        let sealed = view.segments.iter().map(|segment| segment.patch_count());
        Stats {
            path: self.layout.root().to_path_buf(),
            database_id: self.schema.database_id.iter().map(|byte| format!("{byte:02x}")).collect(),
            code_bits: self.schema.code_bits,
            address_bits: self.schema.address_bits,
            encoder: self.encoder.clone(),
            records: view.state.record_count,
            next_id: view.next_id(),
            memtable_rows: view.memtable.len() as u64,
            segments: segments.collect(),
            patches: runs.chain(sealed).sum(),
            patch_bytes: view.segments.iter().map(|segment| segment.patch_bytes()).sum(),
            deleted_rows: view.deleted.len() as u64,
            record_bytes: view.records.records().file_bytes(),
            ballast_bytes: self.layout.ballast().metadata().map_or(0, |file| file.len()),
            sequence: view.records.records().latest_sequence(),
            simd: self.search.level,
            index: *self.index.lock(),
            maintenance_error: errors.seal.clone().or_else(|| errors.merge.clone()),
            read_only: self.read_only,
        }
    }
}
