//! Memory for bytes that come one after the other and are read at random.
//!
//! Address space is reserved at once and memory taken as it is filled, on large pages where the system has them:
//! reading a gigabyte at random from pages of 4 KiB waits for the tables that say where they are.

use memmap2::MmapMut;

/// Bytes that are appended.
#[derive(Debug)]
pub(crate) struct Arena {
    place: Place,
    length: usize,
    most: usize,
}

#[derive(Debug)]
enum Place {
    /// Nothing was appended yet.
    Nowhere,
    Reserved(MmapMut),
    /// The system does not reserve as much, or there came more.
    Growing(Vec<u8>),
}

impl Arena {
    /// An empty one for `most` bytes: more take a copy. Takes nothing before the first are appended.
    pub(crate) fn new(most: usize) -> Self {
        Self { place: Place::Nowhere, length: 0, most }
    }

    /// Appends bytes.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        let end = self.length.saturating_add(bytes.len());
        if matches!(self.place, Place::Nowhere) {
            self.place = reserve(self.most).map_or(Place::Growing(Vec::new()), Place::Reserved);
        }
        if let Place::Reserved(map) = &mut self.place {
            if let Some(room) = map.get_mut(self.length..end) {
                room.copy_from_slice(bytes);
                self.length = end;
                return;
            }
            self.place = Place::Growing(self.bytes().to_vec());
        }
        if let Place::Growing(vec) = &mut self.place {
            vec.truncate(self.length);
            vec.extend_from_slice(bytes);
            self.length = vec.len();
        }
    }

    /// All bytes that were appended since the last [`Arena::clear`].
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        let bytes = match &self.place {
            Place::Nowhere => &[][..],
            Place::Reserved(map) => map,
            Place::Growing(vec) => vec,
        };
        &bytes[..self.length]
    }

    /// Begins anew in the same memory.
    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }
}

fn reserve(bytes: usize) -> Option<MmapMut> {
    let map = MmapMut::map_anon(bytes.max(1)).ok()?;
    #[cfg(target_os = "linux")]
    // Where there are no large pages, small ones do.
    let _refused = map.advise(memmap2::Advice::HugePage);
    Some(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_as_they_were_appended_wherever_they_are() {
        // What does not fit, what just fits, and what no system reserves.
        for most in [0, 10, 1 << 20, usize::MAX] {
            let mut arena = Arena::new(most);
            assert!(arena.bytes().is_empty());
            for _ in 0..2 {
                let mut all = Vec::new();
                for part in 0..100_u8 {
                    let bytes = vec![part; usize::from(part)];
                    arena.append(&bytes);
                    all.extend_from_slice(&bytes);
                    assert_eq!(arena.bytes(), all, "{most}");
                }
                arena.clear();
                assert!(arena.bytes().is_empty());
            }
        }
    }
}
