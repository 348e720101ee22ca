//! The source stage: walks the sources and numbers what it finds.

use std::sync::atomic::Ordering;

use crossbeam::channel::Sender;

use super::{Became, Outcome, Shared, Task};
use crate::ingest::source::{self, Found, Planner, Sources, Walk};

/// Bytes of values for each of which something found takes one more place in the window.
const VALUE_STEP: u64 = 32 << 10;

impl Shared<'_> {
    /// Counts the bytes ahead, for the time left.
    pub(super) fn measure(&self, sources: &Sources<'_>) {
        if let Some(total) = source::measure(sources, &|| self.halted()) {
            self.total_bytes.store(total, Ordering::Relaxed);
        }
    }

    /// The source stage: numbers what is found.
    pub(super) fn find<'s>(
        &'s self,
        sources: &Sources<'_>,
        planner: &dyn Planner,
        tasks: &Sender<Task<'s>>,
        rejects: &Sender<Outcome<'s>>,
    ) {
        let mut number = 0;
        let mut emit = |found| {
            if self.halted() {
                return false;
            }
            let passed_over = match &found {
                Found::Skipped => Some(&self.skipped),
                Found::Known(bytes) => {
                    self.known_bytes.fetch_add(*bytes, Ordering::Relaxed);
                    Some(&self.done_before)
                }
                Found::Image(..) | Found::Reject(..) | Found::End(_) => None,
            };
            if let Some(counter) = passed_over {
                counter.fetch_add(1, Ordering::Relaxed);
                return true;
            }
            let Some(place) = self.window.enter(places(&found, self.witness.value_bytes())) else {
                return false;
            };
            let (result, mark) = match found {
                Found::Image(label, content, mark) => {
                    self.found.fetch_add(1, Ordering::Relaxed);
                    let task = Task { number, label, content, mark, place };
                    number += 1;
                    return tasks.send(task).is_ok();
                }
                Found::Reject(reject, mark) => {
                    self.found.fetch_add(1, Ordering::Relaxed);
                    self.decoded.fetch_add(1, Ordering::Relaxed);
                    (Became::Reject(reject), mark)
                }
                Found::End(mark) => (Became::End, Some(mark)),
                Found::Skipped | Found::Known(_) => (Became::End, None),
            };
            let outcome = Outcome { number, result, mark, _place: place };
            number += 1;
            rejects.send(outcome).is_ok()
        };
        let stopped = || self.halted();
        let (waiting, read) = (&self.waiting, &self.bytes);
        let mut walk = Walk { waiting, read, planner, stopped: &stopped, emit: &mut emit };
        self.finished.store(walk.run(sources), Ordering::Relaxed);
    }
}

/// Places in the window that something found takes, if so many bytes come to its value.
fn places(found: &Found<'_>, more: u64) -> u64 {
    match found {
        Found::Image(label, ..) => 1 + (label.value.len() as u64 + more) / VALUE_STEP,
        Found::Reject(..) | Found::Skipped | Found::Known(_) | Found::End(_) => 1,
    }
}
