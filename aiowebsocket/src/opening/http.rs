//! What both sides of the handshake share: the head of an HTTP/1.1 message (RFC 9112), its limits, its lists,
//! and the accept value of RFC 6455 1.3.

use std::fmt;
use std::io::BufRead as _;
use std::mem::MaybeUninit;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

/// How much of a head a peer may make us hold.
///
/// Both limits are judged as the bytes arrive, before memory is taken for them. Interim responses (1xx) and empty
/// lines before a head count into the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the start line and all header lines together, blank line included. Default: 65,536. Servers
    /// themselves send and take 8 to 64 KiB (cookies and security policies are what fills them), so a larger
    /// head is a mistake or an attack.
    pub max_bytes: usize,
    /// Header lines. Default: 128; real heads have 5 to 40, and common servers stop at 100.
    pub max_lines: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { max_bytes: 64 * 1024, max_lines: 128 }
    }
}

/// What is wrong with a head that does not follow RFC 9112.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadFault {
    /// The first line is neither a request line nor a status line (RFC 9112 3 and 4).
    StartLine,
    /// A header name is not a token, has a blank before its colon, or the line is a folded one (RFC 9112 5.1, 5.2).
    HeaderName,
    /// A header value has a control character (RFC 9110 5.5).
    HeaderValue,
    /// A line ends in a carriage return without a line feed (RFC 9112 2.2).
    LineEnd,
}

impl fmt::Display for HeadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StartLine => "its first line is malformed",
            Self::HeaderName => "a header name is malformed, or a line is folded",
            Self::HeaderValue => "a header value has a control character",
            Self::LineEnd => "a line does not end in CR LF",
        })
    }
}

/// A header field that must not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldError {
    /// The name is not a token (RFC 9110 5.1).
    Name {
        /// The name as it was given.
        name: String,
    },
    /// The value has a control character other than a tab (RFC 9110 5.5): with CR or LF it would be another line.
    Value {
        /// Whose value it is; the value itself is not repeated, it may be a secret.
        name: String,
        /// The byte that may not stand there.
        byte: u8,
        /// Where it stands, counted from 0.
        position: usize,
    },
    /// The value begins or ends with a blank, which a receiver would cut off (RFC 9110 5.5).
    Blank {
        /// Whose value it is.
        name: String,
    },
    /// The handshake writes this field itself.
    Reserved {
        /// The name as it was given.
        name: String,
        /// Why it is ours, or what to call instead.
        reason: &'static str,
    },
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name } => write!(
                f,
                "the header name {:?} is not a token: use letters, digits and !#$%&'*+-.^_`|~",
                shortened(name)
            ),
            Self::Value { name, byte, position } => write!(
                f,
                "the value of the header {name} has the control character 0x{byte:02x} at byte {position}: remove it"
            ),
            Self::Blank { name } => {
                write!(f, "the value of the header {name} begins or ends with a blank: remove it")
            }
            Self::Reserved { name, reason } => write!(f, "the header {name} cannot be set: {reason}"),
        }
    }
}

impl std::error::Error for FieldError {}

/// Somebody else's text, cut to a length that fits into a message.
#[cold]
#[inline(never)]
pub(super) fn shortened(text: &str) -> &str {
    const MOST: usize = 64;
    let end = (0..=MOST.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    &text[..end]
}

/// Refuses a field that would not be one well-formed line (RFC 9110 5.1, 5.5). Bytes from 0x80 up may stand in a
/// value (obs-text).
pub(super) fn check_field(name: &str, value: &[u8]) -> Result<(), FieldError> {
    if !is_token(name.as_bytes()) {
        return Err(FieldError::Name { name: name.to_owned() });
    }
    if let Some(position) = value.iter().position(|&b| b != b'\t' && b.is_ascii_control()) {
        return Err(FieldError::Value { name: name.to_owned(), byte: value[position], position });
    }
    if value.trim_ascii().len() != value.len() {
        return Err(FieldError::Blank { name: name.to_owned() });
    }
    Ok(())
}

/// Whether these bytes are a token of RFC 9110 5.6.2, which is also what RFC 6455 4.1 asks of a subprotocol.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

/// One character of a token (RFC 9110 5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a Host value has only characters of `uri-host [ ":" port ]` (RFC 9110 7.2).
pub(super) fn is_host(value: &[u8]) -> bool {
    !value.is_empty()
        && value.iter().all(|&b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%:[]".contains(&b))
}

/// The members of one line of a list-valued field (RFC 9110 5.6.1): blanks around them cut, empty ones passed over.
pub(super) fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// The same over all its lines.
pub(super) fn list<'a>(headers: &'a HeaderMap, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).iter().flat_map(|line| members(line.as_bytes()))
}

