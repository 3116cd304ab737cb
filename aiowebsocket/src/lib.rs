#![doc = include_str!("../README.md")]

#[cfg(feature = "tokio")]
mod client;
pub mod keys;
pub mod opening;
pub mod protocol;

#[cfg(feature = "tokio")]
pub use client::{
    Accept, Connect, Data, Dial, EchoServer, Error, Event, Gate, INLINE, Message, MessageRef, Negotiated,
    Outgoing, Over, Part, Receiver, Sender, Target, Text, TimeLimit, Transport, TrySendError, WebSocket,
    accept, connect,
};
pub use protocol::{CloseCode, Config, KeepAlive, Kind, Role};
