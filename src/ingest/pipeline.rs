//! The threads of a run and the queues between them.
//!
//! ```text
//! source -> tasks -> decode workers -> outcomes -> encode (in order, in batches) -> batches -> caller
//!                                                  (hands over)                    (waits, writes)
//! ```
//!
//! All stages overlap. Each thing found has a number, and the encode stage puts the outcomes back in
//! that order, so what is written does not depend on the number of threads. Memory is bounded: a
//! window of things on their way (a large value takes several places), bytes of shards that wait, bytes that
//! decoding takes; add the encoded file of each worker, at most 64 MiB.
//!
//! Invariant: when any stage ends, for whatever reason, every other one ends too, and [`run`] returns
//! after all threads did. Each stage that may end early holds a [`Stopper`], and every wait is on a
//! channel whose other end is dropped or on a gate that the stopper closes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::IngestError;
use super::deadline::Deadline;
use super::decode::{DecodeError, MAX_WORKING_BYTES};
use super::gate::{Gate, Permit};
use super::header::Header;
use super::journal::{self, Mark};
use super::look::{self, Look, Witness};
use super::options::IngestOptions;
use super::pending::Pending;
use super::report::{Observer, Progress, Reject, Report, Stage};
use super::source::{self, Content, Found, Label, Planner, Sources, Walk};

/// Bytes of shard entries that may wait for a decoder.
const WAITING_BYTES: u64 = 64 << 20;
/// Bytes of values for each of which something found takes one more place in the window.
const VALUE_STEP: u64 = 32 << 10;
/// Bytes of values that are handed on at once, whatever the size of a batch.
const BATCH_VALUE_BYTES: usize = 16 << 20;
/// Time between two reports of progress.
const TICK: Duration = Duration::from_millis(200);

/// Encodes a batch of 32x32 pictures in order, one result for each.
pub(super) type Encode<'e, T> = dyn Fn(Vec<Vec<u8>>) -> Result<Vec<T>, IngestError> + Sync + 'e;
/// Hands a batch of 32x32 pictures to an encoder; the results come in order, one for each.
pub(super) type Submit<'e, T> =
    dyn Fn(Vec<Vec<u8>>) -> Result<Pending<'e, T>, IngestError> + Sync + 'e;
/// Writes a batch of labels with their results, and what else was passed on the way.
pub(super) type Sink<'s, T> = dyn FnMut(Vec<(Label, T)>, &Passed) -> Result<(), IngestError> + 's;

/// What was passed with a batch, beside its images.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// How far sources have been read with it, each named once.
    pub(super) marks: Vec<Mark>,
    pub(super) rejects: Vec<Reject>,
}

impl Passed {
    fn mark(&mut self, mark: Mark) {
        match self.marks.last_mut() {
            Some(last) if last.origin == mark.origin => *last = mark,
            _ => self.marks.push(mark),
        }
    }
}

/// Takes every image of `paths` through `encode` into `sink`, which is called on this thread.
pub(super) fn run<T: Send>(
    paths: &[PathBuf],
    options: &IngestOptions<'_>,
    planner: &dyn Planner,
    encode: &Encode<'_, T>,
    sink: &mut Sink<'_, T>,
    observer: &mut dyn Observer,
) -> Result<Report, IngestError> {
    let submit = |pictures| encode(pictures).map(Pending::ready);
    run_in_flight(paths, options, planner, &submit, sink, observer)
}

/// The same through `submit`, whose results are waited for on this thread.
pub(super) fn run_in_flight<T: Send>(
    paths: &[PathBuf],
    options: &IngestOptions<'_>,
    planner: &dyn Planner,
    submit: &Submit<'_, T>,
    sink: &mut Sink<'_, T>,
    observer: &mut dyn Observer,
) -> Result<Report, IngestError> {
    let IngestOptions { listed, siblings, format, .. } = *options;
    let sources = Sources { given: paths, listed, siblings, format };
    sources.check()?;
    let shared = Shared::new(options)?;
    thread::scope(|scope| {
        let shared = &shared;
        // The window bounds both queues. Shorter ones would have their ends wake each other at every item.
        let (task_in, tasks) = bounded(options.window());
        let (outcome_in, outcomes) = bounded(options.window());
        let (batch_in, batches) = bounded(2);
        scope.spawn(move || shared.measure(&sources));
        let rejects_in = outcome_in.clone();
        scope.spawn(move || shared.find(&sources, planner, &task_in, &rejects_in));
        for _ in 0..options.threads {
            let (tasks, outcome_in) = (tasks.clone(), outcome_in.clone());
            scope.spawn(move || shared.decode(&tasks, &outcome_in));
        }
        // The stages end when their senders do, so none may stay behind here.
        drop((tasks, outcome_in));
        let batch_size = options.batch;
        scope.spawn(move || {
            let _stopper = Stopper { shared, always: true };
            let mut encoder = Encoder { shared, submit, batch_size, batches: batch_in };
            encoder.run(&outcomes);
        });
        let _stopper = Stopper { shared, always: true };
        let report = Report::default();
        Writer { shared, sink, observer, report, written: 0 }.run(batches)
    })
}

