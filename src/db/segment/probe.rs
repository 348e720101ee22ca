//! What the fuzz targets ask of a segment: bytes or a file, whatever they are, opened and asked
//! everything that a database would ask.

use std::path::Path;
use std::sync::Arc;

use super::info::Info;
use super::{INFO, Segment};
use crate::bytes::Reader;
use crate::error::{Corruption, Result};
use crate::hamming::Level;
use crate::index::{
    Budget, Collect, Counters, HalfBalls, Neighbor, Rows, TopK, Within, ball_scan, scan,
};
use crate::storage::fs::{Fs, OsFs};
use crate::storage::manifest::{Schema, SegmentEntry};
use crate::storage::mmap::Mapping;
use crate::storage::segment::{SegmentId, SegmentReader};

/// Bytes that open as a segment.
#[derive(Debug)]
pub struct ProbedSegment {
    segment: Segment,
}

/// What is asked of a [`ProbedSegment`].
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// The kernels that compare.
    pub level: Level,
    /// The middle of the ball; bits beyond the width are dropped.
    pub address: u32,
    /// The radius of the ball, and that of the search over codes.
    pub radius: u32,
    /// Every byte of the code that is looked for.
    pub code: u8,
    /// How many nearest are wanted.
    pub k: usize,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeAnswer {
    /// Id and distance of every row in the ball, sorted; by the pair table where there is one.
    pub ball: Vec<(u64, u32)>,
    /// The nearest by a scan.
    pub nearest: Vec<Neighbor>,
    /// Everything within the radius: by a scan, then by each index that can tell.
    pub within: Vec<Vec<Neighbor>>,
}

impl ProbedSegment {
    /// Opens bytes in memory.
    ///
    /// # Errors
    ///
    /// [`Error::Corruption`](crate::Error::Corruption) and
    /// [`Error::UnsupportedFormat`](crate::Error::UnsupportedFormat) for bytes that are no sound
    /// segment, [`Error::InvalidArgument`](crate::Error::InvalidArgument) for widths that no database has.
    pub fn of_bytes(bytes: &[u8]) -> Result<Self> {
        Self::of_mapping(Path::new("probe.seg"), Mapping::Owned(bytes.to_vec()))
    }

    /// Maps a file, which is how a database opens its segments.
    ///
    /// # Errors
    ///
    /// As [`ProbedSegment::of_bytes`], and [`Error::Io`](crate::Error::Io) if it cannot be mapped.
    pub fn of_mapped_file(path: &Path) -> Result<Self> {
        let file = OsFs.open_read(path)?;
        Self::of_mapping(path, Mapping::open(&file, path, true)?)
    }

    fn of_mapping(path: &Path, mapping: Mapping) -> Result<Self> {
        let at = |what: Corruption| what.at(path, 0);
        let file_bytes = mapping.bytes().len() as u64;
        // The segment is held to be the one that it says it is.
        let mut header = Reader::new(mapping.bytes());
        let mut database_id = [0; 16];
        header.bytes(16).map_err(at)?;
        database_id.copy_from_slice(header.bytes(16).map_err(at)?);
        let number = header.u64().map_err(at)?;
        let reader = SegmentReader::of_mapping(path, mapping, SegmentId { database_id, number })?;
        let info = Info::decode(reader.required(INFO, "section INFO")?).map_err(at)?;
        let (code_bits, address_bits) = (info.code_bits, info.address_bits);
        crate::db::options::validate_widths(code_bits, address_bits)?;
        let schema = Schema { database_id, code_bits, address_bits };
        let entry = SegmentEntry { number, row_count: info.row_count, file_bytes };
        let fs: Arc<dyn Fs> = Arc::new(OsFs);
        Ok(Self { segment: Segment::of_reader(&fs, reader, &schema, entry)? })
    }

    /// Checks the rows and opens every index.
    ///
    /// # Errors
    ///
    /// [`Error::Corruption`](crate::Error::Corruption) for a section that breaks its format.
    pub fn open_indexes(&self) -> Result<()> {
        let segment = &self.segment;
        segment.rows()?;
        segment.table()?;
        segment.multi_index()?;
        segment.clusters()?;
        segment.prefixes()?;
        Ok(())
    }

