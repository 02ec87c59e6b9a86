//! The thread that drives the switch: the SIP sockets, the real clock, and bounded channels to the rooms around.
//!
//! It never waits for the store or for people: effects that find their queue full fail at once, notices are
//! dropped and counted. A panic ends the process.

use std::{
    collections::HashMap,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    thread::JoinHandle,
    time::Duration,
};

use call::{Command, EffectEnd, EffectId, EffectRequest, Notice};
use switch::{Input, Output, Path, Switch, Transport};
use thiserror::Error;
use tokio::{
    io::ReadBuf,
    net::UdpSocket,
    runtime::Builder,
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::{
    abort::AbortOnPanic,
    clock,
    media::{MediaEvents, MediaPlane},
};

/// The longest datagram over IP.
const MOST_DATAGRAM_BYTES: usize = 65_535;
/// Datagrams taken from a socket before everybody else has a turn.
const MOST_DATAGRAMS_AT_ONCE: usize = 64;
/// Ends of effects taken before everybody else has a turn.
const MOST_ENDS_AT_ONCE: usize = 64;
/// What the system may hold for us while the switch works.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// How long the thread sleeps when no timer runs.
const IDLE: Duration = Duration::from_secs(3600);

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

/// What the runner counts.
#[derive(Debug, Default)]
pub struct RunnerCounters {
    /// Datagrams received.
    pub received: AtomicU64,
    /// Datagrams sent.
    pub sent: AtomicU64,
    /// Datagrams that the system did not take.
    pub send_failures: AtomicU64,
    /// Errors of receiving, ICMP errors among them.
    pub receive_failures: AtomicU64,
    /// Effects that found their queue full.
    pub refused_effects: AtomicU64,
    /// Notices that found their queue full.
    pub lost_notices: AtomicU64,
}

/// The running thread.
#[derive(Debug)]
pub struct Runner {
    thread: Option<JoinHandle<()>>,
    addresses: Vec<SocketAddr>,
    counters: Arc<RunnerCounters>,
}

impl Runner {
    /// Binds the SIP addresses (port 0 for any) and starts the thread.
    ///
    /// # Errors
    /// [`RunnerError`], with the address and the remedy.
    pub fn start(
        listen: &[SocketAddr],
        switch: Switch,
        doors: Doors,
        media: (MediaPlane, MediaEvents),
    ) -> Result<Self, RunnerError> {
        let sockets: Vec<std::net::UdpSocket> = listen
            .iter()
            .map(|address| {
                bind(*address).map_err(|error| RunnerError::Bind {
                    address: *address,
                    error,
                })
            })
            .collect::<Result<_, _>>()?;
        let addresses = sockets
            .iter()
            .map(std::net::UdpSocket::local_addr)
            .collect::<io::Result<Vec<_>>>()?;
        let counters = Arc::new(RunnerCounters::default());
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let counted = Arc::clone(&counters);
        let thread = std::thread::Builder::new()
            .name("switch".to_owned())
            .spawn(move || {
                let _guard = AbortOnPanic::new("switch");
                let ended = runtime.block_on(async {
                    Driver::new(sockets, switch, doors, media, counted)?
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

    /// The bound addresses, in the order of those asked for.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
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

fn bind(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
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

/// What happened next.
enum Turn {
    Datagrams,
    Media,
    Input(Input),
    Timer,
    Stop,
}

/// One socket and the address that its peers know.
struct Listener {
    socket: UdpSocket,
    local: SocketAddr,
}

struct Driver {
    listeners: Vec<Listener>,
    /// Who is asked first, in turn.
    next_listener: usize,
    of_address: HashMap<SocketAddr, usize>,
    switch: Switch,
    doors: Doors,
    media: MediaPlane,
    media_events: MediaEvents,
    counters: Arc<RunnerCounters>,
    buffer: Vec<u8>,
    received: Vec<(Path, Vec<u8>)>,
}

impl Driver {
    fn new(
        sockets: Vec<std::net::UdpSocket>,
        switch: Switch,
        doors: Doors,
        (media, media_events): (MediaPlane, MediaEvents),
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
            switch,
            doors,
            media,
            media_events,
            counters,
            buffer: vec![0; MOST_DATAGRAM_BYTES],
            received: Vec::with_capacity(MOST_DATAGRAMS_AT_ONCE),
        })
    }

    async fn run(mut self) {
        self.media_events.read_by_task();
        loop {
            let wake = self.drain();
            // What one turn orders of the media threads costs one wake-up.
            self.media.wake();
            match self.turn(wake).await {
                Turn::Datagrams => {
                    let mut received = std::mem::take(&mut self.received);
                    for (path, bytes) in received.drain(..) {
                        self.handle(Input::Datagram { path, bytes });
                    }
                    self.received = received;
                }
                Turn::Media => {
                    self.media_events.awake();
                    while let Some(event) = self.media_events.pop() {
                        self.handle(Input::Media(event));
                    }
                }
                Turn::Input(input) => {
                    self.handle(input);
                    for _ in 1..MOST_ENDS_AT_ONCE {
                        let Ok((id, end)) = self.doors.ends.try_recv() else {
                            break;
                        };
                        self.handle(Input::EffectEnd { id, end });
                    }
                }
                Turn::Timer => self.handle(Input::Timer),
                Turn::Stop => return,
            }
        }
    }

    /// Waits for what happens next.
    async fn turn(&mut self, wake: Option<Duration>) -> Turn {
        let rest = wake.map_or(IDLE, |at| at.saturating_sub(clock::mono()));
        if rest.is_zero() {
            return Turn::Timer;
        }
        let mut timer = pin!(sleep_until(Instant::now() + rest));
        self.media_events.announce_sleep();
        if !self.media_events.is_empty() {
            return Turn::Media;
        }
        let Self {
            listeners,
            next_listener,
            doors,
            media_events,
            buffer,
            received,
            counters,
            ..
        } = self;
        tokio::select! {
            biased;
            // What people were told is done comes first: a datagram sent afterwards finds it done. The
            // network comes last, so that a flood starves nobody.
            input = doors.inputs.recv() => input.map_or(Turn::Stop, Turn::Input),
            Some(command) = doors.commands.recv() => Turn::Input(Input::Command(command)),
            Some((id, end)) = doors.ends.recv() => Turn::Input(Input::EffectEnd { id, end }),
            () = media_events.woken() => Turn::Media,
            () = poll_fn(|context| receive(context, listeners, next_listener, buffer, received, counters)) => Turn::Datagrams,
            () = &mut timer => Turn::Timer,
        }
    }

    fn handle(&mut self, input: Input) {
        self.switch.handle(clock::now(), input);
    }

    /// Carries out everything that the switch wants; when it wants to be woken.
    fn drain(&mut self) -> Option<Duration> {
        loop {
            match self.switch.poll() {
                Output::Send { path, bytes } => self.send(path, &bytes),
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

    /// UDP may lose it: whoever waits for it asks again.
    fn send(&self, path: Path, bytes: &[u8]) {
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

/// Takes what the sockets have, at most so many datagrams; ready when there was any.
fn receive(
    context: &mut std::task::Context<'_>,
    listeners: &[Listener],
    first: &mut usize,
    buffer: &mut [u8],
    received: &mut Vec<(Path, Vec<u8>)>,
    counters: &RunnerCounters,
) -> Poll<()> {
    let (later, earlier) = listeners.split_at(*first % listeners.len().max(1));
    *first = first.wrapping_add(1);
    for listener in later.iter().chain(earlier) {
        while received.len() < MOST_DATAGRAMS_AT_ONCE {
            let mut buffer = ReadBuf::new(buffer);
            match listener.socket.poll_recv_from(context, &mut buffer) {
                Poll::Ready(Ok(remote)) => {
                    count(&counters.received);
                    let path = Path {
                        transport: Transport::Udp,
                        local: listener.local,
                        remote,
                        flow: 0,
                    };
                    received.push((path, buffer.filled().to_vec()));
                }
                // An ICMP error of an earlier datagram: the next one may be there.
                Poll::Ready(Err(_)) => {
                    count(&counters.receive_failures);
                }
                Poll::Pending => break,
            }
        }
    }
    if received.is_empty() {
        Poll::Pending
    } else {
        Poll::Ready(())
    }
}

fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed) + 1
}
