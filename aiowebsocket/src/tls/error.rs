//! What rustls says, as what is wrong and whose fault it is.

use std::fmt;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use super::pin::NotPinned;
use crate::layer::{TlsError, TlsFault};

/// An error of a client's session.
pub(super) fn of_client(error: Error) -> TlsError {
    let fault = match &error {
        Error::InvalidCertificate(error) if is_ca(error) => {
            return TlsError::caused(TlsFault::BadCertificate, IsCa);
        }
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::NoCertificatesPresented => TlsFault::BadCertificate,
        _ => of_either(&error),
    };
    TlsError::caused(fault, error)
}

/// An error of a server's session.
pub(super) fn of_server(error: Error) -> TlsError {
    let fault = match &error {
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => TlsFault::BadCertificate,
        _ => of_either(&error),
    };
    TlsError::caused(fault, error)
}

/// A certificate and a key of our own that cannot be used.
pub(super) fn of_identity(error: Error) -> TlsError {
    match error {
        Error::InconsistentKeys(_) => of_configuration(Mismatch),
        error => of_configuration(error),
    }
}

/// The key is not the certificate's.
#[derive(Debug)]
struct Mismatch;

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the private key belongs to another certificate")
    }
}

impl std::error::Error for Mismatch {}

/// webpki's refusal of a CA as a server.
pub(super) fn is_ca(error: &CertificateError) -> bool {
    // Its type is of a crate that only rustls names.
    matches!(error, CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity")
}

/// A CA stands in the server's place.
#[derive(Debug)]
struct IsCa;

impl fmt::Display for IsCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is a CA's own: give it as one to trust, without revocation lists")
    }
}

impl std::error::Error for IsCa {}

/// The name in `DnsName("example.com")` or `IpAddress(192.0.2.1)`, which is how rustls gives it.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')')).unwrap_or(name);
    inner.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(inner)
}

/// Options or files that cannot be used.
pub(super) fn of_configuration(error: impl std::error::Error + Send + Sync + 'static) -> TlsError {
    TlsError::caused(TlsFault::Configuration, error)
}

fn of_certificate(error: &CertificateError) -> TlsFault {
    match error {
        CertificateError::Expired => TlsFault::Expired { not_after: None },
        CertificateError::ExpiredContext { not_after, .. } => {
            TlsFault::Expired { not_after: Some(not_after.as_secs()) }
        }
        CertificateError::NotValidYet => TlsFault::NotYetValid { not_before: None },
        CertificateError::NotValidYetContext { not_before, .. } => {
            TlsFault::NotYetValid { not_before: Some(not_before.as_secs()) }
        }
        CertificateError::NotValidForName => {
            TlsFault::WrongHost { expected: "this host".to_owned(), presented: Vec::new() }
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented = presented.iter().map(|name| bare(name).to_owned()).collect();
            TlsFault::WrongHost { expected: expected.to_str().into_owned(), presented }
        }
        CertificateError::UnknownIssuer => TlsFault::UnknownIssuer,
        CertificateError::Revoked => TlsFault::Revoked,
        CertificateError::Other(other) => match other.0.downcast_ref() {
            Some(&NotPinned(presented)) => TlsFault::NotPinned { presented },
            None => TlsFault::BadCertificate,
        },
        _ => TlsFault::BadCertificate,
    }
}

fn of_either(error: &Error) -> TlsFault {
    match error {
        Error::PeerIncompatible(PeerIncompatible::ServerSentHelloRetryRequestWithUnknownExtension) => {
            TlsFault::Broken
        }
        Error::PeerIncompatible(_) => TlsFault::NoCommonProtocol,
        Error::AlertReceived(
            AlertDescription::ProtocolVersion
            | AlertDescription::HandshakeFailure
            | AlertDescription::InsufficientSecurity
            | AlertDescription::NoApplicationProtocol,
        )
        | Error::NoApplicationProtocol => TlsFault::NoCommonProtocol,
        Error::AlertReceived(alert) => TlsFault::Refused {
            alert: alert.as_str().map_or_else(|| format!("{alert:?}"), ToOwned::to_owned),
        },
        Error::General(_)
        | Error::FailedToGetCurrentTime
        | Error::FailedToGetRandomBytes
        | Error::UnsupportedNameType
        | Error::InconsistentKeys(_)
        | Error::BadMaxFragmentSize => TlsFault::Configuration,
        _ => TlsFault::Broken,
    }
}
