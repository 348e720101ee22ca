//! Look-ups: buckets first, then their postings, then the codes of candidates, each stage asked for
//! long before it is read.

use super::candidates::Candidates;
use super::order::halves;
use super::{MultiCost, MultiIndex, WORD_BITS, shares};
use crate::code::Code;
use crate::hamming::{self, Level, Run};
use crate::index::radii::Radii;
use crate::index::{Collect, Counters, Rows};

/// Buckets that are scanned together.
const PROBES: usize = 8;

/// The most words of a code.
const MAX_WORDS: usize = Code::MAX_BYTES * 8 / WORD_BITS;

/// A bucket that was looked up.
#[derive(Debug, Clone, Copy)]
struct Probe {
    /// Its first posting among those of all halves.
    first: usize,
    len: u32,
    /// The largest distance of the other half of the word.
    radius: u8,
    /// The smallest one: what is nearer was found by the first half.
    least: u8,
    /// The place of its word among those that take part.
    turn: u8,
    /// Whether it is a bucket of the second half.
    second: bool,
}

/// A word that takes part.
#[derive(Debug, Clone, Copy)]
struct Turn {
    word: usize,
    share: u32,
    /// The halves of the query.
    halves: [u16; 2],
}

/// A query whose buckets were looked up.
#[derive(Debug)]
pub struct Prepared<'i, 'a> {
    pub(super) index: &'i MultiIndex<'a>,
    pub(super) level: Level,
    pub(super) query: &'i [u8],
    turns: Vec<Turn>,
    probes: Vec<Probe>,
    cost: MultiCost,
}

impl<'i, 'a> Prepared<'i, 'a> {
    pub(super) fn new(
        index: &'i MultiIndex<'a>,
        level: Level,
        query: &'i [u8],
        radius: u32,
    ) -> Option<Self> {
        assert_eq!(query.len() * 8, index.order.bits().len(), "codes of one width are compared");
        let turn =
            |(word, share)| Turn { word, share, halves: halves(index.order.word(query, word)) };
        let turns: Vec<_> = index.shares.of(radius)?.map(turn).collect();
        let count = turns.iter().map(|turn| shares::probes(turn.share)).sum();
        let probes = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        let cost = MultiCost { probes: count, postings: 0, candidates: 0 };
        let mut prepared = Self { index, level, query, turns, probes, cost };
        for turn in 0..prepared.turns.len() {
            prepared.look_up(turn);
        }
        Some(prepared)
    }

