//! The write stage: waits for codes, hands them to the sink, and tells of progress.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError};

use super::{Batch, Shared, Sink};
use crate::ingest::IngestError;
use crate::ingest::report::{Observer, Progress, Report};

/// Time between two reports of progress.
const TICK: Duration = Duration::from_millis(200);

/// The write stage, on the caller's thread.
pub(super) struct Writer<'r, 's, 'a, 'k, T> {
    pub(super) shared: &'s Shared<'a>,
    pub(super) sink: &'r mut Sink<'k, T>,
    pub(super) observer: &'r mut dyn Observer,
    pub(super) report: Report,
    /// Things found that were written, of whatever kind.
    pub(super) written: u64,
}

impl<T> Writer<'_, '_, '_, '_, T> {
    pub(super) fn run(
        mut self,
        batches: Receiver<Result<Batch<'_, T>, IngestError>>,
    ) -> Result<Report, IngestError> {
        let mut reported = Instant::now();
        loop {
            match batches.recv_timeout(TICK.saturating_sub(reported.elapsed())) {
                Ok(batch) => self.write(batch?)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if reported.elapsed() >= TICK {
                self.observer.progress(&self.progress());
                reported = Instant::now();
            }
        }
        // From here on nobody waits for this thread.
        drop(batches);
        let progress = self.progress();
        self.observer.progress(&progress);
        let set = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        let cancelled = !set(&self.shared.finished) || set(&self.shared.dropped);
        let Progress { skipped, done_before, bytes, elapsed, .. } = progress;
        Ok(Report { skipped, done_before, bytes, elapsed, cancelled, ..self.report })
    }

    fn write(&mut self, batch: Batch<'_, T>) -> Result<(), IngestError> {
        let Batch { labels, encoded, passed, things } = batch;
        let was_ready = encoded.is_ready();
        let encoded = encoded.finish()?;
        if encoded.len() != labels.len() {
            let counts = format!("{} results for {} images", encoded.len(), labels.len());
            return Err(IngestError::Encoder(counts.into()));
        }
        if !was_ready {
            self.shared.encoded.fetch_add(things, Ordering::Relaxed);
        }
        let count = labels.len() as u64;
        (self.sink)(labels.into_iter().zip(encoded).collect(), &passed)?;
        self.report.done += count;
        self.written += things;
        for reject in passed.rejects {
            *self.report.rejected.entry(reject.kind).or_default() += 1;
            self.observer.reject(reject)?;
        }
        Ok(())
    }

    fn progress(&self) -> Progress {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (total, known) = (count(&self.shared.total_bytes), count(&self.shared.known_bytes));
        Progress {
            done: self.report.done,
            rejected: self.report.rejected_count(),
            skipped: count(&self.shared.skipped),
            done_before: count(&self.shared.done_before),
            found: count(&self.shared.found),
            decoded: count(&self.shared.decoded),
            encoded: count(&self.shared.encoded),
            written: self.written,
            bytes: count(&self.shared.bytes),
            total_bytes: (total != u64::MAX).then_some(total.saturating_sub(known)),
            elapsed: self.shared.started.elapsed(),
        }
    }
}
