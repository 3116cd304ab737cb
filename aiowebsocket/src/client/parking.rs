//! Who waits on a shared connection, and the one waker that the transport gets.
//!
//! Tokio keeps one waker a direction, so two halves that poll the same stream would push each other's out. Here the stream
//! only ever gets the waker of this list, which wakes everybody on it; each then looks for itself. Being woken for nothing
//! costs a poll; not being woken costs the connection.
//!
//! The rule that loses no wake-up: *enter the list before looking*. Whatever happens after that finds the entry. A loom test
//! walks through every order of that (`make loom`).

use std::sync::Arc;
use std::task::{Wake, Waker};

#[cfg(aiowebsocket_loom)]
use loom::sync::Mutex;
#[cfg(not(aiowebsocket_loom))]
use std::sync::Mutex;

/// One place on the list: a half, or one call of a sender.
pub(super) type Place = u64;

/// Everybody who waits.
#[derive(Debug)]
pub(super) struct Parking {
    parked: Mutex<Vec<(Place, Waker)>>,
}

impl Parking {
    /// An empty list.
    pub(super) fn new() -> Self {
        Self { parked: Mutex::new(Vec::new()) }
    }

    /// Enters the list, before looking. An entry of the same place is replaced.
    pub(super) fn park(&self, place: Place, waker: &Waker) {
        let mut parked = self.lock();
        match parked.iter_mut().find(|(parked, _)| *parked == place) {
            Some((_, known)) => known.clone_from(waker),
            None => parked.push((place, waker.clone())),
        }
    }

    /// Leaves the list: what was waited for is there, or the waiting future is gone.
    pub(super) fn leave(&self, place: Place) {
        let mut parked = self.lock();
        parked.retain(|(parked, _)| *parked != place);
        if parked.is_empty() {
            // An idle connection keeps no list.
            *parked = Vec::new();
        }
    }

    /// Wakes everybody but this place: something happened that they may wait for.
    pub(super) fn wake_others(&self, place: Place) {
        let mut others = Vec::new();
        self.lock().retain(|(parked, waker)| {
            if *parked == place {
                return true;
            }
            others.push(waker.clone());
            false
        });
        // Outside the lock: a waker may run anything.
        others.into_iter().for_each(Waker::wake);
    }

    /// Wakes everybody.
    pub(super) fn wake_all(&self) {
        let all = std::mem::take(&mut *self.lock());
        all.into_iter().for_each(|(_, waker)| waker.wake());
    }

    #[cfg(not(aiowebsocket_loom))]
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Place, Waker)>> {
        // The list is whole whatever panicked beside it.
        self.parked.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[cfg(aiowebsocket_loom)]
    fn lock(&self) -> loom::sync::MutexGuard<'_, Vec<(Place, Waker)>> {
        self.parked.lock().expect("no panic in a model")
    }
}

impl Wake for Parking {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}
