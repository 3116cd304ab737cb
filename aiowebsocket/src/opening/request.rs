//! The client's upgrade request (RFC 6455 4.1), kept as an ordered list: some servers and most firewalls that guess
//! at browsers look at the order and the spelling of header names, which a map keeps neither of.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::iter;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::credentials::basic_value;
use super::error::OutOfRange;
use super::extension::parse_extensions;
use super::http::{ACCEPT, FieldError, accept_characters, check_field, is_token, shortened};
use super::upgrade::resource_of;
use super::url::Address;
use crate::deflate::Deflate;

/// The most bytes a request may have: what a server of ours would take (`HeadLimits`), and more than others take.
const MAX_BYTES: usize = 64 * 1024;

/// The most header lines of the user's own and optional ones together, for the same reason.
const MAX_LINES: usize = 128;

/// What `User-Agent` says unless it is set or removed.
pub(super) const USER_AGENT: &str = concat!("aiowebsocket/", env!("CARGO_PKG_VERSION"));

const KEY: &str = "Sec-WebSocket-Key";
const VERSION: &str = "Sec-WebSocket-Version";
pub(super) const PROTOCOL: &str = "Sec-WebSocket-Protocol";

/// The version that RFC 6455 defines (4.1, item 9 of the request).
const OUR_VERSION: &[u8] = b"13";

/// An upgrade request: one address, and the header lines in the order in which they are sent.
///
/// The order is Host, Connection, Upgrade, User-Agent, Authorization (when the address has a user), yours as they
/// were given, then the Sec-WebSocket- lines. There is no Origin unless you set one: it is for browsers (RFC 6455
/// 4.1).
///
/// `Debug` shows the names of the header lines and no values.
#[derive(Clone)]
pub struct RequestHead {
    /// Shared with the address that it came from.
    pub(super) resource: Arc<str>,
    pub(super) lines: Vec<Line>,
    pub(super) subprotocols: Vec<String>,
    /// Some of `subprotocols`, and others that are offered behind them.
    pub(super) secret_subprotocols: Vec<String>,
    extensions: Vec<String>,
    compression: Option<Deflate>,
}

#[derive(Clone)]
pub(super) struct Line {
    /// Of the default lines, no copies.
    pub(super) name: Cow<'static, str>,
    pub(super) value: Cow<'static, [u8]>,
    /// It goes to no other origin. Authorization and Cookie are so by their names.
    pub(super) is_secret: bool,
}

impl Line {
    pub(super) fn new(name: impl Into<Cow<'static, str>>, value: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), value: Cow::Owned(value.into()), is_secret: false }
    }

    const fn fixed(name: &'static str, value: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), value: Cow::Borrowed(value.as_bytes()), is_secret: false }
    }
}

impl RequestHead {
    /// The request for this address, with the default header lines.
    pub fn new(address: &Address) -> Self {
        let mut lines = vec![
            Line::new("Host", address.authority_for_host_header()),
            Line::fixed("Connection", "Upgrade"),
            Line::fixed("Upgrade", "websocket"),
            Line::fixed("User-Agent", USER_AGENT),
        ];
        if let Some(userinfo) = address.userinfo() {
            let credentials = basic_value(userinfo.user(), userinfo.password());
            lines.push(Line::new("Authorization", credentials));
        }
        Self {
            resource: address.shared_resource(),
            lines,
            subprotocols: Vec::new(),
            secret_subprotocols: Vec::new(),
            extensions: Vec::new(),
            compression: None,
        }
    }

    /// Adds a header line, name and value as given.
    ///
    /// Host, User-Agent, Authorization and Origin may stand only once: setting one that is there replaces it at its
    /// place, with your spelling. Any other name may be added several times, and all of them are sent.
    ///
    /// # Errors
    ///
    /// [`RequestError::Field`] for a name that is not a token, a value with control characters (a tab inside it is
    /// allowed, as are bytes from 0x80 up), and for names that the handshake sets itself.
    pub fn header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<&mut Self, RequestError> {
        check_field(name, value.as_ref())?;
        if let Some(reason) = reserved(name) {
            return Err(FieldError::Reserved { name: name.to_owned(), reason }.into());
        }
        self.put(Line::new(name.to_owned(), value.as_ref()));
        Ok(self)
    }