/// Whether a list-valued field has this token, in any case.
pub(super) fn list_has(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    list(headers, name).any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
}

/// A field as far as its lines can be told apart: absent, on one line, or on several.
#[derive(Clone, Copy)]
pub(super) enum Lines<'a> {
    None,
    One(&'a [u8]),
    Several,
}

impl<'a> Lines<'a> {
    /// With one line more.
    pub(super) fn and(self, line: &'a [u8]) -> Self {
        match self {
            Self::None => Self::One(line),
            Self::One(_) | Self::Several => Self::Several,
        }
    }
}

/// How often a field that may stand only once does stand there.
pub(super) fn lines_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Lines<'a> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).fold(Lines::None, Lines::and)
}

/// The value of Sec-WebSocket-Accept that answers this Sec-WebSocket-Key (RFC 6455 1.3 and 4.2.2).
pub fn accept_value(key: &[u8]) -> String {
    str::from_utf8(&accept_characters(key)).expect("base64 is ASCII").to_owned()
}

/// How many characters an accept value has: a digest of 20 bytes in base64.
pub(super) const ACCEPT: usize = 28;

/// The same in place.
pub(super) fn accept_characters(key: &[u8]) -> [u8; ACCEPT] {
    // RFC 6455 1.3: a number that no server answers with unless it knows the protocol.
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let mut sha1 = sha1_smol::Sha1::new();
    sha1.update(key);
    sha1.update(GUID);
    let mut accept = [0; ACCEPT];
    STANDARD.encode_slice(sha1.digest().bytes(), &mut accept).expect("20 bytes are 28 characters of base64");
    accept
}

/// A head outgrew its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadOverflow {
    Bytes,
    Lines,
}

/// Finds the end of a head, its blank line. Every byte is looked at once, so a peer that sends them singly causes no
/// more work than one that sends them together; a head that comes whole is not copied.
///
/// A line may end in LF alone, which RFC 9112 2.2 allows a reader; empty lines before the first are passed over
/// (RFC 9112 2.2 asks it of servers; from a server that does it, it is harmless).
#[derive(Debug)]
pub(super) struct HeadReader {
    limits: HeadLimits,
    /// What has come of a head that did not come whole.
    head: Vec<u8>,
    /// Where in `head` the current line begins.
    line_start: usize,
    /// Where the head lies in the bytes that were pushed last, where it came whole.
    whole: Range<usize>,
    /// Complete lines so far, start line included.
    lines: usize,
    /// Bytes over all heads so far.
    received: usize,
}

impl HeadReader {
    pub(super) fn new(limits: HeadLimits) -> Self {
        Self { limits, head: Vec::new(), line_start: 0, whole: 0..0, lines: 0, received: 0 }
    }

    /// The limits it keeps.
    pub(super) fn limits(&self) -> HeadLimits {
        self.limits
    }

    /// What has come of the current head; with its blank line once `push` returned `Some`. `pushed` is what it took last.
    pub(super) fn head<'a>(&'a self, pushed: &'a [u8]) -> &'a [u8] {
        if self.head.is_empty() { &pushed[self.whole.clone()] } else { &self.head }
    }

    /// The same, without a carriage return that may turn out to belong to an empty line before it.
    pub(super) fn start<'a>(&'a self, pushed: &'a [u8]) -> &'a [u8] {
        match self.head(pushed) {
            b"\r" => b"",
            head => head,
        }
    }

    /// Complete lines of the current head, start line included.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    /// How many bytes have come over all heads.
    pub(super) fn received(&self) -> usize {
        self.received
    }

    /// Makes ready for another head after an interim response. What was received stays counted.
    pub(super) fn next_head(&mut self) {
        self.head.clear();
        (self.line_start, self.whole, self.lines) = (0, 0..0, 0);
    }

