//! One row of an answer.

/// A record and how far it lies from the query.
///
/// Ordered by distance, then by id: the order of every answer. Ids are unique in a database, so the
/// address never decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Neighbor {
    /// Bits in which it differs from the query: of the code or of the address, as was asked.
    pub distance: u32,
    /// The record.
    pub id: u64,
    /// The value of the record's address.
    pub address: u32,
}

impl Neighbor {
    /// Sorts an answer by distance, then id.
    ///
    /// Cost: of a large answer two to four passes over eight bytes a neighbour.
    pub(crate) fn sort(neighbors: &mut [Self]) {
        let widths = Widths::of(neighbors);
        if neighbors.len() >= WORTH_DIGITS && widths.total() <= u64::BITS {
            widths.sort(neighbors);
        } else {
            neighbors
                .sort_unstable_by_key(|near| u128::from(near.distance) << 64 | u128::from(near.id));
        }
    }
}

/// Bits of a digit: the ends of 1,024 runs fit the second level of caches.
const DIGIT_BITS: u32 = 10;
/// With fewer neighbours, counting digits costs more than comparing.
const WORTH_DIGITS: usize = 128;

/// How many bits the numbers of an answer take. Where all three fit 64 bits together, as they do in
/// all but the largest databases, a neighbour is sorted as one number: distance, id, address.
#[derive(Debug, Clone, Copy)]
struct Widths {
    distance: u32,
    id: u32,
    address: u32,
}

impl Widths {
    fn of(neighbors: &[Neighbor]) -> Self {
        let (mut distance, mut id, mut address) = (0, 0, 0);
        for near in neighbors {
            distance |= near.distance;
            id |= near.id;
            address |= near.address;
        }
        Self {
            distance: u32::BITS - distance.leading_zeros(),
            id: u64::BITS - id.leading_zeros(),
            address: u32::BITS - address.leading_zeros(),
        }
    }

    fn total(self) -> u32 {
        self.distance + self.id + self.address
    }

    #[inline]
    fn pack(self, near: &Neighbor) -> u64 {
        let key = u64::from(near.distance).unbounded_shl(self.id) | near.id;
        key.unbounded_shl(self.address) | u64::from(near.address)
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the numbers fitted before they were packed"
    )]
    fn unpack(self, packed: u64) -> Neighbor {
        let low = |number: u64, bits: u32| number & !u64::MAX.unbounded_shl(bits);
        let key = packed.unbounded_shr(self.address);
        Neighbor {
            distance: key.unbounded_shr(self.id) as u32,
            id: low(key, self.id),
            address: low(packed, self.address) as u32,
        }
    }

    /// A radix sort from the least digit of (distance, id) to the greatest; each pass keeps the order
    /// of the one before among equals.
    fn sort(self, neighbors: &mut [Neighbor]) {
        let key_bits = self.distance + self.id;
        let passes = key_bits.div_ceil(DIGIT_BITS);
        let bits = key_bits.div_ceil(passes.max(1));
        let mask = (1 << bits) - 1;
        let mut packed: Vec<_> = neighbors.iter().map(|near| self.pack(near)).collect();
        let mut next = vec![0; packed.len()];
        for pass in 0..passes {
            #[expect(clippy::cast_possible_truncation, reason = "a digit has few bits")]
            let digit = |packed: u64| (packed >> (self.address + pass * bits) & mask) as usize;
            let mut places = [0_u32; 1 << DIGIT_BITS];
            packed.iter().for_each(|&near| places[digit(near)] += 1);
            let mut begin = 0;
            for place in &mut places[..1 << bits] {
                (*place, begin) = (begin, begin + *place);
            }
            for &near in &packed {
                let place = &mut places[digit(near)];
                next[*place as usize] = near;
                *place += 1;
            }
            std::mem::swap(&mut packed, &mut next);
        }
        for (near, packed) in neighbors.iter_mut().zip(packed) {
            *near = self.unpack(packed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::random::Random;

    #[test]
    #[expect(clippy::cast_possible_truncation, reason = "they have as many bits as are wanted")]
    fn answers_of_every_size_and_width_are_sorted() {
        let mut random = Random(9);
        let sizes = [0, 1, WORTH_DIGITS - 1, WORTH_DIGITS, 1000, 5000];
        for (size, id_bits) in
            sizes.into_iter().flat_map(|n| [0, 1, 10, 24, 31, 40, 64].map(|b| (n, b)))
        {
            for (distance_bits, address_bits) in [(0, 0), (3, 28), (9, 32), (32, 32)] {
                let mut bits = |width: u32| random.next().unbounded_shr(64 - width);
                let mut found: Vec<_> = (0..size)
                    .map(|_| Neighbor {
                        distance: bits(distance_bits) as u32,
                        id: bits(id_bits),
                        address: bits(address_bits) as u32,
                    })
                    .collect();
                // Ids are unique in a database, but nothing is lost where they are not.
                let mut expected = found.clone();
                expected.sort_by_key(|near| (near.distance, near.id));
                Neighbor::sort(&mut found);
                let order = |near: &Neighbor| (near.distance, near.id);
                assert!(
                    found.iter().map(order).eq(expected.iter().map(order)),
                    "{size}, {id_bits}"
                );
                found.sort_unstable();
                expected.sort_unstable();
                assert_eq!(found, expected, "{size}, {id_bits}, {distance_bits}, {address_bits}");
            }
        }
    }
}
