//! What fuzzing starts from: the cases of `spec/`, written as each target reads its bytes.

use std::path::PathBuf;

use aiowebsocket::protocol::{Header, OpCode};
use serde::Deserialize;

fn spec(file: &str) -> String {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../spec")).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The seeds of a target.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "frames" => frames()
            .into_iter()
            .chain(compressed())
            .flat_map(|(role, bytes)| {
                [[&[role, 0, 0][..], &bytes].concat(), [&[role | 14, 1, 1][..], &bytes].concat()]
            })
            .collect(),
        "inflate" => inflate(),
        "deflate" => deflate(),
        "tungstenite" => {
            frames().into_iter().map(|(role, bytes)| [&[role, 7][..], &bytes].concat()).collect()
        }
        "parts" => parts(),
        "response" => heads("opening_response.toml")
            .flat_map(|head| [[&[2, 3, 9][..], &head].concat(), [&[2, 5, 9][..], &head].concat()])
            .collect(),
        "request" => heads("opening_request.toml")
            .flat_map(|head| [[&[2, 9][..], &head].concat(), [&[6, 9][..], &head].concat()])
            .collect(),
        "address" => addresses(),
        "proxy" => proxies(),
        "tunnel" => tunnels(),
        "pair" => pairs(),
        _ => panic!("{target} is no target"),
    }
}

#[derive(Deserialize)]
struct File<Case> {
    case: Vec<Case>,
}

fn cases<Case: serde::de::DeserializeOwned>(file: &str) -> Vec<Case> {
    let file: File<Case> = toml::from_str(&spec(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    file.case
}

#[derive(Deserialize)]
struct FrameCase {
    role: String,
    deflate: Option<String>,
    #[serde(default)]
    input: Vec<Part>,
}

impl FrameCase {
    /// The role that reads, and the compression, as `Reader` takes them.
    fn reader(&self) -> u8 {
        let compression = match &self.deflate {
            None => 0,
            Some(offer) if offer.contains("no_context_takeover") => 0x30,
            Some(_) => 0x10,
        };
        u8::from(self.role == "server") | compression
    }

    fn bytes(&self) -> Vec<u8> {
        self.input.iter().flat_map(Part::bytes).collect()
    }
}

/// spec/README.md tells how a part is written.
#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Hex(String),
    Payload { hex: Option<String>, text: Option<String>, mask: Option<String>, repeat: Option<usize> },
}

impl Part {
    fn bytes(&self) -> Vec<u8> {
        let (data, mask) = match self {
            Self::Hex(digits) => return hex(digits),
            Self::Payload { hex: digits, text, mask, repeat } => {
                let text = text.clone().unwrap_or_default().into_bytes();
                let data = digits.as_deref().map_or(text, hex);
                (data.repeat(repeat.unwrap_or(1)), mask)
            }
        };
        let Some(key) = mask.as_deref().map(hex) else { return data };
        let masked = data.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
        key.iter().copied().chain(masked).collect()
    }
}

fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|digit| !digit.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&String::from_utf8_lossy(pair), 16).expect("hexadecimal digits"))
        .collect()
}

/// Streams with the role that reads them, as `Reader` takes it. Fuzzing wants them short.
fn frames() -> Vec<(u8, Vec<u8>)> {
    let files = ["close", "control", "fragments", "frames", "limits", "masking", "utf8"];
    files.into_iter().flat_map(streams).collect()
}

/// Those with compression.
fn compressed() -> Vec<(u8, Vec<u8>)> {
    streams("deflate")
}

fn streams(file: &str) -> Vec<(u8, Vec<u8>)> {
    let cases = cases::<FrameCase>(&format!("{file}.toml")).into_iter();
    cases.map(|case| (case.reader(), case.bytes())).filter(|(_, bytes)| bytes.len() <= 4096).collect()
}

