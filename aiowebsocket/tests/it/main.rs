//! The one integration binary: a folder for each part of the library, and what they share in support/.

#[cfg(feature = "blocking")]
mod blocking;
mod client;
mod opening;
mod peers;
mod protocol;
mod rfc;
mod soak;
mod support;
mod tidy;
mod translation;
