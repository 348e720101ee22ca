//! Selections: some ids, and the rows of each segment that have them.
//!
//! A segment's rows are sorted by (address, id). Where the addresses of the ids are known and the
//! ids few, their rows are searched for; else the column of ids is passed over once, with a bitmap
//! over the range of ids that the segment holds.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use roaring::RoaringTreemap;

use crate::db::record::Location;
use crate::db::search::planner;
use crate::db::segment::Segment;
use crate::error::Result;
use crate::index::Rows;

/// Some ids, and where they lie.
pub(crate) struct Selection {
    ids: RoaringTreemap,
    /// The locations of all the ids, ascending, where they are known.
    locations: Option<Vec<Location>>,
    /// The rows of segments that have these ids: a segment never changes, so neither do they.
    rows: Mutex<Vec<SelectedRows>>,
}

/// The rows of one segment, for as long as it lives.
type SelectedRows = (Weak<Segment>, Arc<Vec<u32>>);

impl Selection {
    /// The records with these ids.
    pub(super) fn of_ids(ids: RoaringTreemap) -> Self {
        Self { ids, locations: None, rows: Mutex::default() }
    }

    /// The records at these locations.
    pub(super) fn of_locations(mut locations: Vec<Location>) -> Self {
        locations.sort_unstable();
        let ids = locations.iter().map(|location| location.id).collect();
        Self { ids, locations: Some(locations), rows: Mutex::default() }
    }

    pub(super) fn len(&self) -> u64 {
        self.ids.len()
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.ids.contains(id)
    }

    /// The rows of the segment that are selected, ascending, deleted ones included; `None` if they
    /// were not found before and are likely far more than `most`. Cost: the segment's ids are read
    /// once a segment, or a binary search a location if that is less.
    pub(super) fn rows(
        &self,
        segment: &Arc<Segment>,
        most: usize,
    ) -> Result<Option<Arc<Vec<u32>>>> {
        let is_it = |(of, _): &&SelectedRows| of.as_ptr() == Arc::as_ptr(segment);
        if let Some((_, rows)) = self.rows.lock().iter().find(is_it) {
            return Ok(Some(Arc::clone(rows)));
        }
        if is_far_more(&self.ids, segment, most) {
            return Ok(None);
        }
        let rows = segment.rows()?;
        let selected = Arc::new(match &self.locations {
            Some(locations)
                if planner::row_searches(locations.len(), rows.len())
                    < planner::id_scan(rows.len()) =>
            {
                rows_at(&rows, locations)
            }
            _ => rows_with(&rows, segment.id_range(), &self.ids),
        });
        let mut known = self.rows.lock();
        known.retain(|(of, _)| of.strong_count() > 0);
        known.push((Arc::downgrade(segment), Arc::clone(&selected)));
        Ok(Some(selected))
    }
}

/// Whether likely far more than `most` rows of a segment have one of these ids, so that finding
/// them is not worth it. Their share is taken for that of the ids in the segment's range.
pub(super) fn is_far_more(ids: &RoaringTreemap, segment: &Segment, most: usize) -> bool {
    let (first, last) = segment.id_range();
    let Some(span) = last.checked_sub(first) else { return false };
    let share = ids.range_cardinality(first..=last) as f64 / (span as f64 + 1.0);
    share * segment.row_count() as f64 > 2.0 * most as f64
}

/// The rows at these locations, which ascend as the rows do.
fn rows_at(rows: &Rows<'_>, locations: &[Location]) -> Vec<u32> {
    let mut found = Vec::new();
    let mut from = 0;
    for &wanted in locations {
        let at = |row: usize| Location { address: rows.address(row), id: rows.id(row) };
        // The first row from `from` on that is not before the wanted one.
        let mut past = rows.len();
        while from < past {
            let middle = from + (past - from) / 2;
            if at(middle) < wanted {
                from = middle + 1;
            } else {
                past = middle;
            }
        }
        if from == rows.len() {
            break;
        }
        if at(from) == wanted {
            found.extend(u32::try_from(from));
        }
    }
    found
}

/// The rows with these ids; those of all rows lie in `range`.
pub(super) fn rows_with(rows: &Rows<'_>, range: (u64, u64), ids: &RoaringTreemap) -> Vec<u32> {
    match IdBitmap::new(range, rows.len(), ids) {
        Some(bitmap) => rows_where(rows, |id| bitmap.contains(id)),
        None => rows_where(rows, |id| ids.contains(id)),
    }
}

/// The rows with other ids.
pub(super) fn rows_without(rows: &Rows<'_>, range: (u64, u64), ids: &RoaringTreemap) -> Vec<u32> {
    match IdBitmap::new(range, rows.len(), ids) {
        Some(bitmap) => rows_where(rows, |id| !bitmap.contains(id)),
        None => rows_where(rows, |id| !ids.contains(id)),
    }
}

