//! The thread that drives the switch: the SIP sockets, the real clock, and bounded channels to the rooms around.
//!
//! It never waits for the store or for people: effects that find their queue full fail at once, notices are
//! dropped and counted. A panic ends the process.

use std::{
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
use rustix::{thread::clock_nanosleep_absolute, time::ClockId};
use switch::{Input, Output, Switch};
use thiserror::Error;
use tokio::{
    runtime::Builder,
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::{
    abort::AbortOnPanic,
    clock,
    load::Load,
    media::{MediaEvents, MediaPlane, timespec},
    sockets::{self, Sockets},
};

/// Ends of effects taken before everybody else has a turn.
const MOST_ENDS_AT_ONCE: usize = 64;
/// How long the thread sleeps when no timer runs.
const IDLE: Duration = Duration::from_secs(3600);
/// Under load the thread looks at everything so often, instead of being woken for each piece.
const TICK: Duration = Duration::from_millis(2);

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
                sockets::bind(*address).map_err(|error| RunnerError::Bind {
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

/// What happened next.
enum Turn {
    Datagrams,
    Media,
    Input(Input),
    Timer,
    Stop,
}

struct Driver {
    sockets: Sockets,
    switch: Switch,
    doors: Doors,
    media: MediaPlane,
    media_events: MediaEvents,
    counters: Arc<RunnerCounters>,
    load: Load,
}

impl Driver {
    fn new(
        sockets: Vec<std::net::UdpSocket>,
        switch: Switch,
        doors: Doors,
        (media, media_events): (MediaPlane, MediaEvents),
        counters: Arc<RunnerCounters>,
    ) -> io::Result<Self> {
        Ok(Self {
            sockets: Sockets::new(sockets, Arc::clone(&counters))?,
            switch,
            doors,
            media,
            media_events,
            counters,
            load: Load::new(clock::mono()),
        })
    }

    async fn run(mut self) {
        self.media_events.read_by_task();
        loop {
            let wake = self.drain();
            // What one turn orders of the media threads costs one wake-up.
            self.media.wake();
            self.rest(wake).await;
            match self.turn(wake).await {
                Turn::Datagrams => self.handle_datagrams(),
                Turn::Media => {}
                Turn::Input(input) => self.handle(input),
                Turn::Timer => self.handle(Input::Timer),
                Turn::Stop => return,
            }
            self.sweep().await;
        }
    }

    /// Under load, sleeps for a tick: one wake-up then serves all that has come, and the rooms around
    /// need not wake anybody.
    async fn rest(&mut self, wake: Option<Duration>) {
        if let Some(tick) = self.load.tick_end(clock::mono(), TICK) {
            let until = wake.map_or(tick, |at| at.min(tick));
            // Interrupted or not: the worst is a shorter tick.
            let _ = clock_nanosleep_absolute(ClockId::Monotonic, &timespec(until));
            // The runtime looks at the sockets.
            tokio::task::yield_now().await;
        }
    }

    /// Handles what else is there.
    async fn sweep(&mut self) {
        for _ in 0..MOST_ENDS_AT_ONCE {
            let Ok((id, end)) = self.doors.ends.try_recv() else {
                break;
            };
            self.handle(Input::EffectEnd { id, end });
        }
        self.media_events.awake();
        while let Some(event) = self.media_events.pop() {
            self.handle(Input::Media(event));
        }
        poll_fn(|context| Poll::Ready(self.sockets.poll_receive(context).is_ready())).await;
        self.handle_datagrams();
    }

    /// Handles the datagrams received. What people were told is done before one was sent has been done
    /// when it is handled.
    fn handle_datagrams(&mut self) {
        if !self.sockets.has_received() {
            return;
        }
        while let Ok(input) = self.doors.inputs.try_recv() {
            self.handle(input);
        }
        let now = clock::now();
        for (path, bytes) in self.sockets.received() {
            self.load.note(1);
            self.switch.handle(now, Input::Datagram { path, bytes });
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
            doors,
            media_events,
            sockets,
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
            () = poll_fn(|context| sockets.poll_receive(context)) => Turn::Datagrams,
            () = &mut timer => Turn::Timer,
        }
    }

    fn handle(&mut self, input: Input) {
        self.load.note(1);
        self.switch.handle(clock::now(), input);
    }

    /// Carries out everything that the switch wants; when it wants to be woken.
    fn drain(&mut self) -> Option<Duration> {
        loop {
            match self.switch.poll() {
                Output::Send { path, bytes } => self.sockets.send(path, &bytes),
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
}

pub(crate) fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed) + 1
}
