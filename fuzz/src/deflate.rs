//! Compression, each direction against another zlib.

use aiowebsocket::Deflate;
use aiowebsocket::protocol::{Config, Connection, Header, Kind, OpCode, Payload, Role};

use crate::frames::hold;
use crate::heard::{Reader, WITHOUT_CONTEXT, agreed};
use crate::inflate::Inflating;
use crate::input::{Cuts, Input};
use crate::start_of_time;

const KEY: [u8; 4] = [0x1b, 0x80, 0x07, 0xe5];

/// What a peer compressed. The first byte chooses role and limits, the second the cuts, the third what is done beside reading; then
/// come fragments: a byte that tells whether it is the last one of its message, one for its length, and its bytes.
pub fn inflate(data: &[u8]) {
    let mut choices = Input::new(data);
    let mut reader = Reader::new(&mut choices);
    let parameters = if reader.peer_keeps_context() == Some(false) { WITHOUT_CONTEXT } else { "" };
    reader.compression = Some(agreed(&Deflate::default(), parameters));
    let cuts = Cuts::new(choices.byte());
    let manner = choices.byte();

    let mut stream = Vec::new();
    let mut begins = true;
    while !choices.is_empty() {
        let byte = choices.byte();
        let fin = byte & 1 != 0;
        let opcode = match (begins, byte & 2) {
            (false, _) => OpCode::Continuation,
            (true, 0) => OpCode::Binary,
            (true, _) => OpCode::Text,
        };
        // A message may be plain, between those that are not.
        let rsv = if begins && byte & 0x1c != 0x1c { 4 } else { 0 };
        let length = usize::from(choices.byte());
        let payload = choices.take(if byte & 0x20 == 0 { length } else { 16 * length });
        let mask = (reader.role == Role::Server).then_some(KEY);
        let header = Header { fin, rsv, opcode, mask, length: payload.len() as u64 };
        let mut head = [0; 14];
        let size = header.encode(&mut head);
        stream.extend_from_slice(&head[..size]);
        let key = mask.unwrap_or_default();
        stream.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        begins = fin;
    }
    hold(&reader, cuts, manner, &stream);
}

/// What we compress. A byte says how many connections share the thread and its compressors, five the options of each; then come messages:
/// a byte for which connection and how, what it asks for, and the bytes.
pub fn deflate(data: &[u8]) {
    let mut choices = Input::new(data);
    let count = 1 + choices.byte() % 6;
    let mut senders: Vec<Sender> = (0..count).map(|_| Sender::new(&mut choices)).collect();
    for _ in 0..60 {
        if choices.is_empty() {
            return;
        }
        let byte = choices.byte();
        let which = usize::from(byte & 7) % senders.len();
        senders[which].message(byte >> 3, &mut choices);
    }
}

/// A connection that sends, and the peer that inflates.
struct Sender {
    machine: Connection,
    role: Role,
    compresses: bool,
    keeps_context: bool,
    window: usize,
    threshold: usize,
    peer: Inflating,
}

impl Sender {
    fn new(choices: &mut Input<'_>) -> Self {
        let (byte, levels, windows) = (choices.byte(), choices.byte(), choices.byte());
        let threshold = usize::from(choices.byte());
        let mut options = Deflate::default()
            .level(1 + levels % 9)
            .memory_level(1 + levels / 9 % 9)
            .server_max_window_bits(8 + windows % 8)
            .client_max_window_bits(8 + windows / 8 % 8)
            .threshold(threshold);
        if byte & 2 != 0 {
            options = options.server_no_context_takeover();
        }
        if byte & 4 != 0 {
            options = options.client_no_context_takeover();
        }
        let agreed = agreed(&options, "");
        let mut config = Config::default();
        if byte & 8 != 0 {
            config.fragment_size = std::num::NonZeroUsize::new(1 + usize::from(choices.byte()));
        }
        let (role, without_context, bits) = match byte & 1 {
            0 => (Role::Client, agreed.client_no_context_takeover(), agreed.client_max_window_bits()),
            _ => (Role::Server, agreed.server_no_context_takeover(), agreed.server_max_window_bits()),
        };
        let mut machine = Connection::new(role, config, &[], start_of_time());
        machine.compress(agreed);
        Self {
            machine,
            role,
            compresses: bits > 8,
            keeps_context: !without_context,
            window: 1 << bits,
            threshold,
            peer: Inflating::new(!without_context),
        }
    }

