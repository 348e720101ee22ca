//! Chunks that many threads make and one takes, in order and a few at a time.

use std::sync::mpsc::sync_channel;
use std::thread;

use anyhow::{Context as _, Result};

/// Chunks that a thread is ahead.
const AHEAD: usize = 2;

/// Makes chunks 0 to `count` with some threads and takes them in their order.
pub(crate) fn in_order<T: Send>(
    threads: usize,
    count: u64,
    make: impl Fn(u64) -> T + Sync,
    mut take: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    thread::scope(|scope| {
        let make = &make;
        let mut streams = Vec::new();
        for thread in 0..threads as u64 {
            let (sender, receiver) = sync_channel(AHEAD);
            streams.push(receiver);
            scope.spawn(move || {
                for number in (thread..count).step_by(threads) {
                    // Nobody takes it: taking failed.
                    if sender.send(make(number)).is_err() {
                        return;
                    }
                }
            });
        }
        for (_, stream) in (0..count).zip(streams.iter().cycle()) {
            take(stream.recv().context("a thread ended early")?)?;
        }
        Ok(())
    })
}
