//! The records of a load in one order, from memory or from runs, whole or a range of them.

use std::cmp::Ordering;

use super::chunk::{Chunk, Place};
use super::entry::{Bound, Entry, Order, Range};
use super::run::{LANDMARK_BYTES, Run, RunReader};
use crate::error::Result;
use crate::storage::fs::Fs;

/// Bytes of entries that make one table, about.
const TABLE_BYTES: u64 = 64 << 20;
/// Where that makes few tables for each thread they have fewer bytes, down to about these.
const LEAST_TABLE_BYTES: u64 = 16 << 20;
/// Tables that are enough for each thread: all wait for the one that is at work on the last.
const RANGES_A_THREAD: usize = 8;

/// Records in one order.
#[derive(Debug)]
pub(super) enum Sorted<'a> {
    Memory { chunk: &'a Chunk, places: Vec<Place> },
    File(&'a Run),
}

impl Sorted<'_> {
    /// Some records, and about how many bytes there are from each up to the next.
    fn landmarks(&self, order: Order) -> Vec<(Bound, u64)> {
        match self {
            Self::File(run) => {
                run.landmarks().map(|(first, bytes)| (first.clone(), bytes)).collect()
            }
            Self::Memory { chunk, places } => {
                let entry_bytes = chunk.bytes() / chunk.len().max(1);
                let apart = (LANDMARK_BYTES / entry_bytes.max(1)).max(1);
                let bytes = (apart * entry_bytes) as u64;
                let bound = |place: &Place| (order.bound(&chunk.entry(*place)), bytes);
                places.iter().step_by(apart).map(bound).collect()
            }
        }
    }
}

/// Cuts the records into ranges that make one table each, for so many threads; one at least.
pub(super) fn ranges(sources: &[Sorted<'_>], order: Order, threads: usize) -> Vec<Range> {
    let mut landmarks: Vec<_> = sources.iter().flat_map(|source| source.landmarks(order)).collect();
    landmarks.sort_unstable();
    let total: u64 = landmarks.iter().map(|(_, bytes)| bytes).sum();
    let bytes = (total / (RANGES_A_THREAD * threads) as u64).clamp(LEAST_TABLE_BYTES, TABLE_BYTES);
    cut(landmarks, bytes)
}

/// Cuts behind about so many bytes each.
fn cut(landmarks: Vec<(Bound, u64)>, bytes: u64) -> Vec<Range> {
    let mut ranges = Vec::new();
    let (mut last, mut filled) = (Range::default(), 0);
    for (landmark, more) in landmarks {
        if filled >= bytes && last.from.as_ref() != Some(&landmark) {
            let from = Some(landmark.clone());
            ranges.push(Range {
                to: Some(landmark),
                ..std::mem::replace(&mut last, Range { from, to: None })
            });
            filled = 0;
        }
        filled += more;
    }
    ranges.push(last);
    ranges
}

/// Stands on a record of one source.
#[derive(Debug)]
enum Source<'a> {
    Memory { chunk: &'a Chunk, places: &'a [Place], at: usize },
    File(RunReader<'a>),
}

impl Source<'_> {
    #[inline]
    fn head(&self) -> Option<Entry<'_>> {
        match self {
            Self::Memory { chunk, places, at } => places.get(*at).map(|p| chunk.entry(*p)),
            Self::File(reader) => reader.head(),
        }
    }

    #[inline]
    fn is_at_end(&self) -> bool {
        match self {
            Self::Memory { places, at, .. } => *at >= places.len(),
            Self::File(reader) => reader.head().is_none(),
        }
    }

    #[inline]
    fn advance(&mut self) -> Result<()> {
        match self {
            Self::Memory { chunk, places, at } => {
                *at += 1;
                chunk.fetch(places, *at);
                Ok(())
            }
            Self::File(reader) => reader.advance(),
        }
    }
}

/// The records of a range, from all sources, in order.
#[derive(Debug)]
pub(super) struct Merge<'a> {
    order: Order,
    /// Where files end, which hold more; what is in memory was cut.
    to: Option<Bound>,
    /// A heap by the records that the sources stand on; none of them is at its end.
    sources: Vec<Source<'a>>,
    begun: bool,
}