    /// Takes bytes. `Some(n)`: the head ended with the first `n` of them, the rest is not touched. `None`: all taken,
    /// and the head goes on.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadOverflow> {
        let room = self.limits.max_bytes.saturating_sub(self.received);
        let fitting = &bytes[..bytes.len().min(room)];
        // Where the head begins in them, and the current line, whose beginning may have come before.
        let (mut begin, mut line) = (0, 0);
        let mut before = &self.head[self.line_start..];
        let pushed = loop {
            let Some(length) = line_length(&fitting[line..]) else {
                break if fitting.len() < bytes.len() { Err(HeadOverflow::Bytes) } else { Ok(None) };
            };
            let is_blank = match length {
                0 => matches!(before, b"" | b"\r"),
                1 => before.is_empty() && fitting[line] == b'\r',
                _ => false,
            };
            before = b"";
            line += length + 1;
            match (is_blank, self.lines) {
                (true, 0) => begin = line,
                (true, _) => break Ok(Some(line)),
                // The start line is not a header line.
                (false, lines) if lines > self.limits.max_lines => break Err(HeadOverflow::Lines),
                (false, _) => self.lines += 1,
            }
        };
        let end = match pushed {
            Ok(Some(_)) | Err(HeadOverflow::Lines) => line,
            Ok(None) | Err(HeadOverflow::Bytes) => fitting.len(),
        };
        self.received += end;
        if begin > 0 {
            self.head.clear();
        }
        if self.head.is_empty() && matches!(pushed, Ok(Some(_))) {
            self.whole = begin..end;
        } else {
            self.head.extend_from_slice(&fitting[begin..end]);
            if line > 0 {
                self.line_start = self.head.len() - (end - line);
            }
        }
        pushed
    }
}

/// How long the line is that these bytes begin with; none where it does not end in them.
fn line_length(mut bytes: &[u8]) -> Option<usize> {
    // The system's search for a byte, which one at a time takes twice as many instructions.
    let line = bytes;
    let length = bytes.skip_until(b'\n').expect("bytes in memory can be read").checked_sub(1)?;
    (line[length] == b'\n').then_some(length)
}

/// Why a complete head was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadError {
    Fault(HeadFault),
    /// The version is neither HTTP/1.0 nor HTTP/1.1.
    Version,
}

/// The parts of a request that a server asks about.
pub(super) struct ParsedRequest {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
}

/// Parses the complete head of a request, of so many lines.
pub(super) fn parse_request(head: &[u8], lines: usize) -> Result<ParsedRequest, HeadError> {
    with_room_for_fields(lines, |room| {
        let mut request = httparse::Request::new(&mut []);
        let status = request.parse_with_uninit_headers(head, room).map_err(head_error)?;
        match (status, request.method, request.path, request.version) {
            (httparse::Status::Complete(length), Some(method), Some(target), Some(minor))
                if length == head.len() =>
            {
                let (method, target) = (method.to_owned(), target.to_owned());
                let headers = header_map(request.headers)?;
                Ok(ParsedRequest { method, target, version: version(minor), headers })
            }
            _ => Err(HeadError::Fault(HeadFault::StartLine)),
        }
    })
}

/// The head of a response as it came.
pub(super) struct ParsedResponse<'a> {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) fields: &'a [httparse::Header<'a>],
}

