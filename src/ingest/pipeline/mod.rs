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

mod encode;
mod find;
mod work;
mod write;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Scope};
use std::time::Instant;

use crossbeam::channel::bounded;

use super::IngestError;
use super::decode::MAX_WORKING_BYTES;
use super::gate::{Gate, Permit};
use super::journal::Mark;
use super::look::Witness;
use super::options::IngestOptions;
use super::pending::Pending;
use super::report::{Observer, Reject, Report};
use super::source::{Content, Label, Planner, Sources};
use encode::Encoder;
use write::Writer;

/// Bytes of shard entries that may wait for a decoder.
const WAITING_BYTES: u64 = 64 << 20;

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
    let sources = Sources::new(paths, options);
    sources.check()?;
    let shared = Shared::new(options)?;
    thread::scope(|scope| {
        let shared = &shared;
        // Whatever ends this, a thread that cannot be started too, ends the stages that have begun.
        let _stopper = Stopper { shared, always: true };
        // The window bounds both queues. Shorter ones would have their ends wake each other at every item.
        let (task_in, tasks) = bounded(options.window());
        let (outcome_in, outcomes) = bounded(options.window());
        let (batch_in, batches) = bounded(2);
        for number in 0..options.threads {
            let (tasks, outcome_in) = (tasks.clone(), outcome_in.clone());
            let started = start(scope, "decode", move || {
                let _stopper = Stopper { shared, always: false };
                shared.decode(&tasks, &outcome_in);
            });
            match started {
                Err(error) if number == 0 => return Err(error),
                // Where the system gives no more threads, those that are there do the work.
                Err(_) => break,
                Ok(()) => {}
            }
        }
        let batch_size = options.batch;
        start(scope, "encode", move || {
            let _stopper = Stopper { shared, always: true };
            let mut encoder = Encoder { shared, submit, batch_size, batches: batch_in };
            encoder.run(&outcomes);
        })?;
        // The stages end when their senders do, so none may stay behind here.
        drop(tasks);
        start(scope, "find", move || {
            let _stopper = Stopper { shared, always: false };
            shared.find(&sources, planner, &task_in, &outcome_in);
        })?;
        // Without this one nobody knows how much there is to come, and that is all.
        let _unmeasured = start(scope, "measure", move || shared.measure(&sources));
        let report = Report::default();
        Writer { shared, sink, observer, report, written: 0 }.run(batches)
    })
}

/// Starts a stage.
fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    stage: &str,
    work: impl FnOnce() + Send + 'scope,
) -> Result<(), IngestError> {
    let thread = thread::Builder::new().name(format!("hashdb-{stage}"));
    thread.spawn_scoped(scope, work).map(drop).map_err(IngestError::Threads)
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
}
