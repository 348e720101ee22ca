//! A counting gate: so much may be inside at once, in bytes or in items. The pipeline bounds its
//! memory with three of them.
//!
//! Invariant: what enters leaves when its [`Permit`] is dropped, on every path, and one entry larger
//! than the whole gate passes alone instead of waiting for ever.

use parking_lot::{Condvar, Mutex};

/// Lets amounts in until its capacity is reached.
pub(super) struct Gate {
    capacity: u64,
    state: Mutex<State>,
    freed: Condvar,
}

struct State {
    inside: u64,
    closed: bool,
}

/// An amount that is inside a [`Gate`].
pub(super) struct Permit<'a> {
    gate: &'a Gate,
    amount: u64,
}

impl Gate {
    pub(super) fn new(capacity: u64) -> Self {
        let state = Mutex::new(State { inside: 0, closed: false });
        Self { capacity, state, freed: Condvar::new() }
    }

    /// Waits until `amount` fits. Gives `None` once the gate is closed.
    pub(super) fn enter(&self, amount: u64) -> Option<Permit<'_>> {
        let mut state = self.state.lock();
        while !state.closed && state.inside > 0 && state.inside + amount > self.capacity {
            self.freed.wait(&mut state);
        }
        if state.closed {
            return None;
        }
        state.inside += amount;
        Some(Permit { gate: self, amount })
    }

    /// Turns away everyone who waits or comes later.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.freed.notify_all();
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.gate.state.lock().inside -= self.amount;
        self.gate.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_larger_than_the_gate_passes_alone() {
        let gate = Gate::new(10);
        let permit = gate.enter(100).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| gate.enter(1).is_some());
            drop(permit);
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn a_closed_gate_turns_away_who_waits() {
        let gate = Gate::new(1);
        let _permit = gate.enter(1).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| gate.enter(1).is_none());
            gate.close();
            assert!(waiting.join().unwrap());
        });
    }
}
