//! Certificates and keys out of PEM files, or out of memory; errors say which file, and what is wrong with it.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::error::of_configuration;
use crate::layer::TlsError;

/// Where PEM comes from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    File(&'a Path),
    Memory(&'a [u8]),
}

impl Source<'_> {
    /// All certificates; one at least.
    pub(super) fn certificates(self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        self.all("certificate")
    }

    /// All revocation lists; one at least.
    pub(super) fn revocation_lists(self) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
        self.all("revocation list")
    }

    /// The first private key.
    pub(super) fn key(self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let key = match self {
            Self::File(path) => PrivateKeyDer::from_pem_file(path),
            Self::Memory(pem) => PrivateKeyDer::from_pem_slice(pem),
        };
        key.map_err(|fault| self.fails("private key", fault))
    }

    fn all<T: PemObject>(self, wanted: &'static str) -> Result<Vec<T>, TlsError> {
        let all = match self {
            Self::File(path) => T::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>),
            Self::Memory(pem) => T::pem_slice_iter(pem).collect(),
        };
        match all {
            Ok(all) if all.is_empty() => Err(self.fails(wanted, pem::Error::NoItemsFound)),
            Ok(all) => Ok(all),
            Err(fault) => Err(self.fails(wanted, fault)),
        }
    }

    fn fails(self, wanted: &'static str, fault: pem::Error) -> TlsError {
        let path = match self {
            Self::File(path) => Some(path.to_owned()),
            Self::Memory(_) => None,
        };
        of_configuration(Unusable { path, wanted, fault })
    }
}

/// A file that cannot be used.
#[derive(Debug)]
struct Unusable {
    path: Option<PathBuf>,
    wanted: &'static str,
    fault: pem::Error,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        match &self.fault {
            pem::Error::Io(error) => error.fmt(f),
            pem::Error::NoItemsFound => write!(f, "there is no {} in it (PEM)", self.wanted),
            fault => write!(f, "it is no PEM: {fault}"),
        }
    }
}

impl std::error::Error for Unusable {}
