//! What takes minutes: `make soak` runs it, `cargo test` does not.

mod lines;
mod reconnecting;
