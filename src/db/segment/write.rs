//! Writes a segment: the rows, and the indexes that its size and the database's options call for.

use std::path::Path;

use super::info::Info;
use super::parts::{PAIR_TABLE, Sections};
use super::{ADDRESSES, CODES, IDS, INFO, Segment};
use crate::db::columns::Columns;
use crate::db::options::IndexOptions;
use crate::error::Result;
use crate::index::{PairTable, PairTableColumns, Rows};
use crate::storage::fs::Fs;
use crate::storage::manifest::{Schema, SegmentEntry};
use crate::storage::segment::{SegmentId, SegmentWriter};

const ROW_SECTIONS: usize = 4;

/// Which indexes a segment of some size carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) table: bool,
}

impl Carried {
    /// What belongs into a segment of so many rows.
    pub(super) fn of(rows: usize, schema: &Schema, index: IndexOptions) -> Self {
        let _ = index;
        // Row numbers in an index have 32 bits.
        let Ok(rows) = u32::try_from(rows) else { return Self { table: false } };
        Self { table: PairTable::worthwhile(rows, schema.address_bits) }
    }

    fn sections(self) -> usize {
        ROW_SECTIONS + if self.table { PAIR_TABLE.len() } else { 0 }
    }
}

impl Segment {
    /// Writes a segment of these rows, durable and under its final name on return. The manifest
    /// does not name it yet.
    pub(crate) fn write(
        fs: &dyn Fs,
        draft: &Path,
        path: &Path,
        schema: &Schema,
        index: IndexOptions,
        number: u64,
        columns: &Columns,
    ) -> Result<SegmentEntry> {
        let rows = columns.rows();
        let info = info(schema, &rows);
        let carried = Carried::of(rows.len(), schema, index);
        let id = SegmentId { database_id: schema.database_id, number };
        let sections = u16::try_from(carried.sections()).unwrap_or(u16::MAX);
        let mut writer = SegmentWriter::create(fs, draft, id, sections)?;
        writer.section(INFO, &info.encode())?;
        writer.section(IDS, &columns.ids)?;
        writer.section(ADDRESSES, &columns.addresses)?;
        writer.section(CODES, &columns.codes)?;
        // One index after the other, so that only one is in memory.
        if carried.table {
            let table = PairTableColumns::build(rows.addresses(), schema.address_bits)
                .map_err(|what| what.at(draft, 0))?;
            write_index(&mut writer, PAIR_TABLE, table_columns(&table))?;
        }
        let file_bytes = writer.finish(path)?;
        Ok(SegmentEntry { number, row_count: info.row_count, file_bytes })
    }
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
