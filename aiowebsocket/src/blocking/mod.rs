//! The blocking face (feature `blocking`): the same machines on a socket of the system, for programs without a runtime.
//!
//! ```
//! # #[cfg(feature = "tokio")] fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let runtime = tokio::runtime::Runtime::new()?;
//! # let server = runtime.block_on(aiowebsocket::EchoServer::bind("127.0.0.1:0"))?;
//! # let url = format!("ws://{}/", server.local_addr()?);
//! # runtime.spawn(server.run());
//! use std::time::Duration;
//!
//! use aiowebsocket::{CloseCode, blocking};
//!
//! let ws = blocking::connect(&url)
//!     .header("Origin", "https://example.com")
//!     .open_timeout(Duration::from_secs(5))
//!     .open()?;
//! ws.send("hello")?;
//! if let Some(message) = ws.recv()? {
//!     println!("{message:?}");
//! }
//! ws.close(CloseCode::NORMAL, "")?;
//! # Ok(()) }
//! # #[cfg(not(feature = "tokio"))] fn main() {}
//! ```
//!
//! A [`WebSocket`] is shared: its calls take `&self`, from as many threads as there are. One may receive while others send:
//!
//! ```
//! # #[cfg(feature = "tokio")] fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let runtime = tokio::runtime::Runtime::new()?;
//! # let server = runtime.block_on(aiowebsocket::EchoServer::bind("127.0.0.1:0"))?;
//! # let url = format!("ws://{}/", server.local_addr()?);
//! # runtime.spawn(server.run());
//! use aiowebsocket::{CloseCode, Error, blocking};
//!
//! let ws = blocking::connect(&url).open()?;
//! std::thread::scope(|threads| {
//!     threads.spawn(|| {
//!         // Ends when the connection does.
//!         while let Ok(Some(message)) = ws.recv() {
//!             println!("{message:?}");
//!         }
//!     });
//!     for name in ["one", "two"] {
//!         let ws = &ws;
//!         threads.spawn(move || ws.send(name));
//!     }
//!     ws.ping()?;
//!     ws.close(CloseCode::NORMAL, "")
//! })?;
//! # Ok(()) }
//! # #[cfg(not(feature = "tokio"))] fn main() {}
//! ```
//!
//! There is no thread behind a connection. It moves while a call waits: then messages are read, pings answered, the keep-alive is
//! judged and the peer's Close noticed, whatever that call waits for. A program that only sends does the same at least every
//! 100 ms, with the next call. One that makes no call for longer than its peer's patience looks dead to it.
//!
//! While a connection opens, names are looked up by the system's resolver on a thread of its own, since that cannot be
//! interrupted and the time limit must hold; everything else happens in the thread that called
//! [`open`](crate::Connect::open).

mod connect;
mod opening;
mod poller;
mod socket;
mod websocket;

pub use connect::{Dial, connect};
pub use poller::Interrupt;
pub use websocket::{Part, WebSocket};
