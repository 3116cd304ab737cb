//! What asks the program to end: Ctrl-C, SIGTERM, and the time of `--max-time`.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::clock::show;
use crate::exit::{Exit, Failure};

/// How long the program may take to end: longer than each of its goodbyes. One that takes longer stands still.
#[cfg(unix)]
const LONGEST: Duration = Duration::from_secs(5);

/// The same after a second signal, which waits for nobody.
#[cfg(unix)]
const AT_ONCE: Duration = Duration::from_secs(1);

/// What asks the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
    /// So much time is over.
    TimeUp(Duration),
}

impl Signal {
    /// The exit code of a program that ended because of it, as shells count it.
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Interrupt => Exit::Interrupted,
            Self::Terminate => Exit::Terminated,
            Self::TimeUp(_) => Exit::Failed,
        }
    }
}

impl From<Signal> for Failure {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::TimeUp(time) => {
                Self::new(signal.exit(), format!("the time of --max-time is over ({})", show(time)))
            }
            _ => Self::quiet(signal.exit()),
        }
    }
}

/// The signals from now on; they end nothing by themselves any more.
pub(crate) struct Signals {
    /// When the time is over, and how much it was. Said once.
    end: Option<(Instant, Duration)>,
    /// The same for the thread that watches.
    watched: watch::Sender<Option<Instant>>,
    #[cfg(unix)]
    sent: Sent,
}

/// What is sent by other programs and the keyboard.
#[cfg(unix)]
struct Sent {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Sent {
    fn new() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Failure::new(Exit::Failed, format!("signals cannot be listened to: {error}"))
            })
        };
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}

/// Ends the program where it was asked to end and does not: what writes to a pipe that nobody reads, or to a terminal that stands still,
/// hears nothing, and the signals end nothing by themselves any more.
#[cfg(unix)]
fn watch_over(mut sent: Sent, mut end: watch::Receiver<Option<Instant>>) {
    drop(std::thread::spawn(move || {
        // One of its own, for that of the program may be what stands still.
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let exit = runtime.block_on(async {
            let signal = tokio::select! {
                signal = sent.next() => signal,
                () = over(&mut end) => Signal::TimeUp(Duration::ZERO),
            };
            tokio::select! {
                () = sleep(LONGEST) => {}
                _ = sent.next() => sleep(AT_ONCE).await,
            }
            signal.exit()
        });
        crate::terminal::restore();
        std::process::exit(exit as i32);
    }));
}

/// Until the time of `--max-time` is over, if there is one.
#[cfg(unix)]
async fn over(end: &mut watch::Receiver<Option<Instant>>) {
    loop {
        let at = *end.borrow_and_update();
        match at {
            Some(at) => return sleep_until(at).await,
            None if end.changed().await.is_ok() => {}
            None => std::future::pending().await,
        }
    }
}

impl Signals {
    #[cfg(unix)]
    pub(crate) fn new() -> Result<Self, Failure> {
        let sent = Sent::new()?;
        let (watched, end) = watch::channel(None);
        watch_over(Sent::new()?, end);
        Ok(Self { end: None, watched, sent })
    }

    #[cfg(not(unix))]
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self { end: None, watched: watch::Sender::new(None) })
    }

    /// Says [`Signal::TimeUp`] once so much time has passed since `began`.
    pub(crate) fn end_after(&mut self, began: Instant, time: Option<Duration>) {
        self.end = time.map(|time| (began + time, time));
        self.watched.send_replace(time.map(|time| began + time));
    }

    /// The next one. Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> Signal {
        match self.end {
            None => self.sent().await,
            Some((end, time)) => tokio::select! {
                biased;
                signal = self.sent() => signal,
                () = sleep_until(end) => {
                    self.end = None;
                    Signal::TimeUp(time)
                }
            },
        }
    }

    #[cfg(unix)]
    async fn sent(&mut self) -> Signal {
        self.sent.next().await
    }

    #[cfg(not(unix))]
    async fn sent(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::Interrupt
    }

    /// What the future comes to, unless a signal is first.
    pub(crate) async fn or<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Signal> {
        tokio::select! {
            biased;
            signal = self.next() => Err(signal),
            value = future => Ok(value),
        }
    }
}
