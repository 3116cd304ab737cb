#![doc = include_str!("../README.md")]

#[cfg(feature = "tokio")]
mod client;
pub mod keys;
pub mod opening;
pub mod protocol;

#[cfg(feature = "tokio")]
pub use client::{
    Accept, Connect, Data, Dial, EchoServer, Error, INLINE, Message, MessageRef, Outgoing, Over, Text,
    TimeLimit, Transport, WebSocket, accept, connect,
};
pub use protocol::{CloseCode, Config, KeepAlive, Role};
