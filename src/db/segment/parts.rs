//! The indexes of a segment, opened and checked at first use.

use std::sync::{Arc, OnceLock};

use self_cell::self_cell;

use super::write::Carried;
use super::{INFO, Segment};
use crate::db::options::IndexOptions;
use crate::error::{Corruption, Error, Result};
use crate::index::{
    ClusterColumns, Clusters, MultiIndex, PairTable, PatchLists, PatchTable, Prefixes,
};
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

pub(super) const MULTI_INDEX: Sections<5> = [
    (*b"MULTI.OR", "section MULTI.OR"),
    (*b"MULTI.OF", "section MULTI.OF"),
    (*b"MULTI.PA", "section MULTI.PA"),
    (*b"MULTI.RO", "section MULTI.RO"),
    (*b"MULTI.SE", "section MULTI.SE"),
];
pub(super) const CLUSTERS: Sections<6> = [
    (*b"CLUST.CE", "section CLUST.CE"),
    (*b"CLUST.OF", "section CLUST.OF"),
    (*b"CLUST.RO", "section CLUST.RO"),
    (*b"CLUST.DI", "section CLUST.DI"),
    (*b"CLUST.CO", "section CLUST.CO"),
    (*b"CLUST.CA", "section CLUST.CA"),
];
pub(super) const PATCHES: Sections<6> = [
    (*b"PATCH.HO", "section PATCH.HO"),
    (*b"PATCH.LS", "section PATCH.LS"),
    (*b"PATCH.HR", "section PATCH.HR"),
    (*b"PATCH.LO", "section PATCH.LO"),
    (*b"PATCH.HS", "section PATCH.HS"),
    (*b"PATCH.LR", "section PATCH.LR"),
];
pub(super) const PREFIXES: Sections<1> = [(*b"PREFIX  ", "section PREFIX")];

self_cell!(
    struct OpenMultiIndex {
        owner: Arc<SegmentReader>,
        #[covariant]
        dependent: MultiIndex,
    }
);

self_cell!(
    struct OpenClusters {
        owner: Arc<SegmentReader>,
        #[covariant]
        dependent: Clusters,
    }
);

self_cell!(
    struct OpenTable {
        owner: Arc<SegmentReader>,
        #[covariant]
        dependent: PairTable,
    }
);

self_cell!(
    struct OpenPatches {
        owner: Arc<SegmentReader>,
        #[covariant]
        dependent: PatchTable,
    }
);

