//! Records in memory, in the order in which they came, and the orders in which they are needed.

use super::entry::{self, Entry, Order};
use crate::storage::arena::Arena;

/// Where an entry begins, in units of eight bytes.
pub(super) type Place = u32;

const UNIT: usize = 8;
/// So that places fit.
const MOST_BYTES: usize = (u32::MAX as usize) * UNIT;
/// No entry is longer.
const LONGEST: usize = 64 << 10;
/// Bytes of memory an entry that sorting takes for a while: a place and eight bytes of the key to sort
/// by, both twice over while one is turned into the other, and the second order.
const SORT_BYTES: usize = 32;

/// Entries that are read soon and fetched together: each waits for the memory, and for the tables that say where it
/// is, and all wait at the same time, while those tables stay in the cache. The processor drops requests to prefetch
/// where it lacks those tables, so this reads.
const TOGETHER: usize = 512;

/// Entries one after the other.
#[derive(Debug)]
pub(super) struct Chunk {
    code_bytes: usize,
    budget: usize,
    arena: Arena,
    /// The entry that is appended.
    entry: Vec<u8>,
    count: usize,
    /// Bytes that all keys begin with.
    common: Option<Vec<u8>>,
}

impl Chunk {
    /// An empty one that is [full](Chunk::is_full) at `budget` bytes.
    pub(super) fn new(code_bytes: usize, budget: usize) -> Self {
        let arena = Arena::new(budget.min(MOST_BYTES).saturating_add(LONGEST));
        Self { code_bytes, budget, arena, entry: Vec::new(), count: 0, common: None }
    }

    /// Appends an entry, whose id is above all others.
    pub(super) fn push(&mut self, entry: &Entry<'_>) {
        let key = entry.key;
        self.entry.clear();
        entry::write(&mut self.entry, entry);
        self.entry.resize(self.entry.len().next_multiple_of(UNIT), 0);
        self.arena.append(&self.entry);
        self.count += 1;
        let common = self.common.get_or_insert_with(|| key.to_vec());
        if !key.starts_with(common) {
            let same = common.iter().zip(key).take_while(|(left, right)| left == right).count();
            common.truncate(same);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of memory that it takes until it is sorted.
    pub(super) fn bytes(&self) -> usize {
        self.arena.bytes().len() + self.count * SORT_BYTES
    }

    /// Whether nothing more may be pushed.
    pub(super) fn is_full(&self) -> bool {
        self.bytes() >= self.budget || self.arena.bytes().len() >= MOST_BYTES - LONGEST
    }

    pub(super) fn clear(&mut self) {
        self.arena.clear();
        self.count = 0;
        self.common = None;
    }

    /// Empties it and gives its memory back.
    pub(super) fn release(&mut self) {
        *self = Self::new(self.code_bytes, self.budget);
    }

    pub(super) fn code_bytes(&self) -> usize {
        self.code_bytes
    }

    /// The bytes from a place on.
    fn bytes_at(&self, place: Place) -> &[u8] {
        &self.arena.bytes()[place as usize * UNIT..]
    }

    /// Fetches the entries from `places[at]` on, if it is their turn.
    #[inline]
    pub(super) fn fetch(&self, places: &[Place], at: usize) {
        if at.is_multiple_of(TOGETHER)
            && let Some(behind) = places.get(at..)
        {
            let next = &behind[..behind.len().min(TOGETHER)];
            // The length of the key, and behind a code of 256 bits the key.
            let read = |place: &Place| {
                let bytes = self.bytes_at(*place);
                bytes[0] ^ bytes.get(63).unwrap_or(&0)
            };
            std::hint::black_box(next.iter().fold(0, |sum, place| sum ^ read(place)));
        }
    }

    /// The entry at a place that [`Chunk::sorted`] gave.
    #[inline]
    pub(super) fn entry(&self, place: Place) -> Entry<'_> {
        let read = Entry::read(self.bytes_at(place), self.code_bytes);
        let none = Entry { id: 0, address: 0, has_value: false, code: &[], patches: &[], key: &[] };
        read.map_or(none, |(entry, _)| entry)
    }

    fn places(&self) -> impl Iterator<Item = (Place, Entry<'_>)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let (entry, length) = Entry::read(self.arena.bytes().get(at..)?, self.code_bytes)?;
            let place = Place::try_from(at / UNIT).unwrap_or(Place::MAX);
            at += length.next_multiple_of(UNIT);
            Some((place, entry))
        })
    }

    /// The places of all entries in an order.
    pub(super) fn sorted(&self, order: Order) -> Vec<Place> {
        match order {
            // They came so.
            Order::Id => self.places().map(|(place, _)| place).collect(),
            Order::Row => {
                // Ids rise with places.
                let mut rows: Vec<u64> = Vec::with_capacity(self.count);
                let pack = |(place, entry): (Place, Entry<'_>)| {
                    u64::from(entry.address) << 32 | u64::from(place)
                };
                rows.extend(self.places().map(pack));
                rows.sort_unstable();
                #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
                let places = rows.iter().map(|row| *row as Place).collect();
                places
            }
            Order::Key => {
                let skip = self.common.as_ref().map_or(0, Vec::len);
                let mut keys: Vec<(u64, Place)> = Vec::with_capacity(self.count);
                keys.extend(self.places().map(|(place, e)| (first_bytes(&e.key[skip..]), place)));
                keys.sort_unstable();
                // The same eight bytes: the rest of the key decides, then the id.
                for group in keys.chunk_by_mut(|left, right| left.0 == right.0) {
                    if group.len() > 1 {
                        group.sort_by(|left, right| {
                            order.compare(&self.entry(left.1), &self.entry(right.1))
                        });
                    }
                }
                keys.iter().map(|(_, place)| *place).collect()
            }
        }
    }
}

/// The first eight bytes as a number that sorts as they do.
fn first_bytes(key: &[u8]) -> u64 {
    let mut first = [0; 8];
    let length = key.len().min(8);
    first[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys that differ behind their first eight bytes, some of them not at all, and few addresses.
    #[test]
    fn entries_are_sorted_as_the_orders_compare() {
        let mut chunk = Chunk::new(8, 64 << 20);
        let count = 20_000_u64;
        for id in 0..count {
            let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            let key = format!("common{:02}common{:05}", mixed % 3, mixed % 9973);
            let (address, code) = ((mixed % 7) as u32, mixed.to_le_bytes());
            let (has_value, patches, key) = (false, &[][..], key.as_bytes());
            chunk.push(&Entry { id, address, has_value, code: &code, patches, key });
        }
        for order in [Order::Key, Order::Row, Order::Id] {
            let places = chunk.sorted(order);
            assert_eq!(places.len() as u64, count);
            assert!(places.windows(2).all(|pair| {
                order.compare(&chunk.entry(pair[0]), &chunk.entry(pair[1])).is_lt()
            }));
        }
    }
}
