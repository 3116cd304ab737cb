//! `aiows connect --reconnect`: the conversation over one connection after the other.
//!
//! A line of the input is sent once: to the connection that is there, or to the next. What a connection left unsent, which its
//! server has surely not received, goes to the next one before anything else. Of a line that had left when the connection
//! broke, nobody knows whether it arrived, so it is not sent again.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use aiowebsocket::{Backoff, CloseCode, Connect, Error, Message, ReconnectEvent, Reconnecting};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::show;
use crate::connect::{Console, End, Linger, PATIENCE, QUIET};
use crate::exit::{Exit, Failure, Outcome};
use crate::input::Input;
use crate::output::Output;
use crate::place::Place;
use crate::say::{complain, tell};
use crate::signal::{Signal, Signals};

/// Lines that are read ahead while there is no connection.
const AHEAD: usize = 16;

/// What the options of the command come to here.
#[derive(Clone, Copy)]
pub(crate) struct Manner<'a> {
    /// The longest time between two attempts.
    pub(crate) most: Duration,
    /// What is sent whenever a connection opens.
    pub(crate) greetings: &'a [String],
    pub(crate) linger: Linger,
    pub(crate) verbose: bool,
}

/// Talks until the input ends, an error is final, or a signal comes.
pub(crate) async fn talk(
    connect: Connect,
    console: Console,
    manner: Manner<'_>,
    place: &Place,
    signals: &mut Signals,
) -> Outcome {
    let greetings = manner.greetings.to_vec();
    let mut link = connect.reconnecting(policy(manner.most)).on_connect(move |ws| {
        let greetings = greetings.clone();
        Box::pin(async move { greet(ws, &greetings).await })
    });
    let Console { terminal, mut input, mut output } = console;
    let is_typed = terminal.is_some();
    let mut talk = Talk { place, pending: VecDeque::new(), is_typed };
    let talking = talk.converse(&mut link, &mut input, &mut output, manner.linger);
    let end = signals.or(talking).await.unwrap_or_else(|signal| Ok(End::Signal(signal)));
    // A second signal waits for nobody.
    let end = signals.or(finish(&mut link, output, end, place)).await?;
    let unsent = talk.pending.len() + link.take_unsent().len();
    // The editor ends when nobody takes its lines.
    drop((input, terminal));
    if manner.verbose {
        tell("* closed");
    }
    if unsent > 0 {
        let lines = if unsent == 1 { "message was" } else { "messages were" };
        complain(&format!("{unsent} {lines} not sent"));
    }
    match end? {
        End::Input | End::Server => Ok(Exit::Success),
        End::Signal(signal) => Err(signal.into()),
    }
}

/// The library's, with delays that are no longer than this.
fn policy(most: Duration) -> Backoff {
    const USUAL: Duration = Duration::from_secs(5);
    Backoff::default().first_delay(USUAL.min(most)).base_delay(USUAL.min(most)).max_delay(most)
}

async fn greet(ws: &mut aiowebsocket::WebSocket, greetings: &[String]) -> Result<(), Error> {
    for greeting in greetings {
        ws.feed(greeting).await?;
    }
    ws.flush().await
}

/// Closes the connection that is there, and writes out what arrived.
async fn finish(
    link: &mut Reconnecting,
    output: Output,
    end: Result<End, Failure>,
    place: &Place,
) -> Result<End, Failure> {
    if let Ok(End::Signal(_)) = end {
        let goodbye = async { tokio::join!(link.close(CloseCode::GOING_AWAY, ""), output.finish()) };
        _ = timeout(PATIENCE, goodbye).await;
        return end;
    }
    let closed = link.close(CloseCode::NORMAL, "").await;
    let written = output.finish().await;
    let end = end?;
    written?;
    closed.map_err(|error| place.failure(&error))?;
    match link.closed() {
        // A complaint that crossed our own Close frame.
        Some((code, reason)) if !code.is_clean() => {
            Err(place.failure(&Error::Closed { code, reason: reason.into() }))
        }
        _ => Ok(end),
    }
}

struct Talk<'a> {
    place: &'a Place,
    /// What is to be sent next, the oldest first.
    pending: VecDeque<Message>,
    /// A person types.
    is_typed: bool,
}

