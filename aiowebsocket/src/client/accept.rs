//! `accept`: the server's side of the opening handshake over a stream.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite};

use super::handshake;
use super::websocket::WebSocket;
#[cfg(feature = "deflate")]
use crate::Deflate;
use crate::face::{Error, Negotiated, TimeLimit};
use crate::opening::{Accepting, HeadLimits, OpenStep, Request, Wire};
use crate::protocol::{Config, Role};
#[cfg(feature = "tls")]
use crate::tls;

/// How long the handshake may take. Ten seconds, as long as our client waits.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Accepts a WebSocket on a stream that a client connected: `accept(stream).await`, or with options in between.
///
/// An invalid request is answered with the status that says why (400, 405, 408, 426 with the version that we speak, 431,
/// 505) before the error is returned.
///
/// # Errors
/// [`Error::Tls`] where TLS was asked for and failed, [`Error::Accept`] for an invalid request, [`Error::Refused`] where [`Accept::decide`] refused it, [`Error::Timeout`],
/// [`Error::Io`].
///
/// # Cancel safety
/// Dropping the future closes the stream and leaves nothing behind.
pub fn accept<S>(stream: S) -> Accept<S> {
    Accept {
        stream,
        subprotocols: Vec::new(),
        headers: Vec::new(),
        decide: None,
        #[cfg(feature = "deflate")]
        compression: Some(Deflate::default()),
        #[cfg(feature = "tls")]
        tls: None,
        config: Config::default(),
        open_timeout: OPEN_TIMEOUT,
    }
}

type Decide = Box<dyn FnOnce(&Request) -> Result<(), StatusCode> + Send>;

/// A WebSocket to be accepted: await it.
#[must_use = "nothing is read before this is awaited"]
pub struct Accept<S> {
    stream: S,
    subprotocols: Vec<String>,
    headers: Vec<(String, String)>,
    decide: Option<Decide>,
    #[cfg(feature = "deflate")]
    compression: Option<Deflate>,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ServerConfig>>,
    config: Config,
    open_timeout: Duration,
}

impl<S> Accept<S> {
    /// The subprotocols that this server speaks, the best first; the first that the client offers is chosen. Without
    /// a common one the connection opens with none, and the client decides what that is worth.
    pub fn subprotocols<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a header line to the response that opens the connection.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Looks at the request before it is accepted: path, headers, `Origin`. An error is answered with that status.
    pub fn decide(
        mut self,
        decide: impl FnOnce(&Request) -> Result<(), StatusCode> + Send + 'static,
    ) -> Self {
        self.decide = Some(Box::new(decide));
        self
    }

    /// Accepts compression (RFC 7692) with these options where the client offers it; what was agreed is in
    /// [`WebSocket::compression`]. Default: accepted, with [`Deflate::default`].
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

    /// Speaks TLS with the client first, by this configuration; [`tls::server_config`](crate::tls::server_config) makes one from two
    /// files. Its handshake counts into [`open_timeout`](Self::open_timeout). Default: none.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: Arc<rustls::ServerConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Sets all limits and times of the open connection at once.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Shows so many bytes of each payload to whoever collects events of the crate `tracing`: [`Config::trace_payloads`]. Default 0,
    /// none: payloads may be secret, and logs are kept.
    pub fn trace_payloads(mut self, bytes: u16) -> Self {
        self.config.trace_payloads = bytes;
        self
    }

    /// How long the handshake may take. Default 10 s.
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.open_timeout = timeout;
        self
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Accept<S> {
    /// Accepts and hands out the client's request beside the connection, which does not keep it.
    ///
    /// # Errors
    /// As [`accept`].
    pub async fn with_request(self) -> Result<(WebSocket<S>, Request), Error> {
        let Self { mut stream, subprotocols, headers, decide, config, open_timeout, .. } = self;
        let mut accepting = Accepting::new(HeadLimits::default());
        let mut wire = Wire::default();
        #[cfg(feature = "tls")]
        if let Some(config) = self.tls {
            wire.secure(tls::server_layer(config)?);
        }
        #[cfg(feature = "deflate")]
        accepting.compression(self.compression)?;
        let open = async {
            let request = handshake::run(&mut stream, &mut wire, &mut accepting).await?;
            if let Some(decide) = decide
                && let Err(status) = decide(&request)
            {
                accepting.refuse(status, &[], b"")?;
                // The error to tell is the refusal, whether the client stayed to hear it or not.
                handshake::end(&mut stream, &mut wire, &mut accepting).await;
                return Err(Error::Refused(status));
            }
            let chosen = subprotocols.into_iter().find(|name| request.subprotocols.contains(name));
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            accepting.accept(chosen.as_deref(), &headers)?;
            handshake::write_out(&mut stream, &mut wire, &mut accepting).await?;
            Ok((chosen, accepting.take_leftover(), request))
        };
        let (chosen, leftover, request) = match tokio::time::timeout(open_timeout, open).await {
            Ok(opened) => opened?,
            Err(_) => return Err(give_up(&mut stream, &mut wire, &mut accepting).await),
        };
        let negotiated = Negotiated { subprotocol: chosen, compression: accepting.agreed(), config };
        let layer = wire.take_layer();
        Ok((WebSocket::from_opened(stream, Role::Server, negotiated, &leftover, layer), request))
    }
}

/// Time is up. A client whose request had begun is told so (408), if it takes the answer at once.
async fn give_up<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    wire: &mut Wire,
    accepting: &mut Accepting,
) -> Error {
    if !wire.is_open() {
        return Error::Timeout(TimeLimit::Open(OpenStep::Tls));
    }
    let out_of_time = Error::Timeout(TimeLimit::Open(OpenStep::Upgrade));
    // The request has a deadline of its own from its first byte on; ours came first.
    let Some(deadline) = accepting.next_timeout() else { return out_of_time };
    let Err(error) = accepting.handle_timeout(deadline) else { return out_of_time };
    _ = tokio::time::timeout(Duration::ZERO, handshake::end(stream, wire, accepting)).await;
    error.into()
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> IntoFuture for Accept<S> {
    type Output = Result<WebSocket<S>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { Ok(self.with_request().await?.0) })
    }
}

impl<S> fmt::Debug for Accept<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accept")
            .field("subprotocols", &self.subprotocols)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
