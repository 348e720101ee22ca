//! What the fuzz target asks of a segment.

use std::path::Path;
use std::sync::Arc;

use super::info::Info;
use super::{INFO, Segment};
use crate::bytes::Reader;
use crate::error::{Corruption, Result};
use crate::hamming::Level;
use crate::index::{Budget, Counters, HalfBalls, Rows, TopK, Within, ball_scan, scan};
use crate::storage::fs::{Fs, OsFs};
use crate::storage::manifest::{Schema, SegmentEntry};
use crate::storage::mmap::Mapping;
use crate::storage::segment::{SegmentId, SegmentReader};

/// Opens bytes as a segment, whatever they are, and asks it everything: what the fuzz target does.
/// Says how many neighbours a ball and a k-NN query found.
///
/// # Errors
///
/// [`Error::Corruption`] for bytes that are no sound segment.
pub fn probe_segment(bytes: &[u8], address: u32, radius: u32) -> Result<usize> {
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
    let query = vec![0x5a; usize::from(code_bits / 8)];
    let found = hits.len() + probe_codes(&segment, &rows, &query, radius)?;
    segment.verify()?;
    Ok(found)
}

/// Asks every index over codes that is there.
fn probe_codes(segment: &Segment, rows: &Rows<'_>, query: &[u8], radius: u32) -> Result<usize> {
    let (level, mut counters) = (Level::best(), Counters::default());
    let (mut top, mut within) = (TopK::new(10), Within::new(radius));
    scan(rows, level, query, &mut top, |_| true, &mut counters);
    if let Some(multi) = segment.multi_index()?
        && let Some(prepared) = multi.prepare(level, query, radius)
    {
        prepared.search(rows, &mut within, |_| true, &mut counters);
        prepared.search(rows, &mut TopK::new(3), |_| true, &mut counters);
    }
    if let Some(clusters) = segment.clusters()? {
        let probe = clusters.probe(level, query);
        let budget = clusters.budget(10, 0.9).unwrap_or(Budget::of_lists(3));
        clusters.scan_lists(&probe, budget, rows, &mut within, |_| true, &mut counters);
        clusters.scan_rings(&probe, rows, &mut within, |_| true, &mut counters);
        clusters.scan_rings(&probe, rows, &mut TopK::new(3), |_| true, &mut counters);
    }
    if let Some(prefixes) = segment.prefixes()? {
        prefixes.scan(rows, level, query, &mut within, |_| true, &mut counters);
    }
    Ok(top.into_sorted().len() + within.into_sorted().len())
}
