//! Look-ups in the pair table against comparing every address, and damaged columns.

use proptest::prelude::*;

use super::*;

/// `SplitMix64`, for data that are the same at every run.
struct Random(u64);

impl Random {
    #[expect(clippy::cast_possible_truncation, reason = "the upper half is as random as the lower")]
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) as u32
    }
}

/// How addresses are spread: learned ones are anything but uniform.
const SPREADS: [fn(&mut Random) -> u32; 5] = [
    |random| random.next(),
    |_| 0xa5a5_a5a5,
    |random| [0, u32::MAX, 0x0f0f_0f0f][random.next() as usize % 3],
    |random| {
        0x3c3c_3c3c_u32.rotate_left(random.next() % 4)
            ^ (random.next() & random.next() & random.next())
    },
    |random| random.next() & random.next() & 0xffff_00ff,
];

const WIDTHS: [u8; 7] = [8, 9, 13, 16, 21, 28, 32];

fn sorted_addresses(rows: usize, bits: u8, spread: fn(&mut Random) -> u32, seed: u64) -> Vec<u32> {
    let mut random = Random(seed);
    let mut addresses: Vec<_> = (0..rows).map(|_| spread(&mut random) >> (32 - bits)).collect();
    addresses.sort_unstable();
    addresses
}

fn build(addresses: &[u32], bits: u8) -> Result<PairTableColumns, Corruption> {
    let bytes: Vec<_> = addresses.iter().flat_map(|address| address.to_le_bytes()).collect();
    PairTableColumns::build(&bytes, bits)
}

fn open(columns: &PairTableColumns, rows: usize, bits: u8) -> Result<PairTable<'_>, Corruption> {
    let PairTableColumns { high_offsets, low_suffixes, low_offsets, high_suffixes, positions } =
        columns;
    let rows = u32::try_from(rows).unwrap();
    PairTable::open(high_offsets, low_suffixes, low_offsets, high_suffixes, positions, rows, bits)
}

/// The ball as the table finds it, sorted, and what it did.
fn ball(
    table: &PairTable<'_>,
    level: Level,
    balls: &HalfBalls,
    address: u32,
    radius: u32,
) -> (Vec<Hit>, Counters) {
    let (mut hits, mut counters) = (Vec::new(), Counters::default());
    table.ball(level, balls, address, radius, &mut hits, &mut counters).unwrap();
    hits.sort_unstable();
    (hits, counters)
}

const ID_OF_FIRST_ROW: u64 = 1 << 40;

/// Ids that rise with the row, so that answers sorted by id are in the order of rows.
fn ids_of(rows: usize) -> Vec<u8> {
    (ID_OF_FIRST_ROW..).take(rows).flat_map(u64::to_le_bytes).collect()
}

fn rows_of<'a>(ids: &'a [u8], addresses: &'a [u8], codes: &'a [u8]) -> Rows<'a> {
    Rows::new(ids, addresses, codes, 8).unwrap()
}

/// The ball by definition.
fn slow_ball(addresses: &[u32], address: u32, radius: u32) -> Vec<Hit> {
    let hits =
        (0..).zip(addresses).map(|(row, a)| Hit { row, distance: (a ^ address).count_ones() });
    hits.filter(|hit| hit.distance <= radius).collect()
}

#[test]
fn balls_are_complete_and_name_each_row_once() {
    for (bits, spread) in WIDTHS.into_iter().flat_map(|b| SPREADS.map(|s| (b, s))) {
        let balls = HalfBalls::new(bits);
        for rows in [0, 1, 2, 40, 900] {
            let addresses = sorted_addresses(rows, bits, spread, 3);
            let columns = build(&addresses, bits).unwrap();
            let table = open(&columns, rows, bits).unwrap();
            let (ids, codes) = (ids_of(rows), vec![0; 8 * rows]);
            let addresses_in_bytes: Vec<_> =
                addresses.iter().flat_map(|address| address.to_le_bytes()).collect();
            let mut random = Random(5);
            for radius in (0..=u32::from(bits) + 2).chain([u32::MAX]) {
                let address = spread(&mut random) >> (32 - bits) ^ (1 << (random.next() % 8));
                let expected = slow_ball(&addresses, address, radius);
                for level in Level::available() {
                    let (hits, counters) = ball(&table, level, &balls, address, radius);
                    assert_eq!(
                        hits, expected,
                        "{bits} bits, {rows} rows, radius {radius}, {level}"
                    );
                    assert_eq!(counters.candidates, table.cost(&balls, address, radius));
                    assert_eq!(counters.distances, 0);
                    let (mut found, mut others) = (Vec::new(), Counters::default());
                    let rows = rows_of(&ids, &addresses_in_bytes, &codes);
                    let near = &mut found;
                    table
                        .neighbors(level, &balls, address, radius, &rows, near, &mut others)
                        .unwrap();
                    found.sort_unstable_by_key(|near| near.id);
                    let of_hit = |hit: &Hit| Neighbor {
                        distance: hit.distance,
                        id: ID_OF_FIRST_ROW + u64::from(hit.row),
                        address: addresses[hit.row as usize],
                    };
                    assert_eq!(found, expected.iter().map(of_hit).collect::<Vec<_>>());
                    assert_eq!(others, counters);
                }
            }
        }
    }
}

