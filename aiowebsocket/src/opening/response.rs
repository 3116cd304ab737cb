//! The server's answer, and whether it opens the connection (RFC 6455 4.1, second half).

use std::fmt;

use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderMap, StatusCode, Version};

use super::deflate;
use super::error::HandshakeError;
use super::extension::{Extension, parse_extensions};
use super::http::{
    HeadError, HeadFault, HeadLimits, HeadOverflow, HeadReader, Lines, ParsedResponse, header_map, members,
    parse_response,
};
use super::request::{ExpectedAccept, RequestHead};
use super::shown::Names;
use crate::deflate::{Agreed, Deflate};

/// Interim responses that are passed over. Real servers send one (100 or 103), rarely two.
const INTERIM_LIMIT: u8 = 8;

/// How much of an answer that is no HTTP is shown: an SSH banner fits, and so does the type of a TLS record.
const NOT_HTTP_SHOWN: usize = 32;

/// What every HTTP response of ours begins with.
const HTTP_PREFIX: &[u8] = b"HTTP/";

/// The head of a server's response.
///
/// `Debug` shows no value of a header line: any of them may be a secret.
#[derive(Clone)]
#[non_exhaustive]
pub struct Response {
    /// The status code.
    pub status: StatusCode,
    /// HTTP/1.0 or HTTP/1.1; a 101 is always HTTP/1.1.
    pub version: Version,
    /// The header lines; names in lower case, lines of the same name in order.
    pub headers: HeaderMap,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("version", &self.version)
            .field("headers", &Names(&self.headers))
            .finish()
    }
}

/// Reads the heads of responses up to the first that is final, or a 101: interim ones are passed over (RFC 9110 15.2).
#[derive(Debug)]
pub(super) struct ResponseReader {
    head: HeadReader,
    interim: u8,
}

/// Why what came is no response that can be read.
#[derive(Debug)]
pub(super) enum ResponseFault {
    NotHttp { start: Vec<u8> },
    Malformed(HeadFault),
    Version,
    TooLarge { limit: usize },
    TooManyLines { limit: usize },
    TooManyInterim { limit: u8 },
}

impl ResponseReader {
    pub(super) fn new(limits: HeadLimits) -> Self {
        Self { head: HeadReader::new(limits), interim: 0 }
    }

    /// How many bytes have come over all heads.
    pub(super) fn received(&self) -> usize {
        self.head.received()
    }

    /// Takes bytes. `Some`: what `judge` makes of the response, whose head ended with so many of them; the rest is not touched.
    /// `None`: all taken, and the head goes on.
    pub(super) fn push<T>(
        &mut self,
        mut bytes: &[u8],
        judge: impl Fn(&ParsedResponse<'_>) -> Result<T, HeadError>,
    ) -> Result<Option<(T, usize)>, ResponseFault> {
        let mut before = 0;
        loop {
            let pushed = self.head.push(bytes);
            // Judged at the first byte: who speaks another protocol may wait for us forever.
            let start = self.head.start(bytes);
            if !HTTP_PREFIX.starts_with(&start[..start.len().min(HTTP_PREFIX.len())]) {
                let shown = start.len().min(NOT_HTTP_SHOWN);
                return Err(ResponseFault::NotHttp { start: start[..shown].to_vec() });
            }
            let pushed = pushed.map_err(|overflow| match overflow {
                HeadOverflow::Bytes => ResponseFault::TooLarge { limit: self.head.limits().max_bytes },
                HeadOverflow::Lines => ResponseFault::TooManyLines { limit: self.head.limits().max_lines },
            })?;
            let Some(taken) = pushed else { return Ok(None) };
            before += taken;
            let judged = parse_response(self.head.head(bytes), self.head.lines(), |response| {
                let is_final =
                    !response.status.is_informational() || response.status == StatusCode::SWITCHING_PROTOCOLS;
                is_final.then(|| judge(&response)).transpose()
            });
            match judged {
                Ok(Some(judged)) => return Ok(Some((judged, before))),
                Ok(None) => {}
                Err(HeadError::Fault(fault)) => return Err(ResponseFault::Malformed(fault)),
                Err(HeadError::Version) => return Err(ResponseFault::Version),
            }
            bytes = &bytes[taken..];
            // RFC 9110 15.2: an interim response that was not asked for may be passed over.
            if self.interim == INTERIM_LIMIT {
                return Err(ResponseFault::TooManyInterim { limit: INTERIM_LIMIT });
            }
            self.interim += 1;
            self.head.next_head();
        }
    }
}

impl Response {
    /// The response, to be kept.
    pub(super) fn of(head: &ParsedResponse<'_>) -> Result<Self, HeadError> {
        let &ParsedResponse { status, version, fields } = head;
        Ok(Self { status, version, headers: header_map(fields)? })
    }
}

/// What a server agreed to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Agreement {
    pub(super) subprotocol: Option<String>,
    pub(super) extensions: Vec<Extension>,
    pub(super) compression: Option<Agreed>,
}

