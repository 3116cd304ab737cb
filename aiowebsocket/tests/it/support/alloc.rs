//! The allocator of the test binary: the system's, with a count of what the running thread holds. Tests run in threads of
//! their own, so one does not see another's memory.
#![expect(unsafe_code, reason = "an allocator cannot be written without; this one only counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

thread_local! {
    /// Bytes allocated less bytes freed; negative where a thread frees what another one allocated.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    /// Calls that asked for memory, of another size included.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // A thread that is ending has no counters any more, and nobody who reads them.
    _ = HELD.try_with(|held| {
        held.set(held.get() + change);
        _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

fn count_call() {
    _ = ALLOCATIONS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_call();
        count(layout.size().cast_signed());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_call();
        count(layout.size().cast_signed());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_call();
        // Both exist for a moment, where it must move.
        count(size.cast_signed());
        count(-layout.size().cast_signed());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// Bytes that this thread holds.
pub(crate) fn held() -> isize {
    HELD.get()
}

/// How often this thread has asked for memory.
pub(crate) fn allocations() -> usize {
    ALLOCATIONS.get()
}

/// What `run` returns, and the most bytes that this thread held meanwhile above what it held before.
pub(crate) fn peak_of<T>(run: impl FnOnce() -> T) -> (T, isize) {
    let before = held();
    PEAK.set(before);
    let result = run();
    (result, PEAK.get() - before)
}
