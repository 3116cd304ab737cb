//! Both sides of the opening handshake.

use std::fmt::Debug;
use std::time::Duration;

use aiowebsocket::opening::{
    AcceptError, AcceptProgress, Accepting, Address, HandshakeError, HeadLimits, Opened, Opening, Progress,
    Request, RequestHead, accept_value,
};
use aiowebsocket::{Agreed, Deflate};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::input::{Cuts, Input};
use crate::start_of_time;

/// RFC 6455 1.3, as in the cases of `spec/`.
const NONCE: [u8; 16] = *b"the sample nonce";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const SUBPROTOCOLS: [&str; 2] = ["chat", "superchat"];
const EXTENSIONS: [&str; 2] = ["permessage-deflate; client_max_window_bits", "x-other"];

/// What ends a stream that comes to nothing.
#[derive(Clone, Copy)]
enum After {
    Nothing,
    End,
    Time,
}

impl After {
    fn new(choice: u8) -> Self {
        match choice % 3 {
            0 => Self::Nothing,
            1 => Self::End,
            _ => Self::Time,
        }
    }
}

fn limits(choice: u8) -> HeadLimits {
    match choice % 2 {
        0 => HeadLimits::default(),
        _ => HeadLimits { max_bytes: 300, max_lines: 6 },
    }
}

/// Compression: one bit says whether, the five above it how.
fn compression(choice: u8) -> Option<Deflate> {
    let mut options = Deflate::default();
    if choice & 8 != 0 {
        options = options.server_no_context_takeover();
    }
    if choice & 16 != 0 {
        options = options.client_no_context_takeover();
    }
    if choice & 32 != 0 {
        options = options.server_max_window_bits(10);
    }
    options = match choice >> 6 {
        0 => options,
        1 => options.client_max_window_bits(12),
        2 => options.client_max_window_bits(8),
        _ => options.fixed_client_window(),
    };
    (choice & 4 != 0).then_some(options)
}

/// The first byte chooses the limits and what ends the stream, the second what was offered, the third the cuts; the rest
/// is what the server answers.
pub fn response(data: &[u8]) {
    let mut choices = Input::new(data);
    let byte = choices.byte();
    let (limits, after) = (limits(byte), After::new(byte >> 1));
    let offered = choices.byte();
    let cuts = Cuts::new(choices.byte());
    let stream = choices.rest();

    let whole = open(limits, offered, Cuts::Whole, after, stream);
    let cut = open(limits, offered, cuts, after, stream);
    assert_eq!(told(&whole), told(&cut), "cuts change nothing");
    if let Some(Ok(opened)) = whole {
        check_opened(&opened, offered, stream);
    }
}

type Outcome = Option<Result<Opened, HandshakeError>>;

fn open(limits: HeadLimits, offered: u8, mut cuts: Cuts, after: After, stream: &[u8]) -> Outcome {
    let address = Address::parse("ws://server.example.com/chat").expect("an address");
    let mut request = RequestHead::new(&address);
    if offered & 1 != 0 {
        request.subprotocols(SUBPROTOCOLS).expect("tokens");
    }
    if offered & 2 != 0 {
        request.extensions(EXTENSIONS).expect("offers");
    }
    request.compression(compression(offered)).expect("options within their ranges");
    let mut opening = Opening::new(request, NONCE, limits).expect("a small request");
    let now = start_of_time();
    let flat = |progress| match progress {
        Ok(Progress::More) => None,
        Ok(Progress::Open(opened)) => Some(Ok(opened)),
        Err(error) => Some(Err(error)),
    };
    let mut rest = stream;
    let mut outcome = None;
    while outcome.is_none() && !rest.is_empty() {
        let (piece, later) = rest.split_at(cuts.cut().min(rest.len()));
        rest = later;
        outcome = flat(opening.receive(piece, now));
    }
    if outcome.is_none() {
        outcome = match after {
            After::Nothing => return None,
            After::End => flat(opening.receive_end(now)),
            After::Time => flat(opening.handle_timeout(opening.next_timeout().unwrap_or(now))),
        };
    }
    if outcome.is_some() {
        assert_eq!(opening.next_timeout(), None, "nothing is due after an outcome");
        assert!(matches!(opening.receive(b"x", now), Err(HandshakeError::Finished)), "an outcome is final");
    }
    // What was not read any more lies behind what was.
    if let Some(Ok(opened)) = &mut outcome {
        opened.leftover.extend_from_slice(rest);
    }
    outcome
}

