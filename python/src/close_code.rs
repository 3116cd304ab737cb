//! Close codes for Python: the library's table, of which `enumerations.py` makes an enumeration.

use aiowebsocket::protocol::CloseCode;
use pyo3::prelude::*;

/// Every named code: the name of its constant, and its number.
#[pyfunction]
pub(crate) fn _close_codes() -> Vec<(&'static str, u16)> {
    CloseCode::NAMED.iter().filter_map(|code| Some((code.constant()?, code.get()))).collect()
}

/// The registered name of a code, and what it means in English and in Chinese.
#[pyfunction]
pub(crate) fn _explain_close(code: u16) -> (Option<&'static str>, &'static str, &'static str) {
    let code = CloseCode::new(code);
    (code.name(), code.explain(), code.explain_zh())
}

/// Whether the code may stand in a Close frame.
#[pyfunction]
pub(crate) fn _may_send_close(code: u16) -> bool {
    CloseCode::new(code).may_be_sent()
}
