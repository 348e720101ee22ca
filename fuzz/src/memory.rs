//! What opening a hostile file may allocate: twice the length of the file and a constant.
//!
//! A global allocator counts for each thread, so that tests beside this one and the record store's
//! threads do not count. RocksDB allocates for itself and is not seen here.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What may be allocated beside twice the file: tables whose size the file does not decide.
pub(crate) const CONSTANT: usize = 1 << 20;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// Bytes that this thread holds, and the most that it held since [`limited`] began.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

fn count(bytes: isize) {
    // A thread that ends has no counter any more.
    let _gone = HELD.try_with(|held| {
        let (now, most) = held.get();
        let now = now.wrapping_add(bytes);
        held.set((now, most.max(now)));
    });
}

fn size(layout: Layout) -> isize {
    isize::try_from(layout.size()).unwrap_or(isize::MAX)
}

// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size(layout));
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(size(layout));
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-size(layout));
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, to: usize) -> *mut u8 {
        // Old and new lie beside each other for a moment.
        count(isize::try_from(to).unwrap_or(isize::MAX));
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        let moved = unsafe { System.realloc(pointer, layout, to) };
        count(-size(layout));
        moved
    }
}

/// Runs `open` on a file of so many bytes and holds it to twice that and [`CONSTANT`].
pub(crate) fn limited<T>(file_bytes: usize, open: impl FnOnce() -> T) -> T {
    limited_to(file_bytes * 2 + CONSTANT, open)
}

/// Runs `open` and holds what it has allocated at any moment to `most` bytes.
pub(crate) fn limited_to<T>(most: usize, open: impl FnOnce() -> T) -> T {
    let (before, _) = HELD.get();
    HELD.set((before, before));
    let opened = open();
    let (_, peak) = HELD.get();
    let held = usize::try_from(peak - before).unwrap_or(0);
    assert!(held <= most, "{held} bytes were allocated, at most {most} may be");
    opened
}
