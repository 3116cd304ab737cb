//! An address where nobody listens, and where nobody will: a port that was free a moment ago may be another test's now.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// Holds a port and does not listen there.
pub(crate) struct Nobody(TcpSocket);

impl Nobody {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
        Self(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("bound")
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address())
    }
}
