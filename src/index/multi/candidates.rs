//! Postings that passed their word, on the way to their codes. Rows and codes lie anywhere, so each
//! is asked for one stage before it is read.

use super::search::Prepared;
use crate::code::Code;
use crate::hamming;
use crate::index::{Collect, Counters, Neighbor, Rows};

/// Candidates that are compared together.
const GATHER: usize = 32;

/// A posting or a row, and the turn of the word that found it.
#[derive(Debug, Clone, Copy)]
struct Candidate<T> {
    at: T,
    turn: u8,
}

/// Two stages: postings whose rows are under way, rows whose codes are.
pub(super) struct Candidates<'p> {
    prepared: &'p Prepared<'p, 'p>,
    rows: &'p Rows<'p>,
    postings: Vec<Candidate<usize>>,
    fetched: Vec<Candidate<u32>>,
    /// Codes at hand, side by side.
    codes: [u8; GATHER * Code::MAX_BYTES],
}

impl<'p> Candidates<'p> {
    pub(super) fn new(prepared: &'p Prepared<'p, 'p>, rows: &'p Rows<'p>) -> Self {
        let codes = [0; GATHER * Code::MAX_BYTES];
        Self { prepared, rows, postings: Vec::new(), fetched: Vec::new(), codes }
    }

    /// Takes a posting.
    #[inline]
    pub(super) fn found(&mut self, posting: usize, turn: u8) {
        hamming::prefetch(self.prepared.level, &self.prepared.index.postings[posting]);
        self.postings.push(Candidate { at: posting, turn });
    }

    /// Whether there are enough to go on.
    #[inline]
    pub(super) fn are_many(&self) -> bool {
        self.postings.len() >= GATHER
    }

    /// Compares the codes that were asked for and asks for those of the postings.
    pub(super) fn advance(
        &mut self,
        into: &mut impl Collect,
        live: &impl Fn(u64) -> bool,
        counters: &mut Counters,
    ) {
        let fetched = std::mem::take(&mut self.fetched);
        for candidates in fetched.chunks(GATHER) {
            self.compare(candidates, into, live);
        }
        counters.distances += fetched.len() as u64;
        self.fetched = fetched;
        self.fetched.clear();
        let Prepared { index, level, .. } = self.prepared;
        self.fetched.extend(self.postings.drain(..).map(|Candidate { at, turn }| {
            let row = u32::from_le_bytes(index.postings[at]);
            hamming::prefetch(*level, self.rows.code(row as usize));
            Candidate { at: row, turn }
        }));
    }

    fn compare(
        &mut self,
        candidates: &[Candidate<u32>],
        into: &mut impl Collect,
        live: &impl Fn(u64) -> bool,
    ) {
        let Prepared { level, query, .. } = self.prepared;
        let codes = &mut self.codes[..candidates.len() * query.len()];
        for (code, candidate) in codes.chunks_exact_mut(query.len()).zip(candidates) {
            code.copy_from_slice(self.rows.code(candidate.at as usize));
        }
        let mut distances = [0; GATHER];
        let distances = &mut distances[..candidates.len()];
        hamming::distances(*level, query, codes, distances);
        hamming::at_most(*level, distances, into.limit(), |position| {
            let Candidate { at, turn } = candidates[position];
            let row = at as usize;
            let (id, address) = (self.rows.id(row), self.rows.address(row));
            let neighbor = Neighbor { distance: distances[position], id, address };
            let is_new = || !self.prepared.is_known(self.rows.code(row), turn);
            if into.admits(&neighbor) && is_new() && live(id) {
                into.push(neighbor);
            }
        });
    }
}
