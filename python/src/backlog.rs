//! What came while nobody waited for it, bounded in bytes.

use std::collections::VecDeque;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

/// What a kept message costs beside its bytes: the head of its object, and its place in the queue.
const MESSAGE_COST: usize = 64;

/// Messages in the order of their arrival, each with its size in bytes.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    messages: VecDeque<(Py<PyAny>, usize)>,
    /// What all of them cost.
    size: usize,
}

impl Backlog {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether it takes more; the message that reaches the limit still fits.
    pub(crate) fn has_room(&self, limit: usize) -> bool {
        self.size < limit
    }

    /// Whether half of it is free.
    pub(crate) fn is_half_free(&self, limit: usize) -> bool {
        self.size <= limit / 2
    }

    /// Keeps a message.
    pub(crate) fn push(&mut self, message: Bound<'_, PyAny>, size: usize) {
        self.size += size + MESSAGE_COST;
        self.messages.push_back((message.unbind(), size));
    }

    /// The oldest message.
    pub(crate) fn pop<'py>(&mut self, py: Python<'py>) -> Option<(Bound<'py, PyAny>, usize)> {
        let (message, size) = self.messages.pop_front()?;
        self.size -= size + MESSAGE_COST;
        if self.messages.is_empty() {
            // An idle connection keeps no queue.
            self.messages = VecDeque::new();
        }
        Some((message.into_bound(py), size))
    }

    /// What was taken and not given away is the next one again.
    pub(crate) fn put_back(&mut self, message: Bound<'_, PyAny>, size: usize) {
        self.size += size + MESSAGE_COST;
        self.messages.push_front((message.unbind(), size));
    }

    /// Shows the messages to the cycle collector.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.messages.iter().try_for_each(|(message, _)| visit.call(message))
    }
}
