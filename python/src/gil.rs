//! State of Python objects, guarded by the interpreter's lock.
#![expect(unsafe_code, reason = "the interpreter's lock is a lock that Rust does not know of")]

use std::cell::{RefCell, RefMut};

use pyo3::Python;

/// A `RefCell` that may be shared because whoever borrows it holds the interpreter's lock.
///
/// A borrow must not last over a call into Python: that may run anything, this object's methods among it, and a second borrow is
/// a panic (which becomes an exception). Making `bytes` and `str` is no such call; making objects that the cycle collector
/// tracks is, and so is dropping an object.
#[derive(Debug, Default)]
pub(crate) struct GilCell<T>(RefCell<T>);

// SAFETY: the value and the borrow count are only reached with a `Python` token, which proves that this thread holds the
// interpreter's lock; the module says that it needs that lock, so the free-threaded build switches it on.
unsafe impl<T: Send> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    #[inline]
    pub(crate) fn borrow<'a>(&'a self, _py: Python<'a>) -> RefMut<'a, T> {
        self.0.borrow_mut()
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner()
    }

    /// For the cycle collector, which holds the lock but has no token.
    pub(crate) fn with_collector<R>(&self, read: impl FnOnce(&T) -> R) -> Option<R> {
        self.0.try_borrow().ok().map(|value| read(&value))
    }
}
