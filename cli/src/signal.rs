//! What asks the program to end: Ctrl-C, SIGTERM, and the time of `--max-time`.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::clock::show;
use crate::exit::{Exit, Failure};

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
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    pub(crate) fn new() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Failure::new(Exit::Failed, format!("signals cannot be listened to: {error}"))
            })
        };
        let (interrupt, terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        Ok(Self { end: None, interrupt, terminate })
    }

    #[cfg(not(unix))]
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self { end: None })
    }

    /// Says [`Signal::TimeUp`] once so much time has passed since `began`.
    pub(crate) fn end_after(&mut self, began: Instant, time: Option<Duration>) {
        self.end = time.map(|time| (began + time, time));
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
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
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
