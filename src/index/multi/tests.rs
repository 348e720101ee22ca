//! Searches in the multi-index against scans, and damaged columns.
#![expect(clippy::cast_possible_truncation, reason = "random numbers are cut to size")]

use proptest::prelude::*;

use super::*;
use crate::hamming::distance;
use crate::index::random::{Both, Impatient, Lazy, Random};
use crate::index::{Collect, Counters, Rows, TopK, Within, Workers, scan};

const WIDTHS: [usize; 6] = [8, 16, 24, 32, 64, 128];

/// How the words of codes are spread: learned codes are anything but uniform.
const SPREADS: [fn(&mut Random, usize) -> u64; 6] = [
    |random, _| random.next(),
    // All equal, and few distinct ones.
    |_, _| 0xa5a5_a5a5_5a5a_5a5a,
    |random, _| [0, u64::MAX, 0x0f0f_0f0f_0f0f_0f0f][random.next() as usize % 3],
    // Clusters around the word's number.
    |random, word| {
        0x3c3c_3c3c_3c3c_3c3c_u64.rotate_left(word as u32)
            ^ (random.next() & random.next() & random.next() & random.next())
    },
    // Bits that are biased, others that are always equal.
    |random, _| random.next() & random.next() & 0xffff_ff0f_00ff_ffff,
    // Each bit twice.
    |random, _| (random.next() & 0x5555_5555_5555_5555) * 3,
];

struct Data {
    ids: Vec<u8>,
    addresses: Vec<u8>,
    codes: Vec<u8>,
    code_bytes: usize,
}

impl Data {
    fn new(rows: usize, code_bytes: usize, spread: fn(&mut Random, usize) -> u64) -> Self {
        let mut random = Random(rows as u64 + code_bytes as u64);
        let words = 0..rows * code_bytes / 8;
        let codes = words.map(|at| spread(&mut random, at % (code_bytes / 8)));
        Self::of(codes.flat_map(u64::to_be_bytes).collect(), code_bytes)
    }

    fn of(codes: Vec<u8>, code_bytes: usize) -> Self {
        let rows = codes.len() / code_bytes;
        // Ids fall, so that the order of rows is not the order of ids.
        let ids = (0..rows as u64).rev().flat_map(|id| (id * 3).to_le_bytes()).collect();
        Self { ids, addresses: vec![7; rows * 4], codes, code_bytes }
    }

    fn rows(&self) -> Rows<'_> {
        Rows::new(&self.ids, &self.addresses, &self.codes, self.code_bytes).unwrap()
    }

    fn build(&self) -> MultiIndexColumns {
        MultiIndexColumns::build(&self.codes, self.code_bytes).unwrap()
    }

    /// A query near a row, far from all, or a row itself.
    fn query(&self, random: &mut Random) -> Vec<u8> {
        let rows = self.rows();
        let mut query = match random.next() % 4 {
            _ if rows.is_empty() => random.bytes(self.code_bytes),
            0 => random.bytes(self.code_bytes),
            _ => rows.code(random.next() as usize % rows.len()).to_vec(),
        };
        for _ in 0..random.next() % 20 {
            let bit = random.next() as usize % (query.len() * 8);
            query[bit / 8] ^= 1 << (bit % 8);
        }
        query
    }
}

/// A third of the records was deleted.
fn live(id: u64) -> bool {
    !id.is_multiple_of(9)
}

fn open<'a>(columns: &'a MultiIndexColumns, data: &Data) -> Result<MultiIndex<'a>, Corruption> {
    let MultiIndexColumns { order, offsets, partners, rows, selectivity } = columns;
    let count = u32::try_from(data.rows().len()).unwrap();
    MultiIndex::open(order, offsets, partners, rows, selectivity, count, data.code_bytes)
}

