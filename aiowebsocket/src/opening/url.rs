//! `ws://` and `wss://` addresses (RFC 6455 3, on the grammar of RFC 3986).
//!
//! A splitter of our own: the handshake needs five parts of an address and strict rules about them, and nothing of
//! what a general URL type does to an address (normalising paths, guessing hosts, rewriting escapes).

use core::net::{Ipv4Addr, Ipv6Addr};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::http::shortened;

/// Where to connect and what to ask for: a parsed `ws://` or `wss://` address.
///
/// Neither `Display` nor `Debug` shows the user's name, the password, or the query, which is where tokens are put.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    scheme: Scheme,
    userinfo: Option<Userinfo>,
    host: Host,
    port: u16,
    /// Shared with the request for it.
    resource: Arc<str>,
}

/// How the connection is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `ws://`: plain TCP, port 80 unless named.
    Ws,
    /// `wss://`: TLS, port 443 unless named.
    Wss,
}

impl Scheme {
    /// The port when the address names none (RFC 6455 3): 80 or 443.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    /// `"ws"` or `"wss"`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }
}

/// A host: a name in ASCII and lower case, or an IP address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name to be resolved; international names are punycode here.
    Name(String),
    /// An IPv4 address in its four-number form.
    Ipv4(Ipv4Addr),
    /// An IPv6 address, which stood in brackets.
    Ipv6(Ipv6Addr),
}

impl Host {
    /// Reads a host as it stands in an address: a name, or an IP address, IPv6 with or without brackets.
    ///
    /// # Errors
    ///
    /// [`UrlError`], as [`Address::parse`].
    pub fn parse(host: &str) -> Result<Self, UrlError> {
        refuse_forbidden(host)?;
        match host.parse() {
            Ok(address) => Ok(Self::Ipv6(address)),
            Err(_) => parse_host(host),
        }
    }

    /// As resolvers and TLS want it: an IPv6 address without brackets.
    pub(super) fn dial(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Ipv4(address) => dotted(*address),
            Self::Ipv6(address) => address.to_string(),
        }
    }

    /// As it stands in front of a colon and a port: an IPv6 address in brackets.
    pub(super) fn bracketed(&self) -> String {
        match self {
            Self::Ipv6(address) => format!("[{address}]"),
            _ => self.dial(),
        }
    }
}

/// The name and password that stood before the `@`, percent-decoded. Sent as `Authorization: Basic`; shown nowhere.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Userinfo {
    user: String,
    password: String,
}

impl Userinfo {
    /// The name, without a colon (RFC 7617 2).
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password; empty when there was none.
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for Userinfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Userinfo(…)")
    }
}

