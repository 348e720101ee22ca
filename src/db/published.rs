//! The newest state, as readers get it: one pointer, swapped whole.

use super::sync::{Arc, RwLock};

/// A value of which readers take the newest and keep it for as long as they like.
#[derive(Debug)]
pub(crate) struct Published<T> {
    newest: RwLock<Arc<T>>,
}

impl<T> Published<T> {
    pub(crate) fn new(first: T) -> Self {
        Self { newest: RwLock::new(Arc::new(first)) }
    }

    /// The newest value. Waits for the swap of a pointer at most.
    pub(crate) fn get(&self) -> Arc<T> {
        Arc::clone(&self.newest.read())
    }

    /// Makes `next` the newest. Of those who replace at once, one goes after the other.
    pub(crate) fn replace(&self, next: T) {
        let next = Arc::new(next);
        let previous = std::mem::replace(&mut *self.newest.write(), next);
        // Outside the lock, so that no reader waits: the last user of a value lets go of what it holds.
        drop(previous);
    }
}
