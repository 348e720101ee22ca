//! The patch table against its lists, at every level and width, and bytes that contradict themselves.

use super::{
    PatchCounting, PatchLists, PatchSide, PatchSideColumns, PatchTable, PatchTally, fingerprint,
};
use crate::error::Corruption;
use crate::hamming::Level;
use crate::index::random::Random;
use crate::index::{Counters, HalfBalls};

/// Up to `most` patches for most of the rows; skewed ones lie in a few buckets.
fn lists(rows: usize, bits: u8, most: u64, skewed: bool) -> PatchLists {
    let (mut random, mut lists) = (Random(u64::from(bits) + most), PatchLists::default());
    for row in 0..rows {
        let count = random.next() % (most + 1);
        lists.push(row, (0..count).map(|_| patch(&mut random, bits, skewed)).collect::<Vec<_>>());
    }
    lists
}

fn patch(random: &mut Random, bits: u8, skewed: bool) -> u32 {
    let value = random.next();
    let value = if skewed { ((value % 3) * 0x1234_5677) ^ (1 << (value % 40)) } else { value };
    u32::try_from(value & ((1 << bits) - 1)).unwrap()
}

/// The columns of both sides.
struct Built([PatchSideColumns; 2]);

impl Built {
    fn new(lists: &PatchLists, rows: usize, bits: u8) -> Self {
        let build = |side| PatchSideColumns::build(lists, rows, bits, side).unwrap();
        Self([build(PatchSide::High), build(PatchSide::Low)])
    }

    fn open(&self, rows: usize, bits: u8) -> Result<PatchTable<'_>, Corruption> {
        let [high, low] = &self.0;
        let columns =
            [&high.offsets, &high.suffixes, &high.rows, &low.offsets, &low.suffixes, &low.rows];
        PatchTable::open(columns.map(Vec::as_slice), rows, bits)
    }
}

#[test]
fn a_table_scores_as_its_lists_do_and_gives_them_back() {
    for (rows, bits, most, skewed) in [
        (1, 8, 3, false),
        (500, 8, 4, true),
        (3000, 13, 9, true),
        (70_000, 28, 3, true),
        (70_000, 32, 2, false),
    ] {
        let lists = lists(rows, bits, most, skewed);
        let built = Built::new(&lists, rows, bits);
        let table = built.open(rows, bits).unwrap();
        let back = table.lists().unwrap();
        assert_eq!((table.len(), back.len()), (lists.len(), lists.len()));
        let fingerprints = table.verify().unwrap();
        for (row, found) in fingerprints.into_iter().enumerate() {
            assert!(lists.of(row).eq(back.of(row)), "row {row}");
            assert_eq!(found, fingerprint(lists.of(row)));
        }
        let (balls, mut random) = (HalfBalls::new(bits), Random(5));
        for level in Level::available() {
            for (radius, counting) in
                (0..=8).zip([PatchCounting::Closest, PatchCounting::Every].iter().cycle())
            {
                let tally = || PatchTally::new(rows, radius, *counting);
                let (mut scanned, mut looked_up) = (tally(), tally());
                let (mut hits, mut counters) = (Default::default(), Counters::default());
                for _ in 0..3 {
                    let asked = patch(&mut random, bits, skewed);
                    lists.near(level, asked, &mut scanned);
                    scanned.count(level, 1);
                    table.near(level, &balls, asked, &mut looked_up, &mut hits, &mut counters);
                    looked_up.count(level, 1);
                }
                let what = format!("{rows} rows, {bits} bits, radius {radius}, {level:?}");
                assert_eq!(looked_up.finish(), scanned.finish(), "{what}");
            }
        }
    }
}

#[test]
fn lists_that_are_joined_and_cut_are_those_of_their_rows() {
    let (left, right) = (lists(50, 8, 3, false), lists(70, 8, 2, true));
    let mut joined = left.clone();
    joined.extend(60, &right);
    for row in 0..140 {
        let expected: Vec<_> =
            if row < 60 { left.of(row).collect() } else { right.of(row - 60).collect() };
        assert!(joined.of(row).eq(expected), "row {row}");
    }
    for from in [0, 1, 49, 60, 77, 130, 500] {
        let tail = joined.tail(from);
        for row in 0..140 {
            assert!(tail.of(row).eq(joined.of(row + from)), "row {row} from {from}");
        }
    }
}

#[test]
fn bytes_that_contradict_themselves_are_refused() {
    let lists = lists(300, 12, 5, true);
    let built = || Built::new(&lists, 300, 12);
    let refused = |change: fn(&mut [PatchSideColumns; 2])| {
        let mut built = built();
        change(&mut built.0);
        let opened = built.open(300, 12);
        opened.and_then(|table| table.verify()).unwrap_err()
    };
    assert!(built().open(300, 12).unwrap().verify().is_ok());
    refused(|[high, _]| high.suffixes.truncate(high.suffixes.len() - 2));
    refused(|[_, low]| low.rows.truncate(low.rows.len() - 1));
    refused(|[high, _]| high.offsets[4] = 0xff);
    refused(|[high, _]| high.rows[1] = 0xff);
    refused(|[_, low]| low.suffixes[1] = 0xff);
    refused(|[_, low]| low.suffixes[0] ^= 1);
    // Sides that changed places are sound where halves have one width: the records tell.
    let (right, mut swapped) = (built(), built());
    swapped.0.swap(0, 1);
    let fingerprints = |built: &Built| built.open(300, 12).unwrap().verify().unwrap();
    assert_ne!(fingerprints(&swapped), fingerprints(&right));

    // What is out of range and was not looked at shows where it is used.
    let mut built = built();
    built.0[0].rows.fill(0xff);
    let table = built.open(300, 12).unwrap();
    let mut tally = PatchTally::new(300, 8, PatchCounting::Closest);
    let (mut hits, mut counters) = (Default::default(), Counters::default());
    let (level, balls) = (Level::best(), HalfBalls::new(12));
    table.near(level, &balls, 0, &mut tally, &mut hits, &mut counters);
    tally.count(level, 1);
    assert_eq!(tally.finish(), Err(0xffff));
    assert!(table.lists().is_err());
}

#[test]
fn what_no_table_can_be_built_from_is_refused() {
    let mut lists = PatchLists::default();
    lists.push(3, [5, 1 << 9]);
    let build = |rows, bits| PatchSideColumns::build(&lists, rows, bits, PatchSide::High);
    assert!(build(4, 10).is_ok());
    let what = Corruption::OutOfRange { field: "patch address", value: 1 << 9 };
    assert_eq!(build(4, 9), Err(what));
    let what = Corruption::OutOfRange { field: "patch row", value: 3 };
    assert_eq!(build(3, 10), Err(what));
    assert!(build(4, 40).is_err());
}
