//! Who waits on a shared connection, and the one waker that the transport gets.
//!
//! Tokio keeps one waker a direction, so two halves that poll the same stream would push each other's out. Here the stream
//! only ever gets the waker of this list, which wakes everybody on it; each then looks for itself. Being woken for nothing
//! costs a poll; not being woken costs the connection.
//!
//! The rule that loses no wake-up: *enter the list before looking*. Whatever happens after that finds the entry. A loom test
//! walks through every order of that (`make loom`).
//!
//! Calls of senders that wait for their turn are not on that list but in a line: only the first of them can get further.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

#[cfg(aiowebsocket_loom)]
use loom::sync::Mutex;
#[cfg(not(aiowebsocket_loom))]
use std::sync::Mutex;

/// One place on the list: a half, or one call of a sender.
pub(super) type Place = u64;

/// Entries whose memory stays when nobody is on the list, which is so for a moment in each call: one who waits has an entry anyway.
const KEPT: usize = 4;

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

    /// Has `place` look, which tells its result and whether something happened that others may wait for. Where the result
    /// is pending, `waker` is woken when it is worth another look.
    pub(super) fn look<T>(
        &self,
        place: Place,
        waker: &Waker,
        look: impl FnOnce() -> (Poll<T>, bool),
    ) -> Poll<T> {
        self.park(place, waker);
        let (result, moved) = look();
        if result.is_ready() {
            self.leave(place);
        }
        if moved || result.is_ready() {
            self.wake_others(place);
        }
        result
    }

    /// Whether one of these places is on the list.
    pub(super) fn has_any(&self, places: impl Fn(Place) -> bool) -> bool {
        self.lock().iter().any(|(place, _)| places(*place))
    }

    /// Enters the list, before looking. An entry of the same place is replaced.
    fn park(&self, place: Place, waker: &Waker) {
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
        if parked.is_empty() && parked.capacity() > KEPT {
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

/// Calls that wait for room in the queue, first come, first served.
///
/// The first waits on the list above for whatever happens. Those behind it wait here, for nothing but to be the first: a
/// wake-up costs the same however many there are. The lock of the connection guards the line, so whoever enters it has not
/// missed anything.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// With wakers, but for the first.
    calls: VecDeque<(Place, Option<Waker>)>,
}

impl Line {
    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Whether nobody is before this call.
    pub(super) fn is_first(&self, place: Place) -> bool {
        self.calls.front().is_none_or(|(first, _)| *first == place)
    }

    /// Enters the line, once. Where somebody is before it, `waker` is woken when nobody is any more, and it leaves the list.
    pub(super) fn wait(&mut self, place: Place, waker: &Waker, parking: &Parking) {
        let own = if self.is_first(place) {
            None
        } else {
            parking.leave(place);
            Some(waker.clone())
        };
        match self.calls.iter_mut().find(|(waiting, _)| *waiting == place) {
            Some((_, known)) => *known = own,
            None => self.calls.push_back((place, own)),
        }
    }

    /// Leaves the line; true where it was in it. Who is the first now is on the list, to be woken with the others there.
    pub(super) fn leave(&mut self, place: Place, parking: &Parking) -> bool {
        let before = self.calls.len();
        self.calls.retain(|(waiting, _)| *waiting != place);
        match self.calls.front_mut() {
            // An idle connection keeps no line.
            None => self.calls = VecDeque::new(),
            Some((first, waker)) => {
                if let Some(waker) = waker.take() {
                    parking.park(*first, &waker);
                }
            }
        }
        self.calls.len() != before
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

/// Every order in which two halves, and a stream that keeps one waker, can meet: `make loom`.
#[cfg(all(test, aiowebsocket_loom))]
mod models {
    use super::*;
    use loom::sync::Condvar;
    use loom::thread;

    /// All orders in which threads are interrupted at most three times: three threads in every order take hours, and a lost
    /// wake-up takes two interruptions.
    fn every_order(model: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(model);
    }

    /// A task's thread sleeps here.
    struct Bed {
        woken: Mutex<bool>,
        bell: Condvar,
    }

    impl Wake for Bed {
        fn wake(self: Arc<Self>) {
            *self.woken.lock().expect("no panic in a model") = true;
            self.bell.notify_one();
        }
    }

    /// Polls whenever it is woken, until it is done.
    fn block_on(mut poll: impl FnMut(&Waker) -> Poll<()>) {
        let bed = Arc::new(Bed { woken: Mutex::new(false), bell: Condvar::new() });
        let waker = Waker::from(Arc::clone(&bed));
        while poll(&waker).is_pending() {
            let mut woken = bed.woken.lock().expect("no panic in a model");
            while !std::mem::take(&mut *woken) {
                woken = bed.bell.wait(woken).expect("no panic in a model");
            }
        }
    }

    /// What a connection's lock guards, and a stream as tokio's are: one waker, the newest.
    #[derive(Default)]
    struct State {
        /// The stream has something to read.
        readable: bool,
        kept: usize,
        waker: Option<Waker>,
        line: Line,
    }

    struct Model {
        parking: Arc<Parking>,
        waker: Waker,
        state: Mutex<State>,
    }

    impl Model {
        fn new() -> Arc<Self> {
            let parking = Arc::new(Parking::new());
            let waker = Waker::from(Arc::clone(&parking));
            Arc::new(Self { parking, waker, state: Mutex::new(State::default()) })
        }

        /// Reads what the stream has and keeps it; true where that was anything.
        fn read(&self, state: &mut State) -> bool {
            if std::mem::take(&mut state.readable) {
                state.kept += 1;
                return true;
            }
            state.waker = Some(self.waker.clone());
            false
        }

        /// A receiver: takes what is kept or readable.
        fn poll_recv(&self, waker: &Waker) -> Poll<()> {
            self.parking.look(0, waker, || {
                let mut state = self.state.lock().expect("no panic in a model");
                let moved = self.read(&mut state);
                if state.kept == 0 {
                    return (Poll::Pending, moved);
                }
                state.kept -= 1;
                (Poll::Ready(()), moved)
            })
        }

        /// A sender that reads while it waits for something that never comes, polled once.
        fn poll_send_in_vain(&self, place: Place) {
            let pending: Poll<()> = self.parking.look(place, Waker::noop(), || {
                let moved = self.read(&mut self.state.lock().expect("no panic in a model"));
                (Poll::Pending, moved)
            });
            assert!(pending.is_pending());
            // Its future is dropped.
            self.parking.leave(place);
        }

        /// Waits until anything is kept.
        fn poll_until_kept(&self, place: Place, waker: &Waker) -> Poll<()> {
            self.parking.look(place, waker, || {
                let mut state = self.state.lock().expect("no panic in a model");
                let moved = self.read(&mut state);
                (if state.kept > 0 { Poll::Ready(()) } else { Poll::Pending }, moved)
            })
        }

        /// A sender: waits for its turn, then until anything was ever read.
        fn poll_turn(&self, place: Place, waker: &Waker) -> Poll<()> {
            self.parking.look(place, waker, || {
                let mut state = self.state.lock().expect("no panic in a model");
                let is_first = state.line.is_first(place);
                let moved = is_first && self.read(&mut state);
                if !is_first || state.kept == 0 {
                    state.line.wait(place, waker, &self.parking);
                    return (Poll::Pending, moved);
                }
                state.line.leave(place, &self.parking);
                (Poll::Ready(()), moved)
            })
        }

        /// The future of a sender is dropped.
        fn give_up(&self, place: Place) {
            let was_in_line =
                self.state.lock().expect("no panic in a model").line.leave(place, &self.parking);
            self.parking.leave(place);
            if was_in_line {
                self.parking.wake_others(place);
            }
        }

        /// The stream's own thread: something arrives.
        fn arrive(&self) {
            let waker = {
                let mut state = self.state.lock().expect("no panic in a model");
                state.readable = true;
                state.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// The message reaches the receiver whoever reads it, and whenever the sender gives up. A lost wake-up is a deadlock, which
    /// loom reports.
    #[test]
    fn a_receiver_gets_what_a_sender_reads() {
        every_order(|| {
            let model = Model::new();
            let stream = {
                let model = Arc::clone(&model);
                thread::spawn(move || model.arrive())
            };
            let sender = {
                let model = Arc::clone(&model);
                thread::spawn(move || model.poll_send_in_vain(5))
            };
            block_on(|waker| model.poll_recv(waker));
            stream.join().expect("no panic");
            sender.join().expect("no panic");
        });
    }

    /// Two that wait for the same stream: neither pushes the other's waker out.
    #[test]
    fn two_that_wait_are_both_woken() {
        every_order(|| {
            let model = Model::new();
            let other = {
                let model = Arc::clone(&model);
                thread::spawn(move || {
                    // Waits for something that the receiver's poll may bring, as a sender waits for room.
                    block_on(|waker| model.poll_until_kept(7, waker));
                })
            };
            let stream = {
                let model = Arc::clone(&model);
                thread::spawn(move || model.arrive())
            };
            block_on(|waker| model.poll_until_kept(0, waker));
            stream.join().expect("no panic");
            other.join().expect("no panic");
        });
    }

    /// Three calls of senders wait for their turn, and one of them gives up: nobody waits for ever.
    #[test]
    fn everybody_in_line_has_a_turn() {
        every_order(|| {
            let model = Model::new();
            let second = {
                let model = Arc::clone(&model);
                thread::spawn(move || block_on(|waker| model.poll_turn(8, waker)))
            };
            let stream = {
                let model = Arc::clone(&model);
                thread::spawn(move || {
                    _ = model.poll_turn(7, Waker::noop());
                    model.give_up(7);
                    model.arrive();
                })
            };
            block_on(|waker| model.poll_turn(6, waker));
            stream.join().expect("no panic");
            second.join().expect("no panic");
        });
    }
}
