//! TLS by rustls on blocking sockets, with a certificate that is made when the server starts. One version, and of the cipher suites the one
//! that the client would rather have, or the same for everybody.

use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::TLS13;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A configuration with a certificate for 127.0.0.1, which is written to `certificate`. Sessions can be resumed, as by default.
/// `one_suite` leaves the one that rustls and OpenSSL offer first.
pub fn config(certificate: &Path, one_suite: bool) -> Arc<ServerConfig> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    std::fs::write(certificate, cert.pem()).expect("the file can be written");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let mut provider = default_provider();
    if one_suite {
        provider.cipher_suites = vec![cipher_suite::TLS13_AES_256_GCM_SHA384];
    }
    let versions = ServerConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[&TLS13]);
    let config = versions.expect("ring has it").with_no_client_auth();
    Arc::new(config.with_single_cert(vec![cert.der().clone()], key).expect("a key that fits"))
}

/// A stream whose handshake happens while it is read.
pub fn accept(
    config: &Arc<ServerConfig>,
    stream: TcpStream,
) -> io::Result<StreamOwned<ServerConnection, TcpStream>> {
    let session = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
    Ok(StreamOwned::new(session, stream))
}