impl Address {
    /// Reads an address such as `wss://user:password@example.com:8443/feed?symbol=x`.
    ///
    /// The scheme and the host are taken in any case. Percent-escapes of the path and query stay as they are; other
    /// characters that a URI cannot hold but people paste (`é`, `{`, `|`, …) are percent-encoded there (RFC 3987
    /// 3.1). A query that is empty is left out, as RFC 6455 3 has it.
    ///
    /// # Errors
    ///
    /// [`UrlError`] says what is wrong and what to write instead. Control characters and blanks are refused
    /// everywhere, in the host also behind percent-escapes; so are fragments (RFC 6455 3).
    pub fn parse(address: &str) -> Result<Self, UrlError> {
        refuse_forbidden(address)?;
        let (scheme, rest) = split_scheme(address)?;
        if rest.bytes().any(|b| b == b'#') {
            return Err(UrlError::Fragment);
        }
        // A `\` is no delimiter here. Browsers end the host with it; so that nobody can make two programs see two
        // hosts in one address, it is refused in the authority.
        let end = rest.bytes().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, resource) = rest.split_at(end);
        let (userinfo, host_and_port) = split_userinfo(authority);
        let userinfo = parse_userinfo(userinfo)?;
        let (host, port) = parse_host_and_port(host_and_port)?;
        Ok(Self {
            scheme,
            userinfo,
            host,
            port: port.unwrap_or(scheme.default_port()),
            resource: parse_resource(resource)?,
        })
    }

    /// `ws` or `wss`.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether the connection must be TLS.
    pub fn is_secure(&self) -> bool {
        self.scheme == Scheme::Wss
    }

    /// The name and password, if the address had them.
    pub fn userinfo(&self) -> Option<&Userinfo> {
        self.userinfo.as_ref()
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, named or default; never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query as they stand in the request line (the /resource name/ of RFC 6455 3): ASCII, begins with `/`.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    pub(super) fn shared_resource(&self) -> Arc<str> {
        Arc::clone(&self.resource)
    }

    /// The same but for path and query.
    #[cfg(feature = "redirects")]
    pub(super) fn with_resource(&self, resource: &str) -> Result<Self, UrlError> {
        refuse_forbidden(resource)?;
        Ok(Self { resource: parse_resource(resource)?, ..self.clone() })
    }

    /// Whether both are reached in the same way at the same host and port: what one may know, the other may.
    pub(super) fn is_same_origin(&self, other: &Self) -> bool {
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
    }

    /// The value of the Host header: the host, an IPv6 address in brackets, and the port unless it is the default
    /// one (RFC 6455 4.1).
    pub fn authority_for_host_header(&self) -> String {
        let mut authority = self.host.bracketed();
        if self.port != self.scheme.default_port() {
            let mut port = Decimals::default();
            port.push(b':');
            port.put(self.port);
            authority.push_str(port.as_str());
        }
        authority
    }

    /// The host as resolvers and TLS want it: an IPv6 address without brackets.
    pub fn dial_host(&self) -> String {
        self.host.dial()
    }
}

impl FromStr for Address {
    type Err = UrlError;

    fn from_str(address: &str) -> Result<Self, UrlError> {
        Self::parse(address)
    }
}

impl fmt::Display for Address {
    /// The address without its userinfo; a query is shown as `?…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, query) = match self.resource.split_once('?') {
            Some((path, _)) => (path, "?…"),
            None => (&*self.resource, ""),
        };
        write!(f, "{}://{}{path}{query}", self.scheme.as_str(), self.authority_for_host_header())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// Why an address was refused. The messages say what is wrong, where, and what to write instead; none repeats the
