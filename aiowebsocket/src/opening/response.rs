//! The server's answer, and whether it opens the connection (RFC 6455 4.1, second half).

use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, HeaderValue, StatusCode, Version};

use super::deflate;
use super::error::HandshakeError;
use super::extension::{Extension, parse_extensions};
use super::http::{HeadError, Lines, lines_of, list, list_has, parse_response};
use super::request::{ExpectedAccept, RequestHead};
use crate::deflate::{Agreed, Deflate};

/// The head of a server's response.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response {
    /// The status code.
    pub status: StatusCode,
    /// HTTP/1.0 or HTTP/1.1; a 101 is always HTTP/1.1.
    pub version: Version,
    /// The header lines; names in lower case, lines of the same name in order.
    pub headers: HeaderMap,
}

impl Response {
    /// Reads a complete head.
    pub(super) fn parse(head: &[u8]) -> Result<Self, HandshakeError> {
        match parse_response(head) {
            Ok((status, version, headers)) => Ok(Self { status, version, headers }),
            Err(HeadError::Fault(fault)) => Err(HandshakeError::MalformedHead { fault }),
            Err(HeadError::Version) => Err(HandshakeError::HttpVersion),
        }
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
    extensions: Vec<String>,
    compression: Option<Deflate>,
}

impl Offer {
    pub(super) fn new(request: &RequestHead, accept: ExpectedAccept) -> Self {
        Self {
            accept,
            subprotocols: request.offered_subprotocols().to_vec(),
            extensions: request.offered_extensions(),
            compression: request.offered_compression(),
        }
    }

    /// Checks a 101 in the order of RFC 6455 4.1, items 2 to 6 of the response.
    pub(super) fn check(&self, response: &Response) -> Result<Agreement, HandshakeError> {
        debug_assert_eq!(response.status, StatusCode::SWITCHING_PROTOCOLS);
        let headers = &response.headers;
        // RFC 9110 7.8: HTTP/1.0 has no upgrade.
        if response.version != Version::HTTP_11 {
            return Err(HandshakeError::HttpVersion);
        }
        // Items 2 and 3. Unlike Connection, Upgrade may name nothing else in a 101: it says what is spoken from now
        // on. (That the same word stands there twice, as behind some proxies, changes nothing.)
        let mut upgrade = list(headers, &UPGRADE).peekable();
        let is_websocket =
            upgrade.peek().is_some() && upgrade.all(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
        if !is_websocket {
            return Err(HandshakeError::Upgrade);
        }
        if !list_has(headers, &CONNECTION, "upgrade") {
            return Err(HandshakeError::Connection);
        }
        self.check_accept(headers)?;
        // Item 5 is the extensions', item 6 the subprotocol's.
        let extensions = self.check_extensions(headers)?;
        let compression = self.check_compression(&extensions)?;
        let subprotocol = self.check_subprotocol(headers)?;
        Ok(Agreement { subprotocol, extensions, compression })
    }

    /// Item 4; 11.3.3 allows the line once.
    fn check_accept(&self, headers: &HeaderMap) -> Result<(), HandshakeError> {
        match lines_of(headers, &SEC_WEBSOCKET_ACCEPT) {
            Lines::None => Err(HandshakeError::AcceptMissing),
            Lines::One(value) if self.accept.matches(value.as_bytes()) => Ok(()),
            Lines::One(_) => Err(HandshakeError::AcceptMismatch),
            Lines::Several => Err(HandshakeError::AcceptRepeated),
        }
    }

    /// Item 5; 9.1 for the grammar, 11.3.2 allows the line once.
    fn check_extensions(&self, headers: &HeaderMap) -> Result<Vec<Extension>, HandshakeError> {
        let value = match lines_of(headers, &SEC_WEBSOCKET_EXTENSIONS) {
            Lines::None => return Ok(Vec::new()),
            Lines::One(value) => value,
            Lines::Several => return Err(HandshakeError::ExtensionsRepeated),
        };
        let extensions =
            parse_extensions(value.as_bytes()).map_err(|_| HandshakeError::ExtensionsMalformed)?;
        let is_offered = |name: &String| {
            self.extensions.contains(name) || (self.compression.is_some() && name == deflate::NAME)
        };
        match extensions.iter().find(|extension| !is_offered(&extension.name)) {
            Some(unasked) => Err(HandshakeError::ExtensionNotOffered { name: unasked.name.clone() }),
            None => Ok(extensions),
        }
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
    fn check_subprotocol(&self, headers: &HeaderMap) -> Result<Option<String>, HandshakeError> {
        let value = match lines_of(headers, &SEC_WEBSOCKET_PROTOCOL) {
            Lines::None => return Ok(None),
            Lines::One(value) => value,
            Lines::Several => return Err(HandshakeError::SubprotocolRepeated),
        };
        match self.subprotocols.iter().find(|offered| offered.as_bytes() == value.as_bytes()) {
            Some(agreed) => Ok(Some(agreed.clone())),
            None => Err(HandshakeError::SubprotocolNotOffered { name: readable(value) }),
        }
    }
}

/// A header value as text for people.
fn readable(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