/// Searches and checks that the counters are what the cost said.
fn search(
    index: &MultiIndex<'_>,
    data: &Data,
    level: Level,
    query: &[u8],
    radius: u32,
    into: &mut impl Collect,
) -> Counters {
    let mut counters = Counters::default();
    let prepared = index.prepare(level, query, radius).unwrap();
    prepared.search(&data.rows(), into, live, &mut counters);
    let cost = prepared.cost();
    assert!(counters.probes <= cost.probes && counters.candidates <= cost.postings);
    counters
}

#[test]
fn the_columns_are_the_same_whoever_works_and_in_whatever_order() {
    for (rows, code_bytes) in [(0, 8), (1, 32), (70_000, 24)] {
        let columns = Data::of(Random(9).bytes(rows * code_bytes), code_bytes);
        for workers in [&Both as &dyn Workers, &Lazy] {
            let built = MultiIndexColumns::build_by(workers, &columns.codes, code_bytes);
            assert_eq!(built.unwrap().unwrap(), columns.build());
        }
    }
}

/// Whenever it is, and no half of a column is given away.
#[test]
fn a_builder_that_is_stopped_gives_nothing() {
    let columns = Data::of(Random(9).bytes(20_000 * 24), 24);
    let mut stopped = 0;
    for patience in (0..).map(|step| step * step) {
        let workers = Impatient(patience.into());
        match MultiIndexColumns::build_by(&workers, &columns.codes, 24).unwrap() {
            None => stopped += 1,
            Some(built) => {
                assert_eq!(built, columns.build());
                break;
            }
        }
    }
    assert!(stopped > 3, "it was stopped {stopped} times");
}

#[test]
fn searches_equal_scans() {
    for (code_bytes, spread) in WIDTHS.into_iter().flat_map(|w| SPREADS.map(|s| (w, s))) {
        for rows in [0, 1, 300] {
            let data = Data::new(rows, code_bytes, spread);
            let columns = data.build();
            let index = open(&columns, &data).unwrap();
            let mut random = Random(9);
            let radii = (0..=index.max_radius()).step_by(code_bytes / 4 + 1);
            for radius in radii.chain([1, 2, 3, 31.min(index.max_radius()), index.max_radius()]) {
                let query = data.query(&mut random);
                let mut expected = Within::new(radius);
                scan(
                    &data.rows(),
                    Level::Scalar,
                    &query,
                    &mut expected,
                    live,
                    &mut Counters::default(),
                );
                let expected = expected.into_sorted();
                for level in Level::available() {
                    let mut found = Within::new(radius);
                    search(&index, &data, level, &query, radius, &mut found);
                    assert_eq!(
                        found.into_sorted(),
                        expected,
                        "{code_bytes} bytes, {rows} rows, radius {radius}, {level}"
                    );
                }
                for k in [0, 1, 3, 20] {
                    let mut top = TopK::new(k);
                    search(&index, &data, Level::best(), &query, radius, &mut top);
                    // All within the radius are offered; those beyond may be.
                    let top: Vec<_> =
                        top.into_sorted().into_iter().filter(|n| n.distance <= radius).collect();
                    assert_eq!(top, expected[..k.min(expected.len())], "radius {radius}, k = {k}");
                }
            }
        }
    }
}

#[test]
fn few_buckets_are_probed() {
    let data = Data::new(500, 32, SPREADS[0]);
    let columns = data.build();
    let index = open(&columns, &data).unwrap();
    for (radius, probes) in [(0, 1), (7, 8), (15, 16), (23, 144), (31, 272), (71, 8 * 3214)] {
        assert_eq!(index.expected(radius).unwrap().probes, probes, "radius {radius}");
        let mut within = Within::new(radius);
        let query = vec![0x5a; 32];
        let counters = search(&index, &data, Level::best(), &query, radius, &mut within);
        let cost = index.prepare(Level::best(), &query, radius).unwrap().cost();
        assert_eq!((counters.probes, cost.probes), (probes, probes));
        assert_eq!(counters.candidates, cost.postings);
    }
    assert!(index.expected(72).is_none());
    assert!(index.prepare(Level::best(), &[0; 32], 72).is_none());
    assert!(index.prepare(Level::best(), &[0; 32], u32::MAX).is_none());
}