/// What the stages share.
struct Shared<'a> {
    started: Instant,
    options: IngestOptions<'a>,
    witness: Witness,
    stop: AtomicBool,
    /// Whether the sources were walked to their end.
    finished: AtomicBool,
    /// Whether something that was found was not decoded, since the run was cancelled.
    dropped: AtomicBool,
    window: Gate,
    waiting: Gate,
    memory: Gate,
    found: AtomicU64,
    decoded: AtomicU64,
    encoded: AtomicU64,
    skipped: AtomicU64,
    done_before: AtomicU64,
    /// Bytes of sources that are done.
    known_bytes: AtomicU64,
    bytes: AtomicU64,
    /// Bytes in all; `u64::MAX` until they are known.
    total_bytes: AtomicU64,
}

/// One thing found, to be decoded.
struct Task<'s> {
    number: u64,
    label: Label,
    content: Content<'s>,
    mark: Mark,
    place: Permit<'s>,
}

/// What became of one thing found.
struct Outcome<'s> {
    number: u64,
    result: Became,
    mark: Option<Mark>,
    _place: Permit<'s>,
}

/// What something found turned out to be.
enum Became {
    /// A picture.
    Picture(Label, Vec<u8>),
    Reject(Reject),
    /// Nothing to be done.
    Nothing,
    /// The end of a shard.
    End,
}

/// What the encode stage hands to the caller's thread.
struct Batch<'e, T> {
    labels: Vec<Label>,
    encoded: Pending<'e, T>,
    passed: Passed,
    /// Things found that are in it, of whatever kind.
    things: u64,
}

/// Stops the run when dropped: always, or only by a panic.
struct Stopper<'s, 'a> {
    shared: &'s Shared<'a>,
    always: bool,
}

impl Drop for Stopper<'_, '_> {
    fn drop(&mut self) {
        if self.always || thread::panicking() {
            self.shared.stop.store(true, Ordering::Relaxed);
            let Shared { window, waiting, memory, .. } = self.shared;
            [window, waiting, memory].into_iter().for_each(Gate::close);
        }
    }
}

impl<'a> Shared<'a> {
    fn new(options: &IngestOptions<'a>) -> Result<Self, IngestError> {
        Ok(Self {
            started: Instant::now(),
            options: *options,
            witness: Witness::new(options.store)?,
            stop: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            dropped: AtomicBool::new(false),
            window: Gate::new(options.window() as u64),
            waiting: Gate::new(WAITING_BYTES),
            memory: Gate::new(MAX_WORKING_BYTES),
            found: AtomicU64::new(0),
            decoded: AtomicU64::new(0),
            encoded: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            done_before: AtomicU64::new(0),
            known_bytes: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            total_bytes: AtomicU64::new(u64::MAX),
        })
    }

    /// Whether nothing new shall be begun.
    fn halted(&self) -> bool {
        let set = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        set(&self.stop) || self.options.cancel.is_some_and(set)
    }

    /// Counts the bytes ahead, for the time left.
    fn measure(&self, sources: &Sources<'_>) {
        if let Some(total) = source::measure(sources, &|| self.halted()) {
            self.total_bytes.store(total, Ordering::Relaxed);
        }
    }

    /// The source stage: numbers what is found.
    fn find<'s>(
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

