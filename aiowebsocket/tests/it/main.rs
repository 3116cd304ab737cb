//! The one integration binary: a folder for each part of the library, and what they share in support/. Of the small client, which
//! lacks the parts that can be left out, it is one file.

#[cfg(all(feature = "blocking", feature = "proxies", feature = "redirects"))]
mod blocking;
#[cfg(all(feature = "proxies", feature = "redirects"))]
mod client;
#[cfg(all(feature = "proxies", feature = "redirects"))]
mod opening;
#[cfg(all(feature = "proxies", feature = "redirects"))]
mod peers;
#[cfg(all(feature = "proxies", feature = "redirects"))]
mod protocol;
#[cfg(all(feature = "proxies", feature = "redirects"))]
mod rfc;
#[cfg(not(any(feature = "proxies", feature = "redirects", feature = "tls", feature = "deflate")))]
mod small;
#[cfg(all(feature = "proxies", feature = "redirects"))]
mod soak;
#[cfg(all(feature = "proxies", feature = "redirects"))]
mod support;
#[cfg(all(feature = "proxies", feature = "redirects"))]
mod tidy;
#[cfg(all(feature = "proxies", feature = "redirects"))]
mod translation;
