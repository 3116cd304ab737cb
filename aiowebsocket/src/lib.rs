//! placeholder
pub mod opening;
pub mod protocol;