#[test]
fn few_buckets_are_probed() {
    let addresses = sorted_addresses(100, 28, SPREADS[0], 1);
    let columns = build(&addresses, 28).unwrap();
    let (table, balls) = (open(&columns, 100, 28).unwrap(), HalfBalls::new(28));
    for (radius, probes) in [(0, 1), (1, 2), (2, 16), (3, 30), (4, 121), (5, 212), (7, 940)] {
        let (_, counters) = ball(&table, Level::Scalar, &balls, 12_345, radius);
        assert_eq!(counters.probes, probes, "radius {radius}");
    }
}

#[test]
fn bits_beyond_the_width_of_an_address_do_not_count() {
    let addresses = sorted_addresses(50, 13, SPREADS[0], 2);
    let columns = build(&addresses, 13).unwrap();
    let (table, balls) = (open(&columns, 50, 13).unwrap(), HalfBalls::new(13));
    let (hits, _) = ball(&table, Level::best(), &balls, 0x1fff ^ 0xffff_e000, 4);
    assert_eq!(hits, slow_ball(&addresses, 0x1fff, 4));
}

#[test]
fn masks_of_another_width_do_not_panic() {
    let addresses = sorted_addresses(300, 16, SPREADS[0], 2);
    let columns = build(&addresses, 16).unwrap();
    let table = open(&columns, 300, 16).unwrap();
    for (bits, radius) in [0, 8, 32, 255].into_iter().flat_map(|b| (0..20).map(move |r| (b, r))) {
        ball(&table, Level::best(), &HalfBalls::new(bits), 77, radius);
    }
}

#[test]
fn a_table_is_worthwhile_from_a_quarter_of_its_buckets_on() {
    assert!(!PairTable::worthwhile(4095, 28));
    assert!(PairTable::worthwhile(4096, 28));
    assert!(PairTable::worthwhile(4, 8));
    assert!(!PairTable::worthwhile(0, 8));
}

#[test]
fn only_ascending_addresses_of_the_width_are_built() {
    assert_eq!(build(&[3, 2], 8), Err(Corruption::Unsorted { field: "addresses" }));
    let too_wide = Corruption::OutOfRange { field: "addresses", value: 256 };
    assert_eq!(build(&[3, 256], 8), Err(too_wide));
    for bits in [0, 7, 33, 255] {
        let field = Corruption::OutOfRange { field: "address bits", value: bits.into() };
        assert_eq!(build(&[0], bits), Err(field));
    }
    let cut = Corruption::Mismatch { field: "addresses", expected: 4, found: 7 };
    assert_eq!(PairTableColumns::build(&[0; 7], 8), Err(cut));
}

#[test]
fn damaged_columns_are_named() {
    let addresses = sorted_addresses(64, 9, SPREADS[0], 6);
    let good = build(&addresses, 9).unwrap();
    let error = |damage: fn(&mut PairTableColumns)| {
        let mut columns = good.clone();
        damage(&mut columns);
        open(&columns, 64, 9).unwrap_err().to_string()
    };
    assert_eq!(error(|c| c.high_offsets.truncate(128)), "high offsets is 128, expected 132");
    assert_eq!(error(|c| c.low_suffixes.push(0)), "low suffixes is 129, expected 128");
    assert_eq!(error(|c| c.low_offsets.clear()), "low offsets is 0, expected 68");
    assert_eq!(error(|c| c.high_suffixes.clear()), "high suffixes is 0, expected 128");
    assert_eq!(error(|c| c.positions.truncate(255)), "positions is 255, expected 256");
    assert_eq!(error(|c| c.high_offsets[64] = 255), "high offsets is not sorted");
    assert_eq!(error(|c| c.low_offsets[3] = 1), "low offsets is not sorted");
    assert_eq!(error(|c| c.high_offsets.fill(0)), "high offsets is 0, expected 64");
    assert_eq!(
        error(|c| c.low_offsets.copy_from_slice(&[1, 0, 0, 0].repeat(17))),
        "low offsets is 1, expected 0"
    );
    assert!(matches!(open(&good, 63, 9), Err(Corruption::Mismatch { .. })));
    assert!(matches!(
        open(&good, 64, 7),
        Err(Corruption::OutOfRange { field: "address bits", .. })
    ));
}

