//! The tokio face: cancelled at every poll, counted in memory, on a paused clock, and over real TCP.

mod attack;
mod cancel;
mod counters;
mod faults;
mod gate;
mod memory;
mod parts;
mod reconnect;
#[cfg(feature = "http")]
mod request;
mod split;
mod stream;
#[cfg(feature = "futures")]
mod streams;
mod tcp;
mod time;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tracing")]
mod tracing;
mod upgraded;
mod waiting;
mod wire;