/// An outcome in words. How much an error shows of what is no HTTP depends on the cuts.
fn told<T: Debug>(outcome: &Option<Result<T, HandshakeError>>) -> String {
    match outcome {
        Some(Err(HandshakeError::NotHttp { .. })) => "NotHttp".to_owned(),
        other => format!("{other:?}"),
    }
}

/// RFC 6455 4.1: what a response must have, read from it once more.
fn check_opened(opened: &Opened, offered: u8, stream: &[u8]) {
    let Opened { response, subprotocol, extensions, compression: agreed, leftover, .. } = opened;
    assert_eq!(response.status, 101);
    let has = |name: &str, token: &str| {
        response.headers.get_all(name).iter().any(|line| {
            let line = String::from_utf8_lossy(line.as_bytes()).to_ascii_lowercase();
            line.split(',').any(|part| part.trim() == token)
        })
    };
    assert!(has("upgrade", "websocket") && has("connection", "upgrade"));
    let accept: Vec<_> = response.headers.get_all("sec-websocket-accept").iter().collect();
    assert_eq!(accept, [ACCEPT]);
    if let Some(subprotocol) = subprotocol {
        assert!(
            offered & 1 != 0 && SUBPROTOCOLS.contains(&subprotocol.as_str()),
            "{subprotocol} was not offered"
        );
    }
    for extension in extensions {
        let names = EXTENSIONS.map(|offer| offer.split(';').next().unwrap_or(offer));
        let was_offered = offered & 2 != 0 && names.contains(&extension.name.as_str());
        let is_compression = offered & 4 != 0 && extension.name == "permessage-deflate";
        assert!(was_offered || is_compression, "{extension} was not offered");
    }
    if offered & 4 != 0 {
        let compresses = extensions.iter().any(|extension| extension.name == "permessage-deflate");
        assert_eq!(agreed.is_some(), compresses, "what was answered was agreed to");
    }
    if let Some(agreed) = agreed {
        check_agreed(agreed, offered);
    }
    assert!(stream.ends_with(leftover));
}

/// RFC 7692 7.1: an answer keeps to the offer.
fn check_agreed(agreed: &Agreed, offered: u8) {
    assert!(offered & 4 != 0, "{agreed} was not offered");
    assert!(offered & 8 == 0 || agreed.server_no_context_takeover());
    assert!(agreed.server_max_window_bits() <= if offered & 32 != 0 { 10 } else { 15 });
    let bits = agreed.client_max_window_bits();
    let says_bits = agreed.to_string().contains("client_max_window_bits");
    match offered >> 6 {
        // Where the answer says nothing, our own promise bounds us.
        1 => assert!(bits <= 12 || !says_bits),
        2 => assert!(bits <= 8 || !says_bits),
        3 => assert!(!says_bits),
        _ => {}
    }
}

/// The first byte chooses the limits, what ends the stream and what is answered, the second the cuts; the rest is what a
/// client asks.
pub fn request(data: &[u8]) {
    let mut choices = Input::new(data);
    let byte = choices.byte();
    let (limits, after) = (limits(byte), After::new(byte >> 1));
    let cuts = Cuts::new(choices.byte());
    let stream = choices.rest();

    let (whole, mut accepting, leftover) = ask(limits, Cuts::Whole, after, stream);
    let (cut, other, cut_leftover) = ask(limits, cuts, after, stream);
    assert_eq!(format!("{whole:?}"), format!("{cut:?}"), "cuts change nothing");
    assert_eq!(accepting.output(), other.output());
    match whole {
        None => assert!(accepting.output().is_empty(), "nothing is said before the request is there"),
        Some(Err(error)) => check_answer(&error, accepting.output()),
        Some(Ok(request)) => {
            assert_eq!(leftover, cut_leftover);
            assert!(stream.ends_with(&leftover));
            check_accepted(&mut accepting, &request, byte);
        }
    }
}

type Asked = Option<Result<Request, AcceptError>>;

/// The outcome, the machine after it, and the bytes that came behind a request.
fn ask(limits: HeadLimits, mut cuts: Cuts, after: After, stream: &[u8]) -> (Asked, Accepting, Vec<u8>) {
    let mut accepting = Accepting::new(limits);
    let now = start_of_time();
    let flat = |progress| match progress {
        Ok(AcceptProgress::More) => None,
        Ok(AcceptProgress::Request(request)) => Some(Ok(request)),
        Err(error) => Some(Err(error)),
    };
    let mut rest = stream;
    let mut outcome = None;
    while outcome.is_none() && !rest.is_empty() {
        let (piece, later) = rest.split_at(cuts.cut().min(rest.len()));
        rest = later;
        outcome = flat(accepting.receive(piece, now));
    }
    if outcome.is_none() {
        outcome = match after {
            After::Nothing => None,
            After::End => flat(accepting.receive_end()),
            After::Time => flat(accepting.handle_timeout(now + Duration::from_secs(10))),
        };
    }
    let leftover = [&accepting.take_leftover(), rest].concat();
    (outcome, accepting, leftover)
}

