//! What a proxy is: where it is, which dialogue it wants, and what only it may know.

use std::fmt;
use std::str::FromStr;

use super::credentials::{basic_value, fits_basic};
use super::http::{FieldError, check_field, shortened};
use super::url::{Host, UrlError, decode_userinfo, parse_host_and_port, refuse_forbidden, split_userinfo};

/// A proxy that opens a tunnel to the server: HTTP CONNECT (RFC 9110 9.3.6) or SOCKS5 (RFC 1928).
///
/// Both `ws://` and `wss://` go through a tunnel, so the proxy sees the server's name and port, and of a `wss://`
/// connection nothing else. Credentials and header lines given here are sent to the proxy only, never to the server.
///
/// Neither `Display` nor `Debug` shows the user, the password, or the value of a header line.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proxy {
    scheme: ProxyScheme,
    host: Host,
    port: u16,
    credentials: Option<Credentials>,
    lines: Vec<(String, Vec<u8>)>,
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyScheme {
    /// `http://`: CONNECT, in the clear to the proxy; port 80 unless named.
    Http,
    /// `https://`: CONNECT, within TLS to the proxy; port 443 unless named.
    Https,
    /// `socks5://`: the name is resolved here, and the proxy gets an IP address; port 1080 unless named.
    Socks5,
    /// `socks5h://`: the proxy gets the name and resolves it; port 1080 unless named.
    Socks5h,
}

impl ProxyScheme {
    /// The port when the address names none: what RFC 9110 4.2.1 and 4.2.2 give to `http` and `https`, and 1080, which
    /// RFC 1928 3 calls conventional. (curl takes 1080 for `http://` too; everybody else takes 80.)
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Socks5 | Self::Socks5h => 1080,
        }
    }

    /// `"http"`, `"https"`, `"socks5"` or `"socks5h"`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    fn is_socks(self) -> bool {
        matches!(self, Self::Socks5 | Self::Socks5h)
    }
}

/// A user and a password that this proxy's way of authentication can carry.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

impl Proxy {
    /// Reads an address such as `http://user:password@proxy.example.com:3128`.
    ///
    /// The schemes are those of [`ProxyScheme`], in any case; without one it is `http`, as in `proxy.example.com:3128`,
    /// which is how many environments have it. User and password are percent-decoded. A `/` may end the address.
    ///
    /// # Errors
    ///
    /// [`ProxyError`] says what is wrong and what to write instead.
    pub fn parse(address: &str) -> Result<Self, ProxyError> {
        refuse_forbidden(address)?;
        let (scheme, rest) = split_scheme(address)?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if !matches!(path, "" | "/") {
            return Err(ProxyError::Path);
        }
        let (userinfo, host_and_port) = split_userinfo(authority);
        let credentials = decode_userinfo(userinfo)?;
        let (host, port) = parse_host_and_port(host_and_port)?;
        let proxy = Self {
            scheme,
            host,
            port: port.unwrap_or(scheme.default_port()),
            credentials: None,
            lines: Vec::new(),
        };
        match credentials {
            Some((user, password)) => proxy.basic(&user, &password),
            None => Ok(proxy),
        }
    }

    /// Sets user and password, in place of those of the address: sent as `Proxy-Authorization: Basic` (RFC 7617) to an
    /// HTTP proxy, and to a SOCKS proxy by RFC 1929 if it asks for them.
    ///
    /// # Errors
    ///
    /// [`ProxyError::Credentials`] for control characters and, with HTTP, for a colon in the user (RFC 7617 2);
    /// [`ProxyError::SocksCredentials`] where one of the two has not 1 to 255 bytes, which is what RFC 1929 2 can carry.
    pub fn basic(mut self, user: &str, password: &str) -> Result<Self, ProxyError> {
        if self.scheme.is_socks() {
            for (part, text) in [("user", user), ("password", password)] {
                if text.chars().any(char::is_control) {
                    return Err(ProxyError::Credentials);
                }
                if !(1..=255).contains(&text.len()) {
                    return Err(ProxyError::SocksCredentials { part, length: text.len() });
                }
            }
        } else if !fits_basic(user, password) {
            return Err(ProxyError::Credentials);
        }
        self.credentials = Some(Credentials { user: user.to_owned(), password: password.to_owned() });
        Ok(self)
    }