impl<'a> Merge<'a> {
    pub(super) fn new(
        sorted: &'a [Sorted<'_>],
        order: Order,
        range: &Range,
        fs: &dyn Fs,
    ) -> Result<Self> {
        let files = sorted.iter().any(|source| matches!(source, Sorted::File(_)));
        let to = range.to.clone().filter(|_| files);
        let mut merge = Self { order, to, sources: Vec::new(), begun: false };
        for source in sorted {
            let source = match source {
                Sorted::File(run) => Source::File(run.reader(fs, range.from.as_ref())?),
                Sorted::Memory { chunk, places } => {
                    let before = |bound: &Bound| {
                        places.partition_point(|place| bound.is_behind(&chunk.entry(*place)))
                    };
                    let at = range.from.as_ref().map_or(0, before);
                    let places = &places[..range.to.as_ref().map_or(places.len(), before)];
                    Source::Memory { chunk, places, at }
                }
            };
            if !source.is_at_end() {
                merge.sources.push(source);
            }
        }
        for at in (0..merge.sources.len() / 2).rev() {
            merge.sift(at);
        }
        Ok(merge)
    }

    fn precedes(&self, left: usize, right: usize) -> bool {
        match (self.sources[left].head(), self.sources[right].head()) {
            (Some(left), Some(right)) => self.order.compare(&left, &right) == Ordering::Less,
            (left, _) => left.is_some(),
        }
    }

    /// Lets the source at `at` sink to its place.
    fn sift(&mut self, mut at: usize) {
        loop {
            let children = [2 * at + 1, 2 * at + 2];
            let mut first = at;
            for child in children {
                if child < self.sources.len() && self.precedes(child, first) {
                    first = child;
                }
            }
            if first == at {
                return;
            }
            self.sources.swap(at, first);
            at = first;
        }
    }

    /// The next record; none at the end of the range.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Entry<'_>>> {
        if self.begun
            && let Some(first) = self.sources.first_mut()
        {
            first.advance()?;
            if first.is_at_end() {
                self.sources.swap_remove(0);
            }
            self.sift(0);
        }
        self.begun = true;
        let to = self.to.as_ref();
        let head = self.sources.first().and_then(Source::head);
        Ok(head.filter(|entry| to.is_none_or(|to| to.is_behind(entry))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::fs::OsFs;

    /// Each bound: the keys and rows of some entries, most of which come several times, and those before and behind all.
    fn bounds(chunk: &Chunk, order: Order) -> Vec<Bound> {
        let places = chunk.sorted(order);
        let mut bounds: Vec<_> =
            places.iter().step_by(97).map(|place| order.bound(&chunk.entry(*place))).collect();
        bounds.extend(match order {
            Order::Key => {
                vec![Bound::Key(Vec::new()), Bound::Key(b"b5".to_vec()), Bound::Key(b"z".to_vec())]
            }
            Order::Row | Order::Id => {
                vec![Bound::Row(0, 0), Bound::Row(3, 500), Bound::Row(u32::MAX, 0)]
            }
        });
        bounds.sort_unstable();
        bounds.dedup();
        bounds
    }

    #[test]
    fn ranges_of_memory_and_of_files_hold_each_record_once() {
        let mut chunk = Chunk::new(8, 64 << 20);
        for id in 0..2000_u64 {
            let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            let (key, address) = (format!("b{}", mixed % 300), (mixed % 7) as u32);
            let (code, key) = (mixed.to_le_bytes(), key.as_bytes());
            chunk.push(&Entry { id, address, has_value: true, code: &code, patches: &[], key });
        }
        let folder = tempfile::tempdir().unwrap();
        for order in [Order::Key, Order::Row] {
            let places = chunk.sorted(order);
            let expected: Vec<_> = places.iter().map(|place| chunk.entry(*place).id).collect();
            let run = Run::of_chunk(&OsFs, &folder.path().join("run"), &chunk, order).unwrap();
            let memory = [Sorted::Memory { chunk: &chunk, places }];
            let file = [Sorted::File(&run)];
            let bounds = bounds(&chunk, order);
            let landmarks = bounds.iter().cloned().map(|bound| (bound, 10)).collect();
            for (bytes, count) in [(1, bounds.len() + 1), (30, bounds.len() / 3), (u64::MAX, 1)] {
                let ranges = cut(Vec::clone(&landmarks), bytes);
                assert!(
                    ranges.len() >= count.min(bounds.len()),
                    "{} ranges of {bytes}",
                    ranges.len()
                );
                for sources in [&memory, &file] {
                    let mut ids = Vec::new();
                    let mut ends: Option<Vec<u8>> = None;
                    for range in &ranges {
                        let mut merge = Merge::new(sources, order, range, &OsFs).unwrap();
                        let mut last = None;
                        while let Some(entry) = merge.next().unwrap() {
                            let again = order == Order::Key && ends.as_deref() == Some(entry.key);
                            assert!(!again, "a key in two ranges");
                            ids.push(entry.id);
                            last = Some(entry.key.to_vec());
                        }
                        ends = last.or(ends);
                    }
                    assert_eq!(ids, expected, "{order:?}, ranges of {bytes}");
                }
            }
        }
    }
}
