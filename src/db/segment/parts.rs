//! The indexes of a segment, opened and checked at first use.

use std::sync::{Arc, OnceLock};

use self_cell::self_cell;

use super::{INFO, Segment};
use crate::db::options::IndexOptions;
use crate::error::{Corruption, Result};
use crate::index::PairTable;
use crate::storage::segment::{SegmentReader, Tag};

/// Tags and names of the sections of an index, in the order of its columns.
pub(super) type Sections<const N: usize> = [(Tag, &'static str); N];

pub(super) const PAIR_TABLE: Sections<5> = [
    (*b"BALL.HO ", "section BALL.HO"),
    (*b"BALL.LS ", "section BALL.LS"),
    (*b"BALL.LO ", "section BALL.LO"),
    (*b"BALL.HS ", "section BALL.HS"),
    (*b"BALL.POS", "section BALL.POS"),
];

self_cell!(
    struct OpenTable {
        owner: Arc<SegmentReader>,
        #[covariant]
        dependent: PairTable,
    }
);

/// Filled at first use; `None` inside where the segment has no such index.
#[derive(Default)]
pub(super) struct Parts {
    table: OnceLock<Option<OpenTable>>,
}

impl Segment {
    /// The pair table, `None` where the segment is too small to have one.
    pub(crate) fn table(&self) -> Result<Option<&PairTable<'_>>> {
        if self.parts.table.get().is_none() {
            let opened = self.open_table()?;
            let _already_set = self.parts.table.set(opened);
        }
        Ok(self.parts.table.get().and_then(Option::as_ref).map(OpenTable::borrow_dependent))
    }

    fn open_table(&self) -> Result<Option<OpenTable>> {
        if !self.has(PAIR_TABLE) {
            return Ok(None);
        }
        let (rows, bits) = (self.rows_in_32_bits()?, self.schema.address_bits);
        OpenTable::try_new(Arc::clone(&self.reader), |reader| {
            let [high_offsets, low_suffixes, low_offsets, high_suffixes, positions] =
                columns(reader, PAIR_TABLE)?;
            PairTable::open(
                high_offsets,
                low_suffixes,
                low_offsets,
                high_suffixes,
                positions,
                rows,
                bits,
            )
            .map_err(|what| self.damaged(PAIR_TABLE[0].0, what))
        })
        .map(Some)
    }

    /// Whether it carries these indexes and no others, as far as its size allows.
    pub(crate) fn carries(&self, index: IndexOptions) -> bool {
        let _ = index;
        true
    }

    /// Whether the first section of an index is there; the others must be then.
    pub(super) fn has<const N: usize>(&self, sections: Sections<N>) -> bool {
        self.reader.contains(sections[0].0)
    }

    /// Row numbers in an index have 32 bits.
    pub(super) fn rows_in_32_bits(&self) -> Result<u32> {
        let value = self.info.row_count;
        u32::try_from(value)
            .map_err(|_| self.damaged(INFO, Corruption::OutOfRange { field: "row count", value }))
    }
}

/// The columns of an index.
pub(super) fn columns<const N: usize>(
    reader: &SegmentReader,
    sections: Sections<N>,
) -> Result<[&[u8]; N]> {
    let mut columns = [[].as_slice(); N];
    for (column, (tag, name)) in columns.iter_mut().zip(sections) {
        *column = reader.required(tag, name)?;
    }
    Ok(columns)
}