    /// Takes out every header line of this name, in any case; nothing happens when there is none.
    ///
    /// # Errors
    ///
    /// [`RequestError::Required`] for Host and for what the handshake sets itself.
    pub fn remove(&mut self, name: &str) -> Result<&mut Self, RequestError> {
        if name.eq_ignore_ascii_case("Host") || reserved(name).is_some() {
            return Err(RequestError::Required { name: name.to_owned() });
        }
        self.drop_lines(name);
        Ok(self)
    }

    /// Sends these header lines instead of the default ones and of those set before, in this order and spelling: for servers that
    /// judge a client by its lines. A line without a value keeps the one it has by default, and is left out where it has none.
    ///
    /// The handshake's own lines may stand among them. Sec-WebSocket-Key always carries the connection's own key;
    /// Sec-WebSocket-Protocol sets the subprotocols; the others must say what the handshake needs. What it needs and
    /// is missing is added: Host in front, the rest behind.
    ///
    /// # Errors
    ///
    /// As [`header`](Self::header) and [`subprotocols`](Self::subprotocols), [`RequestError::Repeated`] and
    /// [`RequestError::Unfit`]; the request stays as it was.
    pub fn lines<'a, I>(&mut self, lines: I) -> Result<&mut Self, RequestError>
    where
        I: IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    {
        let mut ordered = Self { lines: Vec::new(), subprotocols: Vec::new(), ..self.clone() };
        for (name, value) in lines {
            let default = || self.find(name).map(|line| &*line.value);
            let value = match value.or_else(default) {
                _ if name.eq_ignore_ascii_case(KEY) => &[],
                Some(value) => value,
                None if name.eq_ignore_ascii_case(VERSION) => OUR_VERSION,
                None => continue,
            };
            ordered.line(name, value)?;
            if let (Some(old), Some(new)) = (self.find(name), ordered.lines.last_mut()) {
                new.is_secret = old.is_secret;
            }
        }
        for name in ["Host", "Connection", "Upgrade", "Authorization"] {
            if let (None, Some(line)) = (ordered.find(name), self.find(name)) {
                let at = if name == "Host" { 0 } else { ordered.lines.len() };
                ordered.lines.insert(at, line.clone());
            }
        }
        *self = ordered;
        Ok(self)
    }

    /// Adds one line of [`lines`](Self::lines).
    fn line(&mut self, name: &str, value: &[u8]) -> Result<(), RequestError> {
        check_field(name, value)?;
        if (is_single(name) || reserved(name).is_some()) && self.find(name).is_some() {
            return Err(RequestError::Repeated { name: name.to_owned() });
        }
        let has = |token: &str| value.split(|&b| b == b',').any(|member| is_same(member.trim_ascii(), token));
        let needed = match name.to_ascii_lowercase().as_str() {
            "connection" if !has("upgrade") => "Upgrade",
            "upgrade" if !has("websocket") => "websocket",
            "sec-websocket-version" if value != OUR_VERSION => "13",
            "connection" | "upgrade" | "sec-websocket-version" | "sec-websocket-key" => "",
            "sec-websocket-protocol" => {
                let names = String::from_utf8_lossy(value);
                self.subprotocols(names.split(',').map(str::trim))?;
                ""
            }
            _ => match reserved(name) {
                Some(reason) => return Err(FieldError::Reserved { name: name.to_owned(), reason }.into()),
                None => "",
            },
        };
        if !needed.is_empty() {
            return Err(RequestError::Unfit { name: name.to_owned(), needed });
        }
        self.lines.push(Line::new(name.to_owned(), value));
        Ok(())
    }

    /// Takes the resource from a request line, such as `GET /chat?room=1 HTTP/1.1`.
    ///
    /// # Errors
    ///
    /// [`RequestError::RequestLine`] for anything but a GET of HTTP/1.1.
    pub fn request_line(&mut self, line: &str) -> Result<&mut Self, RequestError> {
        let target = line.strip_prefix("GET ").and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
        let Some(resource) = target.and_then(resource_of) else {
            // No error has a query, which is where tokens are put.
            let line = match line.split_once('?') {
                Some((before, _)) => format!("{before}?…"),
                None => line.to_owned(),
            };
            return Err(RequestError::RequestLine { line });
        };
        self.resource = resource.into();
        Ok(self)
    }

