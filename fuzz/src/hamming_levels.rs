//! Every kernel of every SIMD level equals a definition that is written out here, for every width,
//! length, start and limit.

use hashdb::Level;
use hashdb::internals::hamming::{self, Band, Hit, Run};

use super::input::Input;

/// Compares the levels on one input: width, start and limits first, then the query and the rows.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (width, skip) = (8 * (1 + usize::from(input.u8() % 16)), input.u8());
    let data = input.rest();
    let data = &data[usize::from(skip % 64).min(data.len())..];
    let Some((query, rows)) = data.split_at_checked(width) else { return };
    codes(query, rows, skip);
    addresses(query, rows);
    halves(query, rows, skip);
}

fn distance(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

/// The kernels over whole codes.
fn codes(query: &[u8], rows: &[u8], skip: u8) {
    let width = query.len();
    let rows = &rows[..rows.len() / width * width];
    // The limit stays, or falls to every distance that is found.
    let narrow = |distance, limit| if skip < 128 { limit } else { distance };
    let half = u32::from(query[0]) + u32::from(query[1]) * 4;
    let limit = if skip.is_multiple_of(2) { u32::MAX } else { half };
    let all: Vec<u32> = rows.chunks(width).map(|code| distance(query, code)).collect();
    let (mut expected, mut last) = (Vec::new(), limit);
    for (row, &distance) in all.iter().enumerate() {
        if distance <= last {
            expected.push((row, distance));
            last = narrow(distance, last);
        }
    }
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
        let mut found = vec![0; all.len()];
        hamming::distances(level, query, rows, &mut found);
        assert_eq!(found, all, "{level}");
        at_most(level, &all, half);
        hamming::prefetch(level, rows);
    }
    if let Some(code) = rows.chunks(width).next() {
        assert_eq!(hamming::distance(query, code), all[0]);
    }
}

fn at_most(level: Level, distances: &[u32], limit: u32) {
    let mut found = Vec::new();
    hamming::at_most(level, distances, limit, |position| found.push(position));
    let expected = (0..distances.len()).filter(|position| distances[*position] <= limit);
    assert!(expected.eq(found.iter().copied()), "{level}, limit {limit}");
}

/// The kernel over addresses; any number serves as a distance, too.
fn addresses(query: &[u8], rows: &[u8]) {
    let (values, _) = rows.as_chunks::<4>();
    let column = values.as_flattened();
    let address = u32::from_le_bytes([query[0], query[1], query[2], query[3]]);
    let words: Vec<u32> = values.iter().map(|value| u32::from_le_bytes(*value)).collect();
    let expected: Vec<u32> = words.iter().map(|value| (value ^ address).count_ones()).collect();
    for level in Level::available() {
        let mut found = vec![u32::MAX; expected.len()];
        hamming::distances_u32(level, address, column, &mut found);
        assert_eq!(found, expected, "{level}");
        at_most(level, &words, address);
    }
}

/// The kernels over runs of halves, each of another length, start and limit.
fn halves(query: &[u8], rows: &[u8], skip: u8) {
    let (column, _) = rows.as_chunks::<2>();
    let value = u16::from_le_bytes([query[0], query[1]]);
    let lengths = [1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 64, 65];
    let (mut bands, mut rest, mut first_row) = (Vec::new(), column, u32::from(value) << 15);
    for (turn, length) in (u32::from(skip)..).zip(lengths.into_iter().cycle()) {
        if rest.is_empty() {
            break;
        }
        let (column, behind) = rest.split_at(length.min(rest.len()));
        let most = if turn % 19 == 18 { u32::MAX } else { turn % 18 };
        bands.push(Band {
            column,
            query: value.rotate_left(turn),
            least: turn / 18 % 18,
            most,
            first_row,
            beyond: turn % 17,
        });
        first_row += 65;
        rest = behind;
    }
    let each = bands.iter().enumerate().flat_map(|(index, band)| {
        let distance = |half: &[u8; 2]| (u16::from_le_bytes(*half) ^ band.query).count_ones();
        band.column.iter().enumerate().map(move |(at, half)| (index, at, distance(half)))
    });
    let each: Vec<_> = each.collect();
    let near: Vec<_> =
        each.iter().filter(|(run, _, distance)| *distance <= bands[*run].most).copied().collect();
    let mut hits = Vec::new();
    for (run, at, distance) in &near {
        let band = &bands[*run];
        if *distance >= band.least {
            let row = band.first_row + u32::try_from(*at).unwrap_or(u32::MAX);
            hits.push(Hit { row, distance: distance + band.beyond });
        }
    }
    let runs: Vec<_> = bands.iter().map(run_of).collect();
    for level in Level::available() {
        let mut found = Vec::new();
        hamming::within_u16(level, &runs, |run, at, distance| found.push((run, at, distance)));
        assert_eq!(found, near, "{level}");
        let earlier = Hit { row: 9, distance: 9 };
        let mut found = vec![earlier];
        hamming::collect_u16(level, &bands, &mut found);
        assert_eq!((found[0], &found[1..]), (earlier, &hits[..]), "{level}");
    }
}

fn run_of<'a>(band: &Band<'a>) -> Run<'a> {
    Run { column: band.column, query: band.query, radius: band.most }
}
