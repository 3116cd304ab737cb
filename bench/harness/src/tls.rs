//! TLS for the contenders: one configuration of rustls with `ring`, its cipher suites in its own order, which trusts the server's certificate
//! and nobody else.

use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, IpAddr, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A stream of those that leave TLS to their user.
pub type TlsStream = tokio_rustls::client::TlsStream<TcpStream>;

/// The configuration, the same at each call.
pub fn config() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    CONFIG.get_or_init(|| Arc::new(make())).clone()
}

/// Where the server's certificate stands.
pub fn certificate() -> String {
    std::env::var("BENCH_CERTIFICATE").expect("BENCH_CERTIFICATE names the server's certificate")
}

/// Sessions are resumed only where that is what is measured.
pub fn measured(mut config: ClientConfig) -> ClientConfig {
    if !std::env::args().any(|argument| argument == "tls-resume") {
        config.resumption = Resumption::disabled();
    }
    config
}

fn make() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate()).expect("a certificate")).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    measured(versions.expect("ring has them").with_root_certificates(roots).with_no_client_auth())
}

/// The TLS handshake.
pub async fn secure(stream: TcpStream) -> TlsStream {
    let name = ServerName::IpAddress(IpAddr::V4([127, 0, 0, 1].into()));
    TlsConnector::from(config()).connect(name, stream).await.expect("TLS")
}