/// An invalid request is answered by a response that any HTTP client reads.
fn check_answer(error: &AcceptError, answer: &[u8]) {
    let Some(status) = error.status() else {
        assert!(answer.is_empty());
        return;
    };
    let (parsed, body) = head(answer);
    assert_eq!(parsed.0, status.as_u16());
    let connection: Vec<_> = parsed.1.iter().filter(|(name, _)| name == "connection").collect();
    assert!(connection.len() == 1 && connection[0].1.split(", ").any(|token| token == "close"));
    assert!(parsed.1.contains(&("content-length".to_owned(), body.len().to_string())));
}

/// Our own client takes what our server answers, whoever asked.
fn check_accepted(accepting: &mut Accepting, request: &Request, choice: u8) {
    assert!(
        request.resource.starts_with('/') && request.resource.bytes().all(|byte| byte.is_ascii_graphic())
    );
    let subprotocol = request.subprotocols.last().map(String::as_str);
    accepting.compression(compression(choice)).expect("options within their ranges");
    accepting.accept(subprotocol, &[]).expect("what was offered may be chosen");
    let answer = accepting.output().to_vec();
    let ((status, lines), body) = head(&answer);
    assert!(status == 101 && body.is_empty());
    let key = request.headers["sec-websocket-key"].to_str().expect("base64");
    assert!(lines.contains(&("sec-websocket-accept".to_owned(), accept_value(key.as_bytes()))));

    let Ok(nonce) = STANDARD.decode(key) else { return };
    let nonce = <[u8; 16]>::try_from(nonce).expect("a key is 16 bytes");
    let mut asked = RequestHead::new(&Address::parse("ws://localhost/").expect("an address"));
    if asked.subprotocols(request.subprotocols.clone()).is_err() {
        // A name that stands twice: a client of ours would not have offered that.
        return;
    }
    let agreed = accepting.agreed();
    let answered = lines.iter().find(|(name, _)| name == "sec-websocket-extensions").map(|(_, value)| value);
    assert_eq!(answered.cloned(), agreed.map(|agreed| agreed.to_string()));
    if let Some(agreed) = agreed {
        let offers = request.headers.get_all("sec-websocket-extensions").iter();
        let offers: Vec<_> = offers.map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
        assert!(choice & 4 != 0 && offers.concat().contains("permessage-deflate"), "{agreed}: {offers:?}");
        let mut options = Deflate::default()
            .server_max_window_bits(agreed.server_max_window_bits())
            .client_max_window_bits(agreed.client_max_window_bits());
        if agreed.server_no_context_takeover() {
            options = options.server_no_context_takeover();
        }
        asked.compression(Some(options)).expect("what was agreed on is within its ranges");
    }
    let limits = HeadLimits { max_bytes: usize::MAX, ..HeadLimits::default() };
    let Ok(mut opening) = Opening::new(asked, nonce, limits) else { return };
    match opening.receive(&answer, start_of_time()) {
        Ok(Progress::Open(opened)) => {
            assert_eq!(opened.subprotocol.as_deref(), subprotocol);
            assert_eq!(
                opened.compression.map(|agreed| agreed.to_string()),
                agreed.map(|agreed| agreed.to_string())
            );
        }
        other => panic!("our answer was not understood: {other:?}"),
    }
}

type Head = (u16, Vec<(String, String)>);

/// A response as another parser reads it: status, lines, body.
fn head(answer: &[u8]) -> (Head, &[u8]) {
    let mut lines = [httparse::EMPTY_HEADER; 16];
    let mut parsed = httparse::Response::new(&mut lines);
    let httparse::Status::Complete(size) = parsed.parse(answer).expect("a response") else {
        panic!("half a response");
    };
    let lines = parsed
        .headers
        .iter()
        .map(|line| (line.name.to_ascii_lowercase(), String::from_utf8_lossy(line.value).into_owned()))
        .collect();
    ((parsed.code.expect("a status"), lines), &answer[size..])
}
