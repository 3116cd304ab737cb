//! Random operations on one machine, good and bad bytes among them, against what must hold whatever happens:
//!
//! * nothing panics, and a step never hangs
//! * what goes out is well-formed, masked by a client alone; at most one Close frame, and after it nothing but pongs
//! * sending works exactly while the connection is open, and once it is not open it stays so
//! * an outcome is known before the end and does not change; the end is final, and nothing is due after it
//! * time alone ends every connection that is closing

use std::time::Duration;

use aiowebsocket::protocol::{
    CloseCode, Config, Connection, Ending, Header, KeepAlive, Kind, OpCode, Payload, Role, Step,
};

use crate::support::rng::Rng;
use crate::support::{same_key, start_of_time};

struct Run {
    machine: Connection,
    role: Role,
    /// What lies in the destination of a large message.
    large: usize,
    /// The machine asked for a destination and was poured from since.
    missing: Option<usize>,
    wrote: Vec<u8>,
    outcome: Option<Ending>,
    ending: Option<Ending>,
    was_open: bool,
}

impl Run {
    /// Takes steps until there are no more, as the contract says.
    fn steps(&mut self) {
        self.missing = None;
        for _ in 0..100_000 {
            match self.machine.step() {
                Step::Message(incoming) => {
                    let bytes = self.machine.payload(incoming.place);
                    if incoming.kind == Kind::Text {
                        std::str::from_utf8(bytes).expect("text is checked");
                    }
                    self.large = 0;
                }
                Step::Into { len, .. } => {
                    self.large += self.machine.pour().len();
                    assert!(self.large <= len);
                    if self.large < len {
                        self.missing = Some(len - self.large);
                        return;
                    }
                }
                Step::Part { .. } | Step::Control { .. } => unreachable!("neither was asked for"),
                Step::Read => return,
                Step::End => {
                    assert!(self.machine.ending().is_some(), "only an end ends the steps");
                    return;
                }
            }
        }
        panic!("steps without end");
    }

    fn check(&mut self) {
        let open = self.machine.is_open();
        assert!(self.was_open || !open, "nothing opens again");
        self.was_open = open;
        if let Some(ending) = self.machine.ending() {
            assert_eq!(self.machine.outcome().as_ref(), Some(ending));
            assert_eq!(self.machine.next_timeout(), None);
        }
        if self.outcome.is_some() {
            assert_eq!(self.machine.outcome(), self.outcome, "what was decided stands");
        }
        if self.ending.is_some() {
            assert_eq!(self.machine.ending(), self.ending.as_ref(), "the end is final");
        }
        self.outcome = self.machine.outcome();
        self.ending = self.machine.ending().cloned();
        assert!(!open || self.outcome.is_none());
    }

    /// The frames that were written, one after the other and all of them whole but the last.
    fn check_output(&self) {
        let mut closed = false;
        let mut rest = &self.wrote[..];
        while let Some((header, size)) = Header::decode(rest).expect("what we write is well-formed") {
            let length = usize::try_from(header.length).expect("small");
            assert_eq!(header.mask.is_some(), self.role == Role::Client);
            assert!(header.fin && header.rsv == 0);
            assert!(!closed || header.opcode == OpCode::Pong, "{:?} after a Close frame", header.opcode);
            closed |= header.opcode == OpCode::Close;
            if rest.len() < size + length {
                return;
            }
            rest = &rest[size + length..];
        }
    }
}

/// A frame of the peer that goes on where the last one stopped; rarely one that breaks a rule.
fn arriving(rng: &mut Rng, role: Role, in_progress: &mut Option<u8>) -> Vec<u8> {
    let opcode = match (rng.below(400), *in_progress) {
        (0, _) => 0xb,
        (1, _) => 0,
        (2, _) => 1,
        (3..6, _) => 8,
        (6..100, _) => 9,
        (100..150, _) => 10,
        (_, Some(_)) => 0,
        (n, None) => 1 + u8::from(n % 2 == 0),
    };
    let fin = opcode >= 8 || rng.one_in(2);
    let length = rng.length(if opcode >= 8 { 125 } else { 80_000 });
    let text = opcode == 1 || opcode == 0 && *in_progress == Some(1);
    let payload = match opcode {
        8 if rng.one_in(3) => Vec::new(),
        8 => [&b"\x03\xe8"[..], rng.text(length.min(123)).as_bytes()].concat(),
        _ if text && !rng.one_in(300) => rng.text(length).into_bytes(),
        _ => rng.bytes(length),
    };
    if opcode < 8 {
        *in_progress = if fin { None } else { Some(in_progress.unwrap_or(opcode)) };
    }
    let masked = (role == Role::Server) != rng.one_in(400);
    let header = Header {
        fin,
        rsv: 0,
        opcode: OpCode::from_bits(opcode).unwrap_or(OpCode::Ping),
        mask: masked.then_some([0; 4]),
        length: payload.len() as u64,
    };
    let mut bytes = [0; 14];
    let size = header.encode(&mut bytes);
    bytes[0] = u8::from(fin) << 7 | opcode;
    [&bytes[..size], &payload].concat()
}