    /// The first line of this name.
    fn find(&self, name: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.name.eq_ignore_ascii_case(name))
    }

    pub(super) fn find_mut(&mut self, name: &str) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| line.name.eq_ignore_ascii_case(name))
    }

    /// Adds a line, in the place of the one of its name where there may be only one.
    pub(super) fn put(&mut self, line: Line) {
        match self.find_mut(&line.name) {
            Some(old) if is_single(&line.name) => *old = line,
            _ => self.lines.push(line),
        }
    }

    pub(super) fn drop_lines(&mut self, name: &str) {
        self.lines.retain(|line| !line.name.eq_ignore_ascii_case(name));
    }

    /// Sets the subprotocols offered, the one liked best first. None by default.
    ///
    /// # Errors
    ///
    /// Each must be a token, and none may stand twice (RFC 6455 4.1, item 10 of the request).
    pub fn subprotocols<I>(&mut self, subprotocols: I) -> Result<&mut Self, RequestError>
    where
        I: IntoIterator<Item: Into<String>>,
    {
        let subprotocols: Vec<String> = subprotocols.into_iter().map(Into::into).collect();
        let mut seen = HashSet::new();
        for name in &subprotocols {
            if !is_token(name.as_bytes()) {
                return Err(RequestError::InvalidSubprotocol { name: name.clone() });
            }
            if !seen.insert(name) {
                return Err(RequestError::DuplicateSubprotocol { name: name.clone() });
            }
        }
        self.drop_lines(PROTOCOL);
        self.subprotocols = subprotocols;
        Ok(self)
    }

    /// Sets the extensions offered, each as it stands in Sec-WebSocket-Extensions, such as
    /// `permessage-deflate; client_max_window_bits`. None by default.
    ///
    /// # Errors
    ///
    /// [`RequestError::InvalidExtension`] for one that does not follow RFC 6455 9.1.
    pub fn extensions<I>(&mut self, offers: I) -> Result<&mut Self, RequestError>
    where
        I: IntoIterator<Item: Into<String>>,
    {
        let offers: Vec<String> = offers.into_iter().map(|offer| offer.into().trim().to_owned()).collect();
        if let Some(offer) = offers.iter().find(|offer| parse_extensions(offer.as_bytes()).is_err()) {
            return Err(RequestError::InvalidExtension { offer: offer.clone() });
        }
        self.extensions = offers;
        Ok(self)
    }

    /// Offers compression with these options, before the extensions of [`extensions`](Self::extensions); `None`, the default,
    /// does not. The answer is judged by RFC 7692 7.1, and what it agrees to is in
    /// [`Opened::compression`](super::Opened::compression).
    ///
    /// # Errors
    ///
    /// [`RequestError::Option`] for an option outside of its range.
    #[cfg(feature = "deflate")]
    pub fn compression(&mut self, options: Option<Deflate>) -> Result<&mut Self, RequestError> {
        if let Some(options) = &options {
            options.check().map_err(RequestError::Option)?;
        }
        self.compression = options;
        Ok(self)
    }

    /// The request's bytes, and what Sec-WebSocket-Accept must answer to them.
    ///
    /// The nonce must be 16 fresh random bytes for every connection (RFC 6455 4.1).
    pub fn encode(&self, nonce: [u8; 16]) -> (Vec<u8>, ExpectedAccept) {
        let mut key = [0; 24];
        STANDARD.encode_slice(nonce, &mut key).expect("16 bytes are 24 characters of base64");
        let mut bytes = Vec::with_capacity(self.estimated_length());
        for part in ["GET ", &self.resource, " HTTP/1.1\r\n"] {
            bytes.extend_from_slice(part.as_bytes());
        }
        let (mut has_key, mut has_version, mut has_protocol) = (false, false, false);
        for line in &self.lines {
            if line.name.eq_ignore_ascii_case(KEY) {
                has_key = true;
                put_line(&mut bytes, &line.name, &key);
            } else if line.name.eq_ignore_ascii_case(PROTOCOL) {
                has_protocol = true;
                let own = str::from_utf8(&line.value).expect("its members are tokens");
                put_list(&mut bytes, &line.name, &mut iter::once(own).chain(self.more_secrets()));
            } else {
                has_version |= line.name.eq_ignore_ascii_case(VERSION);
                put_line(&mut bytes, &line.name, &line.value);
            }
        }
        if !has_key {
            put_line(&mut bytes, KEY, &key);
        }
        if !has_version {
            put_line(&mut bytes, VERSION, OUR_VERSION);
        }
        if !has_protocol {
            put_list(&mut bytes, PROTOCOL, &mut self.offered_subprotocols());
        }
        let compression = self.compression.as_ref().map(Deflate::offer);
        let extensions = self.extensions.iter().map(String::as_str);
        put_list(
            &mut bytes,
            "Sec-WebSocket-Extensions",
            &mut compression.as_deref().into_iter().chain(extensions),
        );
        bytes.extend_from_slice(b"\r\n");
        (bytes, ExpectedAccept(accept_characters(&key)))
    }

    /// What the request will come to at least, so that its memory is asked for once.
    fn estimated_length(&self) -> usize {
        /// The request line, the handshake's own lines and an offer of compression.
        const FIXED: usize = 256;
        let lines = self.lines.iter().map(|line| line.name.len() + line.value.len() + ": \r\n".len());
        FIXED + self.resource.len() + lines.sum::<usize>()
    }

    /// `encode`, for a request that is not larger than servers take.
    pub(super) fn encode_within_limits(
        &self,
        nonce: [u8; 16],
    ) -> Result<(Vec<u8>, ExpectedAccept), RequestError> {
        if self.lines.len() > MAX_LINES {
            return Err(RequestError::TooManyLines { lines: self.lines.len(), limit: MAX_LINES });
        }
        let (bytes, accept) = self.encode(nonce);
        if bytes.len() > MAX_BYTES {
            return Err(RequestError::TooLarge { bytes: bytes.len(), limit: MAX_BYTES });
        }
        Ok((bytes, accept))
    }

    /// The subprotocols a server may choose from.
    pub(super) fn offered_subprotocols(&self) -> impl Iterator<Item = &str> {
        self.subprotocols.iter().map(String::as_str).chain(self.more_secrets())
    }

    /// The subprotocols offered, the secret ones as `…`.
    pub(super) fn shown_subprotocols(&self) -> Vec<&str> {
        let shown = |name| if self.is_secret_subprotocol(name) { "…" } else { name };
        self.offered_subprotocols().map(shown).collect()
    }

    pub(super) fn is_secret_subprotocol(&self, name: &str) -> bool {
        self.secret_subprotocols.iter().any(|secret| secret == name)
    }

    /// Whether the lines of this name were given as secrets.
    pub(super) fn is_secret(&self, name: &str) -> bool {
        self.lines.iter().any(|line| line.is_secret && line.name.eq_ignore_ascii_case(name))
    }

    /// The secret subprotocols that are not among the others.
    fn more_secrets(&self) -> impl Iterator<Item = &str> {
        let more = self.secret_subprotocols.iter().filter(|name| !self.subprotocols.contains(name));
        more.map(String::as_str)
    }

    /// The compression offered.
    pub(super) fn offered_compression(&self) -> Option<Deflate> {
        self.compression
    }

    /// The other extensions a server may agree to, as they were offered.
    pub(super) fn offered_extensions(&self) -> Vec<String> {
        self.extensions.clone()
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("path", &self.resource.split('?').next().unwrap_or_default())
            .field("lines", &self.lines.iter().map(|line| &line.name).collect::<Vec<_>>())
            .field("subprotocols", &self.shown_subprotocols())
            .field("extensions", &self.extensions)
            .finish()
    }
}

