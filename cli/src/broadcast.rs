//! Messages from each client to all others, with a bounded queue for each.
//!
//! Nobody waits for a slow client: its queue is filled without waiting, and when it is full the client is given up. So the
//! memory of the server is bounded by the number of clients.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aiowebsocket::Message;
use tokio::sync::Notify;

/// What may wait for one client. A message larger than this still enters an empty queue.
const QUEUE_BYTES: usize = 4 << 20;
const QUEUE_MESSAGES: usize = 4096;

/// Everybody who is there.
#[derive(Default)]
pub(crate) struct Hub {
    clients: Mutex<Clients>,
}

#[derive(Default)]
struct Clients {
    queues: HashMap<u64, Arc<Queue>>,
    next: u64,
}

/// What waits for one client.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    filled: Notify,
    overflowed: Notify,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Arc<Message>>,
    bytes: usize,
    is_over: bool,
}

impl Hub {
    /// A new client; dropping it takes it out.
    pub(crate) fn join(&self) -> Client<'_> {
        let mut clients = lock(&self.clients);
        let id = clients.next;
        clients.next += 1;
        let queue = Arc::new(Queue::default());
        clients.queues.insert(id, queue.clone());
        Client { hub: self, id, queue }
    }
}

/// One client of a hub.
pub(crate) struct Client<'a> {
    hub: &'a Hub,
    id: u64,
    queue: Arc<Queue>,
}

impl Client<'_> {
    /// Puts a message into the queues of all others.
    pub(crate) fn say(&self, message: Message) {
        let message = Arc::new(message);
        for (id, queue) in &lock(&self.hub.clients).queues {
            if *id != self.id {
                queue.push(&message);
            }
        }
    }

    /// Until something waits for this client.
    pub(crate) async fn wait(&self) {
        while lock(&self.queue.waiting).messages.is_empty() {
            self.queue.filled.notified().await;
        }
    }

    /// Moves what waits to `out`.
    pub(crate) fn take(&self, out: &mut Vec<Arc<Message>>) {
        let mut waiting = lock(&self.queue.waiting);
        waiting.bytes = 0;
        out.extend(waiting.messages.drain(..));
    }

    /// Until this client is given up.
    pub(crate) async fn too_slow(&self) {
        while !lock(&self.queue.waiting).is_over {
            self.queue.overflowed.notified().await;
        }
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        lock(&self.hub.clients).queues.remove(&self.id);
    }
}

impl Queue {
    fn push(&self, message: &Arc<Message>) {
        let mut waiting = lock(&self.waiting);
        let length = message.as_bytes().len();
        let is_full =
            waiting.bytes.saturating_add(length) > QUEUE_BYTES || waiting.messages.len() >= QUEUE_MESSAGES;
        if waiting.is_over {
            return;
        }
        if is_full && !waiting.messages.is_empty() {
            *waiting = Waiting { is_over: true, ..Waiting::default() };
            self.overflowed.notify_one();
        } else {
            waiting.bytes += length;
            waiting.messages.push_back(message.clone());
            self.filled.notify_one();
        }
    }
}

/// Nothing panics while it holds one of these locks, and what they hold is whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Message {
        vec![7; length].into()
    }

    fn is_over(client: &Client<'_>) -> bool {
        lock(&client.queue.waiting).is_over
    }

    #[test]
    fn a_queue_is_bounded_in_bytes_and_messages() {
        for (length, most) in [(0, QUEUE_MESSAGES), (1 << 20, QUEUE_BYTES >> 20)] {
            let hub = Hub::default();
            let (speaker, listener) = (hub.join(), hub.join());
            let mut out = Vec::new();
            // What was taken out makes room again.
            for _ in 0..2 {
                (0..most).for_each(|_| speaker.say(message(length)));
                assert!(!is_over(&listener), "{most} of {length} bytes");
                listener.take(&mut out);
            }
            assert_eq!(out.len(), 2 * most);
            (0..=most).for_each(|_| speaker.say(message(length)));
            assert!(is_over(&listener));
            assert!(lock(&listener.queue.waiting).messages.is_empty(), "nothing is kept for it");
        }
    }

    #[test]
    fn a_message_larger_than_the_queue_enters_an_empty_one() {
        let hub = Hub::default();
        let (speaker, listener) = (hub.join(), hub.join());
        speaker.say(message(QUEUE_BYTES + 1));
        assert!(!is_over(&listener));
        speaker.say(message(0));
        assert!(is_over(&listener));
    }

    #[test]
    fn who_left_has_no_queue() {
        let hub = Hub::default();
        let speaker = hub.join();
        drop(hub.join());
        assert_eq!(lock(&hub.clients).queues.len(), 1);
        drop(speaker);
        assert!(lock(&hub.clients).queues.is_empty());
    }
}
