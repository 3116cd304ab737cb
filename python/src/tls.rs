//! Options of TLS by the library, for Python.

use std::path::PathBuf;

use aiowebsocket::layer::{Layer, TlsError};
use aiowebsocket::opening::Host;
use pyo3::prelude::*;

use crate::errors;

/// Whom a client trusts, and who it is. One of them shares its sessions among all connections that use it.
#[pyclass(frozen, module = "aiowebsocket._aiowebsocket")]
#[derive(Debug)]
pub(crate) struct Tls(aiowebsocket::Tls);

impl Tls {
    /// The library's.
    pub(crate) fn inner(&self) -> &aiowebsocket::Tls {
        &self.0
    }

    pub(crate) fn layer(&self, host: &Host) -> Result<Box<dyn Layer>, TlsError> {
        self.0.layer(host)
    }
}

#[pymethods]
impl Tls {
    #[new]
    #[pyo3(signature = (*, ca_file=None, only_ca_file=false, crl_file=None, certificate=None, key=None, fingerprints=Vec::new(), verify=true, only_tls13=false))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn new(
        py: Python<'_>,
        ca_file: Option<PathBuf>,
        only_ca_file: bool,
        crl_file: Option<PathBuf>,
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
        fingerprints: Vec<[u8; 32]>,
        verify: bool,
        only_tls13: bool,
    ) -> PyResult<Self> {
        let failed = |error: TlsError| errors::tls(py, &error);
        let mut tls = aiowebsocket::Tls::new();
        if let Some(path) = ca_file {
            tls = tls.ca_file(path).map_err(failed)?;
        }
        if only_ca_file {
            tls = tls.only_these_cas();
        }
        if let Some(path) = crl_file {
            tls = tls.crl_file(path).map_err(failed)?;
        }
        if let Some(certificate) = certificate {
            let key = key.unwrap_or_else(|| certificate.clone());
            tls = tls.client_certificate(certificate, key).map_err(failed)?;
        }
        for fingerprint in fingerprints {
            tls = tls.pin_sha256(fingerprint);
        }
        if !verify {
            tls = tls.dangerously_without_verification();
        }
        if only_tls13 {
            tls = tls.only_tls13();
        }
        Ok(Self(tls))
    }

    /// The one of all connections that name no options.
    #[staticmethod]
    fn shared() -> Self {
        Self(aiowebsocket::Tls::shared())
    }

    /// Whether the trust store was read.
    #[getter]
    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }

    /// Reads the trust store, which may take some milliseconds: for another thread.
    fn load(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.config()).map(drop).map_err(|error| errors::tls(py, &error))
    }
}