/// The one value of Sec-WebSocket-Accept that answers a request's key (RFC 6455 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedAccept([u8; ACCEPT]);

impl ExpectedAccept {
    /// Whether the server's value, without blanks around it, is the right one.
    pub fn matches(&self, value: &[u8]) -> bool {
        self.0 == value
    }

    /// The right value.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("base64 is ASCII")
    }
}

/// Why a request cannot be sent as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// A header field that must not be written.
    Field(FieldError),
    /// The handshake is nothing without this header line.
    Required {
        /// The name as it was given.
        name: String,
    },
    /// A header line stands twice that may stand once.
    Repeated {
        /// The name as it was given.
        name: String,
    },
    /// A line of the handshake does not say what it needs.
    Unfit {
        /// The name as it was given.
        name: String,
        /// What it must say.
        needed: &'static str,
    },
    /// A request line that is no GET of HTTP/1.1.
    RequestLine {
        /// The line as it was given, up to its query.
        line: String,
    },
    /// A subprotocol that is not a token.
    InvalidSubprotocol {
        /// The name as it was given.
        name: String,
    },
    /// A subprotocol that is offered twice.
    DuplicateSubprotocol {
        /// The name as it was given.
        name: String,
    },
    /// A token, user, password, cookie or secret subprotocol that cannot be sent. It is not repeated here.
    Credential {
        /// What cannot be sent.
        what: &'static str,
        /// What to use instead.
        needed: &'static str,
    },
    /// An extension offer that does not follow RFC 6455 9.1.
    InvalidExtension {
        /// The offer as it was given.
        offer: String,
    },
    /// An option of the compression offered that is outside of its range.
    Option(OutOfRange),
    /// The request has more bytes than servers take.
    TooLarge {
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        limit: usize,
    },
    /// The request has more header lines than servers take.
    TooManyLines {
        /// How many it has.
        lines: usize,
        /// How many it may have.
        limit: usize,
    },
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(error) => error.fmt(f),
            Self::Required { name } => {
                write!(f, "the header {:?} cannot be removed: the handshake needs it", shortened(name))
            }
            Self::Repeated { name } => {
                write!(f, "the header {:?} stands twice: it may stand once", shortened(name))
            }
            Self::Unfit { name, needed } => {
                write!(f, "the header {:?} must say {needed}: the handshake needs it", shortened(name))
            }
            Self::RequestLine { line } => write!(
                f,
                "the request line {:?} is malformed: write it as in \"GET /chat HTTP/1.1\"",
                shortened(line)
            ),
            Self::InvalidSubprotocol { name } => write!(
                f,
                "the subprotocol {:?} is not a token: use letters, digits and !#$%&'*+-.^_`|~",
                shortened(name)
            ),
            Self::DuplicateSubprotocol { name } => {
                write!(f, "the subprotocol {:?} is offered twice: offer it once", shortened(name))
            }
            Self::Credential { what, needed } => write!(f, "the {what} cannot be sent: {needed}"),
            Self::InvalidExtension { offer } => write!(
                f,
                "the extension offer {:?} is malformed: write it as in \"name; parameter=value\"",
                shortened(offer)
            ),
            Self::Option(option) => option.fmt(f),
            Self::TooLarge { bytes, limit } => {
                write!(f, "the request has {bytes} bytes, and servers take no more than {limit}")
            }
            Self::TooManyLines { lines, limit } => {
                write!(f, "the request has {lines} header lines, and servers take no more than {limit}")
            }
        }
    }
}

