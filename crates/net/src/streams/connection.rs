//! The task of one connection: bytes to messages, messages to bytes, and every reason to close it.

use std::{pin::pin, sync::Arc, sync::atomic::Ordering};

use sip::stream::{Frame, Framer};
use switch::Path;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    time::{Duration, Instant, timeout, timeout_at},
};

use super::{
    Arrival, Shared,
    opening::{self, Origin},
};
use crate::counters::count;

/// What is read at once.
const PIECE_BYTES: usize = 4_096;
/// How long a peer may still send after a refusal, so that it gets to read it.
const LINGER: Duration = Duration::from_secs(1);

/// What goes out.
pub(super) enum Outgoing {
    /// And more may follow.
    More(Vec<u8>),
    /// And then the connection is closed.
    Last(Vec<u8>),
}

/// One connection.
pub(super) struct Connection {
    pub(super) path: Path,
    pub(super) shared: Arc<Shared>,
    /// For answers of the connection itself; does not keep the queue open.
    pub(super) own: mpsc::WeakSender<Outgoing>,
}

/// Why reading or writing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// By the peer, by us, or by the network.
    Closed,
    /// What came cannot be followed; what is in the queue still goes out.
    Refused,
}

impl Connection {
    /// Lives as long as the connection; true if the switch has heard of it or asked for it.
    pub(super) async fn run(self, origin: Origin, mut queue: mpsc::Receiver<Outgoing>) -> bool {
        let ours = matches!(origin, Origin::Ours);
        let stream = match opening::open(origin, &self.path, &self.shared).await {
            Ok(stream) => stream,
            Err(error) => {
                let path = self.path;
                tracing::debug!(?path, %error, "no connection");
                return ours;
            }
        };
        let streams = &self.shared.counters.streams;
        streams.open.fetch_add(1, Ordering::Relaxed);
        let _closes = Closes(&self.shared);
        let mut told = ours;
        let (mut reader, writer) = tokio::io::split(stream);
        let end = {
            let mut writing = pin!(self.write(writer, &mut queue));
            let reading = self.read(&mut reader, &mut told);
            let end = tokio::select! {
                end = reading => end,
                end = &mut writing => end,
            };
            if end == End::Refused {
                // Each message has its deadline, and the refusal is the last.
                writing.await;
            }
            end
        };
        if end == End::Refused {
            // A connection closed with bytes unread is reset, and the refusal might be lost with it.
            let mut rest = [0; PIECE_BYTES];
            let silence = async { while matches!(reader.read(&mut rest).await, Ok(1..)) {} };
            let _ = timeout(LINGER, silence).await;
        }
        told
    }

    async fn read(&self, reader: &mut (impl AsyncRead + Unpin), told: &mut bool) -> End {
        let settings = &self.shared.settings;
        let mut framer = Framer::new();
        let mut piece = vec![0; PIECE_BYTES];
        let mut idle_at = Instant::now() + settings.idle;
        let mut message_at = None;
        loop {
            let deadline = message_at.unwrap_or(idle_at);
            let length = match timeout_at(deadline, reader.read(&mut piece)).await {
                Ok(Ok(length @ 1..)) => length,
                Ok(_) => return End::Closed,
                Err(_) if message_at.is_some() => {
                    count(&self.shared.counters.streams.timeouts);
                    return End::Closed;
                }
                Err(_) => {
                    idle_at = Instant::now() + settings.idle;
                    if !self.tell(Arrival::Idle { path: self.path }).await {
                        return End::Closed;
                    }
                    continue;
                }
            };
            framer.push(&piece[..length]);
            loop {
                match framer.cut() {
                    Ok(Some(Frame::Message(bytes))) => {
                        *told = true;
                        message_at = None;
                        count(&self.shared.counters.received);
                        let path = self.path;
                        if !self.tell(Arrival::Message { path, bytes }).await {
                            return End::Closed;
                        }
                        idle_at = Instant::now() + settings.idle;
                    }
                    Ok(Some(Frame::Ping)) => {
                        self.answer(Outgoing::More(b"\r\n".to_vec()));
                    }
                    Ok(None) => break,
                    Err(rejected) => return self.refuse(&rejected),
                }
            }
            message_at = match message_at {
                Some(at) if framer.is_midway() => Some(at),
                _ => framer
                    .is_midway()
                    .then(|| Instant::now() + settings.message),
            };
        }
    }

    /// RFC 3261 §18.3: what cannot be followed is answered as far as possible, and the connection closed.
    fn refuse(&self, rejected: &sip::Rejected) -> End {
        let refused = count(&self.shared.counters.streams.framing_errors);
        if refused.is_power_of_two() {
            let (remote, error) = (self.path.remote, &rejected.error);
            tracing::warn!(%remote, %error, refused, "a connection is closed: what it sends is no stream of SIP");
        }
        let reply = rejected.reply.as_ref().map(sip::Response::to_bytes);
        if reply.is_some_and(|reply| self.answer(Outgoing::Last(reply))) {
            End::Refused
        } else {
            End::Closed
        }
    }

    /// Puts something of our own into the queue; false if it is full or being closed.
    fn answer(&self, outgoing: Outgoing) -> bool {
        let queue = self.own.upgrade();
        queue.is_some_and(|queue| queue.try_send(outgoing).is_ok())
    }

    /// False if the switch is gone.
    async fn tell(&self, arrival: Arrival) -> bool {
        self.shared.arrivals.send(arrival).await.is_ok()
    }

    async fn write(
        &self,
        mut writer: impl AsyncWrite + Unpin,
        queue: &mut mpsc::Receiver<Outgoing>,
    ) -> End {
        while let Some(outgoing) = queue.recv().await {
            let (bytes, last) = match outgoing {
                Outgoing::More(bytes) => (bytes, false),
                Outgoing::Last(bytes) => (bytes, true),
            };
            let writing = async {
                writer.write_all(&bytes).await?;
                writer.flush().await
            };
            match timeout(self.shared.settings.write, writing).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return End::Closed,
                Err(_) => {
                    count(&self.shared.counters.streams.slow_readers);
                    return End::Closed;
                }
            }
            if last {
                break;
            }
        }
        let _ = timeout(self.shared.settings.write, writer.shutdown()).await;
        End::Closed
    }
}

/// The gauge falls, whatever ends the task.
struct Closes<'a>(&'a Shared);

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        let open = &self.0.counters.streams.open;
        open.fetch_sub(1, Ordering::Relaxed);
    }
}