    /// A decode worker.
    fn decode<'s>(&'s self, tasks: &Receiver<Task<'s>>, outcomes: &Sender<Outcome<'s>>) {
        for Task { number, label, content, mut mark, place } in tasks {
            if self.halted() {
                // What comes behind this one is not handed on either, so the result is a prefix. The rest is
                // taken from the queue all the same: it holds room that the source may be waiting for.
                self.dropped.store(true, Ordering::Relaxed);
                continue;
            }
            let mut known = None;
            let (bytes, permit) = match content {
                Content::Bytes(bytes, permit) => (Ok(bytes), Some(permit)),
                Content::File(path, before) => {
                    let bytes = source::read_file(&path);
                    known = before;
                    (bytes, None)
                }
            };
            let hashed = bytes.as_ref().ok().filter(|_| permit.is_none() || self.witness.hashes());
            let hash = hashed.map(|bytes| look::content_hash(bytes));
            if permit.is_none() {
                mark.hash = hash.as_ref().map(journal::first_half);
            }
            if let (Ok(bytes), None) = (&bytes, &permit) {
                self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
            let result = match bytes {
                _ if known.is_some() && known == mark.hash => {
                    self.done_before.fetch_add(1, Ordering::Relaxed);
                    Became::Nothing
                }
                Ok(bytes) => match self.decode_one(label, &mark, &bytes, hash) {
                    Some(became) => became,
                    None => return,
                },
                Err(reject) => Became::Reject(reject),
            };
            drop(permit);
            self.decoded.fetch_add(1, Ordering::Relaxed);
            let outcome = Outcome { number, result, mark: Some(mark), _place: place };
            if outcomes.send(outcome).is_err() {
                return;
            }
        }
    }

    /// Makes a picture with its value of an image; `None` if the run stopped meanwhile.
    fn decode_one(
        &self,
        mut label: Label,
        mark: &Mark,
        bytes: &[u8],
        hash: Option<[u8; 32]>,
    ) -> Option<Became> {
        let mut look = match self.look(bytes) {
            Ok(look) => look?,
            Err(error) => return Some(Became::Reject(decode_reject(label.key, &error))),
        };
        Some(match self.witness.value(&mut label, mark, (bytes, hash), &mut look) {
            Ok(()) => Became::Picture(label, look.pixels),
            Err((kind, cause)) => {
                Became::Reject(Reject { key: label.key, stage: Stage::Source, kind, cause })
            }
        })
    }

    /// Decodes when there is memory for it; `None` if the run stopped meanwhile.
    fn look(&self, bytes: &[u8]) -> Result<Option<Look>, DecodeError> {
        let deadline = Deadline::new(self.options.item_timeout, self.options.clock);
        let header = Header::read(bytes, &deadline)?;
        let side = self.witness.side();
        let memory = header.working_bytes() + Look::thumbnail_bytes(side, header.rows());
        let entered = deadline.pause(|| self.memory.enter(memory));
        let Some(_permit) = entered else {
            return Ok(None);
        };
        Look::take(header, side).map(Some)
    }
}

/// Places in the window that something found takes, if so many bytes come to its value.
fn places(found: &Found<'_>, more: u64) -> u64 {
    match found {
        Found::Image(label, ..) => 1 + (label.value.len() as u64 + more) / VALUE_STEP,
        Found::Reject(..) | Found::Skipped | Found::Known(_) | Found::End(_) => 1,
    }
}

fn decode_reject(key: Vec<u8>, error: &DecodeError) -> Reject {
    Reject { key, stage: Stage::Decode, kind: error.kind(), cause: error.to_string() }
}

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
struct Encoder<'r, 'e, 's, 'a, T> {
    shared: &'s Shared<'a>,
    submit: &'r Submit<'e, T>,
    batch_size: usize,
    batches: Sender<Result<Batch<'e, T>, IngestError>>,
}

impl<T> Encoder<'_, '_, '_, '_, T> {
    /// Puts the outcomes in order and hands them on, batch by batch, until they end or the caller
    /// takes no more.
    fn run(&mut self, outcomes: &Receiver<Outcome<'_>>) {
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

/// The write stage, on the caller's thread.
struct Writer<'r, 's, 'a, 'k, T> {
    shared: &'s Shared<'a>,
    sink: &'r mut Sink<'k, T>,
    observer: &'r mut dyn Observer,
    report: Report,
    /// Things found that were written, of whatever kind.
    written: u64,
}

impl<T> Writer<'_, '_, '_, '_, T> {
    fn run(
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
