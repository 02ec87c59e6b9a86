//! Transactions: requests and their answers over a network that loses, repeats and reorders (RFC 3261 §17, RFC 6026).
//!
//! Messages, commands and time go in; [`Transactions::poll`] gives bytes to send and events. After every call that takes `now`,
//! drain `poll`: one call queues a handful of outputs, and [`Transactions::handle_timers`] a handful for each timer that was due.
//!
//! Every transaction ends by its timers, with one exception: a received INVITE waits for its user's final answer as long as the
//! caller does. The machines stand one in a file, as in the figures of the RFC; `docs/transactions.md` shows them as they are.

mod addresses;
mod client;
mod client_invite;
mod client_non_invite;
#[cfg(test)]
mod diagram;
mod flows;
mod identity;
mod machine;
mod server;
mod server_invite;
mod server_non_invite;
mod timers;
mod tokens;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Message, Request, Response};

pub use addresses::Addresses;
pub(crate) use client::cancel;
pub use timers::{Timer, TimerTable};
pub use tokens::Tokens;

use client::Client;
use flows::Flows;
use identity::AckIdentity;
use server::Server;
use timers::{Owner, TimerQueue};

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A TCP connection.
    Tcp,
    /// A TLS connection.
    Tls,
    /// A WebSocket (RFC 7118).
    Ws,
    /// A WebSocket over TLS.
    Wss,
}

impl Transport {
    /// Whether it repeats by itself what is lost.
    pub fn reliable(self) -> bool {
        self != Self::Udp
    }

    /// The port where none is written (RFC 3261 §19.1.2, RFC 7118 §5.2.2).
    pub fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    /// Reads a name in any case, as it stands in a Via, in `;transport=` or in a record.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss];
        all.into_iter()
            .find(|transport| transport.name().eq_ignore_ascii_case(name))
    }

    /// The name in a Via.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }
}

/// By which socket, and from or to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Path {
    /// What carries the messages.
    pub transport: Transport,
    /// Our address as the other side knows it: it goes into our Via.
    pub local: SocketAddr,
    /// The other side's address.
    pub remote: SocketAddr,
    /// Which connection, by a number that is never given twice; 0 for UDP, and for whichever connection leads there,
    /// opened if there is none.
    pub flow: u64,
}

impl Path {
    /// A way over UDP.
    pub fn udp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            transport: Transport::Udp,
            local,
            remote,
            flow: 0,
        }
    }

    /// The way of a new connection to that port of the other side, once this one is closed.
    pub fn reopened(self, port: u16) -> Self {
        let remote = SocketAddr::new(self.remote.ip(), port);
        Self {
            remote,
            flow: 0,
            ..self
        }
    }
}

/// A request that we received. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerKey(u64);

/// A request that we sent. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientKey(u64);

/// What the tables may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// With this many transactions, new requests get 503 without one of their own.
    pub transactions: usize,
    /// So many more for CANCEL and requests within dialogs, so that calls can still end.
    pub reserve: usize,
    /// So many different answerers of one INVITE are followed; further ones get no ACK.
    pub forks: usize,
    /// The Retry-After of that 503, in seconds.
    pub retry_after_secs: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transactions: 50_000,
            reserve: 10_000,
            forks: 16,
            retry_after_secs: 10,
        }
    }
}

/// What was dropped or refused since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// ACKs that belong to no INVITE we know of.
    pub stray_acks: u64,
    /// 2xx to an INVITE that we do not know or no longer know.
    pub stray_successes: u64,
    /// Other responses that belong to no request of ours.
    pub stray_responses: u64,
    /// Requests without Via, From, To, Call-ID or a CSeq that fits.
    pub malformed: u64,
    /// Requests refused because the tables were full.
    pub refused: u64,
}

