//! The thread that drives the switch: the SIP sockets and connections, the real clock, and bounded channels to the rooms around.
//!
//! It never waits for the store or for people: effects that find their queue full fail at once, notices are
//! dropped and counted. A panic ends the process.

use std::{
    future::poll_fn, io, net::SocketAddr, pin::pin, sync::Arc, task::Poll, thread::JoinHandle,
    time::Duration,
};

use call::{Command, EffectEnd, EffectId, EffectRequest, Notice};
use model::Carrier;
use switch::{Input, Output, Switch, Transport};
use thiserror::Error;
use tokio::{
    runtime::Builder,
    sync::mpsc::{self, error::TryRecvError},
    time::{Instant, sleep_until},
};

pub use crate::counters::{RunnerCounters, StreamCounters};
use crate::{
    abort::AbortOnPanic,
    clock,
    counters::count,
    load::Load,
    media::{MediaEvents, MediaPlane},
    names::{NameSettings, Names, Resolved},
    sockets::{self, Sockets},
    streams::{self, Arrival, Listener, StreamSettings, Streams, TlsSettings},
};

/// Ends of effects taken before everybody else has a turn.
const MOST_ENDS_AT_ONCE: usize = 64;
/// How long the thread sleeps when no timer runs.
const IDLE: Duration = Duration::from_secs(3600);
/// Events of the media threads taken before everybody else has a turn.
const MOST_MEDIA_EVENTS_AT_ONCE: usize = 256;
/// Under load the thread looks at everything so often, instead of being woken for each piece.
const TICK: Duration = Duration::from_millis(2);
/// Pieces of work a second from which on it ticks, and below which it blocks again: about 160 calls and
/// 100 calls a second. Below that nobody waits for a tick.
const BUSY: u64 = 4_000;
const CALM: u64 = 2_500;

/// Why the runner could not start.
#[derive(Debug, Error)]
pub enum RunnerError {
    /// An address cannot be bound.
    #[error(
        "the SIP address {address} cannot be used ({error}); choose an address of this machine that no other program has"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The system refused a thread or a descriptor.
    #[error("the thread of the switch cannot start: {0}")]
    System(#[from] io::Error),
}

/// The ends of the channels that the switch holds.
#[derive(Debug)]
pub struct Doors {
    /// Effects to be carried out.
    pub effects: mpsc::Sender<EffectRequest>,
    /// Their ends.
    pub ends: mpsc::Receiver<(EffectId, EffectEnd)>,
    /// Orders of people.
    pub commands: mpsc::Receiver<Command>,
    /// Directories, bindings and calls to recover; when its sender is gone, the thread ends.
    pub inputs: mpsc::Receiver<Input>,
    /// What the switch tells.
    pub notices: mpsc::Sender<Notice>,
}

/// Where SIP is received; port 0 for any.
#[derive(Debug, Default)]
pub struct Listen {
    /// UDP.
    pub udp: Vec<SocketAddr>,
    /// TCP.
    pub tcp: Vec<SocketAddr>,
    /// TLS.
    pub tls: Vec<SocketAddr>,
    /// Certificates.
    pub certificates: TlsSettings,
    /// Limits and deadlines of connections.
    pub streams: StreamSettings,
    /// Who is asked what names mean.
    pub names: NameSettings,
}

/// The running thread.
#[derive(Debug)]
pub struct Runner {
    thread: Option<JoinHandle<()>>,
    addresses: Vec<(Transport, SocketAddr)>,
    counters: Arc<RunnerCounters>,
}

impl Runner {
    /// Binds the SIP addresses and starts the thread.
    ///
    /// # Errors
    /// [`RunnerError`], with the address and the remedy.
    pub fn start(
        listen: Listen,
        switch: Switch,
        doors: Doors,
        media: (MediaPlane, MediaEvents),
    ) -> Result<Self, RunnerError> {
        let mut addresses = Vec::new();
        let mut sockets = Vec::with_capacity(listen.udp.len());
        for address in listen.udp {
            let bound = sockets::bind(address);
            let socket = bound.map_err(|error| RunnerError::Bind { address, error })?;
            addresses.push((Transport::Udp, socket.local_addr()?));
            sockets.push(socket);
        }
        let mut listeners = Vec::with_capacity(listen.tcp.len() + listen.tls.len());
        let tcp = listen.tcp.into_iter().map(|it| (Transport::Tcp, it));
        let tls = listen.tls.into_iter().map(|it| (Transport::Tls, it));
        for (transport, address) in tcp.chain(tls) {
            let bound = streams::bind(address);
            let socket = bound.map_err(|error| RunnerError::Bind { address, error })?;
            let local = socket.local_addr()?;
            addresses.push((transport, local));
            listeners.push(Listener {
                socket,
                transport,
                local,
            });
        }
        let counters = Arc::new(RunnerCounters::default());
        // Microseconds since 1970: no life of the process opens a million connections a second.
        let first_flow = u64::try_from(clock::now().utc.micros()).unwrap_or(0);
        let trusts = listen.certificates.trust.is_some();
        let names = Names::start(listen.names, carriers(&addresses, trusts))?;
        let settings = (listen.streams, listen.certificates);
        let streams = Streams::start(listeners, first_flow, settings, Arc::clone(&counters))?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let counted = Arc::clone(&counters);
        let thread = std::thread::Builder::new()
            .name("switch".to_owned())
            .spawn(move || {
                let _guard = AbortOnPanic::new("switch");
                let ended = runtime.block_on(async {
                    Driver::new((sockets, streams, names), switch, doors, media, counted)?
                        .run()
                        .await;
                    io::Result::Ok(())
                });
                if let Err(error) = ended {
                    tracing::error!(%error, "the thread of the switch could not start");
                }
            })?;
        Ok(Self {
            thread: Some(thread),
            addresses,
            counters,
        })
    }

