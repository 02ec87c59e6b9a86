//! The media plane: N threads that move RTP between sockets, and the recorder's writer beside them.
//!
//! Orders go in through [`MediaPlane::send`], reports come out of [`MediaEvents`]; both ways are bounded. A
//! leg lives on one thread, and both legs of a bridge on the same, so that a packet meets no lock, no queue
//! and no allocation between its two sockets.

mod bridging;
mod counters;
mod events;
mod forwarding;
mod leg;
mod legs;
mod order;
mod priority;
mod rooms;
mod router;
mod source;
mod stream;
mod tap;
mod thread;
mod wheel;

use std::{
    io,
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    thread::{Builder, JoinHandle, available_parallelism},
    time::Duration,
};

use media::{Command, SoundLibrary};
use rtrb::RingBuffer;
use rustix::event::epoll;
use thiserror::Error;

pub use counters::MediaCounters;
pub(crate) use events::EventSender;
pub use events::MediaEvents;
pub use priority::Priority;

use self::{
    counters::Counted,
    legs::Legs,
    order::{Order, Travelling},
    rooms::Rooms,
    router::{Router, ThreadDoor},
    tap::Taps,
    thread::{Neighbours, RtpThread, WAKE_TOKEN},
    wheel::Wheel,
};
use crate::{
    clock,
    limits::{most_legs, raise_descriptor_limit},
    load::Load,
    recorder::{Recorder, RecorderError, RecorderSettings, WriterDoor},
    wake::Wake,
};

/// Ready sockets a second from which on a thread ticks, and below which it blocks again.
const BUSY: u64 = 1_500;
const CALM: u64 = 800;
/// Legs that may be under way to one thread at once; more wait on their old one.
const TRAVELLING_LEGS: usize = 256;
/// Failed opens that the router has not heard of yet.
const FAILED_OPENS: usize = 4096;

/// How the plane is built. [`MediaSettings::new`] has the values of an ordinary machine.
#[derive(Clone, Debug)]
pub struct MediaSettings {
    /// Media threads; 0: cores − 1, at least one.
    pub threads: usize,
    /// Ask for real-time priority, or a better nice value where it is refused.
    pub real_time: bool,
    /// Folder of the recordings.
    pub recordings: PathBuf,
    /// A leg that is joined or hears sounds, should send and is silent for so long is reported; usually 60 s.
    pub rtp_timeout: Duration,
    /// How long a thread under load sleeps between two looks at its sockets: 0.5–2 ms.
    pub tick: Duration,
    /// Most legs at once; 0: what the descriptor limit allows. More fail to open.
    pub most_legs: usize,
    /// Orders waiting for one thread. Full: the giver waits.
    pub order_queue: usize,
    /// Reports of one thread waiting for the reader. Full: the rest waits on the thread, keys are dropped.
    pub event_queue: usize,
    /// Parts of recordings of one thread waiting for the writer. Full: a part is dropped and marked as a gap.
    pub writer_queue: usize,
    /// The recordings' file system is synchronised so often; usually every 10 s.
    pub sync_interval: Duration,
    /// What legs can hear from us; usually music only.
    pub sounds: Arc<SoundLibrary>,
}

impl MediaSettings {
    /// The settings of an ordinary machine, with recordings below `recordings`.
    #[must_use]
    pub fn new(recordings: PathBuf) -> Self {
        Self {
            threads: 0,
            real_time: true,
            recordings,
            rtp_timeout: Duration::from_secs(60),
            tick: Duration::from_millis(2),
            most_legs: 0,
            order_queue: 4096,
            event_queue: 4096,
            writer_queue: 2048,
            sync_interval: Duration::from_secs(10),
            sounds: Arc::new(SoundLibrary::new()),
        }
    }
}

/// Why the plane could not start.
#[derive(Debug, Error)]
pub enum MediaError {
    /// The system refused a descriptor or a thread.
    #[error("the media plane cannot start: {0}")]
    System(#[from] io::Error),
    /// The recordings folder cannot be used.
    #[error(transparent)]
    Recorder(#[from] RecorderError),
}

impl From<rustix::io::Errno> for MediaError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::System(error.into())
    }
}

/// The running plane. Dropping it ends its threads, after every recording is closed.
#[derive(Debug)]
pub struct MediaPlane {
    router: Router,
    threads: Vec<JoinHandle<()>>,
    recorder: Option<Recorder>,
    counters: Arc<MediaCounters>,
    priority: Priority,
}

impl MediaPlane {
    /// Starts the threads and the writer.
    ///
    /// Raises the soft limit of open files to the hard limit: a leg needs two descriptors, a recording one.
    ///
    /// # Errors
    /// [`MediaError`] when a descriptor or a thread is refused or the recordings folder cannot be written.
    pub fn start(settings: MediaSettings) -> Result<(Self, MediaEvents), MediaError> {
        let threads = thread_count(settings.threads);
        let legs_possible = most_legs(raise_descriptor_limit());
        let legs_allowed = match settings.most_legs {
            0 => legs_possible,
            wanted => wanted.min(legs_possible),
        };
        // One for each thread, one for the writer, one for the router.
        let (events, mut senders) = MediaEvents::channel(threads + 2, settings.event_queue)?;
        let (Some(router_events), Some(writer_events)) = (senders.pop(), senders.pop()) else {
            return Err(io::Error::other("no event queues").into());
        };
        let counters = Arc::new(MediaCounters::default());
        let parts = ThreadParts::build(threads, &settings, &counters)?;
        let (recorder, writer_doors) = Recorder::start(
            RecorderSettings {
                folder: settings.recordings,
                queue: settings.writer_queue,
                sync_interval: settings.sync_interval,
            },
            threads,
            writer_events,
            Arc::clone(&counters),
        )?;
        let (failed_sender, failed_opens) = crossbeam_channel::bounded(FAILED_OPENS);
        let mut plane = Self {
            router: Router::new(parts.doors, legs_allowed, failed_opens, router_events),
            threads: Vec::new(),
            recorder: Some(recorder),
            counters,
            priority: Priority::Ordinary,
        };
        let (said, priorities) = crossbeam_channel::bounded(threads);
        let seeds = parts.seeds.into_iter().zip(senders).zip(writer_doors);
        for ((seed, events), writer) in seeds {
            let index = seed.neighbours.index;
            let real_time = settings.real_time;
            let thread = seed.grow(events, failed_sender.clone(), writer)?;
            let said = said.clone();
            let handle = Builder::new()
                .name(format!("media-{index}"))
                .spawn(move || {
                    // The starter waits for it; if it is gone, nobody wants to know.
                    let _ = said.send(Priority::take(real_time));
                    thread.run();
                })?;
            plane.threads.push(handle);
        }
        drop(said);
        // A thread that died before it spoke has aborted the process.
        plane.priority = priorities.recv().unwrap_or(Priority::Ordinary);
        plane.priority.log(threads);
        tracing::info!(threads, legs = legs_allowed, "media plane runs");
        Ok((plane, events))
    }

