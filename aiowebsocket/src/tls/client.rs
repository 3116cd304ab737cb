//! What a client asks of TLS: whom it trusts, who it is.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{WantsClientCert, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, SupportedProtocolVersion};

use super::error::{of_configuration, of_identity};
use super::files::Source;
use super::given::Given;
use super::pin::Judge;
use super::provider;
use super::session::Session;
use crate::layer::{Layer, TlsError, TlsFault};
use crate::opening::Host;

/// What a client asks of TLS: whom it trusts, and who it is. `Tls::default()` is what `wss://` does by itself: the trust store of
/// the operating system, TLS 1.2 and 1.3, no certificate of its own.
///
/// The store is read once, when the first connection needs it, and sessions are resumed among the connections that share one
/// `Tls` (a clone is the same one): no session goes from options that verify in one way to options that verify in another. There is no
/// early data, and nothing is written for `SSLKEYLOGFILE`.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use aiowebsocket::Tls;
///
/// let tls = Tls::new().ca_file("company-ca.pem")?.client_certificate("client.pem", "client.key")?;
/// let ws = aiowebsocket::connect("wss://feed.internal/").tls(tls).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct Tls(Arc<Shared>);

#[derive(Default)]
struct Shared {
    options: Options,
    /// Made at first use: the trust store is read then.
    made: OnceLock<Result<Arc<ClientConfig>, TlsError>>,
}

#[derive(Clone, Default)]
struct Options {
    /// Taken as it is.
    whole: Option<Arc<ClientConfig>>,
    /// Trusted beside the operating system's, or alone.
    roots: Vec<CertificateDer<'static>>,
    only_roots: bool,
    crls: Vec<CertificateRevocationListDer<'static>>,
    pins: Vec<[u8; 32]>,
    any: bool,
    tls13: bool,
    identity: Option<(Vec<CertificateDer<'static>>, Arc<PrivateKeyDer<'static>>)>,
    /// What judges by more than a trust store, and what shows a certificate: set by the options that want it, so that a program without
    /// them has no code for it.
    judge: Option<MakeJudge>,
    given: Option<JudgeGiven>,
    identify: Option<Identify>,
}

