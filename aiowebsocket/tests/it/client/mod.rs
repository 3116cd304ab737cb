//! The tokio face: cancelled at every poll, counted in memory, on a paused clock, and over real TCP.

mod cancel;
mod gate;
mod memory;
mod parts;
mod split;
mod stream;
mod tcp;
mod time;
mod wire;
