//! The judge where certificates were given to be trusted: one that signed itself, and says that it is a CA, is also taken as the server's own.
//!
//! `openssl req -x509` makes such a certificate. RFC 5280 has no place for a CA at the end of a path, so webpki refuses it; whoever trusts it to vouch for
//! servers trusts it to be one.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::error::is_ca;

/// Asks another judge first.
pub(super) struct Given {
    judge: Arc<dyn ServerCertVerifier>,
    roots: Vec<CertificateDer<'static>>,
}

impl Given {
    pub(super) fn new(judge: Arc<dyn ServerCertVerifier>, roots: Vec<CertificateDer<'static>>) -> Self {
        Self { judge, roots }
    }
}

impl fmt::Debug for Given {
    /// Without the certificates, whose bytes would tell nobody anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("judge", &self.judge).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Given {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged =
            self.judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match judged {
            // Said after a look at the dates, and before one at the name.
            Err(Error::InvalidCertificate(error)) if is_ca(&error) && self.roots.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}
