//! A TCP relay that does to a connection what bad lines do: pieces, delay, jitter, a slow rate, and an end at any byte.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::rng::Rng;

/// What happens to the bytes of one direction. The default passes them on.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lane {
    /// Bytes are written in pieces of so many.
    pub(crate) piece: Option<usize>,
    /// Each byte comes so much later than it was sent.
    pub(crate) delay: Duration,
    /// And up to so much later again, by chance; the order stays.
    pub(crate) jitter: Duration,
    /// Bytes a second.
    pub(crate) rate: Option<u32>,
    /// After so many bytes of each connection this happens.
    pub(crate) cut: Option<(usize, Cut)>,
}

/// How a direction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// FIN in this direction; the other one goes on.
    Shut,
    /// RST to whom this direction leads.
    Reset,
    /// Nothing more comes, and nothing says so.
    Silence,
}

/// A relay in front of a server. It ends with this value.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    task: AbortHandle,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Relay {
    /// `up` is what the client sends, `down` what the server sends.
    pub(crate) async fn start(server: SocketAddr, up: Lane, down: Lane) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let task = tokio::spawn(async move {
            let mut rng = Rng::new();
            loop {
                let (client, _) = listener.accept().await.expect("a client");
                tokio::spawn(relay(client, server, up, down, Rng::with_seed(rng.next())));
            }
        });
        Self { address, task: task.abort_handle() }
    }
}

async fn relay(client: TcpStream, server: SocketAddr, up: Lane, down: Lane, mut rng: Rng) {
    // A client may have gone by now.
    let Ok(server) = TcpStream::connect(server).await else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("connected");
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let (reset_up, up_is_reset) = oneshot::channel();
    let (reset_down, down_is_reset) = oneshot::channel();
    let up = lane(from_client, to_server, up, Rng::with_seed(rng.next()), reset_up);
    let down = lane(from_server, to_client, down, Rng::with_seed(rng.next()), reset_down);
    let both = async { tokio::join!(up, down) };
    let reset = async {
        tokio::select! {
            Ok(()) = up_is_reset => {}
            Ok(()) = down_is_reset => {}
            else => std::future::pending().await,
        }
    };
    // What is dropped here ends both sockets; `lane` has said how.
    tokio::select! {
        _ = both => {}
        () = reset => {}
    }
}

async fn lane(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    lane: Lane,
    mut rng: Rng,
    reset: oneshot::Sender<()>,
) {
    let (queue, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let read = async {
        let mut last = Instant::now();
        let mut buffer = vec![0; 16 << 10];
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            let jitter = lane.jitter.mul_f64(rng.below(1000) as f64 / 1000.0);
            last = last.max(Instant::now() + lane.delay + jitter);
            if queue.send((last, buffer[..n].to_vec())).await.is_err() {
                break;
            }
        }
        drop(queue);
        from
    };
    let write = async {
        let mut passed = 0;
        while let Some((when, bytes)) = due.recv().await {
            sleep_until(when).await;
            let left = lane.cut.map_or(usize::MAX, |(after, _)| after - passed);
            let bytes = &bytes[..bytes.len().min(left)];
            for piece in bytes.chunks(lane.piece.unwrap_or(usize::MAX)) {
                if to.write_all(piece).await.is_err() {
                    return (to, false);
                }
                if let Some(rate) = lane.rate {
                    sleep(Duration::from_secs_f64(piece.len() as f64 / f64::from(rate))).await;
                }
            }
            passed += bytes.len();
            if lane.cut.is_some_and(|(after, _)| after == passed) {
                return (to, true);
            }
        }
        (to, false)
    };
    let write = async {
        let (mut to, is_cut) = write.await;
        match lane.cut {
            Some((_, Cut::Silence)) if is_cut => std::future::pending().await,
            Some((_, Cut::Reset)) if is_cut => {
                to.as_ref().set_zero_linger().expect("connected");
                // The bytes before the reset have their time to be read: it would destroy them.
                sleep(Duration::from_millis(5)).await;
                // Its drop would send a FIN before.
                to.forget();
                _ = reset.send(());
                std::future::pending::<()>().await;
            }
            _ => _ = to.shutdown().await,
        }
    };
    tokio::join!(read, write);
}
