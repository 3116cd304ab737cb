//! The closing automaton (RFC 6455 1.4, 5.5.1, 7.1). Every transition is here; the file knows nothing of frames, buffers or
//! sockets, and the same rules hold for client and server but for who ends TCP first.
//!
//! ```text
//!                  send_close                            recv_close
//!        Open ─────────────────────► CloseSent ─────────────────────────┐
//!         │ │                          │   │                            ▼
//!         │ │ recv_close               │   │ fail / recv_end        CloseDone ──► Ended(Closed)
//!         │ └──────────────────────────┼───┼───────────────────────────▲  │  server: when our Close has left
//!         │   (our reply is queued     │   │                           │  │  client: recv_end, or the time limit
//!         │    in the same step)       │   │                           │  │
//!         │ fail                       │   ▼                              │
//!         └────────────────────────────┴─► Failing ──► Ended(Failed)      │
//!           (Close with the code             recv_end, or the time limit  │
//!            unless one went out)                                         │
//!         recv_end in Open or CloseSent ──► Ended(Abnormal)               │
//!         a time limit in Open or CloseSent ──► Ended(Timeout)            ▼
//! ```
//!
//! "Ended" is final. While `CloseDone` or `Failing`, input is discarded unread: whatever a peer sends after its Close,
//! or after it broke the protocol, has no meaning any more. The client waits for the server to end TCP (7.1.1),
//! so that the server's port and not ours keeps the TIME_WAIT state; a failing side waits so that its Close
//! frame is not destroyed by the reset that unread input would cause.

use super::Role;
use super::close::CloseFrame;
use super::deadline::Timeout;
use super::error::{Ending, PeerError};

/// Where a connection stands between open and ended.
#[derive(Debug)]
pub(super) struct State {
    role: Role,
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Open,
    CloseSent,
    CloseDone(CloseFrame),
    Failing(PeerError),
    Ended(Ending),
}

/// What a received Close frame asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A Close frame with the same code (RFC 6455 5.5.1).
    Echo,
    /// Nothing: ours went out before.
    Nothing,
}

impl State {
    /// An open connection.
    pub(super) fn new(role: Role) -> Self {
        Self { role, inner: Inner::Open }
    }

    /// Whether messages may be sent: no Close frame went either way.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        matches!(self.inner, Inner::Open)
    }

    /// Whether what arrives is still read: the peer's Close frame has not come, and nothing failed.
    #[inline]
    pub(super) fn reads(&self) -> bool {
        matches!(self.inner, Inner::Open | Inner::CloseSent)
    }

    /// Whether nothing is left to be said but what is queued: the closing handshake is complete, or the connection failed.
    pub(super) fn is_finishing(&self) -> bool {
        matches!(self.inner, Inner::CloseDone(_) | Inner::Failing(_))
    }

    /// How the connection ended, once it has.
    #[inline]
    pub(super) fn ending(&self) -> Option<&Ending> {
        match &self.inner {
            Inner::Ended(ending) => Some(ending),
            _ => None,
        }
    }

    /// How the connection is going to end or has ended: known from the peer's Close frame, or the failure, on.
    pub(super) fn outcome(&self) -> Option<Ending> {
        match &self.inner {
            Inner::Open | Inner::CloseSent => None,
            Inner::CloseDone(frame) => Some(Ending::Closed(frame.clone())),
            Inner::Failing(error) => Some(Ending::Failed(error.clone())),
            Inner::Ended(ending) => Some(ending.clone()),
        }
    }

    /// Our Close frame is queued. False where none may follow: one went out before, or the connection is over.
    pub(super) fn send_close(&mut self) -> bool {
        if !self.is_open() {
            return false;
        }
        self.inner = Inner::CloseSent;
        true
    }

    /// The peer's Close frame arrived.
    pub(super) fn recv_close(&mut self, frame: CloseFrame) -> Reply {
        let reply = match self.inner {
            Inner::Open => Reply::Echo,
            Inner::CloseSent => Reply::Nothing,
            Inner::CloseDone(_) | Inner::Failing(_) | Inner::Ended(_) => {
                unreachable!("nothing is read after the peer's Close frame, a failure or the end")
            }
        };
        self.inner = Inner::CloseDone(frame);
        reply
    }

    /// The peer broke a rule. True where a Close frame with the code is to be queued.
    pub(super) fn fail(&mut self, error: PeerError) -> bool {
        let tell = self.is_open();
        debug_assert!(self.reads(), "nothing is judged where nothing is read");
        self.inner = Inner::Failing(error);
        tell
    }

    /// The peer ended its stream, or the transport broke.
    pub(super) fn recv_end(&mut self) {
        self.end(Ending::Abnormal);
    }

    /// A time limit ran out.
    pub(super) fn timeout(&mut self, timeout: Timeout) {
        self.end(Ending::Timeout(timeout));
    }

    /// Everything queued has left for the socket.
    pub(super) fn all_written(&mut self) {
        if self.role == Role::Server && matches!(self.inner, Inner::CloseDone(_)) {
            self.end(Ending::Abnormal);
        }
    }

    /// Whether our side of TCP is to be shut once everything queued is written: the server after the closing
    /// handshake, and whoever failed the connection.
    pub(super) fn shuts_first(&self) -> bool {
        match self.inner {
            Inner::Open | Inner::CloseSent => false,
            Inner::CloseDone(_) => self.role == Role::Server,
            Inner::Failing(_) | Inner::Ended(_) => true,
        }
    }

    /// The end: what was decided before stands; `otherwise` holds where nothing was.
    fn end(&mut self, otherwise: Ending) {
        let ending = self.outcome().unwrap_or(otherwise);
        self.inner = Inner::Ended(ending);
    }
}
