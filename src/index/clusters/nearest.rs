//! The nearest of many centroids, for every row of a segment: too many pairs to compare them all.

use super::kmeans;
use crate::hamming::{self, Level};

/// Groups whose centroids are compared with a code. The nearest centroid may lie in another group;
/// the one found is then about as near. With half as many groups, rings over tight clusters read
/// twice as many rows.
const GROUPS: usize = 8;

/// With so few centroids all are compared.
const FEW: usize = 256;

/// Centroids in groups, each group with a centre of its own.
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
    /// Distances to the centres.
    distances: Vec<u32>,
}

impl Nearest {
    /// Groups the centroids, about as many groups as a group has members.
    pub(super) fn new(level: Level, centroids: &[u8], code_bytes: usize) -> Self {
        let count = centroids.len() / code_bytes;
        let groups = if count <= FEW { 1 } else { count.isqrt() };
        let mut centres = kmeans::spaced(centroids, code_bytes, groups);
        let lists = if groups == 1 {
            vec![0; count]
        } else {
            kmeans::lloyd(level, centroids, code_bytes, &mut centres, 4)
        };
        let (mut starts, numbers) = kmeans::group(&lists, groups);
        // A group without members would only take the place of another.
        let filled = |group: &usize| starts[*group] < starts[group + 1];
        let centre = |group: usize| &centres[group * code_bytes..][..code_bytes];
        let centres: Vec<u8> = (0..groups).filter(filled).flat_map(centre).copied().collect();
        starts.dedup();
        let member = |number: &u32| &centroids[*number as usize * code_bytes..][..code_bytes];
        Self {
            level,
            code_bytes,
            members: numbers.iter().flat_map(member).copied().collect(),
            distances: vec![0; starts.len() - 1],
            centres,
            starts,
            numbers,
        }
    }

    /// The nearest centroid of a code and its distance, or one about as near.
    pub(super) fn find(&mut self, code: &[u8]) -> (u32, u32) {
        hamming::distances(self.level, code, &self.centres, &mut self.distances);
        // Distances end at 1024, and groups are the root of the number of lists at most.
        let mut nearest = [u32::MAX; GROUPS];
        for (group, distance) in (0_u32..).zip(&self.distances) {
            insert(&mut nearest, *distance << 16 | group);
        }
        let (mut limit, mut nearest_member) = (u32::MAX, (0, u32::MAX));
        for key in nearest {
            let group = (key & 0xffff) as usize;
            let Some(&[start, end]) = self.starts.get(group..).and_then(|s| s.first_chunk()) else {
                break;
            };
            let members = &self.members[start * self.code_bytes..end * self.code_bytes];
            hamming::rows_within(self.level, code, members, limit, |member, distance| {
                // None is nearer than 0, where the limit cannot tell equals apart.
                if distance < nearest_member.1 {
                    nearest_member = (start + member, distance);
                    limit = distance.saturating_sub(1);
                }
                limit
            });
        }
        let (member, distance) = nearest_member;
        (self.numbers[member], distance)
    }
}

/// Keeps the least keys, sorted.
#[inline]
fn insert(least: &mut [u32; GROUPS], mut key: u32) {
    if key >= least[GROUPS - 1] {
        return;
    }
    for slot in least {
        let larger = key.max(*slot);
        *slot = key.min(*slot);
        key = larger;
    }
}
