//! What the tests of this floor draw their data from, and who works for them.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Workers;

/// `SplitMix64` (S. Vigna, public domain), for data that are the same at every run.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// So many bytes, rounded down to whole words.
    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count / 8).flat_map(|_| self.next().to_le_bytes()).collect()
    }
}

/// Two threads, one of which begins with the last job.
pub(super) struct Both;

impl Workers for Both {
    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            scope.spawn(|| (count / 2..count).rev().for_each(job));
            (0..count / 2).for_each(job);
        });
    }
}

/// Is stopped after some questions whether it is.
pub(super) struct Impatient(pub(super) AtomicUsize);

impl Workers for Impatient {
    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        Both.run(count, job);
    }

    fn stopped(&self) -> bool {
        let left =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.is_err()
    }
}

/// Leaves every third job undone, which the builder must make up for.
pub(super) struct Lazy;

impl Workers for Lazy {
    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        (0..count).filter(|number| number % 3 != 1).for_each(job);
    }
}
