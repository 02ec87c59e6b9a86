//! Events out of the plane: one bounded queue for each producing thread, one eventfd for the reader.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::Duration,
};

use media::Event;
use rtrb::{Consumer, Producer, PushError, RingBuffer};
use rustix::event::{PollFd, PollFlags, poll};

use crate::{
    clock::{self, timespec},
    wake::Wake,
};

/// Keys pressed are dropped, when so many events wait behind a full queue.
const MOST_WAITING_KEYS: usize = 1024;

/// The writing end of one thread.
#[derive(Debug)]
pub(crate) struct EventSender {
    queue: Producer<Event>,
    /// What found the queue full. All but [`Event::Dtmf`] come a bounded number of times per leg and are never lost.
    waiting: VecDeque<Event>,
    wake: Arc<Wake>,
}

impl EventSender {
    pub(crate) fn send(&mut self, event: Event) {
        if self.waiting.is_empty() {
            if let Err(PushError::Full(event)) = self.queue.push(event) {
                tracing::warn!("the queue of media events is full: the switch does not keep up");
                self.waiting.push_back(event);
            }
        } else if self.waiting.len() < MOST_WAITING_KEYS || !matches!(event, Event::Dtmf { .. }) {
            self.waiting.push_back(event);
        }
        self.wake.notify();
    }

    /// Offers again what found the queue full.
    pub(crate) fn retry(&mut self) {
        while let Some(event) = self.waiting.pop_front() {
            if let Err(PushError::Full(event)) = self.queue.push(event) {
                self.waiting.push_front(event);
                return;
            }
            self.wake.notify();
        }
    }

    /// Whether [`EventSender::retry`] has anything to do.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// The reading end: what the media threads and the recorder report.
///
/// Events of one leg come in order, and so do those of one recording; between the two there is no order.
#[derive(Debug)]
pub struct MediaEvents {
    queues: Vec<Consumer<Event>>,
    next: usize,
    wake: Arc<Wake>,
}

impl MediaEvents {
    /// A reader and `senders` writers, each with a queue of `capacity` events.
    pub(crate) fn channel(
        senders: usize,
        capacity: usize,
    ) -> std::io::Result<(Self, Vec<EventSender>)> {
        let wake = Arc::new(Wake::new()?);
        let (writers, queues) = (0..senders)
            .map(|_| {
                let (queue, reader) = RingBuffer::new(capacity);
                let sender = EventSender {
                    queue,
                    waiting: VecDeque::new(),
                    wake: Arc::clone(&wake),
                };
                (sender, reader)
            })
            .unzip();
        let events = Self {
            queues,
            next: 0,
            wake,
        };
        Ok((events, writers))
    }

    /// The next event, if there is one.
    pub fn pop(&mut self) -> Option<Event> {
        for _ in 0..self.queues.len() {
            let queue = self.queues.get_mut(self.next)?;
            if let Ok(event) = queue.pop() {
                return Some(event);
            }
            self.next = (self.next + 1) % self.queues.len();
        }
        None
    }

    /// Waits for the next event; `None` when `timeout` has passed first.
    pub fn wait(&mut self, timeout: Duration) -> Option<Event> {
        let deadline = clock::mono() + timeout;
        loop {
            self.announce_sleep();
            if let Some(event) = self.pop() {
                self.awake();
                return Some(event);
            }
            let left = deadline.checked_sub(clock::mono());
            if let Some(left) = left {
                let mut fds = [PollFd::new(&self.wake, PollFlags::IN)];
                let _ = poll(&mut fds, Some(&timespec(left)));
            }
            self.awake();
            left?;
        }
    }

    /// From now on the reader is a task, which uses [`MediaEvents::woken`] instead of [`MediaEvents::wait`].
    pub(crate) fn read_by_task(&self) {
        self.wake.read_by_task();
    }

    /// For a reader that is a task: ends when an event came after [`MediaEvents::announce_sleep`].
    pub(crate) async fn woken(&self) {
        self.wake.woken().await;
    }

    pub(crate) fn announce_sleep(&self) {
        self.wake.announce_sleep();
    }

    pub(crate) fn awake(&self) {
        self.wake.awake();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queues.iter().all(Consumer::is_empty)
    }
}

impl AsFd for MediaEvents {
    /// Readable when an event came while the reader slept.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use media::{LegKey, LegStats};

    use super::*;

    fn key(leg: u64) -> Event {
        Event::Dtmf {
            leg: LegKey(leg),
            digit: '5',
            duration_ms: 80,
        }
    }

    fn closed(leg: u64) -> Event {
        Event::Closed {
            leg: LegKey(leg),
            stats: LegStats::default(),
        }
    }

    #[test]
    fn a_full_queue_delays_events_in_order_and_loses_none_that_matter() {
        let (mut events, mut senders) = MediaEvents::channel(1, 2).unwrap();
        let mut sender = senders.remove(0);
        for leg in 0..5 {
            sender.send(closed(leg));
        }
        for leg in 0..2 * MOST_WAITING_KEYS as u64 {
            sender.send(key(leg));
        }
        sender.send(closed(99));
        let mut seen = Vec::new();
        while let Some(event) = events.wait(Duration::ZERO) {
            seen.push(event);
            sender.retry();
        }
        assert!(!sender.is_waiting());
        assert_eq!(seen[..5], [0, 1, 2, 3, 4].map(closed));
        assert_eq!(seen.last(), Some(&closed(99)));
        assert!(seen.len() <= MOST_WAITING_KEYS + 8);
    }

    #[test]
    fn a_waiting_reader_is_woken_by_another_thread() {
        let (mut events, mut senders) = MediaEvents::channel(2, 2).unwrap();
        let mut sender = senders.remove(1);
        let writer = std::thread::spawn(move || sender.send(closed(1)));
        assert_eq!(events.wait(Duration::from_secs(5)), Some(closed(1)));
        writer.join().unwrap();
        assert_eq!(events.wait(Duration::from_millis(1)), None);
    }
}