/// Filled at first use; `None` inside where the segment has no such index.
#[derive(Default)]
pub(super) struct Parts {
    table: OnceLock<Option<OpenTable>>,
    multi_index: OnceLock<Option<OpenMultiIndex>>,
    clusters: OnceLock<Option<OpenClusters>>,
    patches: OnceLock<Option<OpenPatches>>,
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
        self.ensure(&PAIR_TABLE.map(|(tag, _)| tag))?;
        let (rows, bits) = (self.rows_in_32_bits()?, self.schema.address_bits);
        OpenTable::try_new(Arc::clone(&self.reader), |reader| {
            let [ho, ls, lo, hs, positions] = columns(reader, PAIR_TABLE)?;
            PairTable::open(ho, ls, lo, hs, positions, rows, bits)
                .map_err(|what| self.damaged(PAIR_TABLE[0].0, what))
        })
        .map(Some)
    }

    /// An error about what the pair table led to.
    pub(crate) fn table_damage(&self, what: Corruption) -> Error {
        self.damaged(PAIR_TABLE[4].0, what)
    }

    /// The multi-index over codes, if there is one.
    pub(crate) fn multi_index(&self) -> Result<Option<&MultiIndex<'_>>> {
        if self.parts.multi_index.get().is_none() {
            let opened = self.open_multi_index()?;
            let _already_set = self.parts.multi_index.set(opened);
        }
        let opened = self.parts.multi_index.get().and_then(Option::as_ref);
        Ok(opened.map(OpenMultiIndex::borrow_dependent))
    }

    fn open_multi_index(&self) -> Result<Option<OpenMultiIndex>> {
        if !self.has(MULTI_INDEX) {
            return Ok(None);
        }
        self.ensure(&MULTI_INDEX.map(|(tag, _)| tag))?;
        let (rows, width) = (self.rows_in_32_bits()?, self.code_bytes());
        OpenMultiIndex::try_new(Arc::clone(&self.reader), |reader| {
            let [order, offsets, partners, postings, selectivity] = columns(reader, MULTI_INDEX)?;
            MultiIndex::open(order, offsets, partners, postings, selectivity, rows, width)
                .map_err(|what| self.damaged(MULTI_INDEX[0].0, what))
        })
        .map(Some)
    }

    /// The cluster lists, if there are any.
    pub(crate) fn clusters(&self) -> Result<Option<&Clusters<'_>>> {
        if self.parts.clusters.get().is_none() {
            let opened = self.open_clusters()?;
            let _already_set = self.parts.clusters.set(opened);
        }
        let opened = self.parts.clusters.get().and_then(Option::as_ref);
        Ok(opened.map(OpenClusters::borrow_dependent))
    }

    fn open_clusters(&self) -> Result<Option<OpenClusters>> {
        if !self.has(CLUSTERS) {
            return Ok(None);
        }
        self.ensure(&CLUSTERS.map(|(tag, _)| tag))?;
        let (height, width) = (self.rows_in_32_bits()?, self.code_bytes());
        OpenClusters::try_new(Arc::clone(&self.reader), |reader| {
            let [centroids, offsets, rows, distances, codes, calibration] =
                columns(reader, CLUSTERS)?;
            let columns =
                ClusterColumns { centroids, offsets, rows, distances, codes, calibration };
            Clusters::open(columns, height, width).map_err(|what| self.damaged(CLUSTERS[0].0, what))
        })
        .map(Some)
    }

    /// The patch table, if any row has patches.
    pub(crate) fn patches(&self) -> Result<Option<&PatchTable<'_>>> {
        if self.parts.patches.get().is_none() {
            let opened = self.open_patches()?;
            let _already_set = self.parts.patches.set(opened);
        }
        let opened = self.parts.patches.get().and_then(Option::as_ref);
        Ok(opened.map(OpenPatches::borrow_dependent))
    }

    fn open_patches(&self) -> Result<Option<OpenPatches>> {
        if !self.has(PATCHES) {
            return Ok(None);
        }
        self.ensure_all(&PATCHES.map(|(tag, _)| tag))?;
        let (rows, bits) = (self.rows_in_32_bits()? as usize, self.schema.address_bits);
        OpenPatches::try_new(Arc::clone(&self.reader), |reader| {
            PatchTable::open(columns(reader, PATCHES)?, rows, bits)
                .map_err(|what| self.damaged(PATCHES[0].0, what))
        })
        .map(Some)
    }

    /// The patches of each row: none for all of them where there is no patch table.
    pub(crate) fn patch_lists(&self) -> Result<PatchLists> {
        let lists = self.patches()?.map(PatchTable::lists).transpose();
        Ok(lists.map_err(|what| self.damaged(PATCHES[0].0, what))?.unwrap_or_default())
    }

    /// The fingerprint of the patches of each row, all of which are looked at; `None` where there is no patch
    /// table.
    pub(crate) fn patch_fingerprints(&self) -> Result<Option<Vec<u64>>> {
        let fingerprints = self.patches()?.map(PatchTable::verify).transpose();
        fingerprints.map_err(|what| self.damaged(PATCHES[0].0, what))
    }

    /// How many patches its rows have, deleted ones included.
    pub(crate) fn patch_count(&self) -> u64 {
        let (tag, name) = PATCHES[1];
        self.reader.unchecked(tag, name).map_or(0, |suffixes| suffixes.len() as u64 / 2)
    }

    /// An error about what the patch table led to.
    pub(crate) fn patch_damage(&self, what: Corruption) -> Error {
        self.damaged(PATCHES[0].0, what)
    }

    /// The prefixes of the codes, if they are there.
    pub(crate) fn prefixes(&self) -> Result<Option<Prefixes<'_>>> {
        if !self.has(PREFIXES) {
            return Ok(None);
        }
        let [column] = columns(&self.reader, PREFIXES)?;
        Prefixes::open(column, self.rows_in_32_bits()? as usize, self.code_bytes())
            .map(Some)
            .map_err(|what| self.damaged(PREFIXES[0].0, what))
    }

    /// Whether it carries these indexes and no others, as far as its size allows.
    pub(crate) fn carries(&self, index: IndexOptions) -> bool {
        let rows = usize::try_from(self.info.row_count).unwrap_or(usize::MAX);
        self.carried() == Carried::of(rows, &self.schema, index)
    }

    /// The indexes that are there.
    pub(super) fn carried(&self) -> Carried {
        Carried {
            table: self.has(PAIR_TABLE),
            multi_index: self.has(MULTI_INDEX),
            clusters: self.has(CLUSTERS),
            prefixes: self.has(PREFIXES),
        }
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