/// The fragments of those cases, as `inflate` reads them.
fn inflate() -> Vec<Vec<u8>> {
    let seed = |(reader, bytes): (u8, Vec<u8>)| {
        let mut seed = vec![reader, 3, 0];
        let mut rest = &bytes[..];
        while let Ok(Some((header, size))) = Header::decode(rest) {
            let end = usize::try_from(header.length).ok().filter(|&length| length < 256);
            let Some(payload) = end.and_then(|length| rest.get(size..size + length)) else { break };
            rest = &rest[size + payload.len()..];
            if header.opcode.is_control() {
                continue;
            }
            let plain = header.rsv == 0 && header.opcode != OpCode::Continuation;
            let text = header.opcode == OpCode::Text;
            let key = header.mask.unwrap_or_default();
            seed.extend([u8::from(header.fin) | u8::from(text) << 1 | if plain { 0x1c } else { 0 }]);
            seed.extend([u8::try_from(payload.len()).expect("short")]);
            seed.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
        seed
    };
    compressed().into_iter().map(seed).collect()
}

/// Connections of every kind that take turns with messages of every kind, as `deflate` reads them.
fn deflate() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for level in [0, 4, 5, 36, 44, 80] {
        for (flags, windows) in [(0, 63), (1, 63), (6, 63), (7, 63), (0, 0x09), (1, 0x12), (8, 63)] {
            let connection = [flags, level, windows, 40];
            let fragment_size: &[u8] = if flags & 8 == 0 { &[] } else { &[99] };
            let mut seed = vec![4];
            for _ in 0..5 {
                seed.extend([&connection[..], fragment_size].concat());
            }
            for turn in 0_u8..12 {
                let how = (turn % 4) | (u8::from(turn > 8) << 2);
                let length = if turn % 3 == 0 { 3 << 13 | 5000 } else { 5 << 13 | 150 };
                let text = b"{\"price\":\"1";
                let kind =
                    [1, 2, 0, 1, 3][usize::from(turn) % 5] | u8::try_from(text.len() << 2).expect("short");
                seed.extend([(how << 3) | (turn % 5)]);
                seed.extend(u16::to_be_bytes(length));
                seed.push(kind);
                seed.extend_from_slice(text);
                seed.extend([turn, 3]);
            }
            seeds.push(seed);
        }
    }
    seeds
}

fn parts() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (_, bytes) in frames() {
        let payload = bytes.get(2..).unwrap_or_default();
        seeds.push([&[0][..], &bytes[..bytes.len().min(16)]].concat());
        seeds.push([&[1][..], &payload[..payload.len().min(130)]].concat());
        seeds.push([&[2, 5][..], payload].concat());
    }
    seeds.push([&[3, 1, 2, 3, 4, 5][..], &[7; 100]].concat());
    seeds
}

#[derive(Deserialize)]
struct HeadCase {
    #[serde(default)]
    head: Vec<String>,
    #[serde(default)]
    bytes: String,
}

fn heads(file: &str) -> impl Iterator<Item = Vec<u8>> {
    cases::<HeadCase>(file).into_iter().map(|case| {
        let mut text: String = case.head.iter().map(|line| format!("{line}\r\n")).collect();
        if !case.head.is_empty() {
            text.push_str("\r\n");
        }
        text.push_str(&case.bytes);
        text.chars()
            .map(|c| u8::try_from(u32::from(c)).expect("each character of a case is one byte"))
            .collect()
    })
}

#[derive(Deserialize)]
struct AddressCase {
    url: String,
}

fn addresses() -> Vec<Vec<u8>> {
    cases::<AddressCase>("opening_url.toml").into_iter().map(|case| case.url.into_bytes()).collect()
}

#[derive(Deserialize)]
struct ProxyCase {
    proxy: String,
}

#[derive(Deserialize)]
struct EnvironmentCase {
    #[serde(default)]
    set: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    direct: Vec<String>,
    #[serde(default)]
    through: Vec<String>,
}

