//! What a subscriber of the crate `tracing` sees, and what it must not.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use aiowebsocket::protocol::{Connection, Step};
use aiowebsocket::{CloseCode, Config, EchoServer, Role, accept, connect};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::support::{KEY, start_of_time};

/// Keeps each event as a line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("aiowebsocket")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Fields(String);
        impl Visit for Fields {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                if field.name() != "at_us" {
                    write!(self.0, " {}={value:?}", field.name()).expect("memory");
                }
            }
        }
        let metadata = event.metadata();
        let mut fields = Fields(format!("{} {}", metadata.level(), metadata.target()));
        event.record(&mut fields);
        self.0.lock().expect("no panic").push(fields.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Lines {
    /// Those of payloads, without what is the same in all.
    fn payloads(&self) -> Vec<String> {
        let lines = std::mem::take(&mut *self.0.lock().expect("no panic"));
        let payload =
            |line: &String| line.strip_prefix("TRACE aiowebsocket::payloads way=").map(str::to_owned);
        lines.iter().filter_map(payload).collect()
    }
}

/// Two, of which one is in force on this thread: where there is one subscriber, a place in the code that another thread's test reaches
/// first is asked about with that thread's, which has none, and stays off for all. With two, both are asked.
fn listening() -> (Lines, impl Sized) {
    let lines = Lines::default();
    let second = tracing::Dispatch::new(Lines::default());
    let guard = tracing::subscriber::set_default(lines.clone());
    (lines, (second, guard))
}

#[tokio::test]
async fn steps_and_frames_are_told_without_what_is_secret() {
    let server = EchoServer::bind("127.0.0.1:0").await.expect("a port");
    let address = server.local_addr().expect("bound");
    let server = tokio::spawn(server.run());
    let (lines, _listening) = listening();

    let url = format!("ws://user:password@{address}/feed?token=secret");
    let connecting = connect(url).cookie("id", "secret").bearer("secret").no_compression();
    let mut ws = connecting.await.expect("open");
    ws.send("a secret").await.expect("sent");
    assert!(ws.recv().await.expect("received").is_some());
    ws.send(vec![0; 100_000]).await.expect("sent");
    assert!(ws.recv_ref().await.expect("received").is_some());
    ws.send_part("in several ", false).await.expect("sent");
    ws.send_part("parts", true).await.expect("sent");
    assert!(ws.recv().await.expect("received").is_some());
    ws.ping().await.expect("a pong");
    ws.close(CloseCode::NORMAL, "").await.expect("closed");
    server.abort();

    let told = lines.0.lock().expect("no panic").join("\n");
    assert!(!told.contains("secret") && !told.contains("password"), "{told}");
    let frame = "TRACE aiowebsocket::frames way=";
    // The server, on the same thread, tells of its frames too, and of its end if it gets that far.
    assert!(told.contains("DEBUG aiowebsocket::connection message=the connection ended code=1000"), "{told}");
    for (times, expected) in [
        (1, format!("DEBUG aiowebsocket::opening message=connecting to {address}")),
        (1, format!("DEBUG aiowebsocket::opening message=asking for ws://{address}/feed?…")),
        (2, format!("{frame}\"sent\" opcode=Text fin=true length=8\n")),
        (2, format!("{frame}\"received\" opcode=Text fin=true length=8\n")),
        (2, format!("{frame}\"received\" opcode=Binary fin=true length=100000\n")),
        // The server sends the parts back as one frame.
        (1, format!("{frame}\"sent\" opcode=Text fin=false length=11\n")),
        (1, format!("{frame}\"received\" opcode=Continuation fin=true length=5\n")),
        (1, format!("{frame}\"sent\" opcode=Ping fin=true length=8\n")),
        (1, format!("{frame}\"received\" opcode=Pong fin=true length=8\n")),
        (2, format!("{frame}\"sent\" opcode=Close fin=true length=2\n")),
    ] {
        assert_eq!(told.matches(&expected).count(), times, "{expected}\n{told}");
    }
}

#[tokio::test]
async fn payloads_are_shown_where_that_is_asked_for() {
    let server = EchoServer::bind("127.0.0.1:0").await.expect("a port");
    let address = server.local_addr().expect("bound");
    let server = tokio::spawn(server.run());
    let (lines, _listening) = listening();

    let url = format!("ws://user:password@{address}/feed?token=secret");
    // The server, on the same thread, was not asked to show any.
    let mut ws = connect(url).bearer("secret").no_compression().trace_payloads(12).await.expect("open");
    for text in ["short", "of more than twelve bytes", "\u{1b}[31m\"red\"\n", "a cut at anü"] {
        ws.send(text).await.expect("sent");
        assert!(ws.recv().await.expect("received").is_some());
    }
    ws.send(vec![0xFF; 40_000]).await.expect("sent");
    assert!(ws.recv().await.expect("received").is_some());
    ws.send("").await.expect("sent");
    assert!(ws.recv().await.expect("received").is_some());
    ws.send_part("in several ", false).await.expect("sent");
    ws.send_part("parts", true).await.expect("sent");
    assert!(ws.recv().await.expect("received").is_some());
    ws.ping().await.expect("a pong");
    ws.close(CloseCode::NORMAL, "done").await.expect("closed");
    assert_eq!(
        lines.payloads(),
        [
            r#""sent" offset=0 payload="short""#,
            r#""received" offset=0 payload="short""#,
            r#""sent" offset=0 payload="of more than""#,
            r#""received" offset=0 payload="of more than""#,
            r#""sent" offset=0 payload="\u{1b}[31m\"red\"\n""#,
            r#""received" offset=0 payload="\u{1b}[31m\"red\"\n""#,
            r#""sent" offset=0 payload="a cut at an" c3"#,
            r#""received" offset=0 payload="a cut at an" c3"#,
            r#""sent" offset=0 payload=ffffffffffffffffffffffff"#,
            r#""received" offset=0 payload=ffffffffffffffffffffffff"#,
            r#""sent" offset=0 payload="in several ""#,
            r#""sent" offset=0 payload="parts""#,
            r#""received" offset=0 payload="in several p""#,
            r#""sent" offset=0 payload=0000000000000000"#,
            r#""received" offset=0 payload=0000000000000000"#,
            r#""sent" offset=0 payload=03e8646f6e65"#,
            r#""received" offset=0 payload=03e8"#,
        ]
    );
    server.abort();
}

/// What is compressed is shown as people wrote it, and the limit is one for each end.
#[tokio::test]
async fn payloads_are_shown_before_they_are_compressed_and_after() {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (lines, _listening) = listening();
    let accepting = accept(theirs).trace_payloads(4).into_future();
    let connecting = connect("ws://example.com/").trace_payloads(6).over(ours).into_future();
    let (theirs, ours) = tokio::join!(accepting, connecting);
    let (mut theirs, mut ours) = (theirs.expect("open"), ours.expect("open"));
    assert!(ours.compression().is_some());
    let text = "0123456789".repeat(10);
    ours.send(&text).await.expect("sent");
    assert_eq!(theirs.recv().await.expect("received").expect("open").as_text(), Some(text.as_str()));
    // More than a part of what is inflated.
    theirs.send(vec![b'x'; 20_000]).await.expect("sent");
    let mut parts = 0;
    while !ours.recv_part().await.expect("received").expect("open").last {
        parts += 1;
    }
    ours.send_part(&text[..], false).await.expect("sent");
    ours.send_part("the end", true).await.expect("sent");
    assert!(theirs.recv().await.expect("received").is_some());
    let mut expected = vec![
        r#""sent" offset=0 payload="012345""#,
        r#""received" offset=0 payload="0123""#,
        r#""sent" offset=0 payload="xxxx""#,
    ];
    expected.resize(expected.len() + parts + 1, r#""received" offset=0 payload="xxxxxx""#);
    expected.extend([
        r#""sent" offset=0 payload="012345""#,
        r#""sent" offset=0 payload="the en""#,
        r#""received" offset=0 payload="0123""#,
    ]);
    assert_eq!(parts, 1);
    assert_eq!(lines.payloads(), expected);
}

/// However the bytes of a frame arrive, and wherever they go: what is shown of it is the beginning of its payload, once.
#[test]
fn the_beginning_of_a_payload_is_shown_once_however_it_arrives() {
    const MOST: u16 = 10;
    let (lines, _listening) = listening();
    for length in [0_usize, 3, 10, 11, 300, 70_000] {
        // No UTF-8, and every byte tells its place.
        let payload: Vec<u8> = (0..length).map(|i| 0x80 | u8::try_from(i % 64).expect("small")).collect();
        let hexadecimal: String =
            payload.iter().take(MOST.into()).map(|byte| format!("{byte:02x}")).collect();
        for (role, is_fragment, in_parts) in [
            (Role::Client, false, false),
            (Role::Client, true, false),
            (Role::Client, false, true),
            (Role::Server, false, false),
            (Role::Server, true, false),
            (Role::Server, true, true),
        ] {
            let frame = frame(&payload, role, is_fragment);
            for first in 0..25.min(frame.len()) {
                let mut config = Config::default();
                config.trace_payloads = MOST;
                let mut machine = Connection::new(role, config, &[], start_of_time());
                let (begin, rest) = frame.split_at(first);
                let (middle, end) = rest.split_at(rest.len().min(4));
                for piece in [begin, middle, end] {
                    give(&mut machine, piece, in_parts, first % 2 == 0);
                }
                let (mut shown, mut place) = (String::new(), 0);
                for line in lines.payloads() {
                    let piece = line.strip_prefix(&format!("\"received\" offset={place} payload="));
                    let piece = piece.unwrap_or_else(|| panic!("{place}: {line}"));
                    place += piece.len() / 2;
                    shown += piece;
                }
                assert_eq!(shown, hexadecimal, "{role:?} {length} {is_fragment} {in_parts} {first}");
            }
        }
    }
}

#[test]
fn control_frames_are_shown_within_the_limit_and_not_where_they_are_empty() {
    let (lines, _listening) = listening();
    let mut config = Config::default();
    config.trace_payloads = 2;
    let mut machine = Connection::new(Role::Client, config, &[], start_of_time());
    give(&mut machine, b"\x89\x00\x8A\x03abc", false, false);
    assert_eq!(lines.payloads(), [r#""received" offset=0 payload=6162"#]);
}

/// A binary frame as the peer of this role writes it.
fn frame(payload: &[u8], role: Role, is_fragment: bool) -> Vec<u8> {
    let (mask, key) = if role == Role::Server { (0x80, KEY) } else { (0, [0; 4]) };
    let mut frame = vec![if is_fragment { 2 } else { 0x82 }];
    match payload.len() {
        short @ 0..=125 => frame.push(mask | u8::try_from(short).expect("short")),
        length => match u16::try_from(length) {
            Ok(length) => {
                frame.push(mask | 126);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        },
    }
    if mask != 0 {
        frame.extend(key);
    }
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Lets the machine read these bytes, a large message straight into its destination or not.
fn give(machine: &mut Connection, mut bytes: &[u8], in_parts: bool, straight: bool) {
    let now = start_of_time();
    loop {
        match if in_parts { machine.step_part() } else { machine.step() } {
            Step::Message(_) | Step::Part { .. } => continue,
            Step::Into { .. } => {
                machine.pour();
                if straight && !bytes.is_empty() {
                    machine.placed(&mut bytes.to_vec(), now);
                    bytes = &[];
                }
            }
            Step::Read => {}
            step => panic!("{step:?}"),
        }
        if bytes.is_empty() {
            return;
        }
        let space = machine.space();
        let n = space.len().min(bytes.len());
        space[..n].copy_from_slice(&bytes[..n]);
        machine.received(n, now);
        bytes = &bytes[n..];
    }
}
