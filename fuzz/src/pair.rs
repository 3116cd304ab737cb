//! Whole connections: operations on two machines with a wire and a clock between them.
//!
//! What must hold whatever is done:
//!
//! * what one sends, the other receives: once, in order, to the last message unless the receiver failed, a stream was cut or
//!   a time ran out; then a beginning of it
//! * both end alike: each with the code of the other's first Close frame, or one fails and the other is told the same code
//! * who reads the bytes on the wire by the text of RFC 6455 alone reads the same messages
//! * once one closes, both come to an end, by time alone if nothing else

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use aiowebsocket::protocol::{
    CloseCode, Config, Ending, KeepAlive, Kind, MAX_REASON, MaskKeys, Payload, Role,
};
use aiowebsocket::{Agreed, Deflate};

use crate::face::Face;
use crate::heard::{End, Message, Reader, WITHOUT_CONTEXT, agreed};
use crate::input::{Cuts, Input};
use crate::{reference, start_of_time};

/// The first six bytes choose both configurations, the cuts, who closes and what was agreed on of compression; each operation takes one byte and what it asks for.
pub fn pair(data: &[u8]) {
    let mut choices = Input::new(data);
    let mut pair = Pair::new(&mut choices);
    for _ in 0..400 {
        if choices.is_empty() {
            break;
        }
        pair.operation(&mut choices);
    }
    pair.finish();
    pair.check();
}

/// What both ends agreed on: nothing, with contexts or without, windows of any size, messages of any size compressed.
fn compression(choice: u8) -> Option<Agreed> {
    if choice & 3 == 0 {
        return None;
    }
    let mut options = Deflate::default()
        .level(if choice & 4 == 0 { 1 } else { 6 })
        .memory_level(1 + choice % 9)
        .threshold(usize::from(choice & 0x40));
    if choice & 8 != 0 {
        options =
            options.server_max_window_bits(8 + choice / 16 % 8).client_max_window_bits(15 - choice / 32);
    }
    Some(agreed(&options, if choice & 3 == 3 { WITHOUT_CONTEXT } else { "" }))
}

struct Side {
    face: Face,
    reader: Reader,
    /// What is under way to this side.
    arriving: Vec<u8>,
    /// Everything that arrived.
    arrived: Vec<u8>,
    /// The other side's stream ends behind what is under way; and whether this side was told.
    end_arrives: bool,
    end_told: bool,
    /// This side's stream has ended.
    shut: bool,
    /// Messages that the machine took to send.
    sent: Vec<Message>,
    /// One that it takes in parts.
    sending: Option<Message>,
    /// What this side closed with, where it was the first to say so here.
    closed: Option<(CloseCode, String)>,
    /// It took messages in parts at some time.
    took_parts: bool,
}

impl Side {
    fn new(role: Role, [choice, cuts]: [u8; 2], compression: Option<Agreed>, now: Instant) -> Self {
        let mut config = Config::default();
        config.fragment_size = match choice % 8 {
            0..=3 => None,
            4 => NonZeroUsize::new(1),
            5 => NonZeroUsize::new(7),
            6 => NonZeroUsize::new(125),
            _ => NonZeroUsize::new(5000),
        };
        if choice & 0x18 == 0x18 {
            config.max_message = 300;
        }
        if choice & 0x60 == 0x60 {
            config.max_fragments = 5;
        }
        config.keepalive = (choice & 0x80 != 0)
            .then_some(KeepAlive { interval: Duration::from_secs(20), timeout: Duration::from_secs(15) });
        let reader = Reader { role, config, compression };
        Self {
            face: Face::new(reader.machine(now), Cuts::new(cuts)),
            reader,
            arriving: Vec::new(),
            arrived: Vec::new(),
            end_arrives: false,
            end_told: false,
            shut: false,
            sent: Vec::new(),
            sending: None,
            closed: None,
            took_parts: false,
        }
    }

    fn ending(&self) -> &Ending {
        self.face.machine.ending().expect("the connection has ended")
    }
}

struct Pair {
    sides: [Side; 2],
    now: Instant,
    keys: Keys,
    was_cut: bool,
    /// A connection ended because it took too long.
    timed_out: bool,
    closer: usize,
}

impl Pair {
    fn new(choices: &mut Input<'_>) -> Self {
        let now = start_of_time();
        let [client, server] = [(); 2].map(|()| [choices.byte(), choices.byte()]);
        let closer = usize::from(choices.byte() % 2);
        let compression = compression(choices.byte());
        let client = Side::new(Role::Client, client, compression, now);
        let server = Side::new(Role::Server, server, compression, now);
        Self { sides: [client, server], now, keys: Keys(1), was_cut: false, timed_out: false, closer }
    }

