//! TLS on the command line: whom a client trusts and who it is, and what a server shows.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aiowebsocket::{Tls, TlsError};
use clap::Args;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};
use rustls::ServerConfig;

use crate::exit::{Exit, Failure};
use crate::say::complain;

/// What a client asks of TLS, with the server and with an `https://` proxy alike.
#[derive(Args, Debug)]
pub(crate) struct TlsOptions {
    /// Trusts the certificates of this PEM file in place of the system's: a private CA, or one that signed itself
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,

    /// Shows the server this certificate: a PEM file, its own first, then those that vouch for it
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,

    /// The private key of --cert: a PEM file [default: in the file of --cert]
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// Trusts the certificate with this SHA-256 fingerprint alone; may be given several times
    ///
    /// Neither its name, nor its dates, nor who issued it count then. "openssl x509 -noout -fingerprint -sha256 -in FILE" shows
    /// the fingerprint of a file; aiows serve --tls that of the certificate that it makes.
    #[arg(long = "pin", value_name = "SHA256", value_parser = fingerprint, conflicts_with = "cacert")]
    pins: Vec<[u8; 32]>,

    /// Takes ANY certificate: whoever sits in between can read and change everything
    #[arg(short = 'k', long, conflicts_with_all = ["cacert", "pins"])]
    insecure: bool,
}

impl TlsOptions {
    /// What they come to; `None` is the library's default. Says loudly where nothing is checked.
    pub(crate) fn tls(&self) -> Result<Option<Tls>, Failure> {
        let mut tls = Tls::new();
        if let Some(file) = &self.cacert {
            tls = tls.ca_file(file).map_err(|error| unusable("--cacert", &error))?.only_these_cas();
        }
        tls = self.pins.iter().fold(tls, |tls, &pin| tls.pin_sha256(pin));
        if self.insecure {
            complain(
                "warning: --insecure takes any certificate: whoever sits in between can read and change everything",
            );
            tls = tls.dangerously_without_verification();
        }
        if let Some(chain) = &self.cert {
            let key = self.key.as_ref().unwrap_or(chain);
            tls = tls.client_certificate(chain, key).map_err(|error| unusable(self.of_cert(), &error))?;
            // Whether the two belong together is found out here, and not when the server asks.
            tls.config().map_err(|error| unusable(self.of_cert(), &error))?;
        }
        let is_default =
            self.cacert.is_none() && self.cert.is_none() && self.pins.is_empty() && !self.insecure;
        Ok((!is_default).then_some(tls))
    }

    /// Whether a CA was named.
    pub(crate) fn has_ca(&self) -> bool {
        self.cacert.is_some()
    }

    fn of_cert(&self) -> &'static str {
        if self.key.is_some() { "--cert and --key" } else { "--cert" }
    }
}

/// What a server shows.
#[derive(Args, Debug)]
pub(crate) struct ServerTlsOptions {
    /// Speaks TLS (wss://), with a certificate made for this run unless --cert names one
    ///
    /// The certificate is for localhost, this machine's loopback addresses and the address that is listened on; the second line
    /// of standard output has its fingerprint, for aiows connect --pin.
    #[arg(long)]
    pub(crate) tls: bool,

    /// Speaks TLS with this certificate: a PEM file, its own first, then those that vouch for it
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,

    /// The private key of --cert: a PEM file [default: in the file of --cert]
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

/// The TLS of a server.
pub(crate) struct ServerTls {
    pub(crate) config: Arc<ServerConfig>,
    /// The fingerprint of a certificate that was made for this run, in hexadecimal.
    pub(crate) made: Option<String>,
}

impl ServerTlsOptions {
    /// What they come to, for a server at this address.
    pub(crate) fn server(&self, address: IpAddr) -> Result<Option<ServerTls>, Failure> {
        match (&self.cert, self.tls) {
            (None, false) => Ok(None),
            (None, true) => made_for_this_run(address).map(Some),
            (Some(chain), _) => {
                let key: &Path = self.key.as_ref().unwrap_or(chain);
                let option = if self.key.is_some() { "--cert and --key" } else { "--cert" };
                let config =
                    aiowebsocket::tls::server_config(chain, key).map_err(|error| unusable(option, &error))?;
                Ok(Some(ServerTls { config, made: None }))
            }
        }
    }
}

/// A certificate that signed itself, with a key that nobody sees.
fn made_for_this_run(address: IpAddr) -> Result<ServerTls, Failure> {
    let fails = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("no certificate could be made: {error}"))
    };
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).map_err(|error| fails(&error))?;
    let mut addresses = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0_u16, 0, 0, 0, 0, 0, 0, 1])];
    if !addresses.contains(&address) && !address.is_unspecified() {
        addresses.push(address);
    }
    params.subject_alt_names.extend(addresses.into_iter().map(SanType::IpAddress));
    params.distinguished_name.push(DnType::CommonName, "aiows serve");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(|error| fails(&error))?;
    let certificate = params.self_signed(&key).map_err(|error| fails(&error))?;
    let (chain, key) = (certificate.pem(), key.serialize_pem());
    let config = aiowebsocket::tls::server_config_pem(chain.as_bytes(), key.as_bytes())
        .map_err(|error| fails(&error))?;
    let fingerprint = aiowebsocket::tls::fingerprint_sha256(certificate.der());
    Ok(ServerTls { config, made: Some(hexadecimal(&fingerprint)) })
}

/// A mistake in a file of the options.
fn unusable(option: &str, error: &TlsError) -> Failure {
    let why = error.cause().map_or_else(|| error.to_string(), ToString::to_string);
    Failure::new(Exit::Usage, format!("{option} cannot be used: {why}"))
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a fingerprint, with colons or without, in either case.
fn fingerprint(text: &str) -> Result<[u8; 32], String> {
    let wrong = || {
        "write the 64 hexadecimal digits of a SHA-256 fingerprint, with colons between or without".to_owned()
    };
    let digits: Vec<u8> = text.bytes().filter(|&byte| byte != b':').collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes = pairs.iter().map(|pair| {
        let pair = str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u8::from_str_radix(pair, 16).ok()
    });
    let bytes: Option<Vec<u8>> = bytes.collect();
    bytes.filter(|_| rest.is_empty()).and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::{fingerprint, hexadecimal};

    #[test]
    fn fingerprints_are_read_as_openssl_and_we_write_them() {
        let bytes: [u8; 32] = std::array::from_fn(|i| u8::try_from(7 * i % 256).expect("a byte"));
        let plain = hexadecimal(&bytes);
        let colons: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(fingerprint(&plain), Ok(bytes));
        assert_eq!(fingerprint(&colons.join(":")), Ok(bytes));
        for wrong in [
            "",
            "ab",
            &plain[1..],
            &format!("{plain}00"),
            &plain.replace('0', "g"),
            &plain.replace("00", "+0"),
        ] {
            assert!(fingerprint(wrong).is_err(), "{wrong}");
        }
    }
}
