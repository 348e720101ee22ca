//! What the segments say: which rows have a record, and the code of a record whose entry is gone.

use std::cell::OnceCell;
use std::sync::Arc;

use roaring::RoaringTreemap;

use super::Repair;
use crate::db::record::Location;
use crate::db::segment::Segment;
use crate::error::{Corruption, Error, Result};
use crate::index::{PatchLists, Rows};
use crate::storage::manifest::{Schema, SegmentEntry};

/// A segment that has to go, and why.
#[derive(Debug, Clone)]
pub(super) struct BadSegment {
    pub(super) number: u64,
    pub(super) reason: String,
}

/// A segment that can be read, and what the records say about its rows.
pub(super) struct Witness {
    segment: Arc<Segment>,
    /// The fingerprint of each row's patches; `None` where no row has any.
    patches: Option<Vec<u64>>,
    /// The patches themselves, once a record has to be made from its row.
    lists: OnceCell<PatchLists>,
    next: usize,
    /// Ids of rows that have their record.
    pub(super) covered: RoaringTreemap,
    /// Ids of rows that have none.
    pub(super) dead: RoaringTreemap,
    /// Why it cannot be believed after all.
    pub(super) wrong: Option<String>,
}

impl Repair {
    /// The segments that the manifest names: those that can be read, and the others.
    pub(super) fn witnesses(
        &self,
        schema: &Schema,
        entries: &[SegmentEntry],
        bound: Option<u64>,
    ) -> Result<(Vec<Witness>, Vec<BadSegment>)> {
        let (mut sound, mut bad) = (Vec::new(), Vec::new());
        for &entry in entries {
            let path = self.layout.segment(entry.number);
            let opened = Segment::open(&self.fs, &path, schema, entry, true)
                .and_then(|segment| segment.verify().map(|patches| (segment, patches)));
            let (segment, patches) = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    bad.push(BadSegment { number: entry.number, reason: damage_of(error)? });
                    continue;
                }
            };
            let mut wrong = None;
            if bound.is_some_and(|bound| segment.max_id() >= bound) {
                wrong = Some("it holds rows that were never sealed".to_owned());
            }
            sound.push(Witness {
                segment: Arc::new(segment),
                patches,
                lists: OnceCell::new(),
                next: 0,
                covered: RoaringTreemap::new(),
                dead: RoaringTreemap::new(),
                wrong,
            });
        }
        Ok((sound, bad))
    }
}

/// What is wrong with a file, if it is the file and not the disk.
fn damage_of(error: Error) -> Result<String> {
    match error {
        Error::Io { ref source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(Corruption::Missing { what: "the segment" }.to_string())
        }
        Error::Corruption { .. } => Ok(error.to_string()),
        error => Err(error),
    }
}

impl Witness {
    fn rows(&self) -> Result<Rows<'_>> {
        self.segment.rows()
    }

    pub(super) fn number(&self) -> u64 {
        self.segment.number()
    }

    pub(super) fn max_id(&self) -> u64 {
        self.segment.max_id()
    }

    /// Walks on to `location`, or to the end: rows on the way have no record.
    pub(super) fn advance(
        &mut self,
        location: Option<Location>,
        code: &[u8],
        patches: u64,
    ) -> Result<()> {
        let segment = Arc::clone(&self.segment);
        let rows = segment.rows()?;
        while self.next < rows.len() {
            let row = self.next;
            let here = Location { address: rows.address(row), id: rows.id(row) };
            if location.is_some_and(|location| here > location) {
                break;
            }
            self.next += 1;
            if location != Some(here) {
                self.dead.insert(here.id);
                continue;
            }
            self.covered.insert(here.id);
            if rows.code(row) != code {
                let id = here.id;
                self.wrong = Some(format!("the code of record {id} differs from the record"));
            }
            if self.patches.as_ref().map_or(0, |rows| rows[row]) != patches {
                let id = here.id;
                self.wrong = Some(format!("the patches of record {id} differ from the record"));
            }
            break;
        }
        Ok(())
    }

    /// The code and the patches of the row at a location.
    pub(super) fn row_at(&self, location: Location) -> Result<Option<(Vec<u8>, Vec<u32>)>> {
        let rows = self.rows()?;
        let (mut low, mut high) = (0, rows.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let here = Location { address: rows.address(middle), id: rows.id(middle) };
            if here == location {
                if self.lists.get().is_none() {
                    let _already_set = self.lists.set(self.segment.patch_lists()?);
                }
                let patches =
                    self.lists.get().map_or(Vec::new(), |lists| lists.of(middle).collect());
                return Ok(Some((rows.code(middle).to_vec(), patches)));
            }
            if here < location {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(None)
    }

    /// Its row has a record after all.
    pub(super) fn revive(&mut self, id: u64) {
        if self.dead.remove(id) {
            self.covered.insert(id);
        }
    }

    /// Its row has no record after all.
    pub(super) fn bury(&mut self, id: u64) {
        if self.covered.remove(id) {
            self.dead.insert(id);
        }
    }
}