/// Parses the complete head of a response, of so many lines, and shows it to `judge`.
pub(super) fn parse_response<T>(
    head: &[u8],
    lines: usize,
    judge: impl FnOnce(ParsedResponse<'_>) -> Result<T, HeadError>,
) -> Result<T, HeadError> {
    with_room_for_fields(lines, |room| {
        let mut response = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let parsed = parser.parse_response_with_uninit_headers(&mut response, head, room);
        match (parsed.map_err(head_error)?, response.code, response.version) {
            (httparse::Status::Complete(length), Some(code), Some(minor)) if length == head.len() => {
                // Three digits that are no status, such as 042, are as malformed as letters (RFC 9110 15).
                let status =
                    StatusCode::from_u16(code).map_err(|_| HeadError::Fault(HeadFault::StartLine))?;
                judge(ParsedResponse { status, version: version(minor), fields: response.headers })
            }
            _ => Err(HeadError::Fault(HeadFault::StartLine)),
        }
    })
}

/// One slot a line: the reader has bounded the lines already. Most heads do without memory for it.
fn with_room_for_fields<'a, T>(
    lines: usize,
    parse: impl FnOnce(&mut [MaybeUninit<httparse::Header<'a>>]) -> T,
) -> T {
    const MOST: usize = 32;
    if lines <= MOST {
        parse(&mut [const { MaybeUninit::uninit() }; MOST][..lines])
    } else {
        parse(&mut vec![MaybeUninit::uninit(); lines])
    }
}

fn version(minor: u8) -> Version {
    if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 }
}

/// The same in a map. It takes every name and value that the parser took, see the tests.
pub(super) fn header_map(fields: &[httparse::Header<'_>]) -> Result<HeaderMap, HeadError> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| HeadError::Fault(HeadFault::HeaderName))?;
        let value =
            HeaderValue::from_bytes(field.value).map_err(|_| HeadError::Fault(HeadFault::HeaderValue))?;
        // `try_`: the map's own bound of 32,768 names can be met when a user has raised the limits.
        headers.try_append(name, value).map_err(|_| HeadError::Fault(HeadFault::HeaderName))?;
    }
    Ok(headers)
}

fn head_error(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::Version => HeadError::Version,
        httparse::Error::Status | httparse::Error::Token => HeadError::Fault(HeadFault::StartLine),
        httparse::Error::HeaderName | httparse::Error::TooManyHeaders => {
            HeadError::Fault(HeadFault::HeaderName)
        }
        httparse::Error::HeaderValue => HeadError::Fault(HeadFault::HeaderValue),
        httparse::Error::NewLine => HeadError::Fault(HeadFault::LineEnd),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_value_of_rfc6455_1_3() {
        assert_eq!(accept_value(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    /// The response of a connection whose headers nobody looks at never becomes a map: nothing may be refused by the map alone.
    #[test]
    fn the_map_takes_every_byte_that_the_parser_takes() {
        let mut taken = 0;
        for byte in 0..=u8::MAX {
            for (name, value) in [(&[b'a', byte][..], &b"v"[..]), (b"name", &[b'v', byte, b'v'])] {
                let head = [b"HTTP/1.1 101 S\r\n", name, b": ", value, b"\r\n\r\n"].concat();
                let parsed = parse_response(&head, 2, |response| Ok(header_map(response.fields)));
                if let Ok(map) = parsed {
                    assert!(map.is_ok(), "{}", head.escape_ascii());
                    taken += 1;
                }
            }
        }
        assert!(taken > 256, "{taken}");
    }

    #[test]
    fn a_list_runs_over_lines_and_empty_members() {
        let mut headers = HeaderMap::new();
        headers.append("connection", HeaderValue::from_static(", keep-alive ,,"));
        headers.append("connection", HeaderValue::from_static("\tUpGrade"));
        let name = http::header::CONNECTION;
        assert_eq!(list(&headers, &name).collect::<Vec<_>>(), [&b"keep-alive"[..], b"UpGrade"]);
        assert!(list_has(&headers, &name, "upgrade"));
        assert!(!list_has(&headers, &name, "up"));
    }

    #[test]
    fn a_head_may_have_exactly_its_limit() {
        let head = b"HTTP/1.1 101 S\r\na: b\r\n\r\n";
        let check = |max_bytes, max_lines| HeadReader::new(HeadLimits { max_bytes, max_lines }).push(head);
        assert_eq!(check(head.len(), 1), Ok(Some(head.len())));
        assert_eq!(check(head.len() - 1, 1), Err(HeadOverflow::Bytes));
        assert_eq!(check(head.len(), 0), Err(HeadOverflow::Lines));
    }

    #[test]
    fn a_reader_never_holds_more_than_its_limit() {
        let mut reader = HeadReader::new(HeadLimits { max_bytes: 100, max_lines: 5 });
        assert_eq!(reader.push(&vec![b'x'; 1 << 20]), Err(HeadOverflow::Bytes));
        assert!(reader.head.capacity() <= 200);
        // Blank lines before a head are dropped, and counted.
        let mut reader = HeadReader::new(HeadLimits { max_bytes: 100, max_lines: 5 });
        assert_eq!(reader.push(&b"\r\n".repeat(51)), Err(HeadOverflow::Bytes));
    }
}