/// userinfo or the query.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// There is no `scheme://` at the beginning.
    MissingScheme,
    /// The scheme is not `ws` or `wss`.
    UnsupportedScheme {
        /// The scheme, in lower case.
        scheme: String,
    },
    /// A control character or a blank.
    ForbiddenCharacter {
        /// The character.
        character: char,
        /// The byte of the address at which it stands, from 0.
        position: usize,
    },
    /// A `#`: WebSocket addresses have no fragment (RFC 6455 3).
    Fragment,
    /// A `%` that two hexadecimal digits do not follow.
    InvalidEscape,
    /// The user or the password cannot be sent: control characters, bytes that are not UTF-8, a colon in the name
    /// (RFC 7617 2), a second `@`, or a backslash.
    InvalidUserinfo,
    /// There is no host.
    EmptyHost,
    /// The host has a character that no host has, possibly behind a percent-escape.
    InvalidHostCharacter {
        /// The character.
        character: char,
    },
    /// The percent-escapes of the host are not UTF-8.
    InvalidHostEncoding,
    /// The host is not ASCII, and the feature `idn` is not on.
    InternationalHost,
    /// The host is not ASCII, and is not a valid international name.
    InvalidInternationalHost,
    /// More than one colon without brackets.
    UnbracketedIpv6,
    /// What stands in the brackets is no IPv6 address, or the bracket is not closed.
    InvalidIpv6,
    /// An IPv6 address with a zone (`%eth0`), which means nothing to a server and cannot stand in a Host header.
    ZoneId,
    /// The port is not a number.
    InvalidPort,
    /// The port is 0.
    PortZero,
    /// The port is above 65,535.
    PortTooLarge,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingScheme => {
                f.write_str("the address has no scheme: begin it with \"ws://\" or \"wss://\"")
            }
            Self::UnsupportedScheme { scheme } => {
                let instead = match scheme.as_str() {
                    "http" => "use ws://",
                    "https" => "use wss://",
                    _ => "use ws:// or wss://",
                };
                write!(f, "{:?} is not a WebSocket scheme: {instead}", shortened(scheme))
            }
            Self::ForbiddenCharacter { character, position } => {
                let kind = if character.is_control() { "control character" } else { "blank" };
                write!(
                    f,
                    "the address has the {kind} U+{:04X} at byte {position}: remove it, or percent-encode it in the path or query",
                    u32::from(*character)
                )
            }
            Self::Fragment => f.write_str(
                "the address has a fragment, which WebSocket addresses cannot have: remove it, or write %23 for a \"#\"",
            ),
            Self::InvalidEscape => f.write_str(
                "the address has a \"%\" without two hexadecimal digits after it: write %25 for a \"%\"",
            ),
            Self::InvalidUserinfo => f.write_str(
                "the user or password in the address cannot be sent: percent-encode \"@\" as %40 and \"\\\" as %5C, use UTF-8, no control characters, and no colon in the user",
            ),
            Self::EmptyHost => f.write_str("the address has no host: write one after \"://\""),
            Self::InvalidHostCharacter { character } => write!(
                f,
                "the host has the character {character:?}: use a name of letters, digits, hyphens and dots, or an IP address"
            ),
            Self::InvalidHostEncoding => {
                f.write_str("the percent-escapes of the host are not UTF-8: write the name in punycode")
            }
            Self::InternationalHost => f.write_str(
                "the host is not ASCII: write it in punycode (xn--…); a Rust program can build with the feature \"idn\"",
            ),
            Self::InvalidInternationalHost => {
                f.write_str("the host is not a valid international name: check its spelling")
            }
            Self::UnbracketedIpv6 => {
                f.write_str("the host has several colons: write an IPv6 address in brackets, as in [::1]:80")
            }
            Self::InvalidIpv6 => {
                f.write_str("the brackets do not hold an IPv6 address: write it as in [::1]:80")
            }
            Self::ZoneId => f.write_str(
                "the IPv6 address has a zone (\"%…\"), which means nothing to anybody else: remove it",
            ),
            Self::InvalidPort => f.write_str("the port is not a number: write 1 to 65535 after the colon"),
            Self::PortZero => f.write_str("the port is 0, which cannot be connected to: write 1 to 65535"),
            Self::PortTooLarge => f.write_str("the port is above 65535: write 1 to 65535"),
        }
    }
}

impl std::error::Error for UrlError {}

/// What `to_string` gives, in 350 instructions where that takes 1,320: the formatter pads each of the four numbers.
fn dotted(address: Ipv4Addr) -> String {
    let mut text = Decimals::default();
    let [first, rest @ ..] = address.octets();
    text.put(first.into());
    for octet in rest {
        text.push(b'.');
        text.put(octet.into());
    }
    // Room for a port behind it.
    let mut dotted = String::with_capacity("255.255.255.255:65535".len());
    dotted.push_str(text.as_str());
    dotted
}

/// Decimal numbers and what stands between them, as many as an IPv4 address has.
#[derive(Default)]
struct Decimals {
    bytes: [u8; 16],
    length: usize,
}

impl Decimals {
    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn put(&mut self, number: u16) {
        let digit = |number: u16| b'0' + u8::try_from(number % 10).expect("a remainder of ten");
        for divisor in [10_000, 1_000, 100, 10] {
            if number >= divisor {
                self.push(digit(number / divisor));
            }
        }
        self.push(digit(number));
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).expect("digits are ASCII")
    }
}