    /// The bound addresses: UDP, TCP, TLS, each in the order of those asked for.
    #[must_use]
    pub fn addresses(&self) -> &[(Transport, SocketAddr)] {
        &self.addresses
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Arc<RunnerCounters> {
        Arc::clone(&self.counters)
    }

    /// Waits for the end of the thread: it ends when the sender of [`Doors::inputs`] is dropped.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic has aborted the process already.
            let _ = thread.join();
        }
    }
}

/// What requests of ours can be sent by: a connection of ours needs somebody who listens, whose address it names.
fn carriers(listening: &[(Transport, SocketAddr)], trusts: bool) -> Vec<Carrier> {
    let by = |transport| listening.iter().any(|(it, _)| *it == transport);
    let streams = by(Transport::Tcp) || by(Transport::Tls);
    let all = [
        (Carrier::Udp, by(Transport::Udp)),
        (Carrier::Tcp, streams),
        (Carrier::Tls, streams && trusts),
    ];
    let ours = all.into_iter().filter(|(_, can)| *can);
    ours.map(|(carrier, _)| carrier).collect()
}

/// Whether there is more where that came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    None,
    Some,
    /// The process stops.
    Stop,
}

struct Driver {
    sockets: Sockets,
    streams: Streams,
    names: Names,
    switch: Switch,
    doors: Doors,
    media: MediaPlane,
    media_events: MediaEvents,
    counters: Arc<RunnerCounters>,
    load: Load,
}

impl Driver {
    fn new(
        (sockets, streams, names): (Vec<std::net::UdpSocket>, Streams, Names),
        switch: Switch,
        doors: Doors,
        (media, media_events): (MediaPlane, MediaEvents),
        counters: Arc<RunnerCounters>,
    ) -> io::Result<Self> {
        Ok(Self {
            sockets: Sockets::new(sockets, Arc::clone(&counters))?,
            streams,
            names,
            switch,
            doors,
            media,
            media_events,
            counters,
            load: Load::new(clock::mono(), BUSY, CALM),
        })
    }

    async fn run(mut self) {
        let listening = Input::Listening(self.sockets.addresses());
        self.handle(listening);
        self.media_events.read_by_task();
        self.sockets.writable().await;
        let mut rest = Rest::None;
        loop {
            let wake = self.drain();
            // What one turn orders of the media threads costs one wake-up.
            self.media.wake();
            if rest == Rest::Some {
                // The runtime looks at the sockets.
                tokio::task::yield_now().await;
            } else if let Some(tick) = self.load.tick_end(clock::mono(), TICK) {
                // Under load one wake-up serves all that has come, and the rooms around need not wake
                // anybody. Timers are late by a tick at most.
                clock::sleep_until(tick);
                tokio::task::yield_now().await;
            } else if let Rest::Stop = self.wait(wake).await {
                break;
            }
            rest = self.sweep(wake).await;
            if rest == Rest::Stop {
                break;
            }
        }
        self.streams.stop();
    }

