//! `recv()`, `send()` and the callback of a socket that can be read as plain C functions: through `#[pymethods]` their arguments alone cost more than a short message does.
#![expect(unsafe_code, reason = "methods made of C functions")]

use std::ptr::null_mut;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyType};

use crate::connection::Connection;
use crate::globals::Globals;
use crate::operations::{How, Send, Wants};
use crate::payload;
use crate::raw::{Arguments, add_method, called, fast_method, method};
use crate::settings;

/// Adds them to `Connection`, or to a class derived from it: CPython calls a method without detours where the object is of exactly
/// the class that the method was made for.
pub(crate) fn add_to(kind: &Bound<'_, PyType>) -> PyResult<()> {
    add_method(
        kind,
        fast_method(c"recv", recv),
        c"recv($self, timeout=None, decode=None)\n--\n\n\
        The next message: ``str`` for text, ``bytes`` for binary.\n\n\
        With ``timeout``, ``ReceiveTimeout`` after so many seconds without one; 0 or less does not wait. Cancelling loses\n\
        nothing.\n\
        ``decode=False`` gives ``bytes`` for text too, which is what a JSON parser wants; ``decode=True`` gives ``str`` for binary\n\
        too, or ``UnicodeDecodeError``, and then the message is still there.\n\
        Raises ``ConnectionClosed`` at the end, and ``ConcurrencyError`` while another task waits here. The peer's Close, or what it\n\
        broke, is told when TCP has ended too, at most ``close_timeout`` later.",
    )?;
    add_method(
        kind,
        fast_method(c"send", send),
        c"send($self, message, /, *, text=None, plain=False)\n--\n\n\
        Sends a message: ``str`` as text, bytes-like objects as binary; ``text`` says otherwise. An iterable or async iterable of\n\
        them is one message in parts, each of which leaves as soon as it is there; others who send wait for its end. Where it\n\
        raises, the message cannot be completed, and the connection is closed with 1011.\n\n\
        ``plain`` leaves it uncompressed: for secrets beside text that somebody else chose, whose length would tell them.\n\
        The message is taken whole at once, and the call returns when its bytes have left for the socket.\n\
        Cancelling neither withdraws nor doubles it. Raises ``ConnectionClosed``.",
    )?;
    add_method(kind, method(c"_on_readable", on_readable, ffi::METH_NOARGS), c"The socket can be read.")
}

unsafe extern "C" fn on_readable(slf: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    let body = |py: Python<'_>| {
        // SAFETY: a method of `Connection`, which CPython calls with one.
        let connection = unsafe { connection(py, slf) };
        Connection::read_on(&connection, true)?;
        Ok(py.None().into_ptr())
    };
    // SAFETY: CPython calls this.
    unsafe { called(null_mut(), body) }
}

unsafe extern "C" fn recv(
    slf: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let body = |py: Python<'_>| {
        // SAFETY: a method of `Connection`, which CPython calls with one; it holds it and the arguments meanwhile.
        let (connection, call) =
            unsafe { (connection(py, slf), Arguments::new(py, arguments, count, names)) };
        if call.is_empty() {
            return Ok(Connection::receive(&connection, Wants::One, None, None)?.into_ptr());
        }
        if call.count() > 2 {
            return Err(PyTypeError::new_err("recv() takes timeout and decode, and nothing else"));
        }
        let [timeout, decode] = call.named(["timeout", "decode"])?;
        let (timeout, decode) = (call.at(0).or(timeout), call.at(1).or(decode));
        if timeout.as_ref().is_some_and(|timeout| timeout.is_instance_of::<PyBool>()) {
            return Err(PyTypeError::new_err(
                "the first argument of recv() is a timeout: name the other one, decode=…",
            ));
        }
        let timeout = settings::limit(timeout.as_ref())?;
        let decode =
            decode.filter(|decode| !decode.is_none()).map(|decode| decode.is_truthy()).transpose()?;
        Ok(Connection::receive(&connection, Wants::One, timeout, decode)?.into_ptr())
    };
    // SAFETY: CPython calls this.
    unsafe { called(null_mut(), body) }
}

unsafe extern "C" fn send(
    slf: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let body = |py: Python<'_>| {
        // SAFETY: a method of `Connection`, which CPython calls with one; it holds it and the arguments meanwhile.
        let (connection, call) =
            unsafe { (connection(py, slf), Arguments::new(py, arguments, count, names)) };
        let (Some(message), 1) = (call.at(0), call.count()) else {
            return Err(PyTypeError::new_err("send() takes one message"));
        };
        let how = if call.has_names() { named(&call)? } else { How::default() };
        if !payload::is_message(&message) {
            let parts =
                connection.call_method1(intern!(py, "_send_parts"), (message, how.text, how.plain))?;
            return Ok(parts.into_ptr());
        }
        let operation = Send::new(connection.unbind(), message.unbind(), how);
        Ok(Globals::get(py).send.awaitable(py, operation)?.into_ptr())
    };
    // SAFETY: CPython calls this.
    unsafe { called(null_mut(), body) }
}

/// What `send` is asked for beside its message.
#[cold]
fn named(call: &Arguments<'_, '_>) -> PyResult<How> {
    let [text, plain] = call.named(["text", "plain"])?;
    Ok(How {
        text: text.filter(|text| !text.is_none()).map(|text| text.is_truthy()).transpose()?,
        plain: plain.map(|plain| plain.is_truthy()).transpose()?.unwrap_or(false),
    })
}

/// # Safety
/// `slf` is a `Connection`.
#[inline]
unsafe fn connection<'py>(py: Python<'py>, slf: *mut ffi::PyObject) -> Bound<'py, Connection> {
    // SAFETY: the caller's word; a borrowed pointer becomes a reference of its own.
    unsafe { Bound::from_borrowed_ptr(py, slf).cast_into_unchecked() }
}
