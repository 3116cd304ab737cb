//! `Stream` and `Sink`, as the combinators of `futures-util` use them.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aiowebsocket::protocol::OpCode;
use aiowebsocket::protocol::UsageError;
use aiowebsocket::{CloseCode, Error, Message};
use futures_util::{Sink, SinkExt, StreamExt};
use tokio::time::{sleep, timeout};

use super::split::{Call, client, texts};
use super::stream::{Step, Wire, frame, frames, open, quiet};

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

/// Each step of a sink waits for what it says: room, bytes that left, the peer's Close frame.
fn steps_wait(mut sink: impl Sink<Message, Error = Error> + Unpin, wire: &Wire) {
    let cx = &mut Context::from_waker(Waker::noop());
    let mut sink = Pin::new(&mut sink);
    wire.lock().deaf();
    wire.writes([Step::Stall]);
    assert!(matches!(sink.as_mut().poll_ready(cx), Poll::Ready(Ok(()))));
    sink.as_mut().start_send(text("first")).expect("open");
    assert!(sink.as_mut().poll_ready(cx).is_pending(), "there is no room");
    assert!(sink.as_mut().poll_flush(cx).is_pending(), "nothing has left");
    wire.writes([]);
    assert!(matches!(sink.as_mut().poll_ready(cx), Poll::Ready(Ok(()))));
    sink.as_mut().start_send(text("second")).expect("open");
    assert!(matches!(sink.as_mut().poll_flush(cx), Poll::Ready(Ok(()))));
    assert_eq!(texts(wire), ["first", "second"]);
    assert!(sink.as_mut().poll_close(cx).is_pending(), "the peer has not answered");
    wire.say(&frame(OpCode::Close, true, &[0x03, 0xe8]));
    wire.lock().ended = true;
    assert!(matches!(sink.as_mut().poll_close(cx), Poll::Ready(Ok(()))));
}

#[tokio::test]
async fn the_steps_of_a_sink_wait() {
    let mut config = quiet();
    config.max_queue = 1;
    let (ws, wire) = open(config.clone(), true).await;
    steps_wait(ws, &wire);
    let (ws, wire) = open(config, true).await;
    let (sender, receiver) = ws.split();
    steps_wait(sender, &wire);
    drop(receiver);
}

/// What was given to a sink and not flushed leaves by the task behind.
#[tokio::test(start_paused = true)]
async fn the_task_behind_writes_what_a_sink_was_given() {
    let (ws, mut peer) = client(&quiet(), 1000);
    let (mut sender, _receiver) = ws.background();
    sleep(SOON).await;
    let mut sink = Pin::new(&mut sender);
    std::future::poll_fn(|cx| Sink::<Message>::poll_ready(sink.as_mut(), cx)).await.expect("open");
    sleep(SOON).await;
    sink.start_send(text("fed")).expect("open");
    let mut heard = [0; 9];
    let read = tokio::io::AsyncReadExt::read_exact(&mut peer, &mut heard);
    timeout(SOON, read).await.expect("at once").expect("open");
    assert_eq!(frames(&heard), [(0x81, b"fed".to_vec())]);
}

/// Nothing is kept of a `next` that is done.
#[tokio::test]
async fn a_stream_that_has_an_item_leaves_no_waker() {
    let (ws, wire) = open(quiet(), true).await;
    let (_sender, mut receiver) = ws.split();
    wire.say(&frame(OpCode::Text, true, b"in"));
    let mut receiving = Call::new(receiver.next());
    assert!(receiving.poll().is_some());
    assert_eq!(std::sync::Arc::strong_count(&receiving.woken), 1);
}

/// Nothing is kept of a sink that is dropped while it waits.
#[tokio::test]
async fn a_sink_that_is_dropped_leaves_no_waker() {
    let mut config = quiet();
    config.max_queue = 1;
    let (ws, wire) = open(config, true).await;
    wire.writes([Step::Stall]);
    let (mut sender, receiver) = ws.split();
    drop(Call::waiting(sender.send(text("first"))));
    let sending = Call::waiting(async move { SinkExt::send(&mut sender, text("second")).await });
    let flag = std::sync::Arc::clone(&sending.woken);
    drop(sending);
    assert_eq!(std::sync::Arc::strong_count(&flag), 1);
    drop(receiver);
}

/// As `recv` says it: the rest of a message that was begun in parts comes in parts. That is no end: it is said as often as somebody asks, and the
/// stream goes on behind the message, up to the error that ends it.
#[tokio::test]
async fn a_stream_does_not_go_on_in_the_middle_of_a_message() {
    let (mut ws, wire) = open(quiet(), true).await;
    wire.say(&frame(OpCode::Text, false, b"part"));
    assert!(ws.recv_part().await.is_ok_and(|part| part.is_some()));
    wire.say(&frame(OpCode::Continuation, true, b"rest"));
    for _ in 0..2 {
        let item = timeout(SOON, ws.next()).await.expect("at once");
        assert!(matches!(item, Some(Err(Error::Usage(UsageError::MessageInParts)))), "{item:?}");
    }
    assert!(ws.recv_part().await.is_ok_and(|part| part.is_some_and(|part| part.last)));
    wire.say(&frame(OpCode::Text, true, b"last"));
    wire.lock().ended = true;
    let items: Vec<_> = timeout(SOON, ws.collect()).await.expect("an end");
    assert!(matches!(items.as_slice(), [Ok(_), Err(Error::Closed { .. })]), "{items:?}");
}
