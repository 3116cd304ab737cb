//! What a subscriber of the crate `tracing` sees, and what it must not.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use aiowebsocket::{CloseCode, EchoServer, connect};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

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

#[tokio::test]
async fn steps_and_frames_are_told_without_what_is_secret() {
    let server = EchoServer::bind("127.0.0.1:0").await.expect("a port");
    let address = server.local_addr().expect("bound");
    let server = tokio::spawn(server.run());
    let lines = Lines::default();
    // Where there is one subscriber, a place in the code that another thread's test reaches first is asked about with that thread's,
    // which has none, and stays off for all. With two, both are asked.
    let _second = tracing::Dispatch::new(Lines::default());
    let _guard = tracing::subscriber::set_default(lines.clone());

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
