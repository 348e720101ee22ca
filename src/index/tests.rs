use super::*;
use crate::hamming::Level;

#[test]
fn ball_equals_scan() {
    let mut x = 1_u64;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    for bits in [8_u8, 9, 13, 16, 21, 28, 32] {
        let mask = u32::MAX >> (32 - bits);
        let mut a: Vec<u32> = (0..500)
            .map(|_| next() as u32 & (next() as u32 | next() as u32 | 0xff) & mask)
            .collect();
        a.sort_unstable();
        let bytes: Vec<u8> = a.iter().flat_map(|a| a.to_le_bytes()).collect();
        let c = PairTableColumns::build(&bytes, bits).unwrap();
        let t = PairTable::open(
            &c.high_offsets,
            &c.low_suffixes,
            &c.low_offsets,
            &c.high_suffixes,
            &c.positions,
            500,
            bits,
        )
        .unwrap();
        let balls = HalfBalls::new(bits);
        for level in Level::available() {
            for radius in 0..=u32::from(bits) + 3 {
                let q = next() as u32 & mask;
                let (mut hits, mut n) = (Vec::new(), Counters::default());
                t.ball(level, &balls, q, radius, &mut hits, &mut n);
                hits.sort();
                let want: Vec<_> = (0..)
                    .zip(&a)
                    .map(|(row, a)| Hit {
                        row,
                        distance: (a ^ q).count_ones(),
                    })
                    .filter(|h| h.distance <= radius)
                    .collect();
                assert_eq!(hits, want);
                assert_eq!(n.candidates, t.cost(&balls, q, radius));
            }
        }
    }
}