impl std::error::Error for RequestError {}

impl From<FieldError> for RequestError {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

fn is_same(bytes: &[u8], token: &str) -> bool {
    bytes.eq_ignore_ascii_case(token.as_bytes())
}

/// Why the user may not set this header.
fn reserved(name: &str) -> Option<&'static str> {
    const OURS: &str = "the handshake sets it";
    const RESERVED: [(&str, &str); 9] = [
        ("Connection", OURS),
        ("Upgrade", OURS),
        ("Sec-WebSocket-Key", OURS),
        ("Sec-WebSocket-Version", OURS),
        ("Sec-WebSocket-Protocol", "offer subprotocols with subprotocols()"),
        ("Sec-WebSocket-Extensions", "offer extensions with compression() or extensions()"),
        ("Sec-WebSocket-Accept", "only a server sends it"),
        // Either would announce a body, and a server would read frames as that body.
        ("Content-Length", "an upgrade request has no body"),
        ("Transfer-Encoding", "an upgrade request has no body"),
    ];
    RESERVED.iter().find(|(ours, _)| ours.eq_ignore_ascii_case(name)).map(|&(_, reason)| reason)
}

/// Header lines that may stand only once (RFC 9110 7.2, 10.1.5 and 11.6.2, RFC 6454 7.3).
fn is_single(name: &str) -> bool {
    ["Host", "User-Agent", "Authorization", "Origin"].iter().any(|single| single.eq_ignore_ascii_case(name))
}

/// Writes one header line. Both parts were checked when they were taken.
pub(super) fn put_line(bytes: &mut Vec<u8>, name: &str, value: &[u8]) {
    debug_assert!(check_field(name, value).is_ok(), "a header line is checked before it is kept");
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(b"\r\n");
}

/// Writes the line of a list, where it has members. They
/// are behind a pointer so that there is one copy of this, and not one for each kind of list.
fn put_list(bytes: &mut Vec<u8>, name: &str, members: &mut dyn Iterator<Item = &str>) {
    let Some(first) = members.next() else { return };
    put_line(bytes, name, first.as_bytes());
    for member in members {
        bytes.truncate(bytes.len() - "\r\n".len());
        bytes.extend_from_slice(b", ");
        bytes.extend_from_slice(member.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
}
