//! `Stream` and `Sink`, as the combinators of `futures-util` use them.

use std::time::Duration;

use aiowebsocket::protocol::OpCode;
use aiowebsocket::{CloseCode, Error, Message};
use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;

use super::stream::{frame, frames, open, quiet};

fn text(text: &str) -> Message {
    Message::Text(text.into())
}

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(start_paused = true)]
async fn a_connection_is_a_stream_and_a_sink() {
    for halves in [false, true] {
        let (ws, wire) = open(quiet(), true).await;
        wire.say(&[frame(OpCode::Text, true, b"one"), frame(OpCode::Text, true, b"two")].concat());
        let (got, sent) = if halves {
            let (mut sender, receiver) = ws.split();
            for word in ["a", "b"] {
                sender.feed(text(word)).await.expect("open");
            }
            SinkExt::<Message>::flush(&mut sender).await.expect("open");
            let got: Vec<_> = receiver.take(2).map(|message| message.expect("open")).collect().await;
            (got, SinkExt::<Message>::close(&mut sender).await)
        } else {
            let (mut sink, stream) = StreamExt::split(ws);
            for word in ["a", "b"] {
                sink.feed(text(word)).await.expect("open");
            }
            sink.flush().await.expect("open");
            let got: Vec<_> = stream.take(2).map(|message| message.expect("open")).collect().await;
            (got, sink.close().await)
        };
        sent.expect("closed");
        assert_eq!(got, [text("one"), text("two")]);
        let close = (0x88, u16::from(CloseCode::NORMAL).to_be_bytes().to_vec());
        assert_eq!(frames(&wire.lock().wrote), [(0x81, b"a".to_vec()), (0x81, b"b".to_vec()), close]);
    }
}

/// After 1000 nothing follows; an error comes once, then nothing.
#[tokio::test(start_paused = true)]
async fn a_stream_ends() {
    for halves in [false, true] {
        for (code, errors) in [(1000_u16, 0), (3000, 1)] {
            let (ws, wire) = open(quiet(), true).await;
            wire.say(&frame(OpCode::Text, true, b"last"));
            wire.say(&frame(OpCode::Close, true, &code.to_be_bytes()));
            wire.lock().ended = true;
            let items: Vec<Result<Message, Error>> = if halves {
                let (_sender, receiver) = ws.split();
                timeout(SOON, receiver.collect()).await.expect("an end")
            } else {
                timeout(SOON, ws.collect()).await.expect("an end")
            };
            assert_eq!(items.len(), 1 + errors, "{items:?}");
            assert!(items[0].as_ref().is_ok_and(|message| *message == text("last")));
            assert!(items[1..].iter().all(|item| matches!(item, Err(Error::Closed { .. }))));
        }
    }
}
