//! Judges of a server's certificate other than a trust store: a pinned fingerprint, and no judge at all.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};

/// The certificate is none of those that were pinned; this is its fingerprint.
#[derive(Debug)]
pub(super) struct NotPinned(pub(super) [u8; 32]);

impl fmt::Display for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate is none of those that were pinned")
    }
}

impl Error for NotPinned {}

/// Takes the certificates with these SHA-256 fingerprints and no others; or, without a list, any certificate. In either case
/// the server proves that it has the certificate's key.
pub(super) struct Judge {
    pins: Option<Vec<[u8; 32]>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Judge {
    /// Takes the certificates with these SHA-256 fingerprints.
    pub(super) fn of_pins(pins: Vec<[u8; 32]>, provider: &CryptoProvider) -> Arc<Self> {
        Arc::new(Self { pins: Some(pins), algorithms: provider.signature_verification_algorithms })
    }

    /// Takes any certificate.
    pub(super) fn of_nothing(provider: &CryptoProvider) -> Arc<Self> {
        Arc::new(Self { pins: None, algorithms: provider.signature_verification_algorithms })
    }
}

/// The SHA-256 fingerprint of a certificate (DER), for [`Tls::pin_sha256`](super::Tls::pin_sha256): what
/// `openssl x509 -fingerprint -sha256` shows.
pub fn fingerprint_sha256(certificate: &[u8]) -> [u8; 32] {
    let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let suite = suite.tls13().expect("a suite of TLS 1.3");
    let hash = suite.common.hash_provider.hash(certificate);
    hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(pins) = &self.pins else { return Ok(ServerCertVerified::assertion()) };
        let presented = fingerprint_sha256(end_entity);
        if pins.contains(&presented) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::Other(OtherError(Arc::new(NotPinned(presented)))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").field("pins", &self.pins.as_ref().map(Vec::len)).finish_non_exhaustive()
    }
}
