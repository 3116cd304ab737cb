#![doc = include_str!("../README.md")]

/// The worked examples of docs/opening.md are compiled with the documentation's tests.
#[cfg(all(doctest, feature = "platform-roots", feature = "proxies", feature = "redirects"))]
#[doc = include_str!("../../docs/opening.md")]
struct OpeningGuide;

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
