//! SIP over TCP and TLS: a thread of its own, so that no handshake and no slow peer holds up the switch.
//!
//! Every connection is a task of that thread and has a number, its flow, which is never given twice. Messages reach the
//! switch by one bounded queue; when that is full, connections are not read. What the switch sends goes into a bounded
//! queue of its connection; a peer that does not take it is closed.

mod connection;
mod limits;
mod opening;
mod table;

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use model::{Carrier, Proxy, Target};
use switch::{Path, Transport};
use tokio::{
    runtime::Builder,
    sync::mpsc::{self, error::TryRecvError},
};

use crate::{
    abort::AbortOnPanic,
    counters::{RunnerCounters, count},
    tls::{Identity, Trust},
};
use table::Table;

/// Messages that wait for the switch; when there are more, connections are not read.
const MOST_ARRIVALS: usize = 1_024;
/// Orders that wait for the thread of the connections; more are lost and counted.
const MOST_ORDERS: usize = 4_096;
/// Messages taken from the queue before everybody else has a turn.
const MOST_ARRIVALS_AT_ONCE: usize = 64;

/// Limits and deadlines of connections.
#[derive(Clone, Copy, Debug)]
pub struct StreamSettings {
    /// Connections at a time; one more is closed at once.
    pub most_connections: usize,
    /// Connections with one address at a time; one more is closed at once.
    pub most_per_address: usize,
    /// How long nothing may come before the switch is asked whether anything hangs on the connection; if not, it is closed.
    pub idle: Duration,
    /// How long a message may take from its first byte to its last.
    pub message: Duration,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long opening a connection may take, the TLS handshake not included.
    pub connect: Duration,
    /// How long a peer may take to accept one message of ours.
    pub write: Duration,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            most_connections: 4_096,
            most_per_address: 1_024,
            idle: Duration::from_secs(120),
            message: Duration::from_secs(15),
            handshake: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            write: Duration::from_secs(10),
        }
    }
}

/// Our certificate where we listen, and whom we trust where we call.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// Without it nothing can be accepted over TLS.
    pub identity: Option<Identity>,
    /// Without it no connection can be opened over TLS.
    pub trust: Option<Trust>,
}

/// What came from a connection.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A whole message.
    Message { path: Path, bytes: Vec<u8> },
    /// It is closed, or could not be opened.
    Closed { path: Path },
    /// Nothing has come for a long time: close it if nothing hangs on it.
    Idle { path: Path },
}

/// What the switch wants of the connections.
enum Order {
    Send { path: Path, bytes: Vec<u8> },
    Close { path: Path },
}

/// A bound listener, the transport and the address that its peers know.
pub(crate) struct Listener {
    pub(crate) socket: std::net::TcpListener,
    pub(crate) transport: Transport,
    pub(crate) local: SocketAddr,
}

/// What the tasks of all connections share.
struct Shared {
    settings: StreamSettings,
    tls: TlsSettings,
    counters: Arc<RunnerCounters>,
    arrivals: mpsc::Sender<Arrival>,
    names: ServerNames,
}

/// Whose certificate is wanted at an address that a name led to (RFC 5922 §7.1).
type ServerNames = Arc<Mutex<BTreeMap<SocketAddr, String>>>;
/// So many are remembered; at the others the certificate has to name the address.
const MOST_SERVER_NAMES: usize = 4_096;

/// The end that the thread of the switch holds.
pub(crate) struct Streams {
    /// None where nobody listens: then nothing can be sent either, for no answer could name an address of ours.
    orders: Option<mpsc::Sender<Order>>,
    arrivals: mpsc::Receiver<Arrival>,
    /// Taken from the queue and not handled yet.
    taken: VecDeque<Arrival>,
    counters: Arc<RunnerCounters>,
    names: ServerNames,
    thread: Option<JoinHandle<()>>,
}

impl Streams {
    /// Starts the thread if there is a listener. `first_flow` is higher than any number of an earlier life of the process.
    pub(crate) fn start(
        listeners: Vec<Listener>,
        first_flow: u64,
        (settings, tls): (StreamSettings, TlsSettings),
        counters: Arc<RunnerCounters>,
    ) -> io::Result<Self> {
        let (sender, arrivals) = mpsc::channel(MOST_ARRIVALS);
        let mut streams = Self {
            orders: None,
            arrivals,
            taken: VecDeque::with_capacity(MOST_ARRIVALS_AT_ONCE),
            counters: Arc::clone(&counters),
            names: ServerNames::default(),
            thread: None,
        };
        if listeners.is_empty() {
            return Ok(streams);
        }
        let (orders, taken) = mpsc::channel(MOST_ORDERS);
        let shared = Arc::new(Shared {
            settings,
            tls,
            counters,
            arrivals: sender,
            names: Arc::clone(&streams.names),
        });
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new()
            .name("sip-streams".to_owned())
            .spawn(move || {
                let _guard = AbortOnPanic::new("sip-streams");
                runtime.block_on(async {
                    match Table::new(listeners, first_flow, shared) {
                        Ok(table) => table.run(taken).await,
                        Err(error) => tracing::error!(%error, "SIP over TCP and TLS cannot start"),
                    }
                });
            })?;
        streams.orders = Some(orders);
        streams.thread = Some(thread);
        Ok(streams)
    }

    /// A name leads to these places: whoever answers there has to have its certificate.
    pub(crate) fn name(&self, proxy: &Proxy, places: &[Target]) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        for place in places.iter().filter(|it| it.carrier == Carrier::Tls) {
            if names.len() < MOST_SERVER_NAMES || names.contains_key(&place.address) {
                names.insert(place.address, proxy.host().to_owned());
            }
        }
    }

    /// Hands a message to its connection; false if there can be none.
    pub(crate) fn send(&self, path: Path, bytes: Vec<u8>) -> bool {
        let Some(orders) = &self.orders else {
            return false;
        };
        if orders.try_send(Order::Send { path, bytes }).is_err() {
            let lost = count(&self.counters.send_failures);
            if lost.is_power_of_two() {
                tracing::warn!(lost, "the thread of the connections does not keep up");
            }
        }
        true
    }

    /// Closes a connection that nothing hangs on.
    pub(crate) fn close(&self, path: Path) {
        if let Some(orders) = &self.orders {
            // If there is no place for it, the connection asks again.
            let _ = orders.try_send(Order::Close { path });
        }
    }

    /// Ends when something has come, which [`Streams::pop`] gives; never where nobody listens.
    pub(crate) async fn arrived(&mut self) {
        match self.arrivals.recv().await {
            Some(arrival) => self.taken.push_back(arrival),
            None => std::future::pending().await,
        }
    }

    /// Takes what has come, but for the most; true if there may be more.
    pub(crate) fn receive(&mut self) -> bool {
        while self.taken.len() < MOST_ARRIVALS_AT_ONCE {
            match self.arrivals.try_recv() {
                Ok(arrival) => self.taken.push_back(arrival),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    /// The oldest of what was taken.
    pub(crate) fn pop(&mut self) -> Option<Arrival> {
        self.taken.pop_front()
    }

    /// Closes all connections once their queues are empty, or after a moment.
    pub(crate) fn stop(&mut self) {
        self.orders = None;
        self.arrivals.close();
        if let Some(thread) = self.thread.take() {
            // A panic has aborted the process already.
            let _ = thread.join();
        }
    }
}

/// Binds an address for connections.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    /// Connections that may wait until they are accepted.
    const BACKLOG: i32 = 1_024;
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    // Connections of the last process may still be dying.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
