//! What fuzzing starts from: the cases of `spec/`, written as each target reads its bytes.

use std::path::PathBuf;

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
            .flat_map(|(role, bytes)| {
                [[&[role, 0, 0][..], &bytes].concat(), [&[role | 14, 1, 1][..], &bytes].concat()]
            })
            .collect(),
        "tungstenite" => {
            frames().into_iter().map(|(role, bytes)| [&[role, 7][..], &bytes].concat()).collect()
        }
        "parts" => parts(),
        "response" => heads("opening_response.toml").map(|head| [&[2, 3, 9][..], &head].concat()).collect(),
        "request" => heads("opening_request.toml").map(|head| [&[2, 9][..], &head].concat()).collect(),
        "address" => addresses(),
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
    input: Vec<Part>,
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
    let mut found = Vec::new();
    for file in ["close", "control", "fragments", "frames", "limits", "masking", "utf8"] {
        for case in cases::<FrameCase>(&format!("{file}.toml")) {
            let bytes: Vec<u8> = case.input.iter().flat_map(Part::bytes).collect();
            if bytes.len() <= 4096 {
                found.push((u8::from(case.role == "server"), bytes));
            }
        }
    }
    found
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
        for cuts in [0, 1, 77] {
            let begin = vec![client, cuts, server, cuts, cuts];
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
