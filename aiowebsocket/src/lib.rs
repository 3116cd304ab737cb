//! A WebSocket client (RFC 6455, with the compression of RFC 7692) on tokio, on threads that block, or on no I/O at all.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = aiowebsocket::EchoServer::bind("127.0.0.1:0").await?;
//! # let url = format!("ws://{}/", server.local_addr()?);
//! # tokio::spawn(server.run());
//! use aiowebsocket::{CloseCode, connect};
//!
//! let mut ws = connect(&url).await?;
//! ws.send("hello").await?;
//! while let Some(message) = ws.recv().await? {
//!     println!("{}", message.as_text().unwrap_or("(binary)"));
//!     ws.close(CloseCode::NORMAL, "").await?;
//! }
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
//! ```
//!
//! # Where what is
//!
//! | to | there is |
//! |---|---|
//! | open | [`connect`], whose [`Connect`] has every option and can be awaited; [`Target`] is what it takes; [`Tls`], [`Proxy`], [`ProxyRules`], [`OpenLimits`]; [`Connect::over`] and [`Connect::through`] for a stream of your own; [`Gate`] for one attempt at a time |
//! | see what it does | [`Connect::observe`] tells each [`Milestone`]; the feature `tracing` |
//! | receive | [`WebSocket::recv`] gives a [`Message`], [`recv_ref`](WebSocket::recv_ref) lends it until the next call, [`recv_part`](WebSocket::recv_part) gives what is there of it, [`recv_event`](WebSocket::recv_event) pings and pongs too |
//! | send | [`WebSocket::send`] returns when the bytes have left, [`feed`](WebSocket::feed) queues for [`flush`](WebSocket::flush), [`send_part`](WebSocket::send_part) sends a message in parts; [`Outgoing`] is what they take |
//! | close, look | [`WebSocket::close`] with a [`CloseCode`], [`ping`](WebSocket::ping), [`counters`](WebSocket::counters) |
//! | receive in one task and send in others | [`WebSocket::split`] into [`Sender`] and [`Receiver`]; [`background`](WebSocket::background) adds a task that drives them |
//! | stay connected | [`Connect::reconnecting`] with a [`Backoff`]: a [`Reconnecting`], which tells each [`ReconnectEvent`] |
//! | do without a runtime | [`blocking::connect`], with the same options; a [`blocking::WebSocket`] is shared by threads |
//! | be the server | [`accept`] on a stream, [`WebSocket::from_upgraded`] behind hyper or axum, [`EchoServer`] for tests |
//! | know what went wrong | [`Error`], by the step that failed: [`Error::is_retryable`] says whether another attempt is worth it; [`TlsFault`] |
//! | bring the I/O | [`protocol::Connection`] and [`opening::Connecting`]: bytes and the time in, bytes, messages and the next deadline out; [`layer`] is what TLS is to them |
//!
//! # Features
//!
//! | | | by default |
//! |---|---|---|
//! | `tokio` | [`connect`], [`accept`], [`WebSocket`], [`Reconnecting`] | yes |
//! | `futures` | `Stream` and `Sink` for [`WebSocket`], [`Sender`] and [`Receiver`] | yes |
//! | `deflate` | permessage-deflate: [`Deflate`] | yes |
//! | `platform-roots` | `wss://` with the trust store of the operating system | yes |
//! | `proxies` | HTTP CONNECT and SOCKS5: [`Proxy`], [`ProxyRules`] | yes |
//! | `redirects` | redirects are followed: [`Connect::redirects`] | yes |
//! | `blocking` | the module [`blocking`] | |
//! | `tls` | `wss://` that trusts what [`Tls`] names, and nobody else | |
//! | `mozilla-roots` | `wss://` with Mozilla's root certificates | |
//! | `http` | `connect(http::Request)` | |
//! | `idn` | host names that are not ASCII | |
//! | `tracing` | steps, frames and ends as events of the crate `tracing` | |
//!
//! # What always holds
//!
//! Every future may be dropped at any await: all state is in the connection, and no message is lost, doubled or cut by it; each call says what a drop
//! leaves undone. No task is spawned but by [`background`](WebSocket::background): a connection moves while one of its futures is polled, so hold
//! [`recv`](WebSocket::recv) in a loop or a `select!`. Whatever a peer can make grow has a limit in [`Config`] or [`OpenLimits`], which is judged before memory is taken;
//! opening, closing and a peer's silence have limits in time. A peer that breaks the protocol is an [`Error`], never a panic.

// The examples of these pages are compiled with the documentation's tests.
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// The worked examples of docs/opening.md are compiled with the documentation's tests.
#[cfg(all(doctest, feature = "platform-roots", feature = "proxies", feature = "redirects"))]
#[doc = include_str!("../../docs/opening.md")]
struct OpeningGuide;

/// And that of docs/tokio_tungstenite.md.
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../../docs/tokio_tungstenite.md")]
struct TokioTungsteniteGuide;

/// And that of docs/proxies.md.
#[cfg(all(doctest, feature = "tokio", feature = "proxies"))]
#[doc = include_str!("../../docs/proxies.md")]
struct ProxiesGuide;

#[cfg(feature = "blocking")]
pub mod blocking;
#[cfg(feature = "tokio")]
mod client;
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(not(feature = "deflate"))]
#[path = "without_deflate.rs"]
mod deflate;
#[cfg(any(feature = "tokio", feature = "blocking"))]
mod face;
pub mod keys;
pub mod layer;
pub mod opening;
pub mod protocol;
#[cfg(feature = "tls")]
pub mod tls;
mod trace;

/// What a message can be made of and become, as it stands in the signatures here: a program need not look for the version that fits.
pub use bytes;
#[cfg(feature = "tokio")]
pub use client::{
    Accept, EchoServer, Gate, Over, OverEach, Receiver, ReconnectEvent, Reconnecting, Sender, Transport,
    TrySendError, WebSocket, accept, connect,
};
#[cfg(feature = "deflate")]
pub use deflate::{Agreed, Deflate};
#[cfg(any(feature = "tokio", feature = "blocking"))]
pub use face::{
    Connect, Counters, Data, Dial, Dials, Error, Event, INLINE, Message, MessageRef, Negotiated, Outgoing,
    Part, ProgramError, Target, Text, TimeLimit,
};
/// The statuses and header lines in responses, and with the feature `http` what `connect` takes, in the version that fits.
pub use http;
pub use layer::{TlsError, TlsFault, TlsInfo};
pub use opening::{Backoff, GaveUp, Milestone, OpenLimits, OpenStep};
#[cfg(feature = "proxies")]
pub use opening::{Proxy, ProxyRules};
pub use protocol::{CloseCode, Config, KeepAlive, Kind, Role};
/// What `Tls` and `accept(stream).tls` take a whole configuration of, in the version that fits.
#[cfg(feature = "tls")]
pub use rustls;
#[cfg(feature = "tls")]
pub use tls::Tls;
