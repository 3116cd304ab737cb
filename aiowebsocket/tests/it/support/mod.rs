//! What the tests share: a face without a socket, two machines on a fake wire, a bad line, an address without a server, random
//! numbers that can be had again, and an allocator that counts.

pub(crate) mod alloc;
#[cfg(feature = "tls")]
pub(crate) mod certificates;
pub(crate) mod compression;
pub(crate) mod face;
pub(crate) mod namespace;
pub(crate) mod nobody;
pub(crate) mod pair;
pub(crate) mod relay;
pub(crate) mod rng;

use std::time::Instant;

/// Where a fake clock starts. The machine never compares it with the real one.
#[expect(clippy::disallowed_methods, reason = "there is no other way to make the first instant")]
pub(crate) fn start_of_time() -> Instant {
    Instant::now()
}

/// The mask key of everything that a test's client sends, so that its bytes are exact.
pub(crate) const KEY: [u8; 4] = [1, 2, 3, 4];

/// A source of that one key.
pub(crate) fn same_key() -> [u8; 4] {
    KEY
}
