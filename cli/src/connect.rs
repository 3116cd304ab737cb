//! `aiows connect`: standard input out as messages, messages in to standard output.

use std::io::{IsTerminal, stdin, stdout};
use std::pin::pin;
use std::time::Duration;

use aiowebsocket::{CloseCode, Error, Receiver, Sender, WebSocket};
use clap::Args;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::clock::{delay, seconds};
use crate::exit::{Exit, Failure, Outcome};
use crate::input::{self, Input};
use crate::output::{Output, Style, standard_output};
use crate::place::Place;
use crate::reconnect::{self, Manner};
use crate::say::{complain, tell};
use crate::signal::{Signal, Signals};
use crate::target::Target;
use crate::terminal::Terminal;

/// How long a person who pressed Ctrl-C waits for a server that does not answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// After the end of the input: this long without a message, and there is no answer to wait for any more. A server has no
/// way to say that it answered everything, and many stop answering when they see a Close frame.
pub(crate) const QUIET: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
pub(crate) struct ConnectOptions {
    /// Sends and writes bytes instead of lines
    ///
    /// Standard input is sent as binary messages, each what one read gave, up to 64 KiB; at a terminal, each line. Payloads
    /// that arrive are written as they are with nothing between; a terminal shows their size and first bytes.
    #[arg(short, long)]
    binary: bool,

    /// Lays out messages that are JSON on several lines
    #[arg(short, long, conflicts_with = "binary")]
    json: bool,

    /// Time between pings that notice a dead server; 0 for none
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    ping: Duration,

    /// When standard input has ended: closes once nothing has arrived for this long; "forever" waits for the server
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = linger)]
    linger: Linger,

    /// Sends this message first, before standard input; may be given several times
    ///
    /// With --reconnect, whenever a connection opens: what subscribes to a feed.
    #[arg(long = "send", value_name = "MESSAGE")]
    greetings: Vec<String>,

    /// Connects again when the connection is lost, after a random time that grows up to this many seconds [default: 60]
    ///
    /// And tries again where the first connection fails. What standard input says is sent once: to the connection that is there,
    /// or to the next. An error that would come again ends it: a refusal (4xx but for 408, 425 and 429), a certificate that is not trusted,
    /// a complaint of the server about what was sent, a server that breaks the protocol or sends a message over 64 MiB. Retry-After and the
    /// close codes 1012 and 1013 are heeded.
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "60",
        value_parser = delay
    )]
    reconnect: Option<Duration>,

    #[command(flatten)]
    target: Target,
}

/// `None` for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linger(pub(crate) Option<Duration>);

fn linger(text: &str) -> Result<Linger, String> {
    match text {
        "forever" => Ok(Linger(None)),
        text => Ok(Linger(Some(seconds(text).map_err(|error| format!("{error}, or \"forever\""))?))),
    }
}

/// Runs until the server closes, the input ends, or somebody wants it to stop.
pub(crate) async fn run(options: &ConnectOptions) -> Outcome {
    let place = options.target.place()?;
    let connect = options.target.connect(&place, options.ping)?;
    let mut signals = Signals::new()?;
    let began = Instant::now();
    if let Some(most) = options.reconnect {
        signals.end_after(began, options.target.max_time());
        let console = Console::open(options, &place);
        let linger = console.linger(options);
        let verbose = options.target.verbose;
        let manner = Manner { most, greetings: &options.greetings, linger, verbose };
        return reconnect::talk(connect, console, manner, &place, &mut signals).await;
    }
    // While it opens, the limit on that counts, whose error names the step.
    let ws = signals.or(connect.into_future()).await?.map_err(|error| place.failure(&error))?;
    signals.end_after(began, options.target.max_time());
    talk(ws, options, &place, &mut signals).await
}

/// Why a conversation is over.
pub(crate) enum End {
    /// The input has ended, and nothing has arrived for long enough.
    Input,
    /// The server closed cleanly.
    Server,
    Signal(Signal),
}

async fn talk<S>(ws: WebSocket<S>, options: &ConnectOptions, place: &Place, signals: &mut Signals) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let console = Console::open(options, place);
    let linger = console.linger(options);
    let Console { terminal, mut input, mut output } = console;
    // Two halves, for a server that answers stops reading while nobody reads its answers.
    let (sender, mut receiver) = ws.split();
    let given = Given { greetings: &options.greetings, input: &mut input };
    let talking = converse(&sender, &mut receiver, given, &mut output, linger, place);
    let end = signals.or(talking).await.unwrap_or_else(|signal| Ok(End::Signal(signal)));
    // A second signal waits for nobody.
    let end = signals.or(finish(&sender, &receiver, output, end, place)).await?;
    let was_interactive = terminal.is_some();
    // The editor ends when nobody takes its lines.
    drop(input);
    drop(terminal);
    if options.target.verbose || (was_interactive && matches!(end, Ok(End::Server))) {
        tell(&format!("* closed: {}", sender.close_code().unwrap_or(CloseCode::ABNORMAL)));
    }
    match end? {
        End::Input | End::Server => Ok(Exit::Success),
        End::Signal(signal) => Err(signal.into()),
    }
}

