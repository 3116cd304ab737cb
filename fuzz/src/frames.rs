//! One machine and any stream of frames.

use aiowebsocket::protocol::{CloseCode, Header, OpCode, Role};

use crate::face::Face;
use crate::heard::{End, Heard, Reader};
use crate::input::{Cuts, Input};
use crate::reference::Fault;
use crate::{reference, start_of_time};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The first byte chooses role and limits, the second the cuts, the third what is done beside reading; the rest arrives.
pub fn frames(data: &[u8]) {
    let mut choices = Input::new(data);
    let reader = Reader::new(&mut choices);
    let cuts = Cuts::new(choices.byte());
    let manner = choices.byte();
    hold(&reader, cuts, manner, choices.rest());
}

/// The machine against the reference, on a stream.
pub(crate) fn hold(reader: &Reader, cuts: Cuts, manner: u8, stream: &[u8]) {
    let reference = reference::hear(reader, stream);
    let wanted = &reference.heard;
    let mut pings = reference.pings.clone();
    // Sixteen pongs wait to be written; of more, the latest takes the place of the one before it.
    if let Some(latest) = pings.pop() {
        pings.truncate(15);
        pings.push(latest);
    }
    let closes_first = manner & 1 != 0;
    for cuts in [Cuts::Whole, cuts.clone()] {
        let mut face = read(reader, cuts, closes_first, false, stream);
        let heard = Heard { end: face.end(), messages: std::mem::take(&mut face.messages) };
        assert!(reference.is(&heard), "ours {heard:?}\nthe reference's {wanted:?}");
        // Where bad data is noticed at another byte, other pings may be answered before.
        if heard != *wanted || reference.fault == Some(Fault::Inside) {
            continue;
        }
        let replies = written(&mut face, reader.role);
        let close = match (&wanted.end, closes_first) {
            (End::Open, _) | (_, true) => None,
            (End::Closed(1005, _), false) => Some(Vec::new()),
            (End::Closed(code, _) | End::Failed(code), false) => Some(code.to_be_bytes().to_vec()),
        };
        let pongs = pings.iter().map(|ping| (OpCode::Pong, ping.clone()));
        let wanted: Vec<_> = pongs.chain(close.map(|close| (OpCode::Close, close))).collect();
        assert_eq!(replies, wanted);
    }

    // In parts no size limits a message, and nothing else differs.
    let mut unlimited = reader.clone();
    (unlimited.config.max_frame, unlimited.config.max_message) = (u64::MAX, u64::MAX);
    unlimited.config.max_fragments = u32::MAX;
    let reference = reference::hear(&unlimited, stream);
    let face = read(reader, cuts, closes_first, true, stream);
    let heard = Heard { end: face.end(), messages: face.messages };
    assert!(reference.is(&heard), "ours, in parts, {heard:?}\nthe reference's {:?}", reference.heard);
}

fn read(reader: &Reader, cuts: Cuts, closes_first: bool, in_parts: bool, stream: &[u8]) -> Face {
    let now = start_of_time();
    let mut face = Face::new(reader.machine(now), cuts);
    face.in_parts = in_parts;
    if closes_first {
        face.machine.close(CloseCode::NORMAL, "", now).expect("a code that may be sent");
        face.write(usize::MAX, &mut || KEY);
    }
    face.feed(stream, now);
    face
}

/// The frames that wait to be written, unmasked.
fn written(face: &mut Face, role: Role) -> Vec<(OpCode, Vec<u8>)> {
    let bytes = face.write(usize::MAX, &mut || KEY);
    let mut rest = &bytes[..];
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let (header, size) = Header::decode(rest).expect("well-formed").expect("whole");
        assert_eq!(header.mask.is_some(), role == Role::Client);
        assert!(header.fin && header.rsv == 0);
        let end = size + usize::try_from(header.length).expect("a control frame is short");
        let mut payload = rest[size..end].to_vec();
        if let Some(key) = header.mask {
            payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
        }
        frames.push((header.opcode, payload));
        rest = &rest[end..];
    }
    frames
}