    /// Sends one in one of three ways, and holds what leaves against what it was.
    fn message(&mut self, how: u8, choices: &mut Input<'_>) {
        let message = payload(choices);
        let plain = how & 3 == 3;
        let parts = if how & 3 == 2 { 1 + usize::from(choices.byte() % 4) } else { 0 };
        if parts == 0 {
            let payload = Payload::Borrowed(&message);
            let sent = if plain {
                self.machine.send_plain(Kind::Binary, payload, &mut || KEY)
            } else {
                self.machine.send(Kind::Binary, payload, &mut || KEY)
            };
            sent.expect("open");
        }
        let size = message.len() / parts.max(1);
        for part in 0..parts {
            let last = part + 1 == parts;
            let end = if last { message.len() } else { (part + 1) * size };
            let payload = Payload::Borrowed(&message[part * size..end]);
            let sent = if how & 4 != 0 {
                self.machine.send_plain_part(Kind::Binary, payload, last, &mut || KEY)
            } else {
                self.machine.send_part(Kind::Binary, payload, last, &mut || KEY)
            };
            sent.expect("open");
        }
        let (compressed, payload) = self.written();
        let may = self.compresses && if parts == 0 { !plain } else { how & 4 == 0 };
        assert!(may || !compressed, "plain is plain");
        if parts == 0 && may {
            assert!(compressed || message.len() < self.threshold || payload.len() == message.len());
            assert!(!compressed || payload.len() < message.len(), "what is compressed got smaller");
        }
        if !compressed {
            assert!(payload == message, "what is not compressed is as it was");
            return;
        }
        self.peer.narrow(if self.keeps_context { self.window } else { 0 });
        self.peer.push(&payload).expect("DEFLATE data");
        let inflated = self.peer.finish().expect("it ends with an empty block");
        assert!(inflated == message, "{} bytes came out of {}", inflated.len(), message.len());
    }

    /// The one message that waits to be written: whether it is compressed, and its payload.
    fn written(&mut self) -> (bool, Vec<u8>) {
        let mut bytes = Vec::new();
        while self.machine.wants_write() {
            let front = self.machine.output(&mut || KEY).front();
            let n = front.len();
            bytes.extend_from_slice(front);
            self.machine.written(n);
        }
        let mut rest = &bytes[..];
        let mut compressed = false;
        let mut payload = Vec::new();
        while let Some((header, size)) = Header::decode(rest).expect("our own frames are right") {
            let first = rest.len() == bytes.len();
            assert!(
                matches!(header.rsv, 0 | 4) && (first || header.rsv == 0),
                "RSV1 on the first frame only"
            );
            assert_eq!(header.mask.is_some(), self.role == Role::Client);
            compressed |= header.rsv == 4;
            let end = size + usize::try_from(header.length).expect("it is in memory");
            let key = header.mask.unwrap_or_default();
            payload.extend(rest[size..end].iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
            rest = &rest[end..];
            assert_eq!(header.fin, rest.is_empty(), "one message");
        }
        assert!(rest.is_empty());
        (compressed, payload)
    }
}

/// Bytes of the fuzzer, as they are or many times over, or such as nothing compresses.
fn payload(choices: &mut Input<'_>) -> Vec<u8> {
    let length = choices.length() % 10_000;
    let byte = choices.byte();
    let seed = choices.take(usize::from(byte >> 2));
    match byte & 3 {
        0 => seed.to_vec(),
        1 => seed.iter().copied().chain([7]).cycle().take(length).collect(),
        // Repetitions as far apart as the noise between them is long.
        2 => {
            let mut bytes = seed.to_vec();
            bytes.extend(noise(length, u64::from(byte)));
            bytes.extend_from_slice(seed);
            bytes
        }
        _ => noise(length, u64::from(choices.byte())).collect(),
    }
}

fn noise(length: usize, seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0]
    })
    .take(length)
}
