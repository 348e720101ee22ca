use super::*;

#[test]
fn every_level_equals_scalar() {
    let bytes: Vec<u8> = (0..20_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for level in Level::available() {
        for width in (8..=128).step_by(8) {
            for n in 0..67 {
                for start in [0, 1, 7, 33] {
                    let query = &bytes[start + 3..][..width];
                    let rows = &bytes[start..][..n * width];
                    let (mut a, mut b) = (vec![0; n], vec![0; n]);
                    distances(level, query, rows, &mut a);
                    distances(Level::Scalar, query, rows, &mut b);
                    assert_eq!(a, b, "{level} {width} {n} {start}");
                }
            }
        }
    }
}
