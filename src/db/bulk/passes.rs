//! Runs are merged into fewer and longer ones, in as many passes as it takes, until all that are left can be
//! read at once: a merge holds a block and an open file of each of its runs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::entry::{Order, Range};
use super::merge::{Merge, Sorted};
use super::run::{READER_BYTES, Run, RunWriter};
use super::work::{Counter, LOOK_EVERY, Meter, Names, check_cancelled, deal};
use crate::error::Result;
use crate::storage::fs::Fs;

/// Parts of the budget that the blocks of all readers take one of.
const READERS_SHARE: usize = 4;
/// Files that a load has open for reading at most: programs have 1,024 by default, and the record store
/// has its own.
const MOST_READERS: usize = 256;
/// With fewer runs a merge, threads would only make more passes.
const LEAST_FAN_IN: usize = 8;

/// How many threads read, and how many runs each of them at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) threads: usize,
    pub(super) fan_in: usize,
}

impl Reading {
    /// What a budget allows up to `threads` threads.
    pub(super) fn within(budget: usize, threads: usize) -> Self {
        let readers = (budget / READERS_SHARE / READER_BYTES).min(MOST_READERS);
        let threads = threads.min(readers / LEAST_FAN_IN).max(1);
        Self { threads, fan_in: (readers / threads).max(2) }
    }
}

/// What merging runs takes.
#[derive(Clone, Copy)]
pub(super) struct Passes<'a> {
    pub(super) fs: &'a dyn Fs,
    pub(super) names: &'a Names,
    pub(super) reading: Reading,
    pub(super) cancel: Option<&'a Arc<AtomicBool>>,
}

impl Passes<'_> {
    /// Merges runs of one order until they can be read at once, and counts their entries where there is a meter.
    pub(super) fn reduce(
        &self,
        runs: Vec<Run>,
        order: Order,
        meter: Option<&Meter<'_>>,
    ) -> Result<Vec<Run>> {
        let mut runs = VecDeque::from(runs);
        while let Some(groups) = self.groups(&mut runs) {
            let merged = deal(self.reading.threads, groups.len(), |number| {
                self.merge(&groups[number], order, meter.map(Meter::counter))
            })?;
            for run in groups.into_iter().flatten() {
                run.remove(self.fs)?;
            }
            runs.extend(merged);
        }
        Ok(runs.into())
    }

    /// The entries that `reduce` merges of runs, each as often as it does.
    pub(super) fn work(&self, runs: &[Run]) -> u64 {
        let mut lengths: VecDeque<u64> = runs.iter().map(Run::entries).collect();
        let mut work = 0;
        while let Some(groups) = self.groups(&mut lengths) {
            let merged: Vec<u64> = groups.iter().map(|lengths| lengths.iter().sum()).collect();
            work += merged.iter().sum::<u64>();
            lengths.extend(merged);
        }
        work
    }

    /// Takes out the runs that the next pass merges, each group into one; none if all can be read at once.
    fn groups<T>(&self, runs: &mut VecDeque<T>) -> Option<Vec<Vec<T>>> {
        let Reading { threads, fan_in } = self.reading;
        // The oldest are the shortest. No more of them are merged than has to be.
        let mut excess = runs.len().saturating_sub(fan_in);
        let mut groups: Vec<Vec<T>> = Vec::new();
        while excess > 0 && groups.len() < threads {
            let count = (excess + 1).min(fan_in).min(runs.len());
            if count < 2 {
                break;
            }
            groups.push(runs.drain(..count).collect());
            excess -= count - 1;
        }
        (!groups.is_empty()).then_some(groups)
    }

    /// Makes one run of several.
    fn merge(
        &self,
        runs: &[Run],
        order: Order,
        mut counter: Option<Counter<'_, '_>>,
    ) -> Result<Run> {
        let code_bytes = runs.first().map_or(0, Run::code_bytes);
        let mut writer = RunWriter::create(self.fs, &self.names.next("run"), order, code_bytes)?;
        let sources: Vec<_> = runs.iter().map(Sorted::File).collect();
        let mut entries = Merge::new(&sources, order, &Range::default(), self.fs)?;
        let mut count = 0_u64;
        while let Some(entry) = entries.next()? {
            writer.push(&entry)?;
            count += 1;
            match &mut counter {
                Some(counter) => counter.step()?,
                None if count.is_multiple_of(LOOK_EVERY) => check_cancelled(self.cancel)?,
                None => {}
            }
        }
        if let Some(counter) = &mut counter {
            counter.look()?;
        }
        writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_readers_together_stay_within_their_part_of_the_budget() {
        for budget in [2 << 10, 1 << 20, 16 << 20, 256 << 20, 1 << 40] {
            for threads in [1, 2, 3, 17, 256] {
                let Reading { threads: used, fan_in } = Reading::within(budget, threads);
                assert!((1..=threads).contains(&used) && fan_in >= 2);
                let readers = used * fan_in;
                assert!(readers <= MOST_READERS);
                assert!(readers == 2 || readers * READER_BYTES <= budget / READERS_SHARE);
            }
        }
        assert_eq!(Reading::within(16 << 20, 3), Reading { threads: 3, fan_in: 18 });
        assert_eq!(Reading::within(1 << 30, 3), Reading { threads: 3, fan_in: 85 });
    }
}
