//! TLS for every contender: one configuration of rustls with `ring`, which trusts the server's certificate and nobody else.

use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, IpAddr, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A stream of those that leave TLS to their user.
pub type TlsStream = tokio_rustls::client::TlsStream<TcpStream>;

/// The configuration, the same at each call. Sessions are resumed only where that is what is measured.
pub fn config() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    CONFIG.get_or_init(|| Arc::new(make())).clone()
}

fn make() -> ClientConfig {
    let path = std::env::var("BENCH_CERTIFICATE").expect("BENCH_CERTIFICATE names the server's certificate");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(path).expect("a certificate")).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = versions.expect("ring has them").with_root_certificates(roots).with_no_client_auth();
    if !std::env::args().any(|argument| argument == "tls-resume") {
        config.resumption = Resumption::disabled();
    }
    config
}

/// The TLS handshake.
pub async fn secure(stream: TcpStream) -> TlsStream {
    let name = ServerName::IpAddress(IpAddr::V4([127, 0, 0, 1].into()));
    TlsConnector::from(config()).connect(name, stream).await.expect("TLS")
}
