//! Collects the live rows of memtable runs or segments into (address, id) order.

use crate::db::columns::Columns;
use crate::error::{Error, Result};
use crate::index::{PatchLists, Rows};

/// The rows of a new segment.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) columns: Columns,
    /// Ids of the rows that were left out because they are deleted.
    pub(crate) dropped: Vec<u64>,
}

/// One row of one source, ordered by address, then id.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    address: u32,
    id: u64,
    source: u32,
    row: u32,
}

/// What rows are gathered from, with their patches.
pub(crate) type Source<'a> = (Rows<'a>, &'a PatchLists);

/// Merges the live rows of `sources`. Costs 24 bytes of memory a row beside the columns.
pub(crate) fn gather(
    sources: &[Source<'_>],
    code_bytes: usize,
    is_live: impl Fn(u64) -> bool,
) -> Result<Gathered> {
    let total: usize = sources.iter().map(|(rows, _)| rows.len()).sum();
    if u32::try_from(total).is_err() {
        return Err(Error::invalid(
            "segment",
            format!("must hold fewer than 2^32 rows, not {total}"),
        ));
    }
    let patches: usize = sources.iter().map(|(_, patches)| patches.len()).sum();
    if u32::try_from(patches).is_err() {
        let rule = format!("must hold fewer than 2^32 patch addresses, not {patches}");
        return Err(Error::invalid("segment", rule));
    }
    let mut places = Vec::with_capacity(total);
    let mut dropped = Vec::new();
    for (source, (rows, _)) in (0_u32..).zip(sources) {
        for (row, at) in (0_u32..).zip(0..rows.len()) {
            let id = rows.id(at);
            if is_live(id) {
                places.push(Place { address: rows.address(at), id, source, row });
            } else {
                dropped.push(id);
            }
        }
    }
    places.sort_unstable();
    let mut columns = Columns::with_capacity(code_bytes, places.len());
    for place in &places {
        let ((rows, patches), row) = (&sources[place.source as usize], place.row as usize);
        columns.push_patched(place.id, place.address, rows.code(row), patches.of(row));
    }
    Ok(Gathered { columns, dropped })
}
