//! Batches that an encoder has taken and not yet given back.
//!
//! The encode stage hands a batch over and goes on to the next; the write stage takes the results, in
//! order. The queue between them bounds how many are on their way.

use super::IngestError;

/// The results of a batch, there already or still being computed.
#[must_use = "the results are given by `finish`"]
pub struct Pending<'e, T>(State<'e, T>);

enum State<'e, T> {
    Ready(Vec<T>),
    Later(Box<dyn FnOnce() -> Result<Vec<T>, IngestError> + Send + 'e>),
}

impl<'e, T> Pending<'e, T> {
    /// Results that are there.
    pub fn ready(results: Vec<T>) -> Self {
        Self(State::Ready(results))
    }

    /// Results that `finish` waits for; it is called on another thread.
    pub fn later(finish: impl FnOnce() -> Result<Vec<T>, IngestError> + Send + 'e) -> Self {
        Self(State::Later(Box::new(finish)))
    }

    /// Whether nothing is waited for.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.0, State::Ready(_))
    }

    /// Waits for the results.
    pub(super) fn finish(self) -> Result<Vec<T>, IngestError> {
        match self.0 {
            State::Ready(results) => Ok(results),
            State::Later(finish) => finish(),
        }
    }
}

impl<T> std::fmt::Debug for Pending<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            State::Ready(_) => "Pending(ready)",
            State::Later(_) => "Pending(later)",
        })
    }
}
