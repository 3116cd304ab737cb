//! `aiows ping`: round trips, one after the other, and their statistics.

use std::io::{Write, stdout};
use std::time::Duration;

use aiowebsocket::{CloseCode, Config, Error, WebSocket};
use clap::Args;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::{seconds, show};
use crate::exit::{Exit, Failure, Outcome};
use crate::place::Place;
use crate::signal::{Signal, Signals};
use crate::statistics::Statistics;
use crate::target::Target;

/// How long a server may take to answer our Close frame before a person stops waiting.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of messages that may arrive between a ping and its pong.
const BACKLOG: usize = 64 << 20;

#[derive(Args, Debug)]
pub(crate) struct PingOptions {
    /// Ends after this many pings [default: at Ctrl-C]
    #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Time from one ping to the next
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    interval: Duration,

    /// How long an answer may take
    #[arg(short = 'W', long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,

    #[command(flatten)]
    target: Target,
}

/// Pings until the count is reached, the server closes, or Ctrl-C.
pub(crate) async fn run(options: &PingOptions) -> Outcome {
    let place = options.target.place()?;
    let mut config = Config::default();
    // Our own pings are the keep-alive, and what arrives before a pong must not be in its way.
    config.keepalive = None;
    config.max_backlog = BACKLOG;
    let connect = options.target.connect(&place, Duration::ZERO)?.config(config);
    let mut signals = Signals::new()?;
    let began = Instant::now();
    let ws = signals.or(connect.into_future()).await?.map_err(|error| place.failure(&error))?;
    signals.end_after(began, options.target.max_time());
    measure(ws, options, &place, &mut signals).await
}

/// What became of the pings.
#[derive(Default)]
struct Tally {
    times: Statistics,
    lost: usize,
}

async fn measure<S>(
    mut ws: WebSocket<S>,
    options: &PingOptions,
    place: &Place,
    signals: &mut Signals,
) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    say(&format!("ping {}", place.url))?;
    let mut tally = Tally::default();
    let end = signals.or(ping(&mut ws, options, place, &mut tally)).await;
    // What a server says to our goodbye changes nothing any more, and neither does the end of --max-time.
    match signals.or(timeout(PATIENCE, ws.close(CloseCode::NORMAL, ""))).await {
        Ok(_) | Err(Signal::TimeUp(_)) => {}
        Err(signal) => return Err(signal.into()),
    }
    let Tally { times, lost } = tally;
    // A ping that Ctrl-C cut short counts as none.
    let sent = times.count + lost;
    say(&format!("\n{sent} {}, {} answered", if sent == 1 { "ping" } else { "pings" }, times.count))?;
    say(times.to_string().trim_end())?;
    match end {
        Ok(Err(failure)) => Err(failure),
        _ if times.count > 0 && lost == 0 => Ok(Exit::Success),
        _ => Ok(Exit::Failed),
    }
}

async fn ping<S>(
    ws: &mut WebSocket<S>,
    options: &PingOptions,
    place: &Place,
    tally: &mut Tally,
) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut due = Instant::now();
    for number in 1_u64.. {
        match timeout(options.timeout, ws.ping()).await {
            Ok(Ok(time)) => {
                tally.times.add(time);
                say(&format!("{number}: {}", show(time)))?;
            }
            Ok(Err(error)) => {
                tally.lost += 1;
                return Err(place.failure(&error));
            }
            Err(_) => {
                tally.lost += 1;
                say(&format!("{number}: no answer within {}", show(options.timeout)))?;
            }
        }
        if options.count == Some(number) {
            break;
        }
        // A late answer delays the next ping, and does not hurry those after it.
        due = (due + options.interval).max(Instant::now());
        receive_until(ws, due).await.map_err(|error| place.failure(&error))?;
    }
    Ok(())
}

/// Lets go of messages until it is time.
async fn receive_until<S>(ws: &mut WebSocket<S>, due: Instant) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        tokio::select! {
            () = sleep_until(due) => return Ok(()),
            message = ws.recv_ref() => if message?.is_none() {
                let code = ws.close_code().unwrap_or(CloseCode::ABNORMAL);
                return Err(Error::Closed { code, reason: ws.close_reason().unwrap_or_default() });
            },
        }
    }
}

fn say(line: &str) -> Result<(), Failure> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
