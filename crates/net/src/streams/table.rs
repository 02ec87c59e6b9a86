//! All connections by their numbers: accepted within limits, opened where a message wants to go, closed and forgotten.

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};

use switch::{Path, Transport};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, error::TrySendError},
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::timeout,
};

use super::{
    Arrival, Listener, Order, Shared,
    connection::{Connection, Outgoing},
    limits::Census,
    opening::Origin,
};
use crate::counters::count;

/// Messages that wait for one peer; one more, and it is closed as too slow.
const MOST_OUTGOING: usize = 256;
/// Accepted connections that wait for their task.
const MOST_ACCEPTED: usize = 64;
/// How long nothing is accepted after the system refused, mostly for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long connections have to send what is in their queues when the process stops.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection, whichever side opened it.
struct Entry {
    path: Path,
    /// None once it is being closed.
    queue: Option<mpsc::Sender<Outgoing>>,
    task: AbortHandle,
    ours: bool,
}

/// An accepted connection and the listener that it came to.
type Accepted = (TcpStream, SocketAddr, Transport, SocketAddr);

pub(super) struct Table {
    shared: Arc<Shared>,
    last_flow: u64,
    entries: HashMap<u64, Entry>,
    flows: HashMap<Id, u64>,
    /// Those that we opened, by the way that names no connection.
    opened: HashMap<Path, u64>,
    census: Census,
    tasks: JoinSet<bool>,
    accepted: mpsc::Receiver<Accepted>,
}

impl Table {
    /// Begins to listen; to be called within the runtime.
    pub(super) fn new(
        listeners: Vec<Listener>,
        first_flow: u64,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let (sender, accepted) = mpsc::channel(MOST_ACCEPTED);
        for listener in listeners {
            let socket = TcpListener::from_std(listener.socket)?;
            let (transport, local) = (listener.transport, listener.local);
            tokio::spawn(accept(socket, transport, local, sender.clone()));
        }
        Ok(Self {
            shared,
            last_flow: first_flow,
            entries: HashMap::new(),
            flows: HashMap::new(),
            opened: HashMap::new(),
            census: Census::default(),
            tasks: JoinSet::new(),
            accepted,
        })
    }

    /// Runs until the switch is gone.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Send { path, bytes }) => self.send(path, bytes).await,
                    Some(Order::Close { path }) => self.close(path),
                    None => break,
                },
                Some(accepted) = self.accepted.recv() => self.admit(accepted),
                Some(ended) = self.tasks.join_next_with_id() => self.forget(ended).await,
            }
        }
        // Without queues the tasks end as soon as everything is sent.
        self.entries.clear();
        let farewell = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout(FAREWELL, farewell).await;
    }

    fn admit(&mut self, (stream, remote, transport, local): Accepted) {
        let settings = &self.shared.settings;
        if let Err(limit) = self.census.enter(remote.ip(), settings) {
            let refused = count(&self.shared.counters.streams.refused);
            if refused.is_power_of_two() {
                tracing::warn!(%remote, refused, "a connection is closed: [limits] {limit} is reached");
            }
            return;
        }
        count(&self.shared.counters.streams.accepted);
        let path = Path {
            transport,
            local,
            remote,
            flow: self.new_flow(),
        };
        self.spawn(path, Origin::Accepted(stream));
    }

    fn new_flow(&mut self) -> u64 {
        self.last_flow += 1;
        self.last_flow
    }

    fn spawn(&mut self, path: Path, origin: Origin) {
        let ours = matches!(origin, Origin::Ours);
        let (queue, outgoing) = mpsc::channel(MOST_OUTGOING);
        let connection = Connection {
            path,
            shared: Arc::clone(&self.shared),
            own: queue.downgrade(),
        };
        let task = self.tasks.spawn(connection.run(origin, outgoing));
        self.flows.insert(task.id(), path.flow);
        let entry = Entry {
            path,
            queue: Some(queue),
            task,
            ours,
        };
        self.entries.insert(path.flow, entry);
    }

    async fn send(&mut self, path: Path, bytes: Vec<u8>) {
        let flow = match path.flow {
            0 => self.open(path),
            flow => Some(flow),
        };
        let Some(entry) = flow.and_then(|flow| self.entries.get_mut(&flow)) else {
            count(&self.shared.counters.send_failures);
            return self.tell_closed(path).await;
        };
        let queue = entry.queue.as_ref();
        let sent = queue.map(|queue| queue.try_send(Outgoing::More(bytes)));
        if let Some(Ok(())) = sent {
            count(&self.shared.counters.sent);
            return;
        }
        // Its end is told when its task has ended, which is soon.
        count(&self.shared.counters.send_failures);
        if let Some(Err(TrySendError::Full(_))) = sent {
            count(&self.shared.counters.streams.slow_readers);
            entry.queue = None;
            entry.task.abort();
        }
    }

    /// The connection that leads there, opened if there is none; none if a limit forbids it.
    fn open(&mut self, path: Path) -> Option<u64> {
        if let Some(flow) = self.opened.get(&path) {
            return Some(*flow);
        }
        if !matches!(path.transport, Transport::Tcp | Transport::Tls) {
            return None;
        }
        let settings = &self.shared.settings;
        self.census.enter(path.remote.ip(), settings).ok()?;
        count(&self.shared.counters.streams.opened);
        let flow = self.new_flow();
        self.opened.insert(path, flow);
        self.spawn(Path { flow, ..path }, Origin::Ours);
        Some(flow)
    }

    fn close(&mut self, path: Path) {
        if let Some(entry) = self.entries.get_mut(&path.flow) {
            entry.queue = None;
        }
    }

    /// Its task has ended, by itself, by force or by a panic.
    async fn forget(&mut self, ended: Result<(Id, bool), JoinError>) {
        let (id, told) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "the task of a connection has panicked: the connection is closed");
                }
                (error.id(), true)
            }
        };
        let entry = self.flows.remove(&id);
        let Some(entry) = entry.and_then(|flow| self.entries.remove(&flow)) else {
            return;
        };
        self.census.leave(entry.path.remote.ip());
        if entry.ours {
            let unnamed = Path {
                flow: 0,
                ..entry.path
            };
            self.opened.remove(&unnamed);
            self.tell_closed(unnamed).await;
        }
        if told {
            self.tell_closed(entry.path).await;
        }
    }

    async fn tell_closed(&self, path: Path) {
        // If the switch is gone, nobody wants to know.
        let _ = self.shared.arrivals.send(Arrival::Closed { path }).await;
    }
}

async fn accept(
    listener: TcpListener,
    transport: Transport,
    local: SocketAddr,
    accepted: mpsc::Sender<Accepted>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                if accepted
                    .send((stream, remote, transport, local))
                    .await
                    .is_err()
                {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, %local, "no connection can be accepted for a moment");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
