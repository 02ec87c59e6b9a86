//! A media thread: the loop around its epoll, and its clockwork.

use std::{os::fd::OwnedFd, sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, Sender};
use media::{Event, LegKey, SoundLibrary};
use rtrb::Consumer;
use rustix::event::epoll;

use super::{
    counters::{Counted, MediaCounters},
    events::EventSender,
    legs::Legs,
    order::{Order, Travelling},
    rooms::Rooms,
    tap::Taps,
    wheel::Wheel,
};
use crate::{
    abort::AbortOnPanic,
    clock::{self, timespec},
    load::Load,
    wake::Wake,
};

/// Readiness reports taken from the kernel at once.
const READY_EVENTS: usize = 512;
/// Epoll data of the thread's eventfd; all other values are slots.
pub(super) const WAKE_TOKEN: u64 = u64::MAX;
/// Longest datagram that is looked at; longer ones are cut and then refused as RTP.
const DATAGRAM_BYTES: usize = 2048;
/// Lost ends of pressed keys are looked for so often.
const KEY_CHECK: Duration = Duration::from_millis(50);

/// The ways between one thread and the others.
#[derive(Debug)]
pub(super) struct Neighbours {
    pub(super) index: usize,
    /// Legs that come to this thread.
    pub(super) arrivals: Receiver<Travelling>,
    /// Where legs leave for, by thread.
    pub(super) departures: Vec<(Sender<Travelling>, Arc<Wake>)>,
}

/// What the thread is made of; it is built before it starts, so that a failure is one of the start.
pub(super) struct RtpThread {
    pub(super) epoll: OwnedFd,
    pub(super) wake: Arc<Wake>,
    pub(super) orders: Consumer<Order>,
    pub(super) neighbours: Neighbours,
    pub(super) events: EventSender,
    pub(super) failed_opens: Sender<LegKey>,
    pub(super) counters: Arc<MediaCounters>,
    pub(super) rtp_timeout: Duration,
    pub(super) tick: Duration,
    pub(super) library: Arc<SoundLibrary>,

    pub(super) now: Duration,
    pub(super) legs: Legs,
    pub(super) wheel: Wheel,
    pub(super) rooms: Rooms,
    pub(super) taps: Taps,
    pub(super) counted: Counted,
    pub(super) load: Load,
    /// The last look at epoll was cut short by its limit.
    pub(super) more: bool,
    /// The leg for which the order queue waits.
    pub(super) awaited: Option<LegKey>,
    pub(super) arrived: Vec<Travelling>,
    pub(super) departing: Vec<(usize, Travelling)>,
    /// Slots with a key that is not up yet.
    pub(super) pressed: Vec<u32>,
    pub(super) next_key_check: Duration,
    pub(super) next_round: Duration,
    pub(super) buffer: Box<[u8; DATAGRAM_BYTES]>,
}

pub(super) fn datagram_buffer() -> Box<[u8; DATAGRAM_BYTES]> {
    Box::new([0; DATAGRAM_BYTES])
}