#[test]
fn the_best_k_need_fewer_words_than_the_radius() {
    let data = Data::new(2000, 32, SPREADS[0]);
    let columns = data.build();
    let index = open(&columns, &data).unwrap();
    let query = data.rows().code(77).to_vec();
    let mut top = TopK::new(1);
    let counters = search(&index, &data, Level::best(), &query, 40, &mut top);
    assert_eq!(top.into_sorted()[0].distance, 0);
    assert!(counters.probes < index.expected(40).unwrap().probes / 2);
}

#[test]
fn uniform_bits_stay_where_they_are_and_copies_are_separated() {
    let bits = |columns: &MultiIndexColumns| -> Vec<u16> {
        columns.order.as_chunks().0.iter().map(|bit| u16::from_le_bytes(*bit)).collect()
    };
    let uniform = Data::new(4000, 32, SPREADS[0]).build();
    assert_eq!(bits(&uniform), (0..256).collect::<Vec<_>>());

    // Bit i and bit i + 1 are equal for even i: halves of neighbours have 8 independent bits.
    let mut random = Random(1);
    let double = |word: u64| (word & 0x5555_5555_5555_5555) * 3;
    let codes = (0..16_000).flat_map(|_| double(random.next()).to_be_bytes()).collect();
    let data = Data::of(codes, 32);
    let columns = data.build();
    let order = bits(&columns);
    for half in order.chunks(16) {
        for bit in half {
            assert!(!half.contains(&(bit ^ 1)), "{half:?}");
        }
    }
    // The measured cost shows what it was done for: 4,000 rows, two buckets at radius 1.
    let postings = open(&columns, &data).unwrap().expected(15).unwrap().postings;
    assert!(postings < 10, "{postings}");
}

#[test]
fn words_of_equal_bits_take_no_share() {
    // The first quarter of every code is equal, so its words would find every row.
    let mut random = Random(1);
    let mut word = 0_u64;
    let codes = (0..8000).flat_map(|_| {
        word += 1;
        (if word % 4 == 1 { 0 } else { random.next() }).to_be_bytes()
    });
    let data = Data::of(codes.collect(), 32);
    let columns = data.build();
    let index = open(&columns, &data).unwrap();
    let query = data.rows().code(5).to_vec();
    let cost = index.prepare(Level::best(), &query, 20).unwrap().cost();
    assert!(cost.postings < 200, "{cost:?}");
}

#[test]
fn expected_costs_follow_the_data() {
    let cost = |spread| {
        let data = Data::new(4000, 32, spread);
        let columns = data.build();
        open(&columns, &data).unwrap().expected(31).unwrap()
    };
    let (uniform, equal) = (cost(SPREADS[0]), cost(SPREADS[1]));
    assert!(uniform.postings < 60 && uniform.candidates < 10, "{uniform:?}");
    // Every row but the query itself, wherever the shares lie.
    assert!(equal.candidates >= 3998, "{equal:?}");
}

#[test]
fn an_index_is_worthwhile_from_two_rows_a_bucket_on() {
    assert!(!MultiIndex::worthwhile(131_071, 32));
    assert!(MultiIndex::worthwhile(131_072, 32));
    assert!(!MultiIndex::worthwhile(u32::MAX, 33));
}

#[test]
fn only_whole_codes_are_built() {
    let width = Corruption::OutOfRange { field: "code bytes", value: 12 };
    assert_eq!(MultiIndexColumns::build(&[0; 24], 12), Err(width));
    let cut = Corruption::Mismatch { field: "codes", expected: 8, found: 15 };
    assert_eq!(MultiIndexColumns::build(&[0; 15], 8), Err(cut));
}

