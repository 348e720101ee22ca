//! Predicates on values, and what is remembered of their verdicts.
//!
//! Asking costs a look-up of the value. Ids are never reused and the value of an id never changes,
//! so a verdict holds for ever, in every state of its database, and is remembered. When the
//! look-ups have cost as much as reading all values in order would, all are read: the rule of the
//! rented skis, which costs at most twice what knowing the future would. From then on the filter
//! is a selection of rows; records that came later are asked one by one until reading on is due.
//!
//! The values of one state say nothing of records that an older state still shows, and nothing of
//! which ids are records without a value. So a reading is noted with its state: what it did not see
//! has an empty value in that state and later ones, and is asked anew in earlier ones.

use std::cell::RefCell;
use std::collections::HashMap;
use std::mem;
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use roaring::RoaringTreemap;

use super::selection::{is_far_more, rows_with, rows_without};
use crate::db::record::{decode_id, encode_id};
use crate::db::search::planner::{self, Cost};
use crate::db::segment::Segment;
use crate::db::view::View;
use crate::error::Result;
use crate::storage::records::{Family, Records};

/// Verdicts that a search keeps to itself before it shares them.
const SHARED_AT: usize = 4096;
/// Readings that are noted; without one, what it showed is asked again.
const READINGS: usize = 8;
/// Verdicts are forgotten when there are four times as many as records and so many.
const KEPT: u64 = 1 << 16;

type Predicate = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// A predicate, and a memory for each database that it was used in.
pub(super) struct ValueRule {
    predicate: Predicate,
    memories: Mutex<Vec<Arc<Memory>>>,
}

/// What is known of one open database.
struct Memory {
    of: Weak<Records>,
    state: Mutex<State>,
    /// Held while the values are read. Whoever finds it held asks on: the predicate may use its own
    /// filter.
    reading: Mutex<()>,
}

#[derive(Default)]
struct State {
    known: Arc<Verdicts>,
    /// Verdicts that are to go into `known` when no search uses it.
    fresh: Vec<(u64, bool)>,
    /// What look-ups have cost since the values were read.
    spent: Cost,
    rows: Vec<AdmittedRows>,
}

/// The rows of a segment that are admitted, right in states from `sequence` on.
struct AdmittedRows {
    segment: Weak<Segment>,
    sequence: u64,
    rows: Arc<Vec<u32>>,
}

#[derive(Clone, Default)]
struct Verdicts {
    asked: RoaringTreemap,
    /// Those among them that the predicate accepts.
    admitted: RoaringTreemap,
    readings: Vec<Reading>,
}

/// All values below an id were read: those that the state of this sequence number shows.
#[derive(Clone, Copy)]
struct Reading {
    sequence: u64,
    bound: u64,
}

impl Verdicts {
    /// The verdict on a record, if it was asked.
    fn verdict(&self, id: u64) -> Option<bool> {
        if self.admitted.contains(id) {
            Some(true)
        } else {
            self.asked.contains(id).then_some(false)
        }
    }

    /// Below which id a state's values are all known.
    fn bound(&self, sequence: u64) -> u64 {
        let seen = self.readings.iter().filter(|reading| reading.sequence <= sequence);
        seen.map(|reading| reading.bound).max().unwrap_or(0)
    }

    /// Takes in verdicts of any age: they are never wrong.
    fn add(&mut self, asked: &RoaringTreemap, admitted: &RoaringTreemap) {
        self.asked |= asked;
        self.admitted |= admitted;
    }

    fn note(&mut self, reading: Reading) {
        self.readings.push(reading);
        if self.readings.len() > READINGS {
            self.readings.remove(0);
        }
    }
}

impl State {
    /// Merges what was asked lately, if that does not copy much for little.
    fn merge(&mut self, record_count: u64) {
        let due = self.fresh.len() as u64 > self.known.asked.len() / 4;
        if !due && Arc::get_mut(&mut self.known).is_none() {
            return;
        }
        let known = Arc::make_mut(&mut self.known);
        for (id, verdict) in self.fresh.drain(..) {
            known.asked.insert(id);
            if verdict {
                known.admitted.insert(id);
            }
        }
        // Ids of records that are gone would pile up in a filter that outlives them.
        if known.asked.len() / 4 > record_count.saturating_add(KEPT) {
            *known = Verdicts::default();
        }
    }
}

impl ValueRule {
    pub(super) fn new(predicate: Predicate) -> Self {
        Self { predicate, memories: Mutex::default() }
    }