/// What the request offered: everything a 101 is measured by.
#[derive(Debug)]
pub(super) struct Offer {
    accept: ExpectedAccept,
    subprotocols: Vec<String>,
    secrets: Vec<String>,
    extensions: Vec<String>,
    compression: Option<Deflate>,
}

impl Offer {
    pub(super) fn new(request: &RequestHead, accept: ExpectedAccept) -> Self {
        Self {
            accept,
            subprotocols: request.offered_subprotocols().map(str::to_owned).collect(),
            secrets: request.secret_subprotocols.clone(),
            extensions: request.offered_extensions(),
            compression: request.offered_compression(),
        }
    }

    /// Checks a 101 in the order of RFC 6455 4.1, items 2 to 6 of the response.
    pub(super) fn check(&self, response: &ParsedResponse<'_>) -> Result<Agreement, HandshakeError> {
        debug_assert_eq!(response.status, StatusCode::SWITCHING_PROTOCOLS);
        // RFC 9110 7.8: HTTP/1.0 has no upgrade.
        if response.version != Version::HTTP_11 {
            return Err(HandshakeError::HttpVersion);
        }
        let said = Said::of(response.fields);
        // Items 2 and 3. Unlike Connection, Upgrade may name nothing else in a 101: it says what is spoken from now
        // on. (That the same word stands there twice, as behind some proxies, changes nothing.)
        if said.upgrades != Some(true) {
            return Err(HandshakeError::Upgrade);
        }
        if !said.connection_upgrades {
            return Err(HandshakeError::Connection);
        }
        self.check_accept(said.accept)?;
        // Item 5 is the extensions', item 6 the subprotocol's.
        let extensions = self.check_extensions(said.extensions)?;
        let compression = self.check_compression(&extensions)?;
        let subprotocol = self.check_subprotocol(said.protocol)?;
        Ok(Agreement { subprotocol, extensions, compression })
    }

    /// Marks the lines that have a subprotocol which was offered as a secret: the one that was chosen, or the whole offer, which some
    /// servers send back.
    pub(super) fn hide_secrets(&self, headers: &mut HeaderMap) {
        if self.secrets.is_empty() {
            return;
        }
        for (_, line) in headers.iter_mut().filter(|(name, _)| *name == SEC_WEBSOCKET_PROTOCOL) {
            let text = String::from_utf8_lossy(line.as_bytes());
            let has_secret = self.secrets.iter().any(|secret| text.contains(&**secret));
            line.set_sensitive(has_secret);
        }
    }

    /// Item 4; 11.3.3 allows the line once.
    fn check_accept(&self, lines: Lines<'_>) -> Result<(), HandshakeError> {
        match lines {
            Lines::None => Err(HandshakeError::AcceptMissing),
            Lines::One(value) if self.accept.matches(value) => Ok(()),
            Lines::One(_) => Err(HandshakeError::AcceptMismatch),
            Lines::Several => Err(HandshakeError::AcceptRepeated),
        }
    }

    /// Item 5; 9.1 for the grammar, 11.3.2 allows the line once.
    fn check_extensions(&self, lines: Lines<'_>) -> Result<Vec<Extension>, HandshakeError> {
        let value = match lines {
            Lines::None => return Ok(Vec::new()),
            Lines::One(value) => value,
            Lines::Several => return Err(HandshakeError::ExtensionsRepeated),
        };
        let extensions = parse_extensions(value).map_err(|_| HandshakeError::ExtensionsMalformed)?;
        match extensions.iter().find(|extension| !self.has_offered(&extension.name)) {
            Some(unasked) => Err(HandshakeError::ExtensionNotOffered { name: unasked.name.clone() }),
            None => Ok(extensions),
        }
    }

