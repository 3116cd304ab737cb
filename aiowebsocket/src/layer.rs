//! What lies between the socket and the machines where a connection is secure: TLS, as bytes in and bytes out.
//!
//! ```text
//!  socket ─► space, received ─► open ─► plain bytes          plain bytes ─► seal ─► socket
//!                                 └────── control: what the layer itself has to say ─────┘
//! ```
//!
//! The machines know this trait and no library behind it, so that every face can bring its own: `tls/` has the one of the
//! library.

use std::fmt::{self, Write as _};
use std::sync::Arc;

/// One secured connection, from its handshake to its end, as a machine over bytes.
///
/// The contract: after the layer was made and after anything that takes `&mut`, write what [`control`](Self::control) has; take
/// plain bytes by [`open`](Self::open) until it gives none; then read into [`space`](Self::space).
pub trait Layer: fmt::Debug + Send + Sync {
    /// Room for bytes of the socket; never empty.
    fn space(&mut self) -> &mut [u8];

    /// `n` bytes of the socket were written to the front of the last [`space`](Self::space).
    fn received(&mut self, n: usize);

    /// Takes what arrived apart and writes plain bytes to the front of `plain`. Nothing is lost where `plain` is short.
    ///
    /// # Errors
    /// The layer failed; it is final. What it tells the peer about that is in [`control`](Self::control).
    fn open(&mut self, plain: &mut [u8]) -> Result<Unsealed, TlsError>;

    /// Whether [`open`](Self::open) may have more without more bytes of the socket: asked after it gave some, so that no memory
    /// is taken for nothing. True where that is not known.
    fn may_open(&self) -> bool {
        true
    }

    /// Seals plain bytes, as many as make one record, into `sealed`, which has room for what [`record_room`] says.
    /// Nothing may be sealed before [`is_open`](Self::is_open).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    fn seal(&mut self, plain: &[u8], sealed: &mut [u8]) -> Result<Sealed, TlsError>;

    /// Takes what the layer itself has to say to the peer (its handshake, alerts, new keys): bytes for the socket.
    /// It goes before what is sealed later.
    fn control(&mut self) -> Vec<u8>;

    /// Whether [`control`](Self::control) has anything.
    fn has_control(&self) -> bool;

    /// Nothing more is going to be sealed: says so to the peer (`close_notify`), once.
    fn close(&mut self);

    /// The connection is going to wait: gives back memory that is not needed for that.
    fn park(&mut self);

    /// Whether the handshake of the layer is complete.
    fn is_open(&self) -> bool;

    /// What was agreed on, once it is open: for people to read.
    fn agreed(&self) -> Option<TlsInfo>;

    /// The protocol agreed on by ALPN, as [`agreed`](Self::agreed) tells it, where that is all that is asked.
    fn alpn(&self) -> Option<String> {
        self.agreed()?.alpn
    }
}

/// What a record of TLS holds at most (RFC 8446 5.1).
const RECORD: usize = 16 << 10;

/// The header of a record and what ciphers add, with some room for new keys before it.
pub(crate) const OVERHEAD: usize = 512;

/// What a record of TLS can come to at most.
pub const RECORD_ROOM: usize = RECORD + OVERHEAD;

/// What a record of so many plain bytes, or of the first 16 KiB of them, can come to at most, through a layer over a layer too.
pub fn record_room(plain: usize) -> usize {
    (plain.min(RECORD) + 2 * OVERHEAD).min(RECORD_ROOM)
}

/// What [`Layer::open`] gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsealed {
    /// Plain bytes that were written.
    pub plain: usize,
    /// The peer said that nothing follows them (`close_notify`).
    pub is_end: bool,
}

/// What [`Layer::seal`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Plain bytes that were taken.
    pub taken: usize,
    /// Bytes that were written for the socket.
    pub written: usize,
}

/// What the two ends of a secure connection agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// `"TLSv1.3"`, for example.
    pub version: String,
    /// The cipher suite by its name of IANA's register.
    pub cipher: String,
    /// The protocol agreed on by ALPN, if any.
    pub alpn: Option<String>,
    /// Whether an earlier session was resumed.
    pub is_resumed: bool,
}

impl TlsInfo {
    /// What was agreed on.
    pub fn new(version: String, cipher: String, alpn: Option<String>, is_resumed: bool) -> Self {
        Self { version, cipher, alpn, is_resumed }
    }
}

impl fmt::Display for TlsInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.version, self.cipher)?;
        if let Some(alpn) = &self.alpn {
            write!(f, ", {alpn}")?;
        }
        f.write_str(if self.is_resumed { ", resumed" } else { "" })
    }
}