impl RtpThread {
    /// Runs until [`Order::Exit`].
    pub(super) fn run(mut self) {
        let _guard = AbortOnPanic::new("media");
        let mut ready = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }; READY_EVENTS];
        loop {
            self.now = clock::mono();
            if !self.take_orders() {
                break;
            }
            self.send_due_frames();
            self.mix_due_rooms();
            self.taps
                .flush(self.now, &mut self.events, &mut self.counted);
            self.keep_house();
            let count = self.wait(&mut ready);
            self.now = clock::mono();
            // A packet that was sent after an order was given finds it done.
            if count > 0 && !self.orders.is_empty() && !self.take_orders() {
                break;
            }
            for event in ready.iter().take(count) {
                match event.data.u64() {
                    WAKE_TOKEN => {}
                    token if token & 1 == 1 => self.drop_rtcp((token >> 1) as u32),
                    token => self.receive((token >> 1) as u32),
                }
            }
            self.load.note(count);
            self.more = count == READY_EVENTS;
        }
        self.taps.stop_all(&mut self.events, &mut self.counted);
        self.events.retry();
        self.counters.add(&mut self.counted);
    }

    /// Blocks when few calls run. Under load it sleeps for one tick and then takes what has come: one wake-up
    /// and one look at epoll serve many packets.
    fn wait(&mut self, ready: &mut [epoll::Event]) -> usize {
        if let Some(until) = self.load.tick_end(self.now, self.tick) {
            // Where the last look was cut short, the rest does not wait for a tick.
            if !self.more {
                clock::sleep_until(until);
            }
            return look(&self.epoll, ready, Duration::ZERO);
        }
        self.wake.announce_sleep();
        let idle = self.orders.is_empty() && self.neighbours.arrivals.is_empty();
        let timeout = if idle || (self.awaited.is_some() && self.neighbours.arrivals.is_empty()) {
            self.time_to_next_duty()
        } else {
            Duration::ZERO
        };
        let count = look(&self.epoll, ready, timeout);
        self.wake.awake();
        count
    }

    fn time_to_next_duty(&self) -> Duration {
        let mut next = self.next_round;
        if let Some(frame) = self.wheel.deadline() {
            next = next.min(frame);
        }
        if let Some(mix) = self.rooms.deadline() {
            next = next.min(mix);
        }
        if let Some(flush) = self.taps.deadline() {
            next = next.min(flush);
        }
        if !self.pressed.is_empty() {
            next = next.min(self.next_key_check);
        }
        if self.events.is_waiting() || !self.departing.is_empty() || self.taps.is_waiting() {
            next = next.min(self.now + self.tick);
        }
        next.saturating_sub(clock::mono())
    }

    fn send_due_frames(&mut self) {
        while let Some(bucket) = self.wheel.next_due(self.now) {
            let mut position = 0;
            while let Some(slot) = self.wheel.member(bucket, position) {
                position += 1;
                if let Some(leg) = self.legs.at(slot) {
                    if leg.send_own_frame(self.now) {
                        self.events.send(Event::Played { leg: leg.key });
                    }
                }
            }
        }
    }

    fn keep_house(&mut self) {
        if !self.departing.is_empty() {
            self.depart();
        }
        if self.events.is_waiting() {
            self.events.retry();
        }
        if !self.pressed.is_empty() && self.now >= self.next_key_check {
            self.next_key_check = self.now + KEY_CHECK;
            self.find_lost_key_ends();
        }
        if self.now >= self.next_round {
            self.next_round = self.now + self.round_interval();
            self.find_silent_legs();
            self.counters.add(&mut self.counted);
        }
    }

    pub(super) fn round_interval(&self) -> Duration {
        (self.rtp_timeout / 4).clamp(Duration::from_millis(5), Duration::from_secs(1))
    }

    fn find_silent_legs(&mut self) {
        for leg in self.legs.iter_mut() {
            self.counted.unreachable += std::mem::take(&mut leg.socket.unreachable);
            if leg.times_out(self.now, self.rtp_timeout) {
                self.events.send(Event::RtpTimeout { leg: leg.key });
            }
        }
    }

    /// Looks after legs on which a key is down: the end of a press can get lost.
    fn find_lost_key_ends(&mut self) {
        let (legs, events, now) = (&mut self.legs, &mut self.events, self.now);
        self.pressed.retain(|&slot| {
            let Some(leg) = legs.at(slot) else {
                return false;
            };
            if let Some(press) = leg.expire_key(now) {
                events.send(Event::Dtmf {
                    leg: leg.key,
                    digit: press.digit,
                    duration_ms: press.duration_ms,
                });
            }
            if leg.watch_keys_until.is_some_and(|until| now < until) {
                return true;
            }
            leg.watch_keys_until = None;
            false
        });
    }
}

fn look(epoll: &OwnedFd, ready: &mut [epoll::Event], timeout: Duration) -> usize {
    // An interrupted wait is a wait that found nothing.
    epoll::wait(epoll, ready, Some(&timespec(timeout))).unwrap_or(0)
}