    fn operation(&mut self, choices: &mut Input<'_>) {
        let byte = choices.byte();
        let from = usize::from(byte & 1);
        match byte >> 1 & 15 {
            0..=2 => self.send(from, byte, choices),
            3 | 4 => self.send_part(from, byte, choices),
            5 => {
                let machine = &mut self.sides[from].face.machine;
                let open = machine.is_open();
                assert_eq!(machine.ping(self.now, &mut self.keys).is_ok(), open);
            }
            6 => self.close(from, choices),
            7 | 8 => {
                let most = choices.length();
                self.write(from, most);
            }
            9 | 10 => {
                let most = choices.length();
                self.deliver(from, most);
            }
            11 => {
                self.write(from, usize::MAX);
                self.deliver(1 - from, usize::MAX);
            }
            12 => self.pass(Duration::from_millis(u64::from(choices.byte()) * 150)),
            13 => {
                self.sides[from].face.machine.park();
                self.sides[from].face.machine.settle();
            }
            14 => {
                let side = &mut self.sides[from];
                side.face.in_parts = !side.face.in_parts;
                side.took_parts = true;
            }
            _ if choices.byte() < 16 => self.cut(from),
            _ => {}
        }
        self.shut(from);
        self.shut(1 - from);
    }

    fn payload(&self, from: usize, byte: u8, choices: &mut Input<'_>) -> (Kind, Vec<u8>) {
        // A thousand fragments find what a hundred thousand find.
        let most = self.sides[from].reader.config.fragment_size.map_or(usize::MAX, |size| size.get() * 1000);
        let length = choices.length().min(most);
        if byte & 0x20 != 0 {
            return (Kind::Text, text(length).into_bytes());
        }
        let pattern = length.to_be_bytes();
        (Kind::Binary, pattern.into_iter().rev().cycle().take(length).collect())
    }

    fn send(&mut self, from: usize, byte: u8, choices: &mut Input<'_>) {
        let (kind, bytes) = self.payload(from, byte, choices);
        let side = &mut self.sides[from];
        let may = side.face.machine.is_open() && side.sending.is_none();
        let payload = match byte >> 6 {
            0 | 1 => Payload::Borrowed(&bytes),
            2 => Payload::Owned(bytes.clone()),
            _ => Payload::Shared(bytes.clone().into()),
        };
        let machine = &mut side.face.machine;
        let sent = if byte & 0x1e == 4 {
            machine.send_plain(kind, payload, &mut self.keys)
        } else {
            machine.send(kind, payload, &mut self.keys)
        };
        assert_eq!(sent.is_ok(), may, "{sent:?}");
        if may {
            side.sent.push(Message(kind, bytes));
        }
    }

    fn send_part(&mut self, from: usize, byte: u8, choices: &mut Input<'_>) {
        let (kind, bytes) = self.payload(from, byte, choices);
        let last = byte & 0x80 != 0;
        let side = &mut self.sides[from];
        let may = side.face.machine.is_open() && side.sending.as_ref().is_none_or(|begun| begun.0 == kind);
        let (machine, part) = (&mut side.face.machine, Payload::Borrowed(&bytes[..]));
        let sent = if byte & 0x40 != 0 {
            machine.send_plain_part(kind, part, last, &mut self.keys)
        } else {
            machine.send_part(kind, part, last, &mut self.keys)
        };
        assert_eq!(sent.is_ok(), may, "{sent:?}");
        if may {
            side.sending.get_or_insert_with(|| Message(kind, Vec::new())).1.extend(bytes);
            if last {
                side.sent.extend(side.sending.take());
            }
        }
    }

    fn close(&mut self, from: usize, choices: &mut Input<'_>) {
        let codes = [
            CloseCode::NORMAL,
            CloseCode::GOING_AWAY,
            CloseCode::NO_STATUS,
            CloseCode::new(4999),
            CloseCode::new(1006),
        ];
        let code = codes[usize::from(choices.byte()) % codes.len()];
        let reason = text(usize::from(choices.byte() % 130));
        let reason = if code == CloseCode::NO_STATUS { String::new() } else { reason };
        let side = &mut self.sides[from];
        let open = side.face.machine.is_open();
        let good = code != CloseCode::new(1006) && reason.len() <= MAX_REASON;
        assert_eq!(side.face.machine.close(code, &reason, self.now).is_ok(), good);
        if good && open {
            side.closed = Some((code, reason));
        }
        assert_eq!(side.face.machine.is_open(), open && !good);
    }

    fn write(&mut self, from: usize, most: usize) {
        let side = &mut self.sides[from];
        let bytes = side.face.write(most, &mut self.keys);
        if !side.shut {
            self.sides[1 - from].arriving.extend(bytes);
        }
        self.shut(from);
    }

    /// Ends the stream of a side that has nothing more to say.
    fn shut(&mut self, from: usize) {
        let machine = &self.sides[from].face.machine;
        let over = machine.ending().is_some() || machine.shuts_first() && !machine.wants_write();
        if over && !self.sides[from].shut {
            self.sides[from].shut = true;
            self.sides[1 - from].end_arrives = true;
        }
    }

    fn deliver(&mut self, to: usize, most: usize) {
        let now = self.now;
        let side = &mut self.sides[to];
        let n = most.min(side.arriving.len());
        let bytes: Vec<u8> = side.arriving.drain(..n).collect();
        if side.face.machine.ending().is_none() {
            side.face.feed(&bytes, now);
            side.arrived.extend(bytes);
            if side.arriving.is_empty() && side.end_arrives && !side.end_told {
                side.end_told = true;
                side.face.machine.received_end();
                side.face.feed(&[], now);
            }
        }
        self.shut(to);
    }