#[test]
fn a_position_that_is_no_row_is_an_error_where_it_is_read() {
    let addresses = sorted_addresses(64, 9, SPREADS[0], 6);
    let mut columns = build(&addresses, 9).unwrap();
    columns.positions[..4].copy_from_slice(&64_u32.to_le_bytes());
    let table = open(&columns, 64, 9).unwrap();
    let (balls, ids, codes) = (HalfBalls::new(9), ids_of(64), vec![0; 8 * 64]);
    let bytes: Vec<_> = addresses.iter().flat_map(|address| address.to_le_bytes()).collect();
    let rows = rows_of(&ids, &bytes, &codes);
    let expected = Corruption::OutOfRange { field: "positions", value: 64 };
    let mut refused = 0;
    for (address, radius) in
        (0..512).flat_map(|address| (0..=9).map(move |radius| (address, radius)))
    {
        let (mut hits, mut counters) = (Vec::new(), Counters::default());
        let mut found = Vec::new();
        let level = Level::best();
        let ball = table.ball(level, &balls, address, radius, &mut hits, &mut counters);
        let near =
            table.neighbors(level, &balls, address, radius, &rows, &mut found, &mut counters);
        assert_eq!(ball, near);
        match ball {
            Ok(()) => {
                hits.sort_unstable();
                assert_eq!(hits, slow_ball(&addresses, address, radius));
            }
            Err(what) => {
                assert_eq!(what, expected);
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
}

proptest! {
    #[test]
    fn any_addresses_give_complete_balls(
        mut addresses in prop::collection::vec(any::<u32>(), 0..300),
        bits in 8_u8..=32,
        keep in any::<u32>(),
        address: u32,
        radius in 0_u32..=33,
    ) {
        // Masking makes clusters: the fewer bits are kept, the fuller the buckets.
        addresses.iter_mut().for_each(|a| *a = (*a & keep) >> (32 - bits));
        addresses.sort_unstable();
        let address = address >> (32 - bits);
        let columns = build(&addresses, bits).unwrap();
        let table = open(&columns, addresses.len(), bits).unwrap();
        let (hits, _) = ball(&table, Level::best(), &HalfBalls::new(bits), address, radius);
        prop_assert_eq!(hits, slow_ball(&addresses, address, radius));
    }

    #[test]
    fn flipped_bytes_never_panic(
        bits in 8_u8..=13,
        damage in prop::collection::vec((0_usize..5, any::<prop::sample::Index>(), any::<u8>()), 1..8),
        address: u32,
        radius in 0_u32..=14,
    ) {
        let addresses = sorted_addresses(100, bits, SPREADS[3], 11);
        let mut columns = build(&addresses, bits).unwrap();
        for (column, at, byte) in damage {
            let PairTableColumns { high_offsets, low_suffixes, low_offsets, high_suffixes, positions } = &mut columns;
            let column = [high_offsets, low_suffixes, low_offsets, high_suffixes, positions][column].as_mut_slice();
            column[at.index(column.len())] = byte;
        }
        if let Ok(table) = open(&columns, 100, bits) {
            for level in Level::available() {
                let (balls, mut hits) = (HalfBalls::new(bits), Vec::new());
                let counters = &mut Counters::default();
                match table.ball(level, &balls, address, radius, &mut hits, counters) {
                    Ok(()) => prop_assert!(hits.iter().all(|hit| hit.row < 100)),
                    Err(what) => {
                        let field = matches!(what, Corruption::OutOfRange { field: "positions", .. });
                        prop_assert!(field, "{what}");
                    }
                }
            }
        }
    }

    #[test]
    fn random_bytes_of_the_right_lengths_never_panic(
        rows in 0_u32..20,
        bytes in prop::collection::vec(any::<u8>(), 80),
        mut ends in prop::collection::vec(0_u32..20, 15),
        address: u32,
        radius in 0_u32..20,
    ) {
        ends.iter_mut().for_each(|end| *end = (*end).min(rows));
        ends.sort_unstable();
        let ends = [0].into_iter().chain(ends).chain([rows]);
        let offsets: Vec<u8> = ends.flat_map(u32::to_le_bytes).collect();
        let height = rows as usize;
        let words = bytes.chunks(4).take(height);
        let positions: Vec<u8> = words.flat_map(|word| (u32::from(word[0]) % rows).to_le_bytes()).collect();
        let suffixes = &bytes[..2 * height];
        let table = PairTable::open(&offsets, suffixes, &offsets, suffixes, &positions, rows, 8);
        let (hits, _) = ball(&table.unwrap(), Level::best(), &HalfBalls::new(8), address, radius);
        prop_assert!(hits.iter().all(|hit| hit.row < rows));
    }
}
