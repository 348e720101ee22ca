//! The nearest of many centroids, for every row of a segment: too many pairs to compare them all.

use super::kmeans;
use crate::hamming::{self, EIGHT, Level, MOST_KEYED};
use crate::index::workers::{self, Workers};

/// With so few centroids all are compared.
const FEW: usize = 256;

/// Rows that are sorted by group together: of each group that is near some of them, its members are
/// compared with all of those. So many keep a group busy for longer than it takes to gather them.
const BATCH: usize = 1 << 13;

/// Centroids in groups, each group with a centre of its own.
///
/// A code is compared with the members of the eight groups whose centres are nearest. The nearest
/// centroid may lie in another group; the one found is then about as near. With half as many groups, rings
/// over tight clusters read twice as many rows.
#[derive(Debug)]
pub(super) struct Nearest {
    level: Level,
    code_bytes: usize,
    centres: Vec<u8>,
    /// Where the members of each group begin, and the end of the last.
    starts: Vec<usize>,
    /// The centroids, group by group.
    members: Vec<u8>,
    /// Which centroid each member is.
    numbers: Vec<u32>,
}

impl Nearest {
    /// Groups the centroids, about as many groups as a group has members; none if the workers were stopped.
    pub(super) fn new(
        workers: &dyn Workers,
        level: Level,
        centroids: &[u8],
        code_bytes: usize,
    ) -> Option<Self> {
        let count = centroids.len() / code_bytes;
        let groups = if count <= FEW { 1 } else { count.isqrt() };
        let mut centres = kmeans::spaced(centroids, code_bytes, groups);
        let lists = if groups == 1 {
            vec![0; count]
        } else {
            kmeans::lloyd(workers, level, centroids, code_bytes, &mut centres, 4)?
        };
        let (mut starts, numbers) = kmeans::group(&lists, groups);
        // A group without members would only take the place of another.
        let filled = |group: &usize| starts[*group] < starts[group + 1];
        let centre = |group: usize| &centres[group * code_bytes..][..code_bytes];
        let centres: Vec<u8> = (0..groups).filter(filled).flat_map(centre).copied().collect();
        starts.dedup();
        let member = |number: &u32| &centroids[*number as usize * code_bytes..][..code_bytes];
        Some(Self {
            level,
            code_bytes,
            members: numbers.iter().flat_map(member).copied().collect(),
            centres,
            starts,
            numbers,
        })
    }

    /// For each code the nearest centroid, or one about as near, and its distance; none if the workers were stopped.
    pub(super) fn find(&self, workers: &dyn Workers, codes: &[u8]) -> Option<Vec<(u32, u16)>> {
        let mut found = vec![(0, 0); codes.len() / self.code_bytes];
        let parts = codes.chunks(BATCH * self.code_bytes).zip(found.chunks_mut(BATCH));
        workers::each(workers, parts, |_, (codes, found)| self.find_batch(codes, found))?;
        Some(found)
    }

    fn find_batch(&self, codes: &[u8], found: &mut [(u32, u16)]) {
        let (starts, visits) = self.visits(codes, found.len());
        // By distance, then by member: whatever the order of the groups, the same one is found.
        let mut nearest = vec![u64::MAX; found.len()];
        let (mut gathered, mut keys) = (Vec::new(), Vec::new());
        for (group, bounds) in starts.windows(2).enumerate() {
            let rows = &visits[bounds[0]..bounds[1]];
            gathered.clear();
            let code = |row: &u32| &codes[*row as usize * self.code_bytes..][..self.code_bytes];
            rows.iter().for_each(|row| gathered.extend_from_slice(code(row)));
            keys.resize(rows.len(), 0);
            let (level, width) = (self.level, self.code_bytes);
            let members = &self.members[self.starts[group] * width..self.starts[group + 1] * width];
            // Centroids that are equal may fall into one group, more than a key can tell apart.
            for (part, members) in members.chunks(MOST_KEYED * width).enumerate() {
                hamming::nearest(level, width, &gathered, members, &mut keys);
                let first = self.starts[group] + part * MOST_KEYED;
                for (row, key) in rows.iter().zip(&keys) {
                    let member = first + (key & 0xffff) as usize;
                    let nearest = &mut nearest[*row as usize];
                    *nearest = (*nearest).min(u64::from(key >> 16) << 32 | member as u64);
                }
            }
        }
        for (found, nearest) in found.iter_mut().zip(nearest) {
            // No distance exceeds 1024.
            let distance = u16::try_from(nearest >> 32).unwrap_or(u16::MAX);
            *found = (self.numbers[(nearest & 0xffff_ffff) as usize], distance);
        }
    }

    /// The rows that each group is near to, sorted by group: where those of a group begin, and the rows.
    fn visits(&self, codes: &[u8], rows: usize) -> (Vec<usize>, Vec<u32>) {
        let mut keys = vec![[0; EIGHT]; rows];
        hamming::nearest_eight(self.level, self.code_bytes, codes, &self.centres, &mut keys);
        let groups = self.starts.len() - 1;
        // Fewer groups than eight leave keys that are none.
        let near = |keys: &[u32; EIGHT]| keys.map(|key| (key & 0xffff) as usize);
        let each = EIGHT.min(groups);
        let mut starts = vec![0; groups + 1];
        for keys in &keys {
            near(keys)[..each].iter().for_each(|group| starts[group + 1] += 1);
        }
        for group in 0..groups {
            starts[group + 1] += starts[group];
        }
        let (mut next, mut visits) = (starts.clone(), vec![0; rows * each]);
        for (row, keys) in (0_u32..).zip(&keys) {
            for group in &near(keys)[..each] {
                visits[next[*group]] = row;
                next[*group] += 1;
            }
        }
        (starts, visits)
    }
}