    /// Adds a header line to the CONNECT request, name and value as given. `Proxy-Authorization` takes the place of
    /// user and password, and `User-Agent` that of ours.
    ///
    /// # Errors
    ///
    /// [`ProxyError::Field`] for a name that is not a token, a value with control characters, and for names that the
    /// request sets itself; [`ProxyError::NoHeaders`] for a SOCKS proxy, whose dialogue has no header lines.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, ProxyError> {
        if self.scheme.is_socks() {
            return Err(ProxyError::NoHeaders { name: name.to_owned() });
        }
        let value = value.as_ref();
        check_field(name, value)?;
        if let Some(reason) = reserved(name) {
            return Err(FieldError::Reserved { name: name.to_owned(), reason }.into());
        }
        let is_single = SINGLE.iter().any(|single| single.eq_ignore_ascii_case(name));
        let line = (name.to_owned(), value.to_vec());
        match self.lines.iter_mut().find(|(old, _)| is_single && old.eq_ignore_ascii_case(name)) {
            Some(old) => *old = line,
            None => self.lines.push(line),
        }
        Ok(self)
    }

    /// How it is spoken to.
    pub fn scheme(&self) -> ProxyScheme {
        self.scheme
    }

    /// Where it is.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its port, named or default; never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host as resolvers and TLS want it: an IPv6 address without brackets.
    pub fn dial_host(&self) -> String {
        self.host.dial()
    }

    /// Whether the connection to the proxy itself must be TLS. A `wss://` connection has TLS of its own within that.
    pub fn is_secure(&self) -> bool {
        self.scheme == ProxyScheme::Https
    }

    /// Whether the proxy gets the server's name. If not, the name must be resolved here, and the
    /// [`TunnelTarget`](super::TunnelTarget) be an IP address.
    pub fn resolves_names(&self) -> bool {
        self.scheme != ProxyScheme::Socks5
    }

    pub(super) fn is_socks(&self) -> bool {
        self.scheme.is_socks()
    }

    pub(super) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The header lines of a CONNECT request that are not Host: authentication and the user's.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&str, Vec<u8>)> {
        let is_own = |name: &str| self.lines.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let basic = self.credentials.as_ref().filter(|_| !is_own(AUTHORIZATION)).map(|credentials| {
            (AUTHORIZATION, basic_value(&credentials.user, &credentials.password).into_bytes())
        });
        let agent = Some((USER_AGENT, super::request::USER_AGENT.into())).filter(|_| !is_own(USER_AGENT));
        let own = self.lines.iter().map(|(name, value)| (name.as_str(), value.clone()));
        agent.into_iter().chain(basic).chain(own)
    }
}

const AUTHORIZATION: &str = "Proxy-Authorization";
const USER_AGENT: &str = "User-Agent";

/// Header lines that may stand only once (RFC 9110 10.1.5 and 11.7.2).
const SINGLE: [&str; 2] = [AUTHORIZATION, USER_AGENT];

/// Why the user may not set this header.
fn reserved(name: &str) -> Option<&'static str> {
    const RESERVED: [(&str, &str); 3] = [
        ("Host", "the request names the server there"),
        // RFC 9110 9.3.6: a CONNECT request has no content; a proxy would read what follows as that.
        ("Content-Length", "a CONNECT request has no body"),
        ("Transfer-Encoding", "a CONNECT request has no body"),
    ];
    RESERVED.iter().find(|(ours, _)| ours.eq_ignore_ascii_case(name)).map(|&(_, reason)| reason)
}

fn split_scheme(address: &str) -> Result<(ProxyScheme, &str), ProxyError> {
    let Some((scheme, rest)) = address.split_once("://") else {
        return Ok((ProxyScheme::Http, address));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok((ProxyScheme::Http, rest)),
        "https" => Ok((ProxyScheme::Https, rest)),
        "socks5" => Ok((ProxyScheme::Socks5, rest)),
        "socks5h" => Ok((ProxyScheme::Socks5h, rest)),
        // What stands before "://" without being a scheme may hold a password.
        scheme if scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) => {
            Err(ProxyError::UnsupportedScheme { scheme: scheme.to_owned() })
        }
        _ => Err(ProxyError::Path),
    }
}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(address: &str) -> Result<Self, ProxyError> {
        Self::parse(address)
    }
}

impl fmt::Display for Proxy {
    /// The address without its userinfo, always with its port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme.as_str(), self.host.bracketed(), self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self}")?;
        for (name, _) in &self.lines {
            write!(f, ", {name}: …")?;
        }
        f.write_str(")")
    }
}

/// Why something cannot be a proxy: a mistake in its address or its options. None of the messages repeats userinfo or
/// the value of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyError {
    /// The scheme is none of `http`, `https`, `socks5` and `socks5h`.
    UnsupportedScheme {
        /// The scheme, in lower case.
        scheme: String,
    },
    /// Something is wrong with host, port or userinfo.
    Address(UrlError),
    /// A path, a query or a fragment.
    Path,
    /// User or password has a control character or, for an HTTP proxy, the user a colon.
    Credentials,
    /// User or password is empty or too long for SOCKS5 (RFC 1929 2).
    SocksCredentials {
        /// `"user"` or `"password"`.
        part: &'static str,
        /// How many bytes it has.
        length: usize,
    },
    /// A header field that must not be written.
    Field(FieldError),
    /// A header line for a SOCKS proxy.
    NoHeaders {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedScheme { scheme } => {
                let instead = match scheme.as_str() {
                    "socks" | "socks4" | "socks4a" => "use socks5:// or socks5h://",
                    "ws" => "use http://",
                    "wss" => "use https://",
                    _ => "use http://, https://, socks5:// or socks5h://",
                };
                write!(f, "{:?} is no kind of proxy: {instead}", shortened(scheme))
            }
            Self::Address(error) => write!(f, "the proxy cannot be used: {error}"),
            Self::Path => f.write_str(
                "the proxy's address has a path, a query or a fragment: end it behind the port, as in http://proxy.example.com:3128",
            ),
            Self::Credentials => f.write_str(
                "user or password for the proxy cannot be sent: use no control characters and, for an HTTP proxy, no colon in the user",
            ),
            Self::SocksCredentials { part, length } => {
                write!(f, "the {part} for the SOCKS proxy has {length} bytes, and SOCKS5 carries 1 to 255")
            }
            Self::Field(error) => error.fmt(f),
            Self::NoHeaders { name } => write!(
                f,
                "the header {:?} cannot be sent to a SOCKS proxy: only HTTP proxies take header lines",
                shortened(name)
            ),
        }
    }
}

impl std::error::Error for ProxyError {}

impl From<UrlError> for ProxyError {
    fn from(error: UrlError) -> Self {
        Self::Address(error)
    }
}

impl From<FieldError> for ProxyError {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}
