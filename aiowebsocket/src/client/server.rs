//! An echo server: what the demo, the tests and the benchmarks talk to.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::task::JoinSet;

use super::accept::{Accept, accept};
#[cfg(feature = "deflate")]
use crate::Deflate;
use crate::face::Error;
use crate::protocol::CloseCode;

/// Sends every message back as it came. Accepts every subprotocol-less request on every path.
#[derive(Debug)]
pub struct EchoServer {
    listener: TcpListener,
    #[cfg(feature = "deflate")]
    compression: Option<Deflate>,
}

impl EchoServer {
    /// Listens on `address`; port 0 lets the system choose, see [`local_addr`](Self::local_addr).
    ///
    /// # Errors
    /// The system's, where the address cannot be had.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(address).await?,
            #[cfg(feature = "deflate")]
            compression: Some(Deflate::default()),
        })
    }

    /// Accepts compression with these options: [`Accept::compression`]. Default: accepted, with [`Deflate::default`].
    #[cfg(feature = "deflate")]
    pub fn compression(mut self, options: Deflate) -> Self {
        self.compression = Some(options);
        self
    }

    /// Declines compression.
    #[cfg(feature = "deflate")]
    pub fn no_compression(mut self) -> Self {
        self.compression = None;
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the future is dropped, which ends its connections too.
    ///
    /// # Errors
    /// The listener's, where no connection can be accepted any more. What goes wrong on one connection ends only that one.
    pub async fn run(self) -> io::Result<()> {
        let mut connections = JoinSet::new();
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                // A client that left before it was accepted is no reason to leave the others.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            let accept = accept(stream);
            #[cfg(feature = "deflate")]
            let accept = match self.compression {
                Some(options) => accept.compression(options),
                None => accept.no_compression(),
            };
            connections.spawn(async { echo(accept).await });
            // Those that are over are let go of, so that the set follows the number of open connections.
            while connections.try_join_next().is_some() {}
        }
    }
}

/// Sends every message of one connection back until it closes.
async fn echo(accept: Accept<TcpStream>) -> Result<(), Error> {
    let mut ws = accept.await?;
    ws.get_ref().set_nodelay(true).map_err(Error::Io)?;
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    ws.close(CloseCode::NORMAL, "").await
}
