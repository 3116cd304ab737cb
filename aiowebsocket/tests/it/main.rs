//! The one integration binary: a folder for each part of the library, and what they share in support/.

mod peers;
mod client;
mod opening;
mod protocol;
mod rfc;
mod support;