/// What came first.
enum Step {
    /// The oldest pending message was taken, or cannot be.
    Fed(Result<(), Error>),
    Event(Result<Option<ReconnectEvent>, Error>),
}

impl Talk<'_> {
    async fn converse(
        &mut self,
        link: &mut Reconnecting,
        input: &mut mpsc::Receiver<Input>,
        output: &mut Output,
        linger: Linger,
    ) -> Result<End, Failure> {
        // A person's Ctrl-C comes with the lines.
        let ahead = if self.is_typed { usize::MAX } else { AHEAD };
        let mut is_reading = true;
        let mut fault = None;
        let mut is_connected = false;
        // The connection takes nothing more; how it ended is still to be told.
        let mut is_ending = false;
        let mut was_lost = false;
        let mut last_heard = Instant::now();
        loop {
            let quiet = linger.0.or(fault.as_ref().map(|_| QUIET));
            let is_done = is_connected && !is_reading && self.pending.is_empty();
            let next = self.pending.front().filter(|_| !is_ending);
            tokio::select! {
                step = step(link, next) => match step {
                    Step::Fed(Ok(())) => {
                        self.pending.pop_front();
                        last_heard = Instant::now();
                    }
                    Step::Fed(Err(_)) => is_ending = true,
                    Step::Event(Ok(Some(ReconnectEvent::Message(message)))) => {
                        output.print(message).await?;
                        last_heard = Instant::now();
                    }
                    Step::Event(Ok(Some(ReconnectEvent::Disconnected { cause, retry_in, unsent }))) => {
                        // They were taken before those that are pending.
                        unsent.into_iter().rev().for_each(|message| self.pending.push_front(message));
                        let has_all = is_connected && !is_reading && self.pending.is_empty();
                        if has_all && quiet.is_some() {
                            return fault.map_or_else(|| self.ended(&cause), Err);
                        }
                        let why = self.place.failure(&cause);
                        output.note(&format!("{why}; again in {}", show(retry_in))).await;
                        self.place.begin_anew();
                        (is_connected, is_ending, was_lost) = (false, false, true);
                    }
                    Step::Event(Ok(Some(_))) => {
                        if was_lost || self.is_typed {
                            output.note(&format!("{}: connected", self.place.url)).await;
                        }
                        is_connected = true;
                        last_heard = Instant::now();
                    }
                    Step::Event(Ok(None)) => return Ok(End::Server),
                    Step::Event(Err(error)) => return Err(self.place.failure(&error)),
                },
                given = input.recv(), if is_reading && self.pending.len() < ahead => match given {
                    Some(Input::Text(line)) => self.pending.push_back(line.into()),
                    Some(Input::Binary(bytes)) => self.pending.push_back(bytes.into()),
                    Some(Input::Interrupt) => return Ok(End::Signal(Signal::Interrupt)),
                    Some(Input::Broken(why)) => {
                        is_reading = false;
                        // At once: a feed is never quiet.
                        complain(&why);
                        fault = Some(Failure::quiet(Exit::Failed));
                    }
                    None => is_reading = false,
                },
                failure = output.broken() => return Err(failure),
                () = sleep_until(last_heard + quiet.unwrap_or_default()), if is_done && quiet.is_some() => {
                    return fault.map_or(Ok(End::Input), Err);
                }
            }
        }
    }

    /// The connection that had everything has ended: there is nothing to connect for any more.
    fn ended(&self, cause: &Error) -> Result<End, Failure> {
        match cause {
            Error::Closed { code, .. } if code.is_clean() => Ok(End::Server),
            cause => Err(self.place.failure(cause)),
        }
    }
}

/// Feeds the message, where there is one and a connection, and looks what happens meanwhile: a server that answers stops
/// reading while nobody reads its answers.
async fn step(link: &mut Reconnecting, message: Option<&Message>) -> Step {
    // Neither future holds anything: each may be made again for each poll.
    poll_fn(|cx| {
        if let Some(message) = message.filter(|_| link.websocket().is_some())
            && let Poll::Ready(fed) = pin!(link.feed(message)).poll(cx)
        {
            return Poll::Ready(Step::Fed(fed));
        }
        pin!(link.next()).poll(cx).map(Step::Event)
    })
    .await
}
