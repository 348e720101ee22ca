//! The background of an open database: one thread seals, another merges, so that neither a large
//! merge holds up a seal nor a writer waits for either, until one falls far behind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use crate::db::engine::Engine;
use crate::error::Result;

/// Stops and joins the threads when dropped.
#[derive(Debug)]
pub(crate) struct Maintainer {
    engine: Arc<Engine>,
    sealer: Worker,
    _merger: Worker,
}

impl Maintainer {
    pub(crate) fn start(engine: Arc<Engine>) -> Self {
        let (seal, merge) = (Arc::clone(&engine), Arc::clone(&engine));
        let (seal_notes, merge_notes) = (Arc::clone(&engine), Arc::clone(&engine));
        let merger = Worker::start(
            "hashdb-merge",
            move |failure| merge_notes.maintenance_errors.lock().merge = failure,
            move || merge.merge_full_classes(),
        );
        let after = Arc::clone(&merger.signal);
        let sealer = Worker::start(
            "hashdb-seal",
            move |failure| seal_notes.maintenance_errors.lock().seal = failure,
            move || {
                let sealed = seal.seal_if_full();
                after.give(Order::Work);
                sealed.and_then(|()| seal.keep_up())
            },
        );
        Self { engine, sealer, _merger: merger }
    }

    /// Has the threads look for work.
    pub(crate) fn wake(&self) {
        self.sealer.signal.give(Order::Work);
    }
}

impl Drop for Maintainer {
    fn drop(&mut self) {
        // A merge under way is finished; no further one begins.
        self.engine.closing.store(true, Ordering::Relaxed);
    }
}

/// A thread that works when it is told to.
#[derive(Debug)]
struct Worker {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Signal {
    order: Mutex<Order>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Order {
    #[default]
    Wait,
    Work,
    Stop,
}

impl Worker {
    /// A failure leaves everything as it was and is noted for `Stats`; writers that find the memtable
    /// far too large seal it themselves and get the error.
    fn start(
        name: &str,
        note: impl Fn(Option<String>) + Clone + Send + 'static,
        work: impl Fn() -> Result<()> + Send + 'static,
    ) -> Self {
        let signal = Arc::new(Signal::default());
        let (orders, noted) = (Arc::clone(&signal), note.clone());
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while orders.next() == Order::Work {
                // A panic is a bug, but it must be seen, and the thread must be there afterwards.
                let done = catch_unwind(AssertUnwindSafe(&work));
                note(match done {
                    Ok(done) => done.err().map(|error| error.to_string()),
                    Err(_) => Some("the background thread panicked".to_owned()),
                });
            }
        });
        if let Err(error) = &thread {
            noted(Some(format!("cannot start the background thread: {error}")));
        }
        Self { signal, thread: thread.ok() }
    }
}

impl Signal {
    fn give(&self, order: Order) {
        let mut current = self.order.lock();
        if *current != Order::Stop {
            *current = order;
        }
        self.changed.notify_one();
    }

    /// Waits for an order and takes it.
    fn next(&self) -> Order {
        let mut current = self.order.lock();
        while *current == Order::Wait {
            self.changed.wait(&mut current);
        }
        let order = *current;
        if order == Order::Work {
            *current = Order::Wait;
        }
        order
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.signal.give(Order::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been printed by the panic hook; there is nothing to add.
            let _printed = thread.join();
        }
    }
}