fn is_forbidden(character: char) -> bool {
    character.is_control() || character.is_whitespace()
}

pub(super) fn refuse_forbidden(address: &str) -> Result<(), UrlError> {
    // Almost every address: characters are told apart only where there is one beyond visible ASCII.
    if address.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    match address.char_indices().find(|&(_, character)| is_forbidden(character)) {
        Some((position, character)) => Err(UrlError::ForbiddenCharacter { character, position }),
        None => Ok(()),
    }
}

fn split_scheme(address: &str) -> Result<(Scheme, &str), UrlError> {
    // No scheme has a colon in it, so the first one ends it.
    let (scheme, rest) = address.split_once(':').ok_or(UrlError::MissingScheme)?;
    let rest = rest.strip_prefix("//").ok_or(UrlError::MissingScheme)?;
    // RFC 3986 3.1. What is no scheme by its grammar (`host/?next=http`) is no wrong scheme, but a missing one.
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    if !is_scheme {
        return Err(UrlError::MissingScheme);
    }
    let known =
        [Scheme::Ws, Scheme::Wss].into_iter().find(|known| known.as_str().eq_ignore_ascii_case(scheme));
    match known {
        Some(scheme) => Ok((scheme, rest)),
        None => Err(UrlError::UnsupportedScheme { scheme: scheme.to_ascii_lowercase() }),
    }
}

/// What stands before the last `@` of an authority, and what behind it.
pub(super) fn split_userinfo(authority: &str) -> (&str, &str) {
    match authority.bytes().rposition(|b| b == b'@') {
        Some(at) => (&authority[..at], &authority[at + 1..]),
        None => ("", authority),
    }
}

fn parse_userinfo(userinfo: &str) -> Result<Option<Userinfo>, UrlError> {
    let Some((user, password)) = decode_userinfo(userinfo)? else { return Ok(None) };
    if user.contains(':') {
        return Err(UrlError::InvalidUserinfo);
    }
    Ok(Some(Userinfo { user, password }))
}

/// User and password, percent-decoded.
pub(super) fn decode_userinfo(userinfo: &str) -> Result<Option<(String, String)>, UrlError> {
    if userinfo.is_empty() {
        return Ok(None);
    }
    // A raw `@` leaves open where the host begins, and with a `\` browsers end the host.
    if userinfo.contains(['@', '\\']) {
        return Err(UrlError::InvalidUserinfo);
    }
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let decode = |part: &str| {
        let part = percent_decode_text(part, UrlError::InvalidUserinfo)?;
        if part.chars().any(char::is_control) {
            Err(UrlError::InvalidUserinfo)
        } else {
            Ok(part.into_owned())
        }
    };
    Ok(Some((decode(user)?, decode(password)?)))
}

/// A host, and the port behind it where there is one.
pub(super) fn parse_host_and_port(authority: &str) -> Result<(Host, Option<u16>), UrlError> {
    let (host, port) = split_port(authority)?;
    Ok((parse_host(host)?, parse_port(port)?))
}

/// The host and what stands after its colon.
fn split_port(authority: &str) -> Result<(&str, &str), UrlError> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or(UrlError::InvalidIpv6)?;
        let (host, port) = authority.split_at(end + 1);
        return match port.strip_prefix(':') {
            Some(port) => Ok((host, port)),
            None if port.is_empty() => Ok((host, "")),
            None => Err(UrlError::InvalidIpv6),
        };
    }
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    if port.contains(':') { Err(UrlError::UnbracketedIpv6) } else { Ok((host, port)) }
}

/// `None` is the default port: RFC 3986 3.2.3 allows a colon with nothing after it.
fn parse_port(port: &str) -> Result<Option<u16>, UrlError> {
    if port.is_empty() {
        return Ok(None);
    }
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UrlError::InvalidPort);
    }
    match port.parse() {
        Ok(0) => Err(UrlError::PortZero),
        Ok(port) => Ok(Some(port)),
        // Digits alone can only be too many.
        Err(_) => Err(UrlError::PortTooLarge),
    }
}