/// The rows whose ids pass. No branch depends on a test, since half of them would go wrong.
fn rows_where(rows: &Rows<'_>, passes: impl Fn(u64) -> bool) -> Vec<u32> {
    const BLOCK: usize = 1024;
    let mut found = Vec::new();
    let mut block = [0_u32; BLOCK];
    let mut numbers = 0_u32..;
    for first in (0..rows.len()).step_by(BLOCK) {
        let mut count = 0;
        for (row, number) in (first..rows.len().min(first + BLOCK)).zip(&mut numbers) {
            block[count] = number;
            count += usize::from(passes(rows.id(row)));
        }
        found.extend_from_slice(&block[..count]);
    }
    found
}

/// Those of some ids that lie in a range: a bit each, so that a test is one load.
struct IdBitmap {
    first: u64,
    words: Vec<u64>,
}

/// A bitmap may take as many bytes a row as the row's id.
const MOST_IDS_A_ROW: u64 = 64;

impl IdBitmap {
    /// Takes a range of ids, bounds included, among which there are so many rows; `None` where they
    /// lie too thinly.
    fn new((first, last): (u64, u64), rows: usize, ids: &RoaringTreemap) -> Option<Self> {
        let span = last.checked_sub(first)?;
        if span / MOST_IDS_A_ROW > rows as u64 {
            return None;
        }
        let words = usize::try_from(span / 64 + 1).ok()?;
        let mut bitmap = Self { first, words: vec![0; words] };
        let mut ids = ids.iter();
        ids.advance_to(first);
        for id in ids.take_while(|id| *id <= last) {
            let (word, bit) = bitmap.place(id);
            if let Some(word) = bitmap.words.get_mut(word) {
                *word |= bit;
            }
        }
        Some(bitmap)
    }

    /// Whether it holds an id of the range.
    #[inline]
    fn contains(&self, id: u64) -> bool {
        let (word, bit) = self.place(id);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    #[inline]
    fn place(&self, id: u64) -> (usize, u64) {
        let offset = id.wrapping_sub(self.first);
        (usize::try_from(offset / 64).unwrap_or(usize::MAX), 1 << (offset % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::{IdBitmap, rows_at, rows_with, rows_without};
    use crate::db::columns::Columns;
    use crate::db::record::Location;

    #[test]
    fn a_bitmap_reaches_the_last_id() {
        let ids = [0, 7, u64::MAX - 130, u64::MAX - 64, u64::MAX].into_iter().collect();
        let bitmap = IdBitmap::new((u64::MAX - 100, u64::MAX), 2, &ids).unwrap();
        let found: Vec<_> = (u64::MAX - 100..=u64::MAX).filter(|id| bitmap.contains(*id)).collect();
        assert_eq!(found, [u64::MAX - 64, u64::MAX]);
        assert!(!bitmap.contains(7) && !bitmap.contains(u64::MAX - 130));
        assert!(IdBitmap::new((0, u64::MAX), 1_000_000, &ids).is_none());
        assert!(IdBitmap::new((5, 4), 10, &ids).is_none());
    }

    #[test]
    fn rows_are_found_alike_by_search_by_bitmap_and_one_by_one() {
        let mut columns = Columns::new(8);
        // 3,000 rows by (address, id), three ids apart, from a high id on.
        let mut locations: Vec<_> = (0..3_000_u64)
            .map(|n| Location { address: (n * 7919 % 50) as u32, id: (1 << 40) + n * 3 })
            .collect();
        locations.sort_unstable();
        for location in &locations {
            columns.push(location.id, location.address, &[0; 8]);
        }
        let rows = columns.rows();
        let range = (1 << 40, (1 << 40) + 9_000);
        for step in [1, 2, 13, 999, 5_000] {
            let mut wanted: Vec<_> = locations.iter().copied().step_by(step).collect();
            let expected: Vec<_> = (0..3_000_u32).step_by(step).collect();
            // And some that are not there, before, between and after.
            for (address, id) in [(0, 1), (20, 5), (20, u64::MAX), (60, 1 << 40)] {
                wanted.push(Location { address, id });
            }
            wanted.sort_unstable();
            let ids = locations.iter().step_by(step).map(|location| location.id).collect();
            assert_eq!(rows_at(&rows, &wanted), expected);
            assert_eq!(rows_with(&rows, range, &ids), expected);
            assert_eq!(rows_with(&rows, (0, u64::MAX), &ids), expected);
            let others: Vec<_> =
                (0..3_000).filter(|row| expected.binary_search(row).is_err()).collect();
            assert_eq!(rows_without(&rows, range, &ids), others);
            assert_eq!(rows_without(&rows, (0, u64::MAX), &ids), others);
        }
    }
}
