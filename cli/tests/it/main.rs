//! The whole program, run as a person runs it: the command, its exit code, and what it said.

#![expect(
    clippy::disallowed_methods,
    reason = "these tests run programs against real sockets, each wait with a limit"
)]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod connect;
mod demo;
mod errors;
mod help;
#[cfg(unix)]
mod limits;
mod opening;
mod ping;
mod proxy;
mod reconnect;
mod serve;
#[cfg(unix)]
mod signals;
mod support;
#[cfg(unix)]
mod terminal;
mod tls;