    /// Begins to ask in a view.
    pub(super) fn ask(&self, view: &View) -> Result<Asking<'_>> {
        let store = view.records.records();
        let mut memories = self.memories.lock();
        memories.retain(|memory| memory.of.strong_count() > 0);
        let known = memories.iter().find(|memory| memory.of.as_ptr() == Arc::as_ptr(store));
        let memory = known.map(Arc::clone).unwrap_or_else(|| {
            let (of, state, reading) = (Arc::downgrade(store), Mutex::default(), Mutex::default());
            let memory = Arc::new(Memory { of, state, reading });
            memories.push(Arc::clone(&memory));
            memory
        });
        drop(memories);
        let asking = Asking {
            predicate: &self.predicate,
            memory,
            sequence: view.records.sequence(),
            record_count: view.state.record_count,
            local: RefCell::default(),
        };
        asking.share();
        asking.read_if_due(view)?;
        Ok(asking)
    }
}

/// One search that asks a predicate in one view.
pub(crate) struct Asking<'a> {
    predicate: &'a Predicate,
    memory: Arc<Memory>,
    /// Of the view.
    sequence: u64,
    record_count: u64,
    local: RefCell<Local>,
}

/// What a search knows without a lock.
#[derive(Default)]
struct Local {
    known: Arc<Verdicts>,
    /// All values below this id are known.
    bound: u64,
    fresh: HashMap<u64, bool>,
    spent: Cost,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.share();
    }
}

