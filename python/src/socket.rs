//! A socket that Python gave away.
#![expect(unsafe_code, reason = "a descriptor comes as a number")]

use std::os::fd::FromRawFd;

use pyo3::prelude::*;
use socket2::Socket;

/// Takes over a descriptor that `socket.detach()` gave: it is closed with the result.
pub(crate) fn adopt(fd: i32) -> PyResult<Socket> {
    // SAFETY: the one caller is `client.py`, which detaches the socket for this call and keeps nothing of it. A number that is no
    // descriptor makes the calls below fail.
    let socket = unsafe { Socket::from_raw_fd(fd) };
    socket.set_nonblocking(true)?;
    Ok(socket)
}