fn parse_host(host: &str) -> Result<Host, UrlError> {
    if let Some(literal) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        if literal.contains('%') {
            return Err(UrlError::ZoneId);
        }
        return literal.parse().map(Host::Ipv6).map_err(|_| UrlError::InvalidIpv6);
    }
    if let Ok(address) = host.parse() {
        return Ok(Host::Ipv4(address));
    }
    let name = percent_decode_text(host, UrlError::InvalidHostEncoding)?;
    let name = if name.is_ascii() { name.to_ascii_lowercase() } else { ascii_host(&name)? };
    if name.is_empty() {
        return Err(UrlError::EmptyHost);
    }
    // The reg-name of RFC 3986 3.2.2. What percent-escapes or compatibility forms hid is judged here, too.
    let is_allowed = |c: char| {
        matches!(c, '-' | '.' | '_' | '~' | '!' | '$' | '&'..='*' | '+' | ',' | ';' | '=')
            || c.is_ascii_alphanumeric()
    };
    if let Some(character) = name.chars().find(|&c| !is_allowed(c)) {
        return Err(UrlError::InvalidHostCharacter { character });
    }
    // An address that was escaped.
    Ok(name.parse().map_or(Host::Name(name), Host::Ipv4))
}

#[cfg(feature = "idn")]
fn ascii_host(name: &str) -> Result<String, UrlError> {
    idna::domain_to_ascii_cow(name.as_bytes(), idna::AsciiDenyList::URL)
        .map(Cow::into_owned)
        .map_err(|_| UrlError::InvalidInternationalHost)
}

#[cfg(not(feature = "idn"))]
fn ascii_host(_name: &str) -> Result<String, UrlError> {
    Err(UrlError::InternationalHost)
}

fn parse_resource(resource: &str) -> Result<Arc<str>, UrlError> {
    // Only to judge the escapes; they stay as they are.
    percent_decode(resource)?;
    let (path, query) = resource.split_once('?').unwrap_or((resource, ""));
    let is_as_it_stands = !path.is_empty() && (!query.is_empty() || path.len() == resource.len());
    if is_as_it_stands && resource.bytes().all(is_uri_byte) {
        return Ok(resource.into());
    }
    let mut encoded = percent_encode(if path.is_empty() { "/" } else { path });
    if !query.is_empty() {
        encoded.push('?');
        encoded.push_str(&percent_encode(query));
    }
    Ok(encoded.into())
}

/// Whether a URI can hold it (RFC 3987 3.1, which leaves `%`, `[` and `]` alone).
fn is_uri_byte(byte: u8) -> bool {
    byte.is_ascii() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
}

/// Escapes what a URI cannot hold.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_uri_byte(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// As it stands, where there is nothing to be decoded.
fn percent_decode_text(text: &str, otherwise: UrlError) -> Result<Cow<'_, str>, UrlError> {
    Ok(match percent_decode(text)? {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).map_err(|_| otherwise)?),
    })
}

fn percent_decode(text: &str) -> Result<Cow<'_, [u8]>, UrlError> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text.as_bytes()));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit =
            || bytes.next().and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        match (digit(), digit()) {
            (Some(high), Some(low)) => decoded.push(high << 4 | low),
            _ => return Err(UrlError::InvalidEscape),
        }
    }
    Ok(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_formatter_writes_them() {
        for number in 0..=u16::MAX {
            let mut text = Decimals::default();
            text.put(number);
            assert_eq!(text.as_str(), number.to_string());
        }
        for bits in (0..=u32::MAX).step_by(999_983) {
            let address = Ipv4Addr::from_bits(bits);
            assert_eq!(dotted(address), address.to_string());
        }
    }
}