    /// Time passes, as faces do it: what has arrived is read before a deadline is judged.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        for side in 0..2 {
            if self.sides[side].face.machine.next_timeout().is_some_and(|at| at <= self.now) {
                self.deliver(side, usize::MAX);
                let face = &mut self.sides[side].face;
                face.machine.handle_timeout(self.now, &mut self.keys);
                face.feed(&[], self.now);
                // Where the peer's Close frame had come, that is how it ended, though our answer never left.
                self.timed_out |= face.machine.ending().is_some();
            }
            self.shut(side);
        }
    }

    /// The transport breaks: nothing more gets through.
    fn cut(&mut self, from: usize) {
        self.was_cut = true;
        for side in [from, 1 - from] {
            let lost = &mut self.sides[side];
            lost.arriving.clear();
            (lost.shut, lost.end_arrives) = (true, true);
            self.deliver(side, 0);
        }
    }

    /// Everything is written and read; who is still open closes; time does the rest.
    fn finish(&mut self) {
        for _ in 0..8 {
            for _ in 0..64 {
                let before = self
                    .sides
                    .each_ref()
                    .map(|side| (side.arrived.len(), side.face.machine.queued(), side.end_told));
                for side in 0..2 {
                    self.write(side, usize::MAX);
                    self.deliver(1 - side, usize::MAX);
                }
                let after = self
                    .sides
                    .each_ref()
                    .map(|side| (side.arrived.len(), side.face.machine.queued(), side.end_told));
                if before == after {
                    break;
                }
            }
            for side in &self.sides {
                let machine = &side.face.machine;
                assert!(!machine.wants_write(), "everything was written");
            }
            if self.sides.iter().all(|side| side.face.machine.ending().is_some()) {
                return;
            }
            if self.sides_are_open() {
                let closer = &mut self.sides[self.closer];
                closer.face.machine.close(CloseCode::NORMAL, "", self.now).expect("a code that may be sent");
                closer.closed = Some((CloseCode::NORMAL, String::new()));
            } else {
                let next = self.sides.iter().filter_map(|side| side.face.machine.next_timeout()).min();
                let next = next.expect("a connection that is closing has a deadline");
                self.pass(next.saturating_duration_since(self.now));
            }
        }
        panic!("no end: {:?}", self.sides.each_ref().map(|side| side.face.end()));
    }

    fn sides_are_open(&self) -> bool {
        self.sides.iter().all(|side| side.face.machine.is_open())
    }

    fn check(&self) {
        for to in 0..2 {
            let (receiver, sender) = (&self.sides[to], &self.sides[1 - to]);
            let (received, sent) = (&receiver.face.messages, &sender.sent);
            let alike = received.iter().zip(sent).take_while(|(received, sent)| received == sent).count();
            assert_eq!(alike, received.len(), "what was received was sent, in this order");
            let failed = matches!(receiver.ending(), Ending::Failed(_));
            if self.was_cut || self.timed_out {
                continue;
            }
            assert!(failed || received.len() == sent.len(), "{} of {} arrived", received.len(), sent.len());
            if failed {
                let config = &receiver.reader.config;
                let small = config.max_message == 300 || config.max_fragments == 5;
                assert!(small, "only a limit can be broken here: {:?}", receiver.ending());
            }
            if !receiver.took_parts {
                let heard = reference::hear(&receiver.reader, &receiver.arrived).heard;
                assert_eq!(heard.messages, *received);
                assert_eq!(heard.end, receiver.face.end());
            }
            self.check_ending(receiver, sender);
        }
    }

    /// A side that did not fail was told what the other one said first.
    fn check_ending(&self, receiver: &Side, sender: &Side) {
        let Ending::Closed(frame) = receiver.ending() else {
            assert!(matches!(receiver.ending(), Ending::Failed(_)), "{:?}", receiver.ending());
            return;
        };
        let said = match (&sender.closed, sender.ending()) {
            (Some((code, reason)), _) => (*code, reason.as_str()),
            (None, Ending::Failed(error)) => (error.close_code(), ""),
            (None, Ending::Closed(answered)) => (answered.code, ""),
            (None, other) => panic!("{other:?}"),
        };
        assert_eq!((frame.code, frame.reason.as_str()), said);
        assert_eq!(End::Closed(frame.code.get(), frame.reason.clone()), receiver.face.end());
    }
}

/// Keys that differ from frame to frame.
struct Keys(u32);

impl MaskKeys for Keys {
    fn next_key(&mut self) -> [u8; 4] {
        self.0 = self.0.wrapping_mul(0x9e37_79b1).wrapping_add(0x7f4a_7c15);
        self.0.to_be_bytes()
    }
}

/// Text of so many bytes, with characters of one to four.
fn text(length: usize) -> String {
    let mut text = "aé世🦀".repeat(length / 10);
    text.push_str(&"x".repeat(length % 10));
    text
}