#[test]
fn damaged_columns_are_named() {
    let data = Data::new(64, 8, SPREADS[3]);
    let good = data.build();
    let error = |damage: fn(&mut MultiIndexColumns)| {
        let mut columns = good.clone();
        damage(&mut columns);
        open(&columns, &data).unwrap_err().to_string()
    };
    assert_eq!(error(|c| c.order.truncate(127)), "order is 127, expected 128");
    assert_eq!(error(|c| c.offsets.truncate(4)), "offsets is 4, expected 1048592");
    assert_eq!(error(|c| c.partners.push(0)), "partners is 513, expected 512");
    assert_eq!(error(|c| c.rows.clear()), "rows is 0, expected 1024");
    assert_eq!(error(|c| c.selectivity.truncate(143)), "selectivity is 143, expected 144");
    assert_eq!(error(|c| c.order[0] = 64), "order is 64, out of range");
    assert_eq!(error(|c| c.order.fill(1)), "order is 257, out of range");
    assert_eq!(error(|c| c.order.fill(0)), "order is 0, out of range");
    assert_eq!(
        error(|c| c.offsets[65_537 * 4..][..65_537 * 4]
            .copy_from_slice(&[64, 0, 0, 0].repeat(65_537))),
        "offsets is 64, expected 0"
    );
    assert_eq!(error(|c| c.offsets[40] = 255), "offsets is not sorted");
    assert_eq!(error(|c| c.offsets[65_536 * 4] = 65), "offsets is 65, expected 64");
    assert_eq!(error(|c| c.rows[16] = 64), "rows is 64, out of range");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bytes_that_open_never_panic(
        damage in prop::collection::vec((0_usize..4, any::<prop::sample::Index>(), any::<u8>()), 0..200),
        selectivity in prop::option::of(any::<u8>()),
        radius in 0_u32..=17,
        seed: u64,
    ) {
        let data = Data::new(100, 8, SPREADS[3]);
        let mut columns = data.build();
        for (column, at, byte) in damage {
            let rows = 100_u32;
            match column {
                0 => { let at = at.index(columns.partners.len()); columns.partners[at] = byte; }
                1 => {
                    let at = at.index(columns.rows.len() / 4);
                    columns.rows[at * 4..][..4].copy_from_slice(&(u32::from(byte) % rows).to_le_bytes());
                }
                2 => { let at = at.index(columns.selectivity.len()); columns.selectivity[at] = byte; }
                _ => { let at = at.index(columns.order.len() / 2); columns.order.swap(at * 2, 0); columns.order.swap(at * 2 + 1, 1); }
            }
        }
        if let Some(byte) = selectivity {
            columns.selectivity.fill(byte);
        }
        let index = open(&columns, &data).unwrap();
        let query = data.query(&mut Random(seed));
        for level in Level::available() {
            let mut within = Within::new(radius);
            search(&index, &data, level, &query, radius, &mut within);
            for neighbor in within.into_sorted() {
                let row = data.rows().len() - 1 - neighbor.id as usize / 3;
                prop_assert_eq!(distance(&query, data.rows().code(row)), neighbor.distance);
            }
            search(&index, &data, level, &query, radius, &mut TopK::new(5));
        }
    }

    #[test]
    fn any_codes_give_complete_answers(
        codes in prop::collection::vec(any::<u64>(), 0..200),
        words in 1_usize..=4,
        keep in any::<u64>(),
        query in any::<u64>(),
        radius in 0_u32..=17,
    ) {
        // Masking makes clusters: the fewer bits are kept, the fuller the buckets.
        let whole = codes.len() / words * words;
        let codes = codes[..whole].iter().flat_map(|code| (code & keep).to_be_bytes()).collect();
        let data = Data::of(codes, words * 8);
        let columns = data.build();
        let index = open(&columns, &data).unwrap();
        let query = (query & keep).to_be_bytes().repeat(words);
        let (mut found, mut expected) = (Within::new(radius), Within::new(radius));
        search(&index, &data, Level::best(), &query, radius, &mut found);
        scan(&data.rows(), Level::Scalar, &query, &mut expected, live, &mut Counters::default());
        prop_assert_eq!(found.into_sorted(), expected.into_sorted());
    }
}