impl Asking<'_> {
    /// Whether the predicate accepts the value of a record of the view.
    pub(super) fn admits(&self, view: &View, id: u64) -> Result<bool> {
        let (known, bound) = {
            let local = self.local.borrow();
            let known = local.known.verdict(id);
            (known.or_else(|| local.fresh.get(&id).copied()), local.bound)
        };
        if let Some(verdict) = known {
            return Ok(verdict);
        }
        let (value, cost) = if id < bound {
            // It would have been asked if it had one.
            (Vec::new(), 0.0)
        } else {
            let value = view.records.get(Family::Values, &encode_id(id))?.unwrap_or_default();
            let cost = planner::value_look_up(value.len());
            (value, cost)
        };
        let verdict = (self.predicate)(&value);
        let mut local = self.local.borrow_mut();
        local.fresh.insert(id, verdict);
        local.spent += cost;
        let full = local.fresh.len() >= SHARED_AT;
        drop(local);
        if full {
            self.share();
        }
        Ok(verdict)
    }

    /// Tells other searches what this one learnt, and learns from them.
    fn share(&self) {
        let mut local = self.local.borrow_mut();
        // Let go of first: what nobody uses can be changed in place.
        drop(mem::take(&mut local.known));
        let mut state = self.memory.state.lock();
        state.fresh.extend(local.fresh.drain());
        state.spent += mem::take(&mut local.spent);
        state.merge(self.record_count);
        local.known = Arc::clone(&state.known);
        local.bound = local.known.bound(self.sequence);
    }

    /// The admitted rows of a segment, ascending, deleted ones included; `None` while not all of
    /// its values are known, or if the rows are likely far more than `most`.
    pub(super) fn rows(
        &self,
        view: &View,
        segment: &Arc<Segment>,
        most: usize,
    ) -> Result<Option<Arc<Vec<u32>>>> {
        if !self.local.borrow().fresh.is_empty() {
            self.share();
        }
        self.read_if_due(view)?;
        let state = self.memory.state.lock();
        let is_it = |of: &&AdmittedRows| of.segment.as_ptr() == Arc::as_ptr(segment);
        if let Some(found) = state.rows.iter().find(is_it)
            && found.sequence <= self.sequence
        {
            return Ok(Some(Arc::clone(&found.rows)));
        }
        let known = Arc::clone(&state.known);
        drop(state);
        let reaches = |of: &&Reading| of.sequence <= self.sequence && of.bound > segment.max_id();
        let earliest = known.readings.iter().filter(reaches).min_by_key(|of| of.sequence);
        let Some(&Reading { sequence, .. }) = earliest else { return Ok(None) };
        if is_far_more(&known.admitted, segment, most) {
            return Ok(None);
        }
        let (rows, right_for_earlier) = self.admitted_rows(&known, view, segment)?;
        let sequence = if right_for_earlier { sequence } else { self.sequence };
        let rows = Arc::new(rows);
        let mut state = self.memory.state.lock();
        state.rows.retain(|of| of.segment.strong_count() > 0 && !is_it(&of));
        let (segment, found) = (Arc::downgrade(segment), Arc::clone(&rows));
        state.rows.push(AdmittedRows { segment, sequence, rows: found });
        Ok(Some(rows))
    }

    /// The rows of a segment whose values were all read, and whether they are right in earlier
    /// states too, as far back as the reading.
    fn admitted_rows(
        &self,
        known: &Verdicts,
        view: &View,
        segment: &Segment,
    ) -> Result<(Vec<u32>, bool)> {
        let (rows, range) = (segment.rows()?, segment.id_range());
        let admitted = rows_with(&rows, range, &known.admitted);
        let silent = rows_without(&rows, range, &known.asked);
        if silent.is_empty() {
            return Ok((admitted, true));
        }
        // Those that live have no value. Where none does the predicate is not asked of an empty
        // value, which it may never expect.
        if !silent.iter().any(|&row| view.is_live(rows.id(row as usize))) {
            return Ok((admitted, false));
        }
        if !(self.predicate)(&[]) {
            return Ok((admitted, true));
        }
        let mut all = [admitted, silent].concat();
        all.sort_unstable();
        Ok((all, true))
    }

    /// Reads the values that are not known, if look-ups have cost as much as that will.
    fn read_if_due(&self, view: &View) -> Result<()> {
        if !self.is_due(view) {
            return Ok(());
        }
        let Some(_reading) = self.memory.reading.try_lock() else { return Ok(()) };
        // Somebody may have read them in between.
        self.share();
        if self.is_due(view) {
            self.read(view)?;
            self.share();
        }
        Ok(())
    }

    fn is_due(&self, view: &View) -> bool {
        let from = self.local.borrow().bound;
        let unread = view.new_from().saturating_sub(from).min(self.record_count);
        if unread == 0 {
            return false;
        }
        let spent = self.memory.state.lock().spent;
        if spent < planner::value_scan(unread, 0) {
            return false;
        }
        let bytes = view.records.records().family_bytes(Family::Values) / self.record_count.max(1);
        spent >= planner::value_scan(unread, bytes.saturating_mul(unread))
    }

    /// Reads the view's values from where they are not known on.
    fn read(&self, view: &View) -> Result<()> {
        let (known, from) = {
            let local = self.local.borrow();
            (Arc::clone(&local.known), local.bound)
        };
        let (mut asked, mut admitted) = (RoaringTreemap::new(), RoaringTreemap::new());
        view.records.scan(Family::Values, &encode_id(from), |key, value| {
            let id = decode_id(key).map_err(|what| view.records.damage(&what))?;
            if !known.asked.contains(id) {
                asked.insert(id);
                if (self.predicate)(value) {
                    admitted.insert(id);
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let mut state = self.memory.state.lock();
        let next = Arc::make_mut(&mut state.known);
        // Others may have made it forget what was not read again.
        next.add(&known.asked, &known.admitted);
        next.add(&asked, &admitted);
        next.note(Reading { sequence: self.sequence, bound: view.new_from() });
        state.spent = 0.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{KEPT, Reading, State};

    /// A state that was told verdicts on so many ids; every third is admitted.
    fn told(count: u64) -> State {
        let fresh = (0..count).map(|id| (id, id % 3 == 0)).collect();
        State { fresh, ..State::default() }
    }

    #[test]
    fn verdicts_are_forgotten_when_most_are_of_records_that_are_gone() {
        let mut state = told(4 * (KEPT + 100));
        Arc::make_mut(&mut state.known).note(Reading { sequence: 7, bound: 9 });
        state.merge(100);
        assert_eq!(state.known.asked.len(), 4 * (KEPT + 100));
        assert_eq!(state.known.bound(7), 9);
        state.fresh.extend((0..4).map(|more| (1 << 40 | more, true)));
        state.merge(100);
        assert!(state.known.asked.is_empty() && state.known.admitted.is_empty());
        assert_eq!(state.known.bound(7), 0, "what was read is forgotten with it");
    }

    #[test]
    fn what_a_search_uses_is_not_changed_under_it_and_not_copied_for_little() {
        let mut state = told(1_000);
        state.merge(1_000);
        let used = Arc::clone(&state.known);
        state.fresh.extend((1_000..1_250).map(|id| (id, true)));
        state.merge(1_000);
        assert_eq!((state.fresh.len(), state.known.asked.len()), (250, 1_000));
        state.fresh.push((1_250, true));
        state.merge(1_000);
        assert_eq!((state.fresh.len(), state.known.asked.len()), (0, 1_251));
        assert_eq!(used.asked.len(), 1_000);
        assert_eq!(state.known.verdict(1_250), Some(true));
        assert_eq!(
            (used.verdict(1_250), used.verdict(3), used.verdict(4)),
            (None, Some(true), Some(false))
        );
    }
}
