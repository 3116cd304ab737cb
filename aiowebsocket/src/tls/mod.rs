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

use rustls::SupportedCipherSuite;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::cipher_suite::*;

/// The cipher suites in the order in which they are offered: keys of 128 bits first, as browsers have it; the first is the one that RFC 8446 9.1
/// wants everywhere. rustls begins with AES-256 and SHA-384, for which few processors have instructions: a handshake takes 1.3 times as
/// long with it, a resumed one 1.8 times (`cargo bench -p aiowebsocket --bench tls`). Who must have 256 bits gives a configuration of rustls.
const CIPHER_SUITES: [SupportedCipherSuite; 9] = [
    TLS13_AES_128_GCM_SHA256,
    TLS13_AES_256_GCM_SHA384,
    TLS13_CHACHA20_POLY1305_SHA256,
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// The ciphers and randomness of every configuration made here: `ring`.
fn provider() -> Arc<CryptoProvider> {
    let cipher_suites = CIPHER_SUITES.to_vec();
    Arc::new(CryptoProvider { cipher_suites, ..rustls::crypto::ring::default_provider() })
}
