//! The configuration of a server from two files, or what is in them.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::{of_configuration, of_identity};
use super::files::Source;
use super::provider;
use super::session::Session;
use crate::layer::{Layer, TlsError};

/// The configuration of a TLS server, for [`accept`](crate::accept): the certificate chain, its own certificate first,
/// and the private key, both PEM. TLS 1.2 and 1.3; sessions are resumed by tickets; clients show no certificate. For more than
/// that, make a `rustls::ServerConfig`.
///
/// # Errors
/// [`TlsFault::Configuration`](crate::layer::TlsFault::Configuration): a file cannot be read, holds no certificate or key, or the
/// two do not belong together.
pub fn server_config(
    certificates: impl AsRef<Path>,
    key: impl AsRef<Path>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let (chain, key) = (Source::File(certificates.as_ref()), Source::File(key.as_ref()));
    configuration(chain.certificates()?, key.key()?)
}

/// The same, from memory.
///
/// # Errors
/// As [`server_config`].
pub fn server_config_pem(certificates: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    configuration(Source::Memory(certificates).certificates()?, Source::Memory(key).key()?)
}

fn configuration(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(of_configuration)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(of_identity)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(of_configuration)?;
    Ok(Arc::new(config))
}

/// The server's side of one TLS connection.
///
/// # Errors
/// [`TlsFault::Configuration`](crate::layer::TlsFault::Configuration).
pub fn server_layer(config: Arc<ServerConfig>) -> Result<Box<dyn Layer>, TlsError> {
    Ok(Box::new(Session::server(config)?))
}
