//! The swap of versions, in every order that threads can come by: `src/db/published.rs` as it stands,
//! compiled with the locks of loom.

#[path = "../src/db/published.rs"]
mod published;

/// What the file takes from its neighbour `sync`.
mod sync {
    pub(crate) use loom::sync::Arc;
    use loom::sync::{RwLockReadGuard, RwLockWriteGuard};

    /// loom's lock with the interface of `parking_lot`'s.
    #[derive(Debug)]
    pub(crate) struct RwLock<T>(loom::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::RwLock::new(value))
        }

        pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().unwrap_or_else(|_| unreachable!("nobody panics while holding it"))
        }

        pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().unwrap_or_else(|_| unreachable!("nobody panics while holding it"))
        }
    }
}

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use published::Published;

/// A state of two parts that belong together, over files that go with its last user.
#[derive(Debug)]
struct State {
    number: usize,
    rows: usize,
    file: Arc<AtomicBool>,
    removed: Arc<AtomicUsize>,
}

impl State {
    fn new(number: usize, removed: &Arc<AtomicUsize>) -> Self {
        let file = Arc::new(AtomicBool::new(true));
        Self { number, rows: number * 10, file, removed: Arc::clone(removed) }
    }

    /// What a reader sees as long as it holds the state.
    fn check(&self) {
        assert_eq!(self.rows, self.number * 10, "parts of two states");
        assert!(self.file.load(Ordering::Acquire), "the file went while it was read");
    }
}

impl Drop for State {
    fn drop(&mut self) {
        assert!(self.file.swap(false, Ordering::AcqRel), "removed twice");
        self.removed.fetch_add(1, Ordering::AcqRel);
    }
}

#[test]
fn readers_see_whole_states_never_go_back_and_the_last_user_lets_go() {
    loom::model(|| {
        let removed = Arc::new(AtomicUsize::new(0));
        let published = Arc::new(Published::new(State::new(0, &removed)));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let published = Arc::clone(&published);
                thread::spawn(move || {
                    let earlier = published.get();
                    earlier.check();
                    let later = published.get();
                    later.check();
                    assert!(earlier.number <= later.number, "a reader went back");
                    earlier.check();
                })
            })
            .collect();
        published.replace(State::new(1, &removed));
        published.get().check();
        for reader in readers {
            reader.join().unwrap_or_else(|_| unreachable!("a reader that panics ends the model"));
        }
        assert_eq!(removed.load(Ordering::Acquire), 1, "only the first state is gone");
        drop(published);
        assert_eq!(removed.load(Ordering::Acquire), 2, "and the second with its last user");
    });
}

#[test]
fn of_two_writers_each_state_is_let_go_of_once() {
    loom::model(|| {
        let removed = Arc::new(AtomicUsize::new(0));
        let published = Arc::new(Published::new(State::new(0, &removed)));
        let other = {
            let (published, removed) = (Arc::clone(&published), Arc::clone(&removed));
            thread::spawn(move || published.replace(State::new(1, &removed)))
        };
        published.replace(State::new(2, &removed));
        published.get().check();
        other.join().unwrap_or_else(|_| unreachable!("a writer that panics ends the model"));
        assert_eq!(removed.load(Ordering::Acquire), 2, "two states are gone");
        assert!([1, 2].contains(&published.get().number));
    });
}
