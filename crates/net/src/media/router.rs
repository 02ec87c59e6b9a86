//! Which thread has which leg, and how orders get there.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crossbeam_channel::Receiver;
use media::{Command, ConversationKey, Event, LegKey};
use rtrb::{Producer, PushError};

use super::{events::EventSender, order::Order};
use crate::wake::Wake;

/// So long the router waits before it offers an order again to a thread whose queue is full.
const RETRY_PAUSE: Duration = Duration::from_micros(200);

/// The router's way to one thread.
#[derive(Debug)]
pub(super) struct ThreadDoor {
    pub(super) orders: Producer<Order>,
    pub(super) wake: Arc<Wake>,
    /// Legs that live there.
    pub(super) legs: usize,
}

impl ThreadDoor {
    /// Gives an order, for which [`Wake::notify`] is still to be called. A full queue is waited for: the thread
    /// takes its orders every tick, and if it does not run any more, the process has aborted.
    pub(super) fn give(&mut self, mut order: Order) {
        while let Err(PushError::Full(refused)) = self.orders.push(order) {
            order = refused;
            self.wake.notify();
            std::thread::sleep(RETRY_PAUSE);
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Placement {
    thread: usize,
    recorded: bool,
}

#[derive(Clone, Copy, Debug)]
struct RecordingPlace {
    thread: usize,
    client: LegKey,
    agent: Option<LegKey>,
}

/// Sends each order to the thread of its leg; moves a leg when a bridge needs both on one thread.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) doors: Vec<ThreadDoor>,
    pub(super) most_legs: usize,
    pub(super) failed_opens: Receiver<LegKey>,
    pub(super) events: EventSender,
    placements: HashMap<LegKey, Placement>,
    recordings: HashMap<ConversationKey, RecordingPlace>,
}

impl Router {
    pub(super) fn new(
        doors: Vec<ThreadDoor>,
        most_legs: usize,
        failed_opens: Receiver<LegKey>,
        events: EventSender,
    ) -> Self {
        Self {
            doors,
            most_legs,
            failed_opens,
            events,
            placements: HashMap::new(),
            recordings: HashMap::new(),
        }
    }

    pub(super) fn route(&mut self, command: Command) {
        self.events.retry();
        while let Ok(leg) = self.failed_opens.try_recv() {
            self.forget(leg);
        }
        let thread = match &command {
            Command::Open { leg, .. } => self.place(*leg),
            Command::SetRemote { leg, .. }
            | Command::Play { leg, .. }
            | Command::PlaySounds { leg, .. }
            | Command::Echo { leg }
            | Command::Stop { leg }
            | Command::Hold { leg, .. } => self.thread_of(*leg),
            Command::Close { leg } => self.forget(*leg),
            Command::Join { a, b, .. } => self.gather(*a, *b),
            Command::Confer { client, agents, .. } => self.gather_all(*client, *agents),
            Command::StartRecording {
                conversation,
                client,
                agent,
                ..
            } => self.place_recording(*conversation, *client, *agent),
            Command::PassRecording {
                conversation,
                agent,
            } => self.pass_recording(*conversation, *agent),
            Command::PauseRecording { conversation, .. } => {
                let place = self.recordings.get(conversation);
                place.map(|place| place.thread)
            }
            Command::StopRecording { conversation } => self.end_recording(*conversation),
        };
        if let Some(door) = thread.and_then(|thread| self.doors.get_mut(thread)) {
            door.give(Order::Plane(command));
        }
    }

    /// Wakes the threads, most of which are awake.
    pub(super) fn wake(&self) {
        for door in &self.doors {
            door.wake.notify();
        }
    }

    fn thread_of(&self, leg: LegKey) -> Option<usize> {
        self.placements.get(&leg).map(|placement| placement.thread)
    }

    /// The least loaded thread takes a new leg; over the limit it fails at once.
    fn place(&mut self, leg: LegKey) -> Option<usize> {
        if self.placements.len() >= self.most_legs {
            self.events.send(Event::OpenFailed {
                leg,
                reason: format!(
                    "all {} media legs are in use; raise RLIMIT_NOFILE",
                    self.most_legs
                ),
            });
            return None;
        }
        let (thread, door) = self
            .doors
            .iter_mut()
            .enumerate()
            .min_by_key(|(_, door)| door.legs)?;
        door.legs += 1;
        let placement = Placement {
            thread,
            recorded: false,
        };
        self.placements.insert(leg, placement);
        Some(thread)
    }

    fn forget(&mut self, leg: LegKey) -> Option<usize> {
        let thread = self.placements.remove(&leg)?.thread;
        if let Some(door) = self.doors.get_mut(thread) {
            door.legs = door.legs.saturating_sub(1);
        }
        Some(thread)
    }

    /// Brings two legs to one thread and returns it; `None` if either is not open. A recorded leg stays.
    fn gather(&mut self, a: LegKey, b: LegKey) -> Option<usize> {
        let (place_a, place_b) = (*self.placements.get(&a)?, *self.placements.get(&b)?);
        if place_a.thread == place_b.thread {
            return Some(place_a.thread);
        }
        let (moving, to) = if place_b.recorded && !place_a.recorded {
            (a, place_b.thread)
        } else {
            (b, place_a.thread)
        };
        self.bring(moving, to);
        Some(to)
    }

    /// Brings three legs to the client's thread, which has the recording if there is one; `None` if one is not open.
    fn gather_all(&mut self, client: LegKey, agents: [LegKey; 2]) -> Option<usize> {
        let to = self.thread_of(client)?;
        if !agents
            .iter()
            .all(|agent| self.placements.contains_key(agent))
        {
            return None;
        }
        for agent in agents {
            self.bring(agent, to);
        }
        Some(to)
    }

    fn bring(&mut self, leg: LegKey, to: usize) {
        let Some(placement) = self.placements.get_mut(&leg) else {
            return;
        };
        let from = std::mem::replace(&mut placement.thread, to);
        if from == to {
            return;
        }
        if let Some(door) = self.doors.get_mut(from) {
            door.legs = door.legs.saturating_sub(1);
            door.give(Order::Release { leg, to });
        }
        if let Some(door) = self.doors.get_mut(to) {
            door.legs += 1;
            door.give(Order::Await { leg });
        }
    }

    fn place_recording(
        &mut self,
        conversation: ConversationKey,
        client: LegKey,
        agent: Option<LegKey>,
    ) -> Option<usize> {
        if let Some(running) = self.recordings.get(&conversation) {
            // Its thread refuses the second one.
            return Some(running.thread);
        }
        let thread = agent
            .and_then(|agent| self.gather(client, agent))
            .or_else(|| self.thread_of(client))
            .or_else(|| self.thread_of(agent?))
            .unwrap_or(0);
        let place = RecordingPlace {
            thread,
            client,
            agent,
        };
        self.recordings.insert(conversation, place);
        self.mark_recorded([Some(client), agent], true);
        Some(thread)
    }

    fn pass_recording(&mut self, conversation: ConversationKey, agent: LegKey) -> Option<usize> {
        let place = self.recordings.get_mut(&conversation)?;
        let (thread, before) = (place.thread, place.agent.replace(agent));
        self.mark_recorded([before, None], false);
        self.mark_recorded([Some(agent), None], true);
        Some(thread)
    }

    fn end_recording(&mut self, conversation: ConversationKey) -> Option<usize> {
        let place = self.recordings.remove(&conversation)?;
        self.mark_recorded([Some(place.client), place.agent], false);
        Some(place.thread)
    }

    fn mark_recorded(&mut self, legs: [Option<LegKey>; 2], recorded: bool) {
        for leg in legs.into_iter().flatten() {
            if let Some(placement) = self.placements.get_mut(&leg) {
                placement.recorded = recorded;
            }
        }
    }
}
