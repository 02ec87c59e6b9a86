//! The SIP sockets of the switch.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};

use switch::{Path, Transport};
use tokio::{io::ReadBuf, net::UdpSocket};

use crate::counters::{RunnerCounters, count};

/// The longest datagram over IP.
const MOST_DATAGRAM_BYTES: usize = 65_535;
/// Datagrams taken from the sockets before everybody else has a turn.
const MOST_DATAGRAMS_AT_ONCE: usize = 64;
/// What the system may hold for us while the switch works.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// One socket and the address that its peers know.
struct Listener {
    socket: UdpSocket,
    local: SocketAddr,
}

/// All sockets, and what was received from them and not handled yet.
pub(crate) struct Sockets {
    listeners: Vec<Listener>,
    /// Who is asked first, in turn.
    next_listener: usize,
    of_address: HashMap<SocketAddr, usize>,
    counters: Arc<RunnerCounters>,
    buffer: Vec<u8>,
    received: Vec<(Path, Vec<u8>)>,
}

impl Sockets {
    /// To be called within the runtime that will wait for them.
    pub(crate) fn new(
        sockets: Vec<std::net::UdpSocket>,
        counters: Arc<RunnerCounters>,
    ) -> io::Result<Self> {
        let mut listeners = Vec::with_capacity(sockets.len());
        let mut of_address = HashMap::new();
        for socket in sockets {
            let local = socket.local_addr()?;
            of_address.insert(local, listeners.len());
            listeners.push(Listener {
                socket: UdpSocket::from_std(socket)?,
                local,
            });
        }
        Ok(Self {
            listeners,
            next_listener: 0,
            of_address,
            counters,
            buffer: vec![0; MOST_DATAGRAM_BYTES],
            received: Vec::with_capacity(MOST_DATAGRAMS_AT_ONCE),
        })
    }

    /// Our addresses.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners
            .iter()
            .map(|listener| listener.local)
            .collect()
    }

    /// Takes what the sockets have, at most so many datagrams; ready when there are any.
    pub(crate) fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let first = self.next_listener % self.listeners.len().max(1);
        self.next_listener = first + 1;
        let (later, earlier) = self.listeners.split_at(first);
        for listener in later.iter().chain(earlier) {
            while self.received.len() < MOST_DATAGRAMS_AT_ONCE {
                let mut buffer = ReadBuf::new(&mut self.buffer);
                match listener.socket.poll_recv_from(context, &mut buffer) {
                    Poll::Ready(Ok(remote)) => {
                        count(&self.counters.received);
                        let path = Path {
                            transport: Transport::Udp,
                            local: listener.local,
                            remote,
                            flow: 0,
                        };
                        self.received.push((path, buffer.filled().to_vec()));
                    }
                    // An ICMP error of an earlier datagram: the next one may be there.
                    Poll::Ready(Err(_)) => {
                        count(&self.counters.receive_failures);
                    }
                    Poll::Pending => break,
                }
            }
        }
        if self.received.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// No more may be taken before these are handled; there may be more.
    pub(crate) fn is_full(&self) -> bool {
        self.received.len() >= MOST_DATAGRAMS_AT_ONCE
    }

    /// What was received, oldest first.
    pub(crate) fn received(&mut self) -> impl Iterator<Item = (Path, Vec<u8>)> {
        self.received.drain(..)
    }

    /// Returns once every socket takes datagrams: the runtime learns of that only when it looks, and refuses until then.
    pub(crate) async fn writable(&self) {
        for listener in &self.listeners {
            if let Err(error) = listener.socket.writable().await {
                tracing::error!(%error, "a SIP socket cannot be written");
            }
        }
    }

    /// UDP may lose it: whoever waits for it asks again.
    pub(crate) fn send(&self, path: Path, bytes: &[u8]) {
        let listener = self
            .of_address
            .get(&path.local)
            .and_then(|place| self.listeners.get(*place));
        let sent = listener
            .is_some_and(|listener| listener.socket.try_send_to(bytes, path.remote).is_ok());
        count(if sent {
            &self.counters.sent
        } else {
            &self.counters.send_failures
        });
    }
}

/// Binds an address for SIP.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::DGRAM,
        Some(socket2::Protocol::UDP),
    )?;
    // Less than asked for is no reason not to start.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}