#[test]
fn whatever_is_done_to_a_machine() {
    let mut rng = Rng::new();
    let mut endings = [0; 5];
    for round in 0..200 {
        let role = if round % 2 == 0 { Role::Client } else { Role::Server };
        let mut config = Config::default();
        config.keepalive = (!rng.one_in(3))
            .then(|| KeepAlive { interval: Duration::from_secs(20), timeout: Duration::from_secs(15) });
        let mut now = start_of_time();
        let machine = Connection::new(role, config, &[], now);
        let mut run = Run {
            machine,
            role,
            large: 0,
            missing: None,
            wrote: Vec::new(),
            outcome: None,
            ending: None,
            was_open: true,
        };
        let (mut wire, mut in_progress) = (Vec::new(), None);
        for _ in 0..120 {
            let machine = &mut run.machine;
            match rng.below(20) {
                0 | 1 => {
                    let length = rng.length(70_000);
                    let sent = machine.send(Kind::Binary, Payload::Owned(vec![7; length]), &mut same_key);
                    assert_eq!(sent.is_ok(), run.was_open);
                }
                2 => assert_eq!(machine.ping(now, &mut same_key).is_ok(), run.was_open),
                3 if rng.one_in(10) => {
                    machine.close(CloseCode::NORMAL, "", now).expect("a code that may be sent");
                }
                4 if rng.one_in(40) => machine.received_end(),
                5 => machine.handle_timeout(now, &mut same_key),
                6 => now += Duration::from_millis(rng.length(10_000) as u64),
                7 => machine.park(),
                8 | 9 => {
                    let waiting = machine.output(&mut same_key).front();
                    let n = rng.length(waiting.len().max(1)).min(waiting.len());
                    run.wrote.extend_from_slice(&waiting[..n]);
                    machine.written(n);
                }
                _ => {
                    wire.extend(arriving(&mut rng, role, &mut in_progress));
                    let n = 1 + rng.length(wire.len()).min(wire.len() - 1);
                    match run.missing {
                        Some(missing) if rng.one_in(2) => {
                            let mut chunk: Vec<u8> = wire.drain(..n.min(missing)).collect();
                            machine.placed(&mut chunk, now);
                            run.large += chunk.len();
                        }
                        _ => {
                            let space = machine.space();
                            let n = n.min(space.len());
                            space[..n].copy_from_slice(&wire[..n]);
                            wire.drain(..n);
                            machine.received(n, now);
                        }
                    }
                }
            }
            run.steps();
            run.check();
        }
        // The end comes by time alone, where anything is due.
        for _ in 0..10 {
            let Some(next) = run.machine.next_timeout() else { break };
            run.machine.handle_timeout(next.max(now), &mut same_key);
            run.steps();
            run.check();
            now = next.max(now);
        }
        assert!(run.machine.next_timeout().is_none(), "round {round}: time ends it");
        while run.machine.wants_write() {
            let front = run.machine.output(&mut same_key).front();
            let n = front.len();
            run.wrote.extend_from_slice(front);
            run.machine.written(n);
        }
        run.check_output();
        endings[match run.machine.ending() {
            None => 0,
            Some(Ending::Closed(_)) => 1,
            Some(Ending::Abnormal) => 2,
            Some(Ending::Failed(_)) => 3,
            _ => 4,
        }] += 1;
    }
    assert!(endings.iter().all(|&count| count > 2), "every ending is tried: {endings:?}");
}