    /// Waits until something has come, and handles it if it had to be taken for that.
    async fn wait(&mut self, wake: Option<Duration>) -> Rest {
        let time = wake.map_or(IDLE, |at| at.saturating_sub(clock::mono()));
        self.media_events.announce_sleep();
        if time.is_zero() || !self.media_events.is_empty() {
            return Rest::None;
        }
        let mut timer = pin!(sleep_until(Instant::now() + time));
        let Self {
            doors,
            media_events,
            sockets,
            streams,
            names,
            ..
        } = self;
        let input = tokio::select! {
            biased;
            input = doors.inputs.recv() => match input {
                Some(input) => Some(input),
                None => return Rest::Stop,
            },
            Some(command) = doors.commands.recv() => Some(Input::Command(command)),
            Some((id, end)) = doors.ends.recv() => Some(Input::EffectEnd { id, end }),
            () = media_events.woken() => None,
            () = poll_fn(|context| sockets.poll_receive(context)) => None,
            () = streams.arrived() => None,
            Resolved { proxy, places } = names.next() => Some(Input::Resolved { proxy, places }),
            () = &mut timer => None,
        };
        if let Some(input) = input {
            self.handle(input);
        }
        Rest::None
    }

    /// Handles what has come: all orders, which their short queues bound, and of what comes in masses no more than so
    /// much, so that nobody starves another.
    async fn sweep(&mut self, wake: Option<Duration>) -> Rest {
        // Received first and handled last: what people were told is done before a datagram was sent has
        // been done when it is handled.
        poll_fn(|context| Poll::Ready(self.sockets.poll_receive(context).is_ready())).await;
        let mut more = self.sockets.is_full() | self.streams.receive();
        loop {
            match self.doors.inputs.try_recv() {
                Ok(input) => self.handle(input),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Rest::Stop,
            }
        }
        while let Ok(command) = self.doors.commands.try_recv() {
            self.handle(Input::Command(command));
        }
        while let Some(Resolved { proxy, places }) = self.names.pop() {
            self.handle(Input::Resolved { proxy, places });
        }
        for n in 1..=MOST_ENDS_AT_ONCE {
            let Ok((id, end)) = self.doors.ends.try_recv() else {
                break;
            };
            self.handle(Input::EffectEnd { id, end });
            more |= n == MOST_ENDS_AT_ONCE;
        }
        self.media_events.awake();
        for n in 1..=MOST_MEDIA_EVENTS_AT_ONCE {
            let Some(event) = self.media_events.pop() else {
                break;
            };
            self.handle(Input::Media(event));
            more |= n == MOST_MEDIA_EVENTS_AT_ONCE;
        }
        let now = clock::now();
        for (path, bytes) in self.sockets.received() {
            self.load.note(1);
            self.switch.handle(now, Input::Datagram { path, bytes });
        }
        while let Some(arrival) = self.streams.pop() {
            self.load.note(1);
            match arrival {
                Arrival::Message { path, bytes } => {
                    self.switch.handle(now, Input::Datagram { path, bytes });
                }
                Arrival::Closed { path } => self.switch.handle(now, Input::FlowClosed { path }),
                Arrival::Idle { path } if self.switch.uses(&path) => {}
                Arrival::Idle { path } => self.streams.close(path),
            }
        }
        if wake.is_some_and(|at| at <= clock::mono()) {
            self.handle(Input::Timer);
        }
        if more { Rest::Some } else { Rest::None }
    }

    fn handle(&mut self, input: Input) {
        if let Input::Resolved { proxy, places } = &input {
            self.streams.name(proxy, places);
        }
        self.load.note(1);
        self.switch.handle(clock::now(), input);
    }

    /// Carries out everything that the switch wants; when it wants to be woken.
    fn drain(&mut self) -> Option<Duration> {
        loop {
            match self.switch.poll() {
                Output::Send { path, bytes } if path.transport == Transport::Udp => {
                    self.sockets.send(path, &bytes);
                }
                Output::Send { path, bytes } => {
                    if !self.streams.send(path, bytes) {
                        self.switch.handle(clock::now(), Input::FlowClosed { path });
                    }
                }
                Output::Media(command) => self.media.post(command),
                Output::Effect(request) => self.begin(request),
                Output::Notice(notice) => {
                    if self.doors.notices.try_send(notice).is_err() {
                        let lost = count(&self.counters.lost_notices);
                        // The first, the second, the fourth: the log must not drown in it either.
                        if lost.is_power_of_two() {
                            tracing::warn!(
                                lost,
                                "the queue of notices is full: what the switch tells gets lost"
                            );
                        }
                    }
                }
                Output::Names(names) => self.names.follow(names),
                Output::WakeAt { at, .. } => return at,
            }
        }
    }

    fn begin(&mut self, request: EffectRequest) {
        let id = request.id;
        if self.doors.effects.try_send(request).is_err() {
            let refused = count(&self.counters.refused_effects);
            if refused.is_power_of_two() {
                tracing::warn!(
                    refused,
                    "the queue of effects is full: calls go on without them"
                );
            }
            let end = EffectEnd::Failed("the queue of effects is full".to_owned());
            self.switch
                .handle(clock::now(), Input::EffectEnd { id, end });
        }
    }
}