type MakeJudge = fn(&Options, &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError>;

/// What asks this judge first, or else the store.
type JudgeGiven = fn(
    &Options,
    Option<Arc<dyn ServerCertVerifier>>,
    &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError>;

/// A configuration that knows whom to trust, and not yet who it is.
type Trusting = ConfigBuilder<ClientConfig, WantsClientCert>;

type Identify = fn(&Options, Trusting) -> Result<ClientConfig, TlsError>;

/// An option of TLS that cannot be used: a file that cannot be read, or is not what it should be.
pub type TlsOptionError = TlsError;

impl Tls {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The one behind every `wss://` address without options, shared by the whole process.
    pub fn shared() -> Self {
        static DEFAULT: OnceLock<Tls> = OnceLock::new();
        DEFAULT.get_or_init(Self::default).clone()
    }

    /// Trusts the certificates of this PEM file too: a private CA, or a server's own certificate that signed itself, even where that says
    /// that it is a CA's, as `openssl req -x509` makes it. Reads the file now.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn ca_file(self, path: impl AsRef<Path>) -> Result<Self, TlsOptionError> {
        Ok(self.ca(Source::File(path.as_ref()).certificates()?))
    }

    /// The same, from memory.
    ///
    /// # Errors
    /// It holds no certificate.
    pub fn ca_pem(self, pem: &[u8]) -> Result<Self, TlsOptionError> {
        Ok(self.ca(Source::Memory(pem).certificates()?))
    }

    fn ca(self, roots: Vec<CertificateDer<'static>>) -> Self {
        self.with(|options| {
            options.roots.extend(roots);
            options.given = Some(Options::judge_given);
        })
    }

    /// Trusts the certificates given with [`ca_file`](Self::ca_file) alone, and not the operating system's.
    pub fn only_these_cas(self) -> Self {
        self.with(|options| options.only_roots = true)
    }

    /// Refuses the certificates that stand in this revocation list (PEM), which one of the CAs given with
    /// [`ca_file`](Self::ca_file) signed. Needs [`only_these_cas`](Self::only_these_cas): the operating system's are judged
    /// without lists.
    ///
    /// # Errors
    /// The file cannot be read, or holds no list.
    pub fn crl_file(self, path: impl AsRef<Path>) -> Result<Self, TlsOptionError> {
        let crls = Source::File(path.as_ref()).revocation_lists()?;
        Ok(self.with(|options| {
            options.crls.extend(crls);
            options.judge = Some(Options::special_judge);
        }))
    }

    /// Shows the server this certificate: the chain, its own first, and the private key, both PEM.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be.
    pub fn client_certificate(
        self,
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsOptionError> {
        let chain = Source::File(chain.as_ref()).certificates()?;
        let key = Source::File(key.as_ref()).key()?;
        Ok(self.with(|options| {
            options.identity = Some((chain, Arc::new(key)));
            options.identify = Some(Options::identify);
        }))
    }

    /// Trusts exactly the certificates with these SHA-256 fingerprints, in place of every store: neither name, nor issuer, nor
    /// dates are looked at, only that the certificate is one of these and that the server has its key. May be said several times.
    /// What asks for less than that, or for another judge, contradicts it: CAs, revocation lists,
    /// [`dangerously_without_verification`](Self::dangerously_without_verification).
    pub fn pin_sha256(self, fingerprint: [u8; 32]) -> Self {
        self.with(|options| {
            options.pins.push(fingerprint);
            options.judge = Some(Options::special_judge);
        })
    }

    /// TLS 1.3 and nothing older.
    pub fn only_tls13(self) -> Self {
        self.with(|options| options.tls13 = true)
    }

    /// **Takes any certificate of any server.** Whoever sits in between reads and writes everything, passwords and tokens included.
    /// For a look at a test server, and for nothing else: pin the certificate or trust its CA instead. With either of these, or with
    /// a revocation list, it is a contradiction, in any order.
    pub fn dangerously_without_verification(self) -> Self {
        self.with(|options| {
            options.any = true;
            options.judge = Some(Options::special_judge);
        })
    }

    /// The client's side of a TLS connection to the server of this name, for [`Connecting`](crate::opening::Connecting).
    /// Reads the trust store where [`config`](Self::config) would.
    ///
    /// # Errors
    /// As [`config`](Self::config); or the name cannot stand in a certificate.
    pub fn layer(&self, host: &Host) -> Result<Box<dyn Layer>, TlsError> {
        Ok(Box::new(Session::client(&self.config()?, host)?))
    }

    fn with(self, edit: impl FnOnce(&mut Options)) -> Self {
        let mut options = self.options();
        edit(&mut options);
        Self::of(options)
    }

    // Neither this nor the next is inlined: a caller that sets eight options had both eight times.
    #[inline(never)]
    fn options(&self) -> Options {
        self.0.options.clone()
    }

    #[inline(never)]
    fn of(options: Options) -> Self {
        Self(Arc::new(Shared { options, made: OnceLock::new() }))
    }

    /// Whether [`config`](Self::config) has nothing to read any more.
    pub fn is_ready(&self) -> bool {
        self.0.made.get().is_some() || self.0.options.whole.is_some()
    }

    /// The configuration of rustls. The first call reads the trust store, which blocks for some milliseconds: call it on a thread
    /// that may.
    ///
    /// # Errors
    /// [`TlsFault::Configuration`]: the machine has no trust store, or the options contradict each other.
    pub fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        if let Some(whole) = &self.0.options.whole {
            return Ok(Arc::clone(whole));
        }
        self.0.made.get_or_init(|| self.0.options.make().map(Arc::new)).clone()
    }
}

impl Options {
    fn make(&self) -> Result<ClientConfig, TlsError> {
        let provider = provider();
        let versions: &[&SupportedProtocolVersion] =
            if self.tls13 { &[&rustls::version::TLS13] } else { rustls::DEFAULT_VERSIONS };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(of_configuration)?;
        let mut judge = self.verifier(&provider)?;
        if let Some(given) = self.given {
            judge = Some(given(self, judge, &provider)?);
        }
        let trusting = match judge {
            Some(judge) => builder.dangerous().with_custom_certificate_verifier(judge),
            None => builder.with_root_certificates(self.store()?),
        };
        match self.identify {
            None => Ok(trusting.with_no_client_auth()),
            Some(identify) => identify(self, trusting),
        }
    }

    /// Who judges certificates, where it is not the [`store`](Self::store) alone.
    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ServerCertVerifier>>, TlsError> {
        if let Some(judge) = self.judge {
            return judge(self, provider).map(Some);
        }
        // The operating system's store and the given CAs; Mozilla's where there is no such store.
        #[cfg(feature = "platform-roots")]
        if !self.only_roots {
            let roots = self.roots.iter().cloned();
            let verifier =
                rustls_platform_verifier::Verifier::new_with_extra_roots(roots, Arc::clone(provider));
            match verifier {
                Ok(verifier) => return Ok(Some(Arc::new(verifier))),
                Err(error) if cfg!(not(feature = "mozilla-roots")) => return Err(of_configuration(error)),
                Err(_) => {}
            }
        }
        Ok(None)
    }

    /// The given CAs, with those that are compiled in unless they are to be the only ones.
    fn store(&self) -> Result<RootCertStore, TlsError> {
        let mut store = RootCertStore::empty();
        #[cfg(feature = "mozilla-roots")]
        if !self.only_roots {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for root in &self.roots {
            store.add(root.clone()).map_err(of_configuration)?;
        }
        if store.is_empty() {
            return Err(contradiction(if cfg!(any(feature = "platform-roots", feature = "mozilla-roots")) {
                "no certificate is trusted: name a CA (ca_file)"
            } else {
                "no certificate is trusted: name a CA (ca_file), or build with the feature platform-roots or mozilla-roots"
            }));
        }
        Ok(store)
    }

    /// The judge of any certificate, of pinned ones, or of the given CAs with revocation lists.
    fn special_judge(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        // Whatever was said to be more careful would not be heeded, and nobody would notice.
        let names_cas = self.only_roots || !self.roots.is_empty() || !self.crls.is_empty();
        if self.any {
            if names_cas || !self.pins.is_empty() {
                return Err(contradiction(
                    "to take any certificate contradicts pins, CAs and revocation lists, which say which one",
                ));
            }
            return Ok(Judge::of_nothing(provider));
        }
        if !self.pins.is_empty() {
            if names_cas {
                return Err(contradiction(
                    "a pinned certificate is trusted by itself: CAs and revocation lists are not asked beside it",
                ));
            }
            return Ok(Judge::of_pins(self.pins.clone(), provider));
        }
        if !self.only_roots {
            return Err(contradiction("a revocation list needs only_these_cas()"));
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(self.store()?), Arc::clone(provider));
        let verifier = verifier.with_crls(self.crls.iter().cloned()).allow_unknown_revocation_status();
        Ok(verifier.build().map_err(of_configuration)?)
    }

    /// The judge that takes given certificates that signed themselves for a server's own too.
    fn judge_given(
        &self,
        judge: Option<Arc<dyn ServerCertVerifier>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        let judge: Arc<dyn ServerCertVerifier> = match judge {
            // A path is judged before the lists are asked, so this one would not be.
            Some(judge) if !self.crls.is_empty() => return Ok(judge),
            Some(judge) => judge,
            None => {
                let store = Arc::new(self.store()?);
                let verifier = WebPkiServerVerifier::builder_with_provider(store, Arc::clone(provider));
                verifier.build().map_err(of_configuration)?
            }
        };
        Ok(Arc::new(Given::new(judge, self.roots.clone())))
    }

    fn identify(&self, trusting: Trusting) -> Result<ClientConfig, TlsError> {
        match &self.identity {
            None => Ok(trusting.with_no_client_auth()),
            Some((chain, key)) => {
                trusting.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(of_identity)
            }
        }
    }
}

fn contradiction(what: &str) -> TlsError {
    TlsError::caused(TlsFault::Configuration, std::io::Error::new(std::io::ErrorKind::InvalidInput, what))
}

/// A whole configuration, whose crypto provider, verifier, resumption and client certificate are taken as they are. ALPN is
/// http/1.1 whatever it says.
impl From<Arc<ClientConfig>> for Tls {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self::of(Options { whole: Some(config), ..Options::default() })
    }
}

impl From<ClientConfig> for Tls {
    fn from(config: ClientConfig) -> Self {
        Self::from(Arc::new(config))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.0.options;
        f.debug_struct("Tls")
            .field("whole", &options.whole.is_some())
            .field("roots", &options.roots.len())
            .field("only_roots", &options.only_roots)
            .field("pins", &options.pins.len())
            .field("without_verification", &options.any)
            .field("client_certificate", &options.identity.is_some())
            .finish_non_exhaustive()
    }
}
