#![doc = include_str!("../README.md")]

/// The worked examples of docs/opening.md are compiled with the documentation's tests.
#[cfg(all(doctest, feature = "platform-roots"))]
#[doc = include_str!("../../docs/opening.md")]
struct OpeningGuide;

/// And that of docs/proxies.md.
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../../docs/proxies.md")]
struct ProxiesGuide;

#[cfg(feature = "tokio")]
mod client;
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(not(feature = "deflate"))]
#[path = "without_deflate.rs"]
mod deflate;
pub mod keys;
pub mod layer;
pub mod opening;
pub mod protocol;
#[cfg(feature = "tls")]
pub mod tls;
mod trace;

#[cfg(feature = "tokio")]
pub use client::{
    Accept, Connect, Counters, Data, Dial, EchoServer, Error, Event, Gate, INLINE, Message, MessageRef,
    Negotiated, Outgoing, Over, OverEach, Part, Receiver, ReconnectEvent, Reconnecting, Sender, Target, Text,
    TimeLimit, Transport, TrySendError, WebSocket, accept, connect,
};
#[cfg(feature = "deflate")]
pub use deflate::{Agreed, Deflate};
pub use layer::{TlsError, TlsFault, TlsInfo};
pub use opening::{Backoff, GaveUp, Milestone, OpenLimits, OpenStep, Proxy, ProxyRules};
pub use protocol::{CloseCode, Config, KeepAlive, Kind, Role};
#[cfg(feature = "tls")]
pub use tls::Tls;