/// Why a connection is not secure, or no more.
///
/// `Display` says what, and whose fault; `source` is the error of the TLS library, where there is one.
#[derive(Clone, Debug)]
pub struct TlsError {
    fault: TlsFault,
    /// It was with the proxy, and not with the server.
    with_proxy: bool,
    cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsFault {
    /// The server's certificate is no longer valid.
    Expired {
        /// When its validity ended, in seconds since 1970, where that is known.
        not_after: Option<u64>,
    },
    /// The server's certificate is not valid yet; or the clock of this machine is wrong.
    NotYetValid {
        /// When its validity begins, in seconds since 1970, where that is known.
        not_before: Option<u64>,
    },
    /// The server's certificate is for other names.
    WrongHost {
        /// The name that was asked for.
        expected: String,
        /// The names in the certificate.
        presented: Vec<String>,
    },
    /// The server's certificate was issued by somebody who is not trusted here.
    UnknownIssuer,
    /// The server's certificate was revoked.
    Revoked,
    /// The server's certificate is not the one that was pinned.
    NotPinned {
        /// The SHA-256 fingerprint of the one that it has.
        presented: [u8; 32],
    },
    /// The server's certificate is wrong in another way.
    BadCertificate,
    /// The two ends have no version, cipher or protocol in common.
    NoCommonProtocol,
    /// What answered does not speak TLS.
    NotTls {
        /// The first bytes of the answer, 32 at most.
        start: Vec<u8>,
    },
    /// The peer refused with an alert, or wants a certificate of ours that it did not get.
    Refused {
        /// The alert by its name of RFC 8446.
        alert: String,
    },
    /// The peer ended TCP without saying so in TLS (`close_notify`): what came may not be all that it sent.
    Truncated,
    /// The peer chose an application protocol other than `http/1.1`.
    Alpn {
        /// Its name.
        protocol: String,
    },
    /// What the peer sent breaks TLS, or was changed on its way.
    Broken,
    /// The certificates of this machine, or those of the options, cannot be used.
    Configuration,
    /// TLS was asked for, and this build has none: the feature `tls` is off.
    Unsupported,
}

impl TlsError {
    /// An error without a cause below it.
    pub fn new(fault: TlsFault) -> Self {
        Self { fault, with_proxy: false, cause: None }
    }

    /// An error of a TLS library.
    pub fn caused(fault: TlsFault, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { fault, with_proxy: false, cause: Some(Arc::new(cause)) }
    }

    /// The same, of TLS with a proxy.
    pub(crate) fn with_the_proxy(mut self) -> Self {
        self.with_proxy = true;
        self
    }

    /// What is wrong.
    pub fn fault(&self) -> &TlsFault {
        &self.fault
    }

    /// The error of the TLS library, or of a file that cannot be used, if there is one.
    pub fn cause(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as _)
    }

