//! Every SIMD level equals the scalar one, for every width, length and alignment.
#![no_main]

use hashdb::Level;
use hashdb::internals::hamming;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&[width, skip], data)) = data.split_first_chunk::<2>() else { return };
    let width = 8 * (1 + usize::from(width % 16));
    let data = &data[usize::from(skip % 64).min(data.len())..];
    let Some((query, rows)) = data.split_at_checked(width) else { return };
    let count = rows.len() / width;
    let rows = &rows[..count * width];
    let mut expected = vec![0; count];
    hamming::distances(Level::Scalar, query, rows, &mut expected);
    for (row, distance) in rows.chunks(width).zip(&expected) {
        let bits: u32 = row.iter().zip(query).map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!(bits, *distance);
    }
    let address = u32::from_le_bytes([query[0], query[1], query[2], query[3]]);
    let column = &rows[..rows.len() / 4 * 4];
    let mut addresses = vec![0; column.len() / 4];
    hamming::distances_u32(Level::Scalar, address, column, &mut addresses);
    for level in Level::available() {
        let mut found = vec![0; count];
        hamming::distances(level, query, rows, &mut found);
        assert_eq!(found, expected, "{level}");
        let mut found = vec![0; addresses.len()];
        hamming::distances_u32(level, address, column, &mut found);
        assert_eq!(found, addresses, "{level}");
    }
});
