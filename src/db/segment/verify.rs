//! Reads every byte of a segment and holds its indexes against its rows.

use super::parts::{PAIR_TABLE, Sections};
use super::write::{Carried, table_columns};
use super::{ADDRESSES, INFO, Segment};
use crate::db::options::IndexOptions;
use crate::error::{Corruption, Result};
use crate::index::PairTableColumns;

impl Segment {
    /// Checksums, padding, order, and each index against one built anew from the rows.
    pub(crate) fn verify(&self) -> Result<()> {
        self.reader.verify()?;
        let rows = self.rows()?;
        let expected = Carried::of(rows.len(), &self.schema, IndexOptions::none());
        if self.table()?.is_some() != expected.table {
            return Err(self.damaged(INFO, Corruption::Missing { what: "the pair table" }));
        }
        if expected.table {
            let built = PairTableColumns::build(rows.addresses(), self.schema.address_bits)
                .map_err(|what| self.damaged(ADDRESSES, what))?;
            self.compare(PAIR_TABLE, table_columns(&built))?;
        }
        Ok(())
    }

    /// Holds the sections of an index against what they must be.
    fn compare<const N: usize>(&self, sections: Sections<N>, expected: [&[u8]; N]) -> Result<()> {
        for ((tag, name), expected) in sections.into_iter().zip(expected) {
            if self.reader.required(tag, name)? != expected {
                return Err(self.damaged(tag, Corruption::Unsorted { field: name }));
            }
        }
        Ok(())
    }
}
