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
    // The limit stays, or falls to every distance that is found.
    let narrow = |distance, limit| if skip < 128 { limit } else { distance };
    let limit = if skip % 2 == 0 { u32::MAX } else { 4 * width as u32 };
    let (mut expected, mut last) = (Vec::new(), limit);
    for (row, code) in rows.chunks(width).enumerate() {
        let distance: u32 = code.iter().zip(query).map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!(hamming::distance(query, code), distance);
        if distance <= last {
            expected.push((row, distance));
            last = narrow(distance, last);
        }
    }
    let address = u32::from_le_bytes([query[0], query[1], query[2], query[3]]);
    let column = &rows[..rows.len() / 4 * 4];
    let mut addresses = vec![0; column.len() / 4];
    hamming::distances_u32(Level::Scalar, address, column, &mut addresses);
    for level in Level::available() {
        let (mut found, mut last) = (Vec::new(), limit);
        hamming::rows_within(level, query, rows, limit, |row, distance| {
            found.push((row, distance));
            last = narrow(distance, last);
            last
        });
        assert_eq!(found, expected, "{level}");
        let (mut found, mut limits) = ([Vec::new(), Vec::new()], [limit; 2]);
        let mut lasts = limits;
        let queries = query.repeat(2);
        hamming::batch_within(level, width, &queries, rows, &mut limits, |query, row, distance| {
            found[query].push((row, distance));
            lasts[query] = narrow(distance, lasts[query]);
            lasts[query]
        });
        assert_eq!(found, [expected.clone(), expected.clone()], "{level}");
        assert_eq!(limits, lasts, "{level}");
        let mut found = vec![0; addresses.len()];
        hamming::distances_u32(level, address, column, &mut found);
        assert_eq!(found, addresses, "{level}");
    }
});
