//! The one background thread of an open database: seals and compacts when a writer wakes it.

use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use crate::db::engine::Engine;

/// Stops and joins the thread when dropped.
#[derive(Debug)]
pub(crate) struct Maintainer {
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

impl Maintainer {
    pub(crate) fn start(engine: Arc<Engine>) -> Self {
        let signal = Arc::new(Signal::default());
        let orders = Arc::clone(&signal);
        let thread = std::thread::Builder::new()
            .name("hashdb-maintenance".to_owned())
            .spawn(move || {
                while orders.next() == Order::Work {
                    // A failure leaves everything as it was. `Stats` shows it, and writers that
                    // find the memtable far too large seal it themselves and get the error.
                    let failure = engine.maintain().err().map(|error| error.to_string());
                    *engine.maintenance_error.lock() = failure;
                }
            })
            .ok();
        Self { signal, thread }
    }

    /// Has the thread look for work.
    pub(crate) fn wake(&self) {
        self.signal.give(Order::Work);
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

impl Drop for Maintainer {
    fn drop(&mut self) {
        self.signal.give(Order::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been printed by the panic hook; there is nothing to add.
            let _printed = thread.join();
        }
    }
}