    /// Gives an order. Orders take effect in the order in which they are given.
    pub fn send(&mut self, command: Command) {
        self.post(command);
        self.wake();
    }

    /// As [`Self::send`], but the thread sees the command only after [`Self::wake`]: several cost one wake-up.
    pub fn post(&mut self, command: Command) {
        self.router.route(command);
    }

    /// Lets the threads see what was posted.
    pub fn wake(&self) {
        self.router.wake();
    }

    /// Counters of the whole plane.
    #[must_use]
    pub fn counters(&self) -> Arc<MediaCounters> {
        Arc::clone(&self.counters)
    }

    /// What the system granted the media threads.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Ends all legs and recordings and waits for the last byte. `Drop` does the same.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for MediaPlane {
    fn drop(&mut self) {
        for door in &mut self.router.doors {
            door.give(Order::Exit);
        }
        self.router.wake();
        for thread in self.threads.drain(..) {
            // A panic has aborted the process already.
            let _ = thread.join();
        }
        if let Some(recorder) = self.recorder.take() {
            recorder.stop();
        }
    }
}

fn thread_count(wanted: usize) -> usize {
    match wanted {
        0 => available_parallelism()
            .map_or(1, NonZeroUsize::get)
            .saturating_sub(1)
            .max(1),
        wanted => wanted,
    }
}

/// The queues and descriptors of all threads, made together because each knows the ways to the others.
struct ThreadParts {
    doors: Vec<ThreadDoor>,
    seeds: Vec<ThreadSeed>,
}

struct ThreadSeed {
    epoll: std::os::fd::OwnedFd,
    wake: Arc<Wake>,
    orders: rtrb::Consumer<Order>,
    neighbours: Neighbours,
    counters: Arc<MediaCounters>,
    rtp_timeout: Duration,
    tick: Duration,
    library: Arc<SoundLibrary>,
}

impl ThreadParts {
    fn build(
        threads: usize,
        settings: &MediaSettings,
        counters: &Arc<MediaCounters>,
    ) -> Result<Self, MediaError> {
        let mut departures = Vec::new();
        let mut arrivals = Vec::new();
        for _ in 0..threads {
            let (sender, receiver) = crossbeam_channel::bounded::<Travelling>(TRAVELLING_LEGS);
            departures.push((sender, Arc::new(Wake::new()?)));
            arrivals.push(receiver);
        }
        let mut parts = Self {
            doors: Vec::new(),
            seeds: Vec::new(),
        };
        for (index, arrivals) in arrivals.into_iter().enumerate() {
            let (orders, order_reader) = RingBuffer::new(settings.order_queue);
            let wake = departures
                .get(index)
                .map(|(_, wake)| Arc::clone(wake))
                .ok_or_else(|| io::Error::other("no eventfd"))?;
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            let token = epoll::EventData::new_u64(WAKE_TOKEN);
            epoll::add(&epoll, &*wake, token, epoll::EventFlags::IN)?;
            parts.doors.push(ThreadDoor {
                orders,
                wake: Arc::clone(&wake),
                legs: 0,
            });
            parts.seeds.push(ThreadSeed {
                epoll,
                wake,
                orders: order_reader,
                neighbours: Neighbours {
                    index,
                    arrivals,
                    departures: departures.clone(),
                },
                counters: Arc::clone(counters),
                rtp_timeout: settings.rtp_timeout,
                tick: settings.tick,
                library: Arc::clone(&settings.sounds),
            });
        }
        Ok(parts)
    }
}

impl ThreadSeed {
    fn grow(
        self,
        events: EventSender,
        failed_opens: crossbeam_channel::Sender<media::LegKey>,
        writer: WriterDoor,
    ) -> Result<RtpThread, MediaError> {
        let now = clock::mono();
        Ok(RtpThread {
            epoll: self.epoll,
            wake: self.wake,
            orders: self.orders,
            neighbours: self.neighbours,
            events,
            failed_opens,
            counters: self.counters,
            rtp_timeout: self.rtp_timeout,
            tick: self.tick,
            library: self.library,
            now,
            legs: Legs::default(),
            wheel: Wheel::new(now),
            rooms: Rooms::new(now),
            taps: Taps::new(writer),
            counted: Counted::default(),
            load: Load::new(now, BUSY, CALM),
            more: false,
            awaited: None,
            arrived: Vec::new(),
            departing: Vec::new(),
            pressed: Vec::new(),
            next_key_check: now,
            next_round: now,
            buffer: thread::datagram_buffer(),
        })
    }
}
