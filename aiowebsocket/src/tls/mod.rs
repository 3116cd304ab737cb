//! TLS by rustls, driven as bytes: the [`Layer`](crate::layer::Layer) of the library.
//!
//! rustls reads the clock and draws randomness itself, and the trust store is read from files: this folder is the one place
//! below the faces that lets it. No process-wide default is set or used: the crypto provider is part of each configuration.

mod client;
mod error;
mod files;
mod given;
mod pin;
mod server;
mod session;

pub use client::{Tls, TlsOptionError};
pub use pin::fingerprint_sha256;
pub use server::{server_config, server_config_pem, server_layer};

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The ciphers and randomness of every configuration made here: `ring`.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
