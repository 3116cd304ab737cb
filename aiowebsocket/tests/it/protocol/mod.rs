//! The machine after the opening handshake, held against data (spec/), against a second machine, and against naive
//! versions of its fast parts.

mod assembly;
mod closing;
mod cutting;
mod deflate;
mod keepalive;
mod memory;
mod operations;
mod oracles;
mod parts;
mod sending;
mod spec;