/// Closes the connection, and writes out what arrived.
async fn finish<S>(
    sender: &Sender<S>,
    receiver: &Receiver<S>,
    output: Output,
    end: Result<End, Failure>,
    place: &Place,
) -> Result<End, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if let Ok(End::Signal(_)) = end {
        // How it went is not asked: the program was told to end.
        let goodbye = async { tokio::join!(sender.close(CloseCode::GOING_AWAY, ""), output.finish()) };
        _ = timeout(PATIENCE, goodbye).await;
        return end;
    }
    let closed = sender.close(CloseCode::NORMAL, "").await;
    let written = output.finish().await;
    let end = end?;
    written?;
    closed.map_err(|error| place.failure(&error))?;
    match sender.close_code() {
        // A complaint that crossed our own Close frame.
        Some(code) if !code.is_clean() => {
            let reason = receiver.close_reason().unwrap_or_default();
            Err(place.failure(&Error::Closed { code, reason }))
        }
        _ => Ok(end),
    }
}

async fn converse<S>(
    sender: &Sender<S>,
    receiver: &mut Receiver<S>,
    given: Given<'_>,
    output: &mut Output,
    linger: Linger,
    place: &Place,
) -> Result<End, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut sending = pin!(send_all(sender, given));
    let mut is_sending = true;
    // The input cannot be used any further: what it comes to, after the answers to what came before.
    let mut fault = None;
    loop {
        // Even who follows for ever ends with a fault.
        let quiet = linger.0.or(fault.as_ref().map(|_| QUIET));
        tokio::select! {
            message = receiver.recv() => match message.map_err(|error| place.failure(&error))? {
                Some(message) => output.print(message).await?,
                None => return fault.map_or(Ok(End::Server), Err),
            },
            sent = &mut sending, if is_sending => {
                is_sending = false;
                // What ended the connection is the receiver's to tell, after what arrived before.
                match sent.unwrap_or_default() {
                    None => {}
                    Some(Input::Broken(why)) => {
                        // At once: a feed is never quiet, and a server may close before it is.
                        complain(&why);
                        fault = Some(Failure::quiet(Exit::Failed));
                    }
                    Some(_) => return Ok(End::Signal(Signal::Interrupt)),
                }
            },
            // Writing failed after it was handed over; no other message need come for that to be told.
            failure = output.broken() => return Err(failure),
            () = sleep(quiet.unwrap_or_default()), if !is_sending && quiet.is_some() => {
                return fault.map_or(Ok(End::Input), Err);
            }
        }
    }
}

/// What there is to send.
struct Given<'a> {
    greetings: &'a [String],
    input: &'a mut mpsc::Receiver<Input>,
}

/// Sends what is given up to its end (`None`) or to what is no message; what waits together leaves with one write.
async fn send_all<S>(sender: &Sender<S>, given: Given<'_>) -> Result<Option<Input>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Given { greetings, input } = given;
    for greeting in greetings {
        sender.feed(greeting).await?;
    }
    loop {
        let given = match input.try_recv() {
            Ok(given) => Some(given),
            Err(_) => {
                sender.flush().await?;
                input.recv().await
            }
        };
        match given {
            Some(Input::Text(line)) => sender.feed(line).await?,
            Some(Input::Binary(bytes)) => sender.feed(bytes).await?,
            other => {
                sender.flush().await?;
                return Ok(other);
            }
        }
    }
}

/// Where input comes from and output goes to.
pub(crate) struct Console {
    pub(crate) terminal: Option<Terminal>,
    pub(crate) input: mpsc::Receiver<Input>,
    pub(crate) output: Output,
}

impl Console {
    /// A line editor where a person sits at both ends, else pipes and files.
    fn open(options: &ConnectOptions, place: &Place) -> Self {
        let &ConnectOptions { binary, json, .. } = options;
        let is_screen = stdout().is_terminal();
        let is_keyboard = stdin().is_terminal();
        if is_screen && is_keyboard {
            let state = if options.reconnect.is_some() { "connecting" } else { "connected" };
            tell(&format!("{state} to {}; Enter sends a line, Ctrl-D closes", place.url));
        }
        if is_screen
            && is_keyboard
            && let Some((terminal, input, sink)) = Terminal::open(binary)
        {
            return Self {
                terminal: Some(terminal),
                input,
                output: Output::new(Style::Conversation, json, sink),
            };
        }
        let style = match (is_screen, binary) {
            (true, _) => Style::Screen,
            (false, true) => Style::Raw,
            (false, false) => Style::Lines,
        };
        let output = Output::new(style, json, standard_output());
        Self { terminal: None, input: input::read(binary), output }
    }

    /// How long the end of the input is outlasted.
    fn linger(&self, options: &ConnectOptions) -> Linger {
        // Whoever presses Ctrl-D has seen what there is.
        if self.terminal.is_some() { Linger(Some(Duration::ZERO)) } else { options.linger }
    }
}
