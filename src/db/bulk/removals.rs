//! Records that go: those of the database that a load replaces, and those of the load that lost against
//! another of the same key. They are met in the order of keys and needed by row and by id, so they leave the
//! memory as sorted runs too when they are many.

use parking_lot::Mutex;
use roaring::RoaringTreemap;

use super::entry::{Entry, Order, Range};
use super::merge::{Merge, Sorted};
use super::passes::Passes;
use super::run::{Run, RunWriter};
use crate::db::record::KeyEntry;
use crate::error::Result;

/// Parts of the budget that what goes takes one of, each kind for itself.
const SHARE: usize = 16;

/// Records of a run at least: a file for fewer costs more than they do.
const LEAST: usize = 256;

/// Records of one kind, gathered by any number of threads.
pub(super) struct Removals<'a> {
    passes: Passes<'a>,
    orders: &'static [Order],
    /// Entries in memory at most.
    most: usize,
    pile: Mutex<Pile>,
}

#[derive(Default)]
struct Pile {
    entries: Vec<KeyEntry>,
    /// By order.
    runs: [Vec<Run>; 2],
    count: u64,
}

/// The sorted runs of all that goes.
pub(super) struct Removed {
    /// In the orders that were asked for.
    runs: [Vec<Run>; 2],
    pub(super) count: u64,
}

impl<'a> Removals<'a> {
    /// Gathers records that are needed in these orders, two at most.
    pub(super) fn new(passes: Passes<'a>, orders: &'static [Order], budget: usize) -> Self {
        let most = (budget / SHARE / size_of::<KeyEntry>()).max(LEAST);
        Self { passes, orders, most, pile: Mutex::default() }
    }

    pub(super) fn push(&self, gone: KeyEntry) -> Result<()> {
        let mut pile = self.pile.lock();
        pile.entries.push(gone);
        pile.count += 1;
        if pile.entries.len() >= self.most { self.spill(&mut pile) } else { Ok(()) }
    }

    fn spill(&self, pile: &mut Pile) -> Result<()> {
        let Pile { entries, runs, .. } = pile;
        for (order, runs) in self.orders.iter().zip(runs) {
            match order {
                Order::Id => entries.sort_unstable_by_key(|gone| gone.location.id),
                _ => entries.sort_unstable_by_key(|gone| gone.location),
            }
            let path = self.passes.names.next("run");
            let mut writer = RunWriter::create(self.passes.fs, &path, *order, 0)?;
            for KeyEntry { location, has_value } in entries.iter() {
                let (id, address) = (location.id, location.address);
                let has_value = *has_value;
                writer.push(&Entry {
                    id,
                    address,
                    has_value,
                    code: &[],
                    patches: &[],
                    key: &[],
                })?;
            }
            runs.push(writer.finish()?);
        }
        entries.clear();
        Ok(())
    }

    /// All of them, in runs that can be read at once.
    pub(super) fn finish(self) -> Result<Removed> {
        let mut pile = self.pile.lock();
        if !pile.entries.is_empty() {
            self.spill(&mut pile)?;
        }
        let Pile { runs, count, .. } = std::mem::take(&mut *pile);
        let mut reduced = [Vec::new(), Vec::new()];
        for ((order, runs), reduced) in self.orders.iter().zip(runs).zip(&mut reduced) {
            *reduced = self.passes.reduce(runs, *order, None)?;
        }
        Ok(Removed { runs: reduced, count })
    }
}

impl Removed {
    /// The records in the first or the second order that was asked for.
    pub(super) fn sorted(&self, number: usize) -> Vec<Sorted<'_>> {
        self.runs.get(number).into_iter().flatten().map(Sorted::File).collect()
    }

    /// Their ids as a set; `by_id` tells in which of the orders ids rise.
    pub(super) fn ids(&self, by_id: usize, passes: &Passes<'_>) -> Result<RoaringTreemap> {
        let mut ids = RoaringTreemap::new();
        visit(&self.sorted(by_id), Order::Id, passes, |entry| {
            ids.insert(entry.id);
            Ok(())
        })?;
        Ok(ids)
    }
}

/// Hands all records over in their order.
pub(super) fn visit(
    sorted: &[Sorted<'_>],
    order: Order,
    passes: &Passes<'_>,
    mut take: impl FnMut(&Entry<'_>) -> Result<()>,
) -> Result<()> {
    let mut entries = Merge::new(sorted, order, &Range::default(), passes.fs)?;
    while let Some(entry) = entries.next()? {
        take(&entry)?;
    }
    Ok(())
}
