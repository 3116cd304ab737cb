//! What is fuzzed: plain functions over bytes, each with what must hold whatever the bytes are. `fuzz_targets/` gives them to
//! cargo-fuzz; `tests/corpora.rs` gives them the cases of `spec/` and what fuzzing has found.
//!
//! | function | what it holds against what |
//! |---|---|
//! | [`parts`] | header, close payload, UTF-8 and masking against twins of a few lines |
//! | [`frames`] | the machine, whole and in cuts and parts, against [`reference`]: RFC 6455 section 5 without a thought for speed; with compression and without |
//! | [`response`] | the client's handshake: whole against cut, and what an opened connection must have been answered |
//! | [`request`] | the server's handshake: whole against cut, and our own client on what it answers |
//! | [`address`] | addresses: against `http::Uri`, and through the request that is made of them |
//! | [`inflate`] | what a peer compressed, through another zlib and the same reference |
//! | [`deflate`] | what we compress, inflated by another zlib: what was sent, in the window that was agreed on, plain where it is to be |
//! | [`proxy`] | addresses of proxies: against those of servers, and through the request that is made of them; `no_proxy` |
//! | [`tunnel`] | the dialogues with proxies: CONNECT whole against cut, SOCKS5 against its messages read as a whole |
//! | [`pair`] | operations on two machines: what one sends the other receives, once, in order, and both end alike |
//! | [`tungstenite`] | the machine against another library, on the same bytes; docs/differences.md explains where they part |

mod address;
mod against;
mod block;
mod deflate;
mod face;
mod frames;
mod handshake;
pub mod heard;
mod inflate;
pub mod input;
mod pair;
mod parts;
mod proxies;
pub mod reference;
pub mod seeds;

pub use address::address;
pub use against::{Difference, tungstenite};
pub use deflate::{deflate, inflate};
pub use frames::frames;
pub use handshake::{request, response};
pub use pair::pair;
pub use parts::parts;
pub use proxies::{proxy, tunnel};

/// A target: its name and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them, by the names that cargo-fuzz knows.
pub const TARGETS: [Target; 11] = [
    ("parts", parts),
    ("frames", frames),
    ("request", request),
    ("response", response),
    ("address", address),
    ("inflate", inflate),
    ("deflate", deflate),
    ("proxy", proxy),
    ("tunnel", tunnel),
    ("pair", pair),
    ("tungstenite", tungstenite),
];

/// Where a fake clock starts. The machine never compares it with the real one.
fn start_of_time() -> std::time::Instant {
    std::time::Instant::now()
}
