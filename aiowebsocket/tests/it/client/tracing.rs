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
async fn steps_and_messages_are_told_without_what_is_secret() {
    let server = EchoServer::bind("127.0.0.1:0").await.expect("a port");
    let address = server.local_addr().expect("bound");
    let server = tokio::spawn(server.run());
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());

    let url = format!("ws://user:password@{address}/feed?token=secret");
    let mut ws = connect(url).cookie("id", "secret").bearer("secret").await.expect("open");
    ws.send("a secret").await.expect("sent");
    assert!(ws.recv().await.expect("received").is_some());
    ws.send(vec![0; 100_000]).await.expect("sent");
    assert!(ws.recv_ref().await.expect("received").is_some());
    ws.close(CloseCode::NORMAL, "").await.expect("closed");
    server.abort();

    let told = lines.0.lock().expect("no panic").join("\n");
    assert!(!told.contains("secret") && !told.contains("password"), "{told}");
    // The server, on the same thread, tells of its end too.
    for (times, expected) in [
        (1, format!("DEBUG aiowebsocket::opening message=connecting to {address}")),
        (1, format!("DEBUG aiowebsocket::opening message=asking for ws://{address}/feed?…")),
        (2, "TRACE aiowebsocket::messages way=\"sent\" kind=Text length=8".to_owned()),
        (2, "TRACE aiowebsocket::messages way=\"received\" kind=Text length=8".to_owned()),
        (2, "TRACE aiowebsocket::messages way=\"received\" kind=Binary length=100000".to_owned()),
        (2, "DEBUG aiowebsocket::connection message=the connection ended code=1000".to_owned()),
    ] {
        assert_eq!(told.matches(&expected).count(), times, "{expected}\n{told}");
    }
}
