//! Reads every byte of a segment and holds its indexes against its rows.

use super::parts::{CLUSTERS, MULTI_INDEX, PAIR_TABLE, PREFIXES, Sections};
use super::write::{Carried, multi_columns, table_columns};
use super::{ADDRESSES, INFO, Segment};
use crate::db::options::IndexOptions;
use crate::error::{Corruption, Result};
use crate::index::{MultiIndexColumns, PairTableColumns, PrefixColumn};

impl Segment {
    /// Checksums, padding, order, and each index against one built anew from the rows. Returns the
    /// fingerprints of the rows' patches, which are to be held against the records: no other section has them.
    pub(crate) fn verify(&self) -> Result<Option<Vec<u64>>> {
        self.reader.verify()?;
        let rows = self.rows()?;
        let expected = Carried::of(rows.len(), &self.schema, IndexOptions::none());
        let carried = self.carried();
        if carried.table != expected.table {
            return Err(self.damaged(INFO, Corruption::Missing { what: "the pair table" }));
        }
        if carried.table {
            self.table()?;
            let built = PairTableColumns::build(rows.addresses(), self.schema.address_bits)
                .map_err(|what| self.damaged(ADDRESSES, what))?;
            self.compare(PAIR_TABLE, table_columns(&built))?;
        }
        if carried.multi_index {
            self.multi_index()?;
            let (tag, name) = MULTI_INDEX[0];
            let order = self.reader.required(tag, name)?;
            let built = MultiIndexColumns::rebuild(rows.codes(), rows.code_bytes(), order)
                .map_err(|what| self.damaged(tag, what))?;
            // Another release may order the bits otherwise and measure other samples.
            let [_, offsets, partners, postings, _] = multi_columns(&built);
            let [_, sections @ .., _] = MULTI_INDEX;
            self.compare(sections, [offsets, partners, postings])?;
        }
        if let Some(clusters) = self.clusters()?
            && !clusters.matches(&rows)
        {
            let (tag, name) = CLUSTERS[4];
            return Err(self.damaged(tag, Corruption::Unsorted { field: name }));
        }
        if carried.prefixes {
            self.prefixes()?;
            if let Some(built) = PrefixColumn::build(rows.codes(), rows.code_bytes()) {
                self.compare(PREFIXES, [&built.bytes])?;
            }
        }
        self.patch_fingerprints()
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