    fn has_offered(&self, name: &str) -> bool {
        let is_in = |offer: &String| {
            let offered = parse_extensions(offer.as_bytes()).unwrap_or_default();
            offered.iter().any(|extension| extension.name == name)
        };
        (self.compression.is_some() && name == deflate::NAME) || self.extensions.iter().any(is_in)
    }

    /// RFC 7692 7.1: an answer that is none to our offer fails the connection. So do two, which would both use RSV1.
    fn check_compression(&self, extensions: &[Extension]) -> Result<Option<Agreed>, HandshakeError> {
        let Some(offered) = &self.compression else { return Ok(None) };
        let mut answers = extensions.iter().filter(|extension| extension.name == deflate::NAME);
        let Some(answer) = answers.next() else { return Ok(None) };
        if answers.next().is_some() {
            return Err(HandshakeError::ExtensionRepeated { name: deflate::NAME.to_owned() });
        }
        match offered.judge(answer) {
            Ok(agreed) => Ok(Some(agreed)),
            Err((name, fault)) => Err(HandshakeError::ExtensionParameter { name: name.to_owned(), fault }),
        }
    }

    /// Item 6; 11.3.4 allows the line once. The names are compared as they are: only one of ours is one of ours.
    fn check_subprotocol(&self, lines: Lines<'_>) -> Result<Option<String>, HandshakeError> {
        let value = match lines {
            Lines::None => return Ok(None),
            Lines::One(value) => value,
            Lines::Several => return Err(HandshakeError::SubprotocolRepeated),
        };
        match self.subprotocols.iter().find(|offered| offered.as_bytes() == value) {
            Some(agreed) => Ok(Some(agreed.clone())),
            None => Err(HandshakeError::SubprotocolNotOffered { name: self.shown(value) }),
        }
    }

    /// What the server sent in the place of a subprotocol, for people. Some servers send the whole offer back, with the secrets in it.
    #[cold]
    #[inline(never)]
    fn shown(&self, value: &[u8]) -> String {
        let text = String::from_utf8_lossy(value);
        let (mut shown, mut rest) = (String::new(), &*text);
        while let Some(character) = rest.chars().next() {
            let secret =
                self.secrets.iter().filter(|secret| rest.starts_with(&***secret)).map(String::len).max();
            shown.push(if secret.is_some() { '…' } else { character });
            rest = &rest[secret.unwrap_or(character.len_utf8())..];
        }
        shown
    }
}

/// What the header lines of a 101 say, as they stand in its head: to look at each once takes less than to make a map of them.
struct Said<'a> {
    /// Whether all that Upgrade names is `websocket`, if it names anything.
    upgrades: Option<bool>,
    /// Whether Connection has `upgrade`.
    connection_upgrades: bool,
    accept: Lines<'a>,
    extensions: Lines<'a>,
    protocol: Lines<'a>,
}

impl<'a> Said<'a> {
    fn of(fields: &[httparse::Header<'a>]) -> Self {
        let mut said = Self {
            upgrades: None,
            connection_upgrades: false,
            accept: Lines::None,
            extensions: Lines::None,
            protocol: Lines::None,
        };
        for &httparse::Header { name, value } in fields {
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            if is("Upgrade") {
                for member in members(value) {
                    let is_websocket = member.eq_ignore_ascii_case(b"websocket");
                    said.upgrades = Some(is_websocket && said.upgrades != Some(false));
                }
            } else if is("Connection") {
                said.connection_upgrades |=
                    members(value).any(|member| member.eq_ignore_ascii_case(b"upgrade"));
            } else if is("Sec-WebSocket-Accept") {
                said.accept = said.accept.and(value);
            } else if is("Sec-WebSocket-Extensions") {
                said.extensions = said.extensions.and(value);
            } else if is("Sec-WebSocket-Protocol") {
                said.protocol = said.protocol.and(value);
            }
        }
        said
    }
}
