//! The encode stage: puts what was decoded in order and hands it to the encoder, batch by batch.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use crossbeam::channel::{Receiver, Sender};

use super::{Batch, Became, Outcome, Passed, Shared, Submit};
use crate::ingest::IngestError;
use crate::ingest::pending::Pending;
use crate::ingest::source::Label;

/// Bytes of values that are handed on at once, whatever the size of a batch.
const BATCH_VALUE_BYTES: usize = 16 << 20;

/// What goes into the next batch.
#[derive(Default)]
struct Gathered {
    images: Vec<(Label, Vec<u8>)>,
    passed: Passed,
    things: u64,
    value_bytes: usize,
}

impl Gathered {
    fn add(&mut self, outcome: Outcome<'_>) {
        self.things += u64::from(!matches!(outcome.result, Became::End));
        match outcome.result {
            Became::Picture(label, pixels) => {
                self.value_bytes += label.value.len();
                self.images.push((label, pixels));
            }
            Became::Reject(reject) => self.passed.rejects.push(reject),
            Became::Nothing | Became::End => {}
        }
        if let Some(mark) = outcome.mark {
            self.passed.mark(mark);
        }
    }

    fn is_full(&self, batch_size: usize) -> bool {
        let Passed { rejects, marks, .. } = &self.passed;
        let most = self.images.len().max(rejects.len()).max(marks.len());
        most >= batch_size || self.value_bytes >= BATCH_VALUE_BYTES
    }
}

/// The encode stage.
pub(super) struct Encoder<'r, 'e, 's, 'a, T> {
    pub(super) shared: &'s Shared<'a>,
    pub(super) submit: &'r Submit<'e, T>,
    pub(super) batch_size: usize,
    pub(super) batches: Sender<Result<Batch<'e, T>, IngestError>>,
}

impl<T> Encoder<'_, '_, '_, '_, T> {
    /// Puts the outcomes in order and hands them on, batch by batch, until they end or the caller
    /// takes no more.
    pub(super) fn run(&mut self, outcomes: &Receiver<Outcome<'_>>) {
        let mut early = BTreeMap::new();
        let (mut next, mut gathered) = (0, Gathered::default());
        for outcome in outcomes {
            early.insert(outcome.number, outcome);
            while let Some(outcome) = early.remove(&next) {
                next += 1;
                gathered.add(outcome);
                if gathered.is_full(self.batch_size) && !self.hand_on(&mut gathered) {
                    return;
                }
            }
        }
        self.hand_on(&mut gathered);
    }

    /// Hands what was gathered to the encoder and on; `false` if that was the end.
    fn hand_on(&self, gathered: &mut Gathered) -> bool {
        let Gathered { images, passed, things, .. } = std::mem::take(gathered);
        let (labels, pixels): (Vec<_>, Vec<_>) = images.into_iter().unzip();
        let nothing = pixels.is_empty();
        let encoded = if nothing { Ok(Pending::ready(Vec::new())) } else { (self.submit)(pixels) };
        if encoded.as_ref().is_ok_and(Pending::is_ready) {
            self.shared.encoded.fetch_add(things, Ordering::Relaxed);
        }
        let batch = encoded.map(|encoded| Batch { labels, encoded, passed, things });
        let goes_on = batch.is_ok();
        self.batches.send(batch).is_ok() && goes_on
    }
}