/// Three lines each: a proxy, `no_proxy`, a host.
fn proxies() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for case in cases::<ProxyCase>("opening_proxy.toml") {
        seeds.push(case.proxy.replace("REPEAT", "p").into_bytes());
    }
    for case in cases::<EnvironmentCase>("opening_environment.toml") {
        let no_proxy = case.set.get("no_proxy").map_or("", String::as_str).replace('\n', " ");
        for host in case.direct.iter().chain(&case.through) {
            seeds.push(format!("http://u:p@proxy.example:3128\n{no_proxy}\n{host}").into_bytes());
        }
    }
    seeds
}

#[derive(Deserialize)]
struct SocksCase {
    dialogue: Vec<String>,
}

/// The answers of both kinds of proxies, with the bytes in front that choose the kind and the cuts.
fn tunnels() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> =
        heads("opening_connect.toml").map(|head| [&[0, 9][..], &head].concat()).collect();
    for case in cases::<SocksCase>("opening_socks.toml") {
        let answers = case.dialogue.iter().filter_map(|line| line.strip_prefix("< "));
        let answers: Vec<u8> = answers.flat_map(spoken).collect();
        seeds.extend([1, 2].map(|kind| [&[kind, 9][..], &answers].concat()));
    }
    seeds
}

/// Hexadecimal, and text in quotes.
fn spoken(line: &str) -> Vec<u8> {
    let parts = line.split('\'').enumerate();
    parts.flat_map(|(i, part)| if i % 2 == 0 { hex(part) } else { part.as_bytes().to_vec() }).collect()
}

/// Conversations that a person would think of: each operation is a byte and what it asks for (see `Pair::operation`).
fn pairs() -> Vec<Vec<u8>> {
    let operation = |number: u8, from: u8| number << 1 | from;
    let all = |from: u8| [operation(11, from)];
    let send = |from: u8, length: u16| [&[operation(0, from)][..], &length.to_be_bytes()].concat();
    let text = |from: u8, length: u16| [&[operation(0, from) | 0x20][..], &length.to_be_bytes()].concat();
    let part = |from: u8, last: bool, length: u16| {
        [&[operation(3, from) | u8::from(last) << 7][..], &length.to_be_bytes()].concat()
    };
    let close = |from: u8| vec![operation(6, from), 3, 20];
    let mut seeds = Vec::new();
    for (client, server) in [(0, 0), (4, 5), (6, 7), (0x98, 0x80), (0x60, 0x18), (0x84, 0xe7)] {
        for (cuts, compression) in [(0, 0), (1, 0), (77, 0), (0, 1), (1, 0xfe), (77, 3), (5, 9)] {
            let begin = vec![client, cuts, server, cuts, cuts, compression];
            let long = 4 << 13 | 5000;
            seeds.push(
                [begin.clone(), send(0, 3 << 13 | 400), text(1, 5 << 13 | 99), all(0).into(), all(1).into()]
                    .concat(),
            );
            seeds.push(
                [
                    begin.clone(),
                    send(0, long),
                    vec![operation(7, 0), 0x67, 0xff],
                    vec![operation(9, 1), 0x65, 0],
                    close(1),
                ]
                .concat(),
            );
            seeds.push(
                [
                    begin.clone(),
                    part(0, false, 9),
                    vec![operation(5, 0)],
                    part(0, true, 0x2005),
                    all(0).into(),
                    close(0),
                ]
                .concat(),
            );
            seeds.push(
                [begin.clone(), vec![operation(14, 1)], text(0, long), all(0).into(), close(0), close(1)]
                    .concat(),
            );
            seeds.push(
                [
                    begin.clone(),
                    send(1, 1),
                    vec![operation(12, 0), 200],
                    all(1).into(),
                    vec![operation(12, 0), 200],
                ]
                .concat(),
            );
            seeds.push([begin, text(0, 0x4001), vec![operation(15, 0), 1], send(1, 3)].concat());
        }
    }
    seeds
}
