//! A socket that Python gave away.
#![expect(unsafe_code, reason = "a descriptor comes as a number")]

use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, FromRawFd};

use pyo3::prelude::*;
use socket2::{SockRef, Socket};

/// Takes over a descriptor that `socket.detach()` gave: it is closed with the result.
pub(crate) fn adopt(fd: i32) -> PyResult<Socket> {
    // SAFETY: the one caller is `client.py`, which detaches the socket for this call and keeps nothing of it. A number that is no
    // descriptor makes the calls below fail.
    let socket = unsafe { Socket::from_raw_fd(fd) };
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The addresses of both ends, where they are of IP.
pub(crate) fn addresses(socket: &Socket) -> (Option<SocketAddr>, Option<SocketAddr>) {
    let ip =
        |address: std::io::Result<socket2::SockAddr>| address.ok().and_then(|address| address.as_socket());
    (ip(socket.local_addr()), ip(socket.peer_addr()))
}

/// The same of a descriptor that somebody else has.
pub(crate) fn addresses_of(fd: i32) -> (Option<SocketAddr>, Option<SocketAddr>) {
    if fd < 0 {
        return (None, None);
    }
    // SAFETY: no less than zero, and used for the two calls alone; where it is no socket, they fail.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    addresses(&SockRef::from(&fd))
}

/// As Python has addresses.
pub(crate) fn address(py: Python<'_>, address: SocketAddr) -> PyResult<Bound<'_, PyAny>> {
    let host = address.ip().to_string();
    Ok(match address {
        SocketAddr::V4(v4) => (host, v4.port()).into_pyobject(py)?.into_any(),
        SocketAddr::V6(v6) => (host, v6.port(), v6.flowinfo(), v6.scope_id()).into_pyobject(py)?.into_any(),
    })
}