    /// Looks up the buckets of a word.
    fn look_up(&mut self, at: usize) {
        let turn = self.turns[at];
        let radii = Radii::new(turn.share);
        let before = self.probes.len();
        self.look_up_half(at, false, radii.first, 0);
        if let Some(radius) = radii.second {
            self.look_up_half(at, true, radius, radii.first + 1);
        }
        let postings = self.probes[before..].iter().map(|probe| u64::from(probe.len)).sum();
        self.cost.postings += postings;
        self.cost.candidates += self.candidates(turn, postings);
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most 32 turns and shares up to 8")]
    fn look_up_half(&mut self, at: usize, second: bool, radius: u32, least: u32) {
        let turn = self.turns[at];
        let half = turn.word * 2 + usize::from(second);
        let (offsets, base) = (self.index.half_offsets(half), half * self.index.rows as usize);
        let value = usize::from(turn.halves[usize::from(second)]);
        self.probes.extend(self.index.masks.within(radius).iter().map(|mask| {
            let bucket = value ^ *mask as usize;
            let [start, end] = [offsets[bucket], offsets[bucket + 1]].map(u32::from_le_bytes);
            Probe {
                first: base + start as usize,
                len: end - start,
                radius: (turn.share - mask.count_ones()) as u8,
                least: least as u8,
                turn: at as u8,
                second,
            }
        }));
    }

    /// How many candidates a word will give: where buckets are fuller than usual, more of what they
    /// hold is near.
    fn candidates(&self, turn: Turn, postings: u64) -> u64 {
        let selectivity = self.index.selectivity(turn.word, turn.share);
        let (mean_postings, mean) = selectivity.of(self.index.rows);
        let scaled = u128::from(mean) * u128::from(postings) / u128::from(mean_postings.max(1));
        u64::try_from(scaled).unwrap_or(u64::MAX).min(postings)
    }

    /// What the search will read: probes and postings are exact, candidates are estimated by the
    /// sizes of the buckets and the measured selectivity.
    #[must_use]
    pub fn cost(&self) -> MultiCost {
        self.cost
    }

    /// Offers to `into` every live row within the radius that this was prepared for, each once (as long
    /// as the postings are those of the rows), and none beyond `into.limit()`. `rows` are those of the segment.
    ///
    /// Stops early where the limit of `into` falls so far that the words searched suffice.
    ///
    /// Cost: what [`Prepared::cost`] says.
    ///
    /// # Panics
    ///
    /// If `rows` are not as many or not as wide as those that the index was opened for.
    pub fn search(
        &self,
        rows: &Rows<'_>,
        into: &mut impl Collect,
        live: impl Fn(u64) -> bool,
        counters: &mut Counters,
    ) {
        assert_eq!(rows.len(), self.index.rows as usize, "the rows of the index");
        assert_eq!(rows.code_bytes(), self.query.len(), "codes of one width are compared");
        if into.is_void() {
            return;
        }
        let mut candidates = Candidates::new(self, rows);
        let mut batches = self.probes.chunks(PROBES).map(|probes| Batch::new(self, probes));
        let mut next = batches.next();
        let (mut turn, mut covered) = (0, 0);
        while let Some(batch) = next {
            // Every row within `covered - 1` was found by the words before this batch.
            while turn < usize::from(batch.probes[0].turn) {
                covered += self.turns[turn].share + 1;
                turn += 1;
                candidates.advance(into, &live, counters);
            }
            if covered > into.limit() {
                break;
            }
            // The cache lines of the batch behind are under way while this one is scanned.
            next = batches.next();
            batch.scan(self.level, &mut candidates, counters);
            if candidates.are_many() {
                candidates.advance(into, &live, counters);
            }
        }
        candidates.advance(into, &live, counters);
        candidates.advance(into, &live, counters);
    }

    /// Whether an earlier word than that of `turn` has found this code.
    pub(super) fn is_known(&self, code: &[u8], turn: u8) -> bool {
        if turn == 0 {
            return false;
        }
        let mut counts = [0; MAX_WORDS];
        self.index.order.count_differences(self.query, code, &mut counts);
        let earlier = &self.turns[..usize::from(turn)];
        earlier.iter().any(|turn| u32::from(counts[turn.word]) <= turn.share)
    }
}

/// Buckets that are scanned together.
struct Batch<'p> {
    probes: &'p [Probe],
    runs: [Run<'p>; PROBES],
}

impl<'p> Batch<'p> {
    /// Asks for the postings.
    #[inline]
    fn new(prepared: &Prepared<'_, 'p>, probes: &'p [Probe]) -> Self {
        let mut runs = [Run::default(); PROBES];
        for (run, probe) in runs.iter_mut().zip(probes) {
            let postings = probe.first..probe.first + probe.len as usize;
            run.column = prepared.index.partners.get(postings).unwrap_or_default();
            run.query = prepared.turns[usize::from(probe.turn)].halves[usize::from(!probe.second)];
            run.radius = probe.radius.into();
            hamming::prefetch(prepared.level, run.column.as_flattened());
        }
        Self { probes, runs }
    }

    /// Finds candidates.
    #[inline]
    fn scan(&self, level: Level, candidates: &mut Candidates<'_>, counters: &mut Counters) {
        let runs = &self.runs[..self.probes.len()];
        counters.probes += runs.len() as u64;
        counters.candidates += runs.iter().map(|run| run.column.len() as u64).sum::<u64>();
        hamming::within_u16(level, runs, |run, position, distance| {
            let probe = &self.probes[run];
            if distance >= u32::from(probe.least) {
                candidates.found(probe.first + position, probe.turn);
            }
        });
    }
}
