//! Messages on standard output, written by a thread of its own: a reader that does not read (a pager, a stopped
//! terminal) must not keep the program from hearing Ctrl-C.

use std::convert::Infallible;
use std::io::{self, Write, stdout};
#[cfg(unix)]
use std::os::fd::AsFd as _;
use std::thread;

use aiowebsocket::Message;
#[cfg(unix)]
use nix::errno::Errno;
#[cfg(unix)]
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::{mpsc, oneshot};

use crate::escape::escape;
use crate::exit::Failure;
use crate::json::pretty;
use crate::say::complain;

/// Messages that may wait to be written; receiving pauses then.
const WAITING: usize = 16;

/// Bytes that are gathered into one write while more messages wait.
const GATHERED: usize = 64 << 10;

/// Bytes of a binary message that a terminal is shown.
const SHOWN: usize = 32;

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// For programs: text with a line end, as it came.
    Lines,
    /// For programs: every byte as it came, and nothing between.
    Raw,
    /// For people: nothing that moves the cursor.
    Screen,
    /// For people who type below: each message marked as what came.
    Conversation,
}

/// What takes the bytes in the end.
pub(crate) type Sink = Box<dyn FnMut(&[u8]) -> io::Result<()> + Send>;

/// The way to standard output.
pub(crate) struct Output {
    style: Style,
    json: bool,
    waiting: mpsc::Sender<Vec<u8>>,
    /// How writing ended; nothing once that was told.
    done: Option<oneshot::Receiver<io::Result<()>>>,
    /// Ends when nobody can read any more what is written.
    reader: oneshot::Receiver<Infallible>,
    told_of_binary: bool,
}

impl Output {
    pub(crate) fn new(style: Style, json: bool, sink: Sink) -> Self {
        let (waiting, receiver) = mpsc::channel(WAITING);
        let (sender, done) = oneshot::channel();
        drop(thread::spawn(move || sender.send(write_all(receiver, sink))));
        Self { style, json, waiting, done: Some(done), reader: reader(), told_of_binary: false }
    }

    /// Hands a message to the writer; waits while it is behind.
    pub(crate) async fn print(&mut self, message: Message) -> Result<(), Failure> {
        let bytes = match (self.style, message) {
            (Style::Raw, message) => message.into_bytes().into(),
            (Style::Lines, Message::Text(text)) => self.laid_out(&text).into_bytes(),
            (Style::Lines, Message::Binary(data)) => {
                if !self.told_of_binary {
                    complain(&format!("a binary message of {} bytes is not shown: use --binary", data.len()));
                    self.told_of_binary = true;
                }
                return Ok(());
            }
            (Style::Screen, message) => self.for_people(&message).into_bytes(),
            (Style::Conversation, message) => marked(&self.for_people(&message)).into_bytes(),
        };
        match self.waiting.send(bytes).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.broken().await),
        }
    }

    /// Tells a person what is no message: among the messages where somebody types below them, else on standard error.
    pub(crate) async fn note(&mut self, what: &str) {
        match self.style {
            // An end of the writer is told with the next message.
            Style::Conversation => _ = self.waiting.send(format!("* {}\n", escape(what)).into_bytes()).await,
            _ => complain(what),
        }
    }

    /// Waits until everything is written.
    pub(crate) async fn finish(self) -> Result<(), Failure> {
        drop(self.waiting);
        match self.done {
            Some(done) => Ok(done.await.unwrap_or(Ok(()))?),
            None => Ok(()),
        }
    }

    /// Waits until the writer takes no more, and tells why. Dropping the future loses nothing.
    pub(crate) async fn broken(&mut self) -> Failure {
        let error = tokio::select! {
            () = self.waiting.closed() => match &mut self.done {
                Some(done) => done.await.ok().and_then(Result::err),
                None => None,
            },
            // Where nothing arrives, nothing is written that would tell it.
            _ = &mut self.reader => None,
        };
        self.done = None;
        error.unwrap_or_else(|| io::ErrorKind::BrokenPipe.into()).into()
    }

    fn laid_out(&self, text: &str) -> String {
        let laid_out = if self.json { pretty(text) } else { None };
        let mut line = laid_out.unwrap_or_else(|| text.to_owned());
        line.push('\n');
        line
    }

    fn for_people(&self, message: &Message) -> String {
        match message {
            Message::Text(text) => escape(&self.laid_out(text)).into_owned(),
            Message::Binary(data) => format!("({} bytes){}\n", data.len(), hexadecimal(data)),
        }
    }
}

/// The sink of everything that is no line editor.
pub(crate) fn standard_output() -> Sink {
    Box::new(|bytes| {
        let mut out = stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    })
}

/// Whoever reads standard output. Ends when nobody does: the reader of a pipe has gone.
#[cfg(unix)]
fn reader() -> oneshot::Receiver<Infallible> {
    let (sender, reader) = oneshot::channel();
    drop(thread::spawn(move || {
        let out = stdout();
        // What is asked for is nothing; an end is told to everybody.
        let mut watched = [PollFd::new(out.as_fd(), PollFlags::empty())];
        loop {
            match poll(&mut watched, PollTimeout::NONE) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return drop(sender),
                // Cannot be watched: an end is told by the next write alone.
                Err(_) => return std::mem::forget(sender),
            }
        }
    }));
    reader
}

/// There is no such word of a pipe.
#[cfg(not(unix))]
fn reader() -> oneshot::Receiver<Infallible> {
    let (sender, reader) = oneshot::channel();
    std::mem::forget(sender);
    reader
}

fn write_all(mut waiting: mpsc::Receiver<Vec<u8>>, mut sink: Sink) -> io::Result<()> {
    while let Some(mut batch) = waiting.blocking_recv() {
        while batch.len() < GATHERED
            && let Ok(more) = waiting.try_recv()
        {
            batch.extend_from_slice(&more);
        }
        sink(&batch)?;
    }
    Ok(())
}

/// `< ` before the first line, and blanks before the others: a message cannot look like two.
fn marked(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    for (number, line) in text.lines().enumerate() {
        out.push_str(if number == 0 { "< " } else { "  " });
        out.push_str(line);
        out.push('\n');
    }
    out
}

fn hexadecimal(data: &[u8]) -> String {
    let mut out: String = data.iter().take(SHOWN).map(|byte| format!(" {byte:02x}")).collect();
    if data.len() > SHOWN {
        out.push_str(" …");
    }
    out
}
