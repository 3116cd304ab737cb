//! An upgrade request as the server sees it, and whether it is one (RFC 6455 4.2.1).

use std::fmt;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, ORIGIN, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Version};

use super::error::AcceptError;
use super::extension::{Extension, parse_extensions};
use super::http::{
    HeadError, Lines, ParsedRequest, accept_value, is_host, is_token, lines_of, list, list_has, parse_request,
};
use super::shown::Names;

/// Any 16 bytes are a key, also when the encoder left rubbish in the four bits that nobody reads.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// A valid upgrade request, as the server sees it. (The client's is [`RequestHead`](super::RequestHead).)
///
/// `Debug` shows no value of a header line, no query and no subprotocol: any of them may be a secret.
#[derive(Clone)]
#[non_exhaustive]
pub struct Request {
    /// Path and query, such as `/chat?room=1`.
    pub resource: String,
    /// The header lines; names in lower case, lines of the same name in order.
    pub headers: HeaderMap,
    /// The subprotocols offered, the one the client likes best first.
    pub subprotocols: Vec<String>,
    /// The extensions offered, in the client's order.
    pub extensions: Vec<Extension>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("path", &self.resource.split('?').next().unwrap_or_default())
            .field("headers", &Names(&self.headers))
            .field("subprotocols", &self.subprotocols.len())
            .field("extensions", &self.extensions)
            .finish()
    }
}

impl Request {
    /// Which site's page asks; only browsers say so, and only from them it can be believed (RFC 6455 10.2). A server
    /// that is not for every site must look at it.
    pub fn origin(&self) -> Option<&str> {
        self.headers.get(ORIGIN)?.to_str().ok()
    }
}

/// Judges a complete head: the request, and the accept value that answers it. The order is HTTP's rules first, then
/// RFC 6455 4.2.1's.
pub(super) fn judge(head: &[u8], lines: usize) -> Result<(Request, String), AcceptError> {
    let ParsedRequest { method, target, version, headers } =
        parse_request(head, lines).map_err(|error| match error {
            HeadError::Fault(fault) => AcceptError::MalformedHead { fault },
            HeadError::Version => AcceptError::HttpVersion,
        })?;
    if version != Version::HTTP_11 {
        return Err(AcceptError::HttpVersion);
    }
    // RFC 9112 3.2: a request without one valid Host is answered 400, whatever else it may be.
    match lines_of(&headers, &HOST) {
        Lines::One(host) if is_host(host) => {}
        _ => return Err(AcceptError::Host),
    }
    if method != Method::GET.as_str() {
        return Err(AcceptError::Method { method });
    }
    let resource = resource_of(&target).ok_or(AcceptError::Target)?;
    if !list_has(&headers, &UPGRADE, "websocket") || !list_has(&headers, &CONNECTION, "upgrade") {
        return Err(AcceptError::NotUpgrade);
    }
    // What a proxy took for a body we would take for frames.
    if headers.contains_key(TRANSFER_ENCODING)
        || headers.get_all(CONTENT_LENGTH).iter().any(|length| length.as_bytes() != b"0")
    {
        return Err(AcceptError::Body);
    }
    match lines_of(&headers, &SEC_WEBSOCKET_VERSION) {
        Lines::One(version) if version == b"13" => {}
        Lines::None | Lines::One(_) => return Err(AcceptError::Version),
        Lines::Several => return Err(AcceptError::VersionRepeated),
    }
    let accept = match lines_of(&headers, &SEC_WEBSOCKET_KEY) {
        Lines::One(key) if is_key(key) => accept_value(key),
        _ => return Err(AcceptError::Key),
    };
    let subprotocols = subprotocols_of(&headers)?;
    let extensions = extensions_of(&headers)?;
    Ok((Request { resource, headers, subprotocols, extensions }, accept))
}

/// The resource name in a request target: origin form, or absolute form, which RFC 9112 3.2.2 has every server take.
pub(super) fn resource_of(target: &str) -> Option<String> {
    // RFC 3986: visible ASCII, and a fragment never leaves the client.
    if target.contains('#') || !target.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    if target.starts_with('/') {
        return Some(target.to_owned());
    }
    let (scheme, rest) = target.split_once("://")?;
    if !["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return None;
    }
    let path = &rest[rest.find(['/', '?']).unwrap_or(rest.len())..];
    Some(if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
}

fn is_key(key: &[u8]) -> bool {
    // The length first, so that nothing long is decoded.
    key.len() == 24 && KEY_BASE64.decode(key).is_ok_and(|nonce| nonce.len() == 16)
}

fn subprotocols_of(headers: &HeaderMap) -> Result<Vec<String>, AcceptError> {
    let mut subprotocols = Vec::new();
    for name in list(headers, &SEC_WEBSOCKET_PROTOCOL) {
        match str::from_utf8(name) {
            Ok(name) if is_token(name.as_bytes()) => subprotocols.push(name.to_owned()),
            _ => return Err(AcceptError::SubprotocolsMalformed),
        }
    }
    if subprotocols.is_empty() && headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return Err(AcceptError::SubprotocolsMalformed);
    }
    Ok(subprotocols)
}

fn extensions_of(headers: &HeaderMap) -> Result<Vec<Extension>, AcceptError> {
    let mut extensions = Vec::new();
    for line in headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().map(HeaderValue::as_bytes) {
        extensions.extend(parse_extensions(line).map_err(|_| AcceptError::ExtensionsMalformed)?);
    }
    Ok(extensions)
}
