//! What arrived while its receiver was busy with something else, bounded in bytes.

use std::collections::VecDeque;

use super::message::{Event, Message};

/// Messages, and control frames for those who asked for them, in the order of their arrival.
#[derive(Debug)]
pub(crate) struct Backlog {
    events: VecDeque<Event>,
    /// Payload bytes of `events`.
    bytes: usize,
    /// [`Config::max_backlog`](crate::Config::max_backlog).
    limit: usize,
    /// Nobody receives any more: what comes is dropped.
    is_unwanted: bool,
}

impl Backlog {
    /// An empty one for this many bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { events: VecDeque::new(), bytes: 0, limit, is_unwanted: false }
    }

    /// Whether nothing waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Whether it takes more. Each event's own place counts too, so that empty messages are bounded as well; the one that
    /// reaches the limit still fits.
    pub(crate) fn has_room(&self) -> bool {
        self.is_unwanted || self.bytes + self.events.len() * size_of::<Event>() < self.limit
    }

    /// Keeps an event.
    pub(crate) fn push(&mut self, event: Event) {
        if !self.is_unwanted {
            self.bytes += event.as_bytes().len();
            self.events.push_back(event);
        }
    }

    /// The oldest event.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.bytes -= event.as_bytes().len();
        if self.events.is_empty() {
            // An idle connection keeps no queue.
            self.events = VecDeque::new();
        }
        Some(event)
    }

    /// The oldest message; pings and pongs before it are told to those who ask for events.
    pub(crate) fn pop_message(&mut self) -> Option<Message> {
        loop {
            if let Event::Message(message) = self.pop()? {
                return Some(message);
            }
        }
    }

    /// Drops what waits.
    pub(crate) fn clear(&mut self) {
        self.events = VecDeque::new();
        self.bytes = 0;
    }

    /// Nobody receives any more: drops what waits and what comes.
    #[cfg(feature = "tokio")]
    pub(crate) fn refuse(&mut self) {
        self.is_unwanted = true;
        self.clear();
    }
}