    /// Asks the rows and every index.
    ///
    /// # Errors
    ///
    /// As [`ProbedSegment::open_indexes`].
    pub fn ask(&self, probe: &Probe) -> Result<ProbeAnswer> {
        let rows = self.segment.rows()?;
        let code = vec![probe.code; rows.code_bytes()];
        let mut nearest = TopK::new(probe.k);
        scan(&rows, probe.level, &code, &mut nearest, |_| true, &mut Counters::default());
        Ok(ProbeAnswer {
            ball: self.ball(probe, &rows)?,
            nearest: nearest.into_sorted(),
            within: self.within(probe, &rows, &code)?,
        })
    }

    /// Reads every byte and builds the indexes anew.
    ///
    /// # Errors
    ///
    /// [`Error::Corruption`](crate::Error::Corruption) for whatever is not as it was written.
    pub fn verify(&self) -> Result<()> {
        self.segment.verify().map(|_patches| ())
    }

    fn ball(&self, probe: &Probe, rows: &Rows<'_>) -> Result<Vec<(u64, u32)>> {
        let address_bits = self.segment.schema.address_bits;
        let address = probe.address & crate::code::Address::max_value(address_bits);
        let (mut hits, mut counters) = (Vec::new(), Counters::default());
        if let Some(table) = self.segment.table()? {
            let balls = HalfBalls::new(address_bits);
            let _told_before = table.cost(&balls, address, probe.radius);
            table
                .ball(probe.level, &balls, address, probe.radius, &mut hits, &mut counters)
                .map_err(|what| self.segment.table_damage(what))?;
        } else {
            ball_scan(rows, probe.level, address, probe.radius, &mut hits, &mut counters);
        }
        let mut ball: Vec<_> =
            hits.iter().map(|hit| (rows.id(hit.row as usize), hit.distance)).collect();
        ball.sort_unstable();
        Ok(ball)
    }

    fn within(&self, probe: &Probe, rows: &Rows<'_>, code: &[u8]) -> Result<Vec<Vec<Neighbor>>> {
        let (level, mut counters) = (probe.level, Counters::default());
        let mut all = Vec::new();
        let mut search = |run: &mut dyn FnMut(&mut Within, &mut Counters)| {
            let mut within = Within::new(probe.radius);
            run(&mut within, &mut counters);
            all.push(within.into_sorted());
        };
        search(&mut |into, counters| scan(rows, level, code, into, |_| true, counters));
        if let Some(multi) = self.segment.multi_index()? {
            let _told_before = multi.expected(probe.radius);
            if let Some(prepared) = multi.prepare(level, code, probe.radius) {
                search(&mut |into, counters| prepared.search(rows, into, |_| true, counters));
                let mut top = TopK::new(probe.k);
                prepared.search(rows, &mut top, |_| true, &mut Counters::default());
            }
        }
        if let Some(clusters) = self.segment.clusters()? {
            let near = clusters.probe(level, code);
            search(&mut |into, counters| {
                clusters.scan_rings(&near, rows, into, |_| true, counters);
            });
            let budget = clusters.budget(probe.k, 0.9).unwrap_or(Budget::of_lists(probe.radius));
            let mut top = TopK::new(probe.k);
            clusters.scan_lists(&near, budget, rows, &mut top, |_| true, &mut Counters::default());
            let mut top = TopK::new(probe.k);
            clusters.scan_rings(&near, rows, &mut top, |_| true, &mut Counters::default());
            let limit = Collect::limit(&top);
            let _told_before = clusters.ring_rows(&near, limit);
            let _told_before = clusters.lists_in_reach(&near, limit);
        }
        if let Some(prefixes) = self.segment.prefixes()? {
            let _told_before = prefixes.pass_rate(level, code, probe.radius);
            search(&mut |into, counters| {
                prefixes.scan(rows, level, code, into, |_| true, counters);
            });
        }
        Ok(all)
    }
}
