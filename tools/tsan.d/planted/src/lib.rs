//! A data race on purpose, and the same without it. Only tools/tsan builds this.

#[cfg(test)]
mod tests {
    use std::cell::UnsafeCell;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Condvar, Mutex, mpsc};

    struct Shared(UnsafeCell<u64>);

    // SAFETY: none; this is the mistake that has to be found.
    unsafe impl Sync for Shared {}

    impl Shared {
        fn increase(&self) {
            let number = self.0.get();
            // SAFETY: none; two threads write at once. Volatile, so that the compiler keeps it.
            unsafe { number.write_volatile(number.read_volatile() + 1) };
        }
    }

    #[test]
    fn a_race() {
        let (shared, ready) = (Shared(UnsafeCell::new(0)), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    // Both are at work at once, and relaxed, so that this orders nothing.
                    ready.fetch_add(1, Ordering::Relaxed);
                    while ready.load(Ordering::Relaxed) < 2 {
                        std::thread::yield_now();
                    }
                    (0..1000).for_each(|_| shared.increase());
                });
            }
        });
    }

    /// What the standard library synchronises, which is accused if that library is not instrumented.
    #[test]
    fn without_a_race() {
        let shared = Arc::new((Mutex::new(0_u64), Condvar::new()));
        let (send, receive) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (shared, send) = (Arc::clone(&shared), send.clone());
                scope.spawn(move || {
                    for number in 0..1000 {
                        *shared.0.lock().unwrap() += 1;
                        shared.1.notify_all();
                        send.send(Box::new(number)).unwrap();
                    }
                });
            }
            let mut sum = shared.0.lock().unwrap();
            while *sum < 4000 {
                sum = shared.1.wait(sum).unwrap();
            }
        });
        drop(send);
        assert_eq!(receive.iter().map(|number| *number).sum::<u64>(), 4 * 499_500);
        // The last of its users lets go of it.
        let users: Vec<_> = (0..4).map(|_| Arc::clone(&shared)).collect();
        drop(shared);
        let users = users.into_iter().map(|user| std::thread::spawn(move || drop(user)));
        users.for_each(|user| user.join().unwrap());
    }
}
