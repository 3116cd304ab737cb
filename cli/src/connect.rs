//! `aiows connect`: lines of standard input out as text messages, messages in to standard output.

use std::io::{Write, stdout};
use std::time::Duration;

use aiowebsocket::{CloseCode, Message};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::time::timeout;

use crate::Failure;

/// After the end of standard input: this long without a message, and there is no answer to wait for any more. A server has
/// no way to say that it answered everything, and many stop answering when they see a Close frame.
const QUIET: Duration = Duration::from_secs(1);

/// Runs until the server closes, or standard input ends and the closing handshake is done.
pub(crate) async fn run(url: &str) -> Result<(), Failure> {
    let mut ws = aiowebsocket::connect(url).await?;
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            message = ws.recv() => match message? {
                Some(message) => print(&message)?,
                None => return Ok(()),
            },
            line = lines.next_line() => match line? {
                Some(line) => ws.send(line).await?,
                None => break,
            },
        }
    }
    while let Ok(message) = timeout(QUIET, ws.recv()).await {
        match message? {
            Some(message) => print(&message)?,
            None => return Ok(()),
        }
    }
    Ok(ws.close(CloseCode::NORMAL, "").await?)
}

fn print(message: &Message) -> Result<(), Failure> {
    let mut out = stdout().lock();
    match message {
        Message::Text(text) => writeln!(out, "{text}")?,
        Message::Binary(data) => writeln!(out, "(binary message of {} bytes)", data.len())?,
    }
    Ok(out.flush()?)
}