/// What the layer wants.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "an output is moved once, from the queue to its taker; a box would cost an allocation for each"
)]
pub enum Output {
    /// Send these bytes.
    Send {
        /// By which socket and to whom.
        path: Path,
        /// One message.
        bytes: Vec<u8>,
    },
    /// Tell the user of the layer.
    Event(Event),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new request, neither ACK nor CANCEL. It must be answered; an INVITE has no limit of time, any other is forgotten after timer F.
    Request {
        /// To answer it.
        server: ServerKey,
        /// The request, `received` and `rport` noted in the topmost Via.
        request: Request,
        /// Where it came from.
        path: Path,
    },
    /// The first ACK of our 2xx.
    Ack {
        /// The INVITE.
        server: ServerKey,
        /// The ACK.
        request: Request,
    },
    /// An INVITE without a final answer is withdrawn; answer it with 487. The CANCEL itself is answered already.
    Cancel {
        /// The INVITE.
        server: ServerKey,
        /// The CANCEL.
        request: Request,
    },
    /// A provisional answer, or the final one. To an INVITE also each further 2xx with a new To tag: a fork, which wants
    /// an ACK of its own and then a BYE.
    Response {
        /// The request.
        client: ClientKey,
        /// The answer.
        response: Response,
        /// Where it came from.
        path: Path,
    },
    /// No final answer came (timers B and F, or none after a CANCEL): to be taken as 408.
    Timeout {
        /// The request.
        client: ClientKey,
    },
    /// The request could not be carried to the other side, or its connection broke before the final answer: to be taken as
    /// 503 (RFC 3261 §8.1.3.1).
    Unreachable {
        /// The request.
        client: ClientKey,
    },
    /// Our final answer to an INVITE got no ACK within 64 T1. After a 2xx the call must be ended by BYE (RFC 3261 §13.3.1.4).
    NoAck {
        /// The INVITE.
        server: ServerKey,
    },
}

/// The transaction layer.
pub struct Transactions {
    table: TimerTable,
    limits: Limits,
    addresses: Addresses,
    tokens: Tokens,
    clients: BTreeMap<ClientKey, Client>,
    servers: BTreeMap<ServerKey, Server>,
    client_of: BTreeMap<String, ClientKey>,
    server_of: BTreeMap<String, ServerKey>,
    awaiting_ack: BTreeMap<AckIdentity, ServerKey>,
    timers: TimerQueue,
    flows: Flows,
    output: Outbox,
    last_id: u64,
    counters: Counters,
}

impl Transactions {
    /// An empty layer. The seed makes branches and tags; it must be secret, random and new for every start of the process.
    pub fn new(timers: TimerTable, seed: [u8; 32], limits: Limits) -> Self {
        Self {
            table: timers,
            limits,
            addresses: Addresses::default(),
            tokens: Tokens::new(seed),
            clients: BTreeMap::new(),
            servers: BTreeMap::new(),
            client_of: BTreeMap::new(),
            server_of: BTreeMap::new(),
            awaiting_ack: BTreeMap::new(),
            timers: TimerQueue::default(),
            flows: Flows::default(),
            output: Outbox::default(),
            last_id: 0,
            counters: Counters::default(),
        }
    }

    /// Has our Via say what the other side knows us by.
    pub fn set_addresses(&mut self, addresses: Addresses) {
        self.addresses = addresses;
    }

    /// Takes a message from the network. Notes the source in the topmost Via of a request, absorbs repetitions and answers CANCEL.
    pub fn receive(&mut self, now: Duration, path: Path, message: Message) {
        match message {
            Message::Request(request) => self.receive_request(now, path, request),
            Message::Response(response) => self.receive_response(now, path, response),
        }
    }

    /// Lets all timers fire whose time has come.
    pub fn handle_timers(&mut self, now: Duration) {
        while let Some((owner, timer)) = self.timers.due(now) {
            match owner {
                Owner::Client(key) => self.client_timer(now, key, timer),
                Owner::Server(key) => self.server_timer(now, key, timer),
            }
        }
    }

    /// When [`Transactions::handle_timers`] is wanted next.
    pub fn next_timer(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// The next output, in the order in which they arose.
    pub fn poll(&mut self) -> Option<Output> {
        self.output.queue.pop_front()
    }

    /// How many transactions there are.
    pub fn len(&self) -> usize {
        self.clients.len() + self.servers.len()
    }

    /// Whether there is no transaction.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether nothing at all is left: no transaction, no index entry, no timer, no output.
    pub fn is_idle(&self) -> bool {
        self.is_empty()
            && self.client_of.is_empty()
            && self.server_of.is_empty()
            && self.awaiting_ack.is_empty()
            && self.timers.len() == 0
            && self.flows.is_empty()
            && self.output.queue.is_empty()
    }

    /// What was dropped or refused since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

/// What waits for [`Transactions::poll`].
#[derive(Default)]
struct Outbox {
    queue: VecDeque<Output>,
}

impl Outbox {
    fn send(&mut self, path: Path, bytes: Vec<u8>) {
        self.queue.push_back(Output::Send { path, bytes });
    }

    fn tell(&mut self, event: Event) {
        self.queue.push_back(Output::Event(event));
    }
}
