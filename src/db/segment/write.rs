//! Writes a segment: the rows, and the indexes that its size and the database's options call for.

use std::path::Path;

use super::info::Info;
use super::parts::{CLUSTERS, MULTI_INDEX, PAIR_TABLE, PATCHES, PREFIXES, Sections};
use super::{ADDRESSES, CODES, IDS, INFO, Segment};
use crate::db::columns::Columns;
use crate::db::options::IndexOptions;
use crate::db::threads::Threads;
use crate::error::{Corruption, Error, Result};
use crate::hamming::Level;
use crate::index::{
    ClusterColumns, Clusters, MultiIndex, MultiIndexColumns, PairTable, PairTableColumns,
    PatchSide, PatchSideColumns, PrefixColumn, Prefixes, Rows,
};
use crate::storage::fs::Fs;
use crate::storage::manifest::{Schema, SegmentEntry};
use crate::storage::segment::{SegmentId, SegmentWriter};

const ROW_SECTIONS: usize = 4;

/// Which indexes a segment of some size carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) table: bool,
    pub(super) multi_index: bool,
    pub(super) clusters: bool,
    pub(super) prefixes: bool,
}

impl Carried {
    /// What belongs into a segment of so many rows.
    pub(super) fn of(rows: usize, schema: &Schema, index: IndexOptions) -> Self {
        // Row numbers in an index have 32 bits.
        let Ok(rows) = u32::try_from(rows) else { return Self::default() };
        let width = usize::from(schema.code_bits / 8);
        let table = PairTable::worthwhile(rows, schema.address_bits);
        let rows = if index.however_small { u32::MAX } else { rows };
        Self {
            table,
            multi_index: index.multi && MultiIndex::worthwhile(rows, width),
            clusters: index.clusters && Clusters::worthwhile(rows),
            prefixes: index.prefix && Prefixes::worthwhile(rows, width),
        }
    }

    /// How many indexes that is.
    fn indexes(self) -> usize {
        let Self { table, multi_index, clusters, prefixes } = self;
        [table, multi_index, clusters, prefixes].into_iter().filter(|there| *there).count()
    }

    fn sections(self) -> usize {
        let indexes = [
            (self.table, PAIR_TABLE.len()),
            (self.multi_index, MULTI_INDEX.len()),
            (self.clusters, CLUSTERS.len()),
            (self.prefixes, PREFIXES.len()),
        ];
        ROW_SECTIONS
            + indexes.iter().filter(|(there, _)| *there).map(|(_, count)| count).sum::<usize>()
    }
}