    /// Whether the same call may succeed later: the line or the server was at fault for now. A certificate that is not
    /// trusted today is nothing to try again at once.
    pub fn is_retryable(&self) -> bool {
        match &self.fault {
            TlsFault::Truncated | TlsFault::Broken => true,
            // RFC 8446 6.2: "unrelated to the peer or the correctness of the protocol". Servers say it that wait for a certificate of
            // their own.
            TlsFault::Refused { alert } => {
                alert.replace('_', "").to_ascii_lowercase().ends_with("internalerror")
            }
            _ => false,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = if self.with_proxy { "proxy" } else { "server" };
        match &self.fault {
            TlsFault::Expired { not_after: Some(at) } => {
                write!(f, "the {server}'s certificate has expired ({})", Date(*at))?;
            }
            TlsFault::Expired { not_after: None } => write!(f, "the {server}'s certificate has expired")?,
            TlsFault::NotYetValid { not_before: Some(at) } => write!(
                f,
                "the {server}'s certificate is not valid yet ({}), or the clock here is wrong",
                Date(*at)
            )?,
            TlsFault::NotYetValid { not_before: None } => {
                write!(f, "the {server}'s certificate is not valid yet, or the clock here is wrong")?;
            }
            TlsFault::WrongHost { expected, presented } if presented.is_empty() => {
                write!(f, "the {server}'s certificate is not for {expected}")?;
            }
            TlsFault::WrongHost { expected, presented } => {
                write!(f, "the {server}'s certificate is not for {expected}, but for ")?;
                for (i, name) in presented.iter().take(5).enumerate() {
                    f.write_str(if i == 0 { "" } else { ", " })?;
                    write_name(f, name)?;
                }
            }
            TlsFault::UnknownIssuer => write!(
                f,
                "the {server}'s certificate was issued by somebody who is not trusted here: a private CA wants its certificate in the options",
            )?,
            TlsFault::Revoked => write!(f, "the {server}'s certificate was revoked")?,
            TlsFault::NotPinned { presented } => {
                write!(f, "the {server}'s certificate is not the one that was pinned: its SHA-256 is ")?;
                presented.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            }
            TlsFault::BadCertificate => {
                f.write_str("the peer's certificate cannot be used")?;
                self.write_cause(f)?;
            }
            TlsFault::NoCommonProtocol => {
                f.write_str("the two ends have no version or cipher of TLS in common")?;
                self.write_cause(f)?;
            }
            TlsFault::NotTls { start } => {
                let (peer, scheme) = if self.with_proxy { ("proxy", "http") } else { ("peer", "ws") };
                write!(f, "the {peer} does not speak TLS here: what it sent begins with \"{}\"", start.escape_ascii())?;
                if start.starts_with(b"HTTP/") {
                    write!(f, ", which is plain HTTP (use {scheme}://)")?;
                }
            }
            TlsFault::Refused { alert } => write!(f, "the peer refused TLS with the alert {alert}")?,
            TlsFault::Truncated => {
                f.write_str("the peer ended TCP without the end of TLS: what came may not be all")?;
            }
            TlsFault::Alpn { protocol } => {
                write!(f, "the {server} chose the application protocol \"")?;
                write_name(f, protocol)?;
                f.write_str("\" and not \"http/1.1\"")?;
            }
            TlsFault::Broken => {
                f.write_str("what the peer sent breaks TLS, or was changed on its way")?;
                self.write_cause(f)?;
            }
            TlsFault::Configuration => {
                f.write_str("the options of TLS cannot be used")?;
                self.write_cause(f)?;
            }
            TlsFault::Unsupported => f.write_str(
                "TLS is not part of this build: turn on the feature \"tls\", or bring a TLS stream of your own",
            )?,
        }
        Ok(())
    }
}

impl TlsError {
    /// Whether `Display` says the cause behind the fault.
    fn tells_cause(&self) -> bool {
        matches!(
            self.fault,
            TlsFault::BadCertificate
                | TlsFault::NoCommonProtocol
                | TlsFault::Broken
                | TlsFault::Configuration
        )
    }

    fn write_cause(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

/// Seconds since 1970 as a day in UTC, such as `2002-01-01`.
struct Date(u64);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Years begin in March here, so that the day of a leap year is the last, and 400 of them are one length. A certificate
        // can say no year beyond 9999; what could is shown as that.
        const LAST: u64 = 253_402_300_799;
        let days = self.0.min(LAST) / 86_400 + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        write!(f, "{:04}-{month:02}-{day:02}", era * 400 + year + next)
    }
}

/// A name that the peer sent, which may be anything: what a name of a host is not made of is shown as `?`.
fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    name.chars().take(100).try_for_each(|c| f.write_char(if c.is_ascii_graphic() { c } else { '?' }))
}

impl std::error::Error for TlsError {
    /// The cause, or what is behind it where `Display` has said it.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let cause = self.cause()?;
        if self.tells_cause() { cause.source() } else { Some(cause) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Date, TlsError, TlsFault};

    /// A certificate may say anything, and errors are shown on terminals.
    #[test]
    fn names_of_the_peer_have_no_control_characters() {
        let presented = vec!["*.example.com".to_owned(), "a\u{1b}[2J\u{202e}b".to_owned()];
        let error = TlsError::new(TlsFault::WrongHost { expected: "example.org".to_owned(), presented });
        let text = "the server's certificate is not for example.org, but for *.example.com, a?[2J?b";
        assert_eq!(error.to_string(), text);
    }

    /// As rustls names it, and OpenSSL.
    #[test]
    fn a_server_whose_own_fault_it_is_may_be_asked_again() {
        for (alert, is_retryable) in [
            ("InternalError", true),
            ("TLSV1_ALERT_INTERNAL_ERROR", true),
            ("CertificateRequired", false),
            ("TLSV13_ALERT_CERTIFICATE_REQUIRED", false),
        ] {
            let error = TlsError::new(TlsFault::Refused { alert: alert.to_owned() });
            assert_eq!(error.is_retryable(), is_retryable, "{alert}");
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        let leap =
            |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let mut seconds = 0;
        for year in 1970..=9999 {
            let february = if leap(year) { 29 } else { 28 };
            for (month, days) in
                [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].into_iter().enumerate()
            {
                for day in [1, days] {
                    let shown = Date(seconds + (day - 1) * 86_400 + 86_399).to_string();
                    assert_eq!(shown, format!("{year:04}-{:02}-{day:02}", month + 1));
                }
                seconds += days * 86_400;
            }
        }
        assert_eq!(Date(u64::MAX).to_string(), "9999-12-31");
    }
}
