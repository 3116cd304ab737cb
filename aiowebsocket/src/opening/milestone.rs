//! What happened on the way to an open connection: for people, logs and traces.

use core::net::SocketAddr;
use std::fmt;

use http::StatusCode;

use super::url::Address;
use crate::layer::TlsInfo;

/// A step of opening that was begun or done. `Display` is one line for a person; neither it nor `Debug` shows credentials or
/// queries.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Milestone {
    /// A host name is looked up.
    Resolving {
        /// The name.
        host: String,
    },
    /// It has so many addresses.
    Resolved {
        /// How many.
        addresses: usize,
    },
    /// An address is dialled.
    Dialling {
        /// The address.
        address: SocketAddr,
    },
    /// That failed.
    DialFailed {
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: String,
    },
    /// There is a TCP connection.
    Connected {
        /// To this address.
        address: SocketAddr,
    },
    /// A proxy is asked for a tunnel.
    Tunnelling {
        /// The proxy, without its credentials.
        proxy: String,
        /// Where the tunnel leads to.
        target: String,
    },
    /// The tunnel is there.
    Tunnelled,
    /// TLS begins.
    Securing {
        /// The name that the certificate must be for.
        host: String,
    },
    /// TLS is there.
    Secured(TlsInfo),
    /// The upgrade request is sent.
    Asking {
        /// For this.
        address: Address,
        /// Its head, line by line; what is secret is not shown.
        head: String,
    },
    /// The server answered.
    Answered {
        /// With this status.
        status: StatusCode,
        /// The head of its answer, line by line; cookies are not shown.
        head: String,
    },
    /// The server sent us elsewhere.
    Redirected {
        /// With this status.
        status: StatusCode,
        /// There.
        to: Address,
    },
    /// The WebSocket is open.
    Open {
        /// The subprotocol that the server chose.
        subprotocol: Option<String>,
        /// The extensions that it agreed to.
        extensions: Vec<String>,
    },
}

impl fmt::Display for Milestone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolving { host } => write!(f, "looking up {host}"),
            Self::Resolved { addresses: 1 } => f.write_str("it has one address"),
            Self::Resolved { addresses } => write!(f, "it has {addresses} addresses"),
            Self::Dialling { address } => write!(f, "connecting to {address}"),
            Self::DialFailed { address, cause } => write!(f, "{address}: {cause}"),
            Self::Connected { address } => write!(f, "connected to {address}"),
            Self::Tunnelling { proxy, target } => write!(f, "asking {proxy} for a tunnel to {target}"),
            Self::Tunnelled => f.write_str("the tunnel is there"),
            Self::Securing { host } => write!(f, "TLS with {host}"),
            Self::Secured(info) => write!(f, "secure: {info}"),
            Self::Asking { address, .. } => write!(f, "asking for {address}"),
            Self::Answered { status, .. } => write!(f, "the server answers {}", status.as_u16()),
            Self::Redirected { status, to } => write!(f, "{}: redirected to {to}", status.as_u16()),
            Self::Open { subprotocol, extensions } => {
                f.write_str("open")?;
                if let Some(subprotocol) = subprotocol {
                    write!(f, ", subprotocol {subprotocol}")?;
                }
                for extension in extensions {
                    write!(f, ", {extension}")?;
                }
                Ok(())
            }
        }
    }
}