impl Segment {
    /// Writes a segment of these rows, durable and under its final name on return. The manifest
    /// does not name it yet. Who watches the threads is told of the rows and of each index.
    pub(crate) fn write(
        fs: &dyn Fs,
        draft: &Path,
        path: &Path,
        (schema, index): (&Schema, IndexOptions),
        (level, threads): (Level, Threads<'_>),
        number: u64,
        columns: &Columns,
    ) -> Result<SegmentEntry> {
        let rows = columns.rows();
        let info = info(schema, &rows);
        let carried = Carried::of(rows.len(), schema, index);
        let id = SegmentId { database_id: schema.database_id, number };
        let has_patches = !columns.patches.is_empty();
        let sections = carried.sections() + if has_patches { PATCHES.len() } else { 0 };
        let sections = u16::try_from(sections).unwrap_or(u16::MAX);
        let mut writer = SegmentWriter::create(fs, draft, id, sections)?;
        writer.section(INFO, &info.encode())?;
        writer.section(IDS, &columns.ids)?;
        writer.section(ADDRESSES, &columns.addresses)?;
        writer.section(CODES, &columns.codes)?;
        // The rows are one step, and what is left at the end is another.
        let mut steps =
            Steps { threads, done: 0, of: carried.indexes() + usize::from(has_patches) + 2 };
        steps.step()?;
        // One index after the other, so that only one is in memory.
        let damaged = |what: Corruption| what.at(draft, 0);
        let (codes, width) = (rows.codes(), rows.code_bytes());
        if carried.table {
            let table = PairTableColumns::build(rows.addresses(), schema.address_bits);
            write_index(&mut writer, PAIR_TABLE, table_columns(&table.map_err(damaged)?))?;
            steps.step()?;
        }
        if carried.multi_index {
            let multi = MultiIndexColumns::build_by(&threads, codes, width).map_err(damaged)?;
            let multi = multi.ok_or(Error::Cancelled)?;
            write_index(&mut writer, MULTI_INDEX, multi_columns(&multi))?;
            steps.step()?;
        }
        if carried.clusters {
            let clusters = ClusterColumns::build_by(&threads, level, codes, width);
            let clusters = clusters.map_err(damaged)?.ok_or(Error::Cancelled)?;
            write_index(&mut writer, CLUSTERS, cluster_columns(&clusters))?;
            steps.step()?;
        }
        if carried.prefixes
            && let Some(prefixes) = PrefixColumn::build(codes, width)
        {
            write_index(&mut writer, PREFIXES, [&prefixes.bytes])?;
            steps.step()?;
        }
        if has_patches {
            write_patches(&mut writer, columns, schema.address_bits, damaged)?;
            steps.step()?;
        }
        let file_bytes = writer.finish(path)?;
        Ok(SegmentEntry { number, row_count: info.row_count, file_bytes })
    }
}

/// How far the writing of a segment is.
struct Steps<'a> {
    threads: Threads<'a>,
    done: usize,
    of: usize,
}

impl Steps<'_> {
    fn step(&mut self) -> Result<()> {
        self.done += 1;
        self.threads.done(self.done, self.of)
    }
}

/// Writes the patch table, one side after the other.
fn write_patches(
    writer: &mut SegmentWriter<'_>,
    columns: &Columns,
    address_bits: u8,
    damaged: impl Fn(Corruption) -> Error,
) -> Result<()> {
    let [ho, ls, hr, lo, hs, lr] = PATCHES;
    for (side, sections) in [(PatchSide::High, [ho, ls, hr]), (PatchSide::Low, [lo, hs, lr])] {
        let rows = columns.rows().len();
        let side = PatchSideColumns::build(&columns.patches, rows, address_bits, side);
        let PatchSideColumns { offsets, suffixes, rows } = side.map_err(&damaged)?;
        write_index(writer, sections, [&offsets, &suffixes, &rows])?;
    }
    Ok(())
}

fn info(schema: &Schema, rows: &Rows<'_>) -> Info {
    let ids = || (0..rows.len()).map(|row| rows.id(row));
    Info {
        row_count: rows.len() as u64,
        code_bits: schema.code_bits,
        address_bits: schema.address_bits,
        min_id: ids().min().unwrap_or(0),
        max_id: ids().max().unwrap_or(0),
    }
}

fn write_index<const N: usize>(
    writer: &mut SegmentWriter<'_>,
    sections: Sections<N>,
    columns: [&[u8]; N],
) -> Result<()> {
    for ((tag, _), column) in sections.into_iter().zip(columns) {
        writer.section(tag, column)?;
    }
    Ok(())
}

/// The columns in the order of their sections.
pub(super) fn table_columns(table: &PairTableColumns) -> [&[u8]; 5] {
    [
        &table.high_offsets,
        &table.low_suffixes,
        &table.low_offsets,
        &table.high_suffixes,
        &table.positions,
    ]
}

pub(super) fn multi_columns(multi: &MultiIndexColumns) -> [&[u8]; 5] {
    [&multi.order, &multi.offsets, &multi.partners, &multi.rows, &multi.selectivity]
}

fn cluster_columns(clusters: &ClusterColumns) -> [&[u8]; 6] {
    [
        &clusters.centroids,
        &clusters.offsets,
        &clusters.rows,
        &clusters.distances,
        &clusters.codes,
        &clusters.calibration,
    ]
}
