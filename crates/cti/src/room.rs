//! What is known about each running call: enough for its audience and its cards.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use call::{EffectId, Event, EventKind};
use crm::Audience;
use model::{CallId, CallerIdentity, LineId, UserId};

use crate::{card::PastOffer, frame::OfferFacts};

/// Ended calls whose recording may still come; the oldest is forgotten beyond that, and its
/// audience then comes from the database.
const MOST_ENDED: usize = 10_000;

/// One call.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Its arrival was seen, so that caller and line are known. False for a call from before a
    /// restart.
    arrived: bool,
    caller: Arc<CallerIdentity>,
    line: Option<LineId>,
    /// Who calls whom, in a call between colleagues.
    colleagues: Option<[UserId; 2]>,
    participants: Vec<UserId>,
    past_offers: Vec<PastOffer>,
    recording: bool,
    ended: bool,
    /// The attempt whose card's frame is not sent yet.
    pub(crate) unsent_offer: Option<u16>,
    /// Asked for before that frame was sent.
    pub(crate) announce: Option<Announcement>,
    pub(crate) reserved: Vec<UserId>,
}

/// An effect that waits for the frame of its card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) effect: EffectId,
    pub(crate) agent: UserId,
    pub(crate) attempt: u16,
}

/// How a call goes on after some facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    Runs,
    /// Only the recording is still to come.
    Ended,
    Over,
}

impl Room {
    /// Takes a fact. The facts that a card in `events` needs are those before it.
    pub(crate) fn take(&mut self, events: &[Event]) -> (OfferFacts, Course) {
        let mut facts = OfferFacts::default();
        let mut course = Course::Runs;
        for event in events {
            match &event.kind {
                EventKind::Arrived { line, caller, .. } => {
                    self.arrived = true;
                    self.line = Some(*line);
                    self.caller = Arc::clone(caller);
                }
                EventKind::Dialled {
                    agent,
                    line,
                    callee,
                    client,
                    ..
                } => {
                    self.arrived = true;
                    self.line = *line;
                    self.caller = Arc::clone(client);
                    self.colleagues = callee.map(|callee| [*agent, callee]);
                }
                EventKind::Offered { agent, .. } => {
                    if !self.participants.contains(agent) {
                        self.participants.push(*agent);
                    }
                    facts = self.facts();
                }
                EventKind::OfferEnded { agent, end } => self.past_offers.push(PastOffer {
                    agent: *agent,
                    end: *end,
                }),
                EventKind::Identified { caller } => {
                    self.caller = Arc::clone(caller);
                    facts = self.facts();
                }
                EventKind::ConversationStarted { recording, .. } => {
                    self.recording = recording.is_some();
                }
                EventKind::MessageStarted { .. } => self.recording = true,
                EventKind::Ended { .. } => {
                    self.ended = true;
                    course = match self.recording {
                        true => Course::Ended,
                        false => Course::Over,
                    };
                }
                // Also told of while the call runs, if there is none or a message is complete.
                EventKind::RecordingReady { .. } => {
                    self.recording = false;
                    if self.ended {
                        course = Course::Over;
                    }
                }
                _ => {}
            }
        }
        (facts, course)
    }

    /// Who may see the call; none if that must be read from the database.
    pub(crate) fn audience(&self) -> Option<Audience> {
        let first = self.caller.matches.first();
        self.arrived.then(|| Audience {
            participants: self.participants.clone(),
            client: first.map(|first| first.client).unwrap_or_default(),
            owner: first.and_then(|first| first.manager),
        })
    }

    fn facts(&self) -> OfferFacts {
        OfferFacts {
            caller: Arc::clone(&self.caller),
            line: self.line,
            colleagues: self.colleagues,
            previous: self.past_offers.clone(),
        }
    }
}

/// All calls.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    rooms: HashMap<CallId, Room>,
    ended: VecDeque<CallId>,
}

impl Rooms {
    pub(crate) fn room(&mut self, call: CallId) -> &mut Room {
        self.rooms.entry(call).or_default()
    }

    pub(crate) fn existing(&mut self, call: CallId) -> Option<&mut Room> {
        self.rooms.get_mut(&call)
    }

    /// Forgets the call if nothing of it is to come; what it had reserved is handed back.
    pub(crate) fn close(&mut self, call: CallId, course: Course) -> Vec<UserId> {
        let reserved = match (course, self.rooms.get_mut(&call)) {
            (Course::Ended | Course::Over, Some(room)) => std::mem::take(&mut room.reserved),
            _ => return Vec::new(),
        };
        if course == Course::Over {
            self.rooms.remove(&call);
            return reserved;
        }
        self.ended.push_back(call);
        if self.ended.len() > MOST_ENDED {
            if let Some(oldest) = self.ended.pop_front() {
                self.rooms.remove(&oldest);
            }
        }
        reserved
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.rooms.len()
    }
}

#[cfg(test)]
mod tests {
    use call::{Cause, Party};
    use model::{DeviceId, DialogSnapshot, EventId, TrunkId, Utc};

    use super::*;

    const CALL: CallId = CallId(1);
    const AGENT: UserId = UserId(2);

    fn event(kind: EventKind) -> Event {
        Event {
            id: EventId(1),
            call: CALL,
            at: Utc::default(),
            kind,
        }
    }

    fn started(recording: Option<&str>) -> Event {
        event(EventKind::ConversationStarted {
            agent: AGENT,
            device: DeviceId(3),
            recording: recording.map(str::to_owned),
            snapshot: DialogSnapshot::default(),
        })
    }

    fn ended() -> Event {
        event(EventKind::Ended {
            cause: Cause::HungUp,
            by: Party::Client,
            agent: Some(AGENT),
            talk_ms: 0,
            wait_ms: 0,
            missed: false,
        })
    }

    fn recorded() -> Event {
        event(EventKind::RecordingReady {
            file: String::new(),
            length_ms: 0,
            bytes: 0,
            gaps_ms: 0,
            gaps: Vec::new(),
            error: None,
        })
    }

    #[test]
    fn a_call_is_forgotten_when_nothing_of_it_is_to_come() {
        let mut rooms = Rooms::default();
        let mut take = |event: Event| {
            let (_, course) = rooms.room(CALL).take(&[event]);
            rooms.room(CALL).reserved.push(AGENT);
            (rooms.close(CALL, course), rooms.len())
        };
        assert_eq!(take(started(Some("a.wav"))), (vec![], 1));
        assert_eq!(
            take(ended()),
            (vec![AGENT; 2], 1),
            "reservations go at once"
        );
        assert_eq!(take(recorded()).1, 0);
        assert_eq!(take(started(None)).1, 1);
        assert_eq!(take(ended()).1, 0);
    }

    #[test]
    fn ended_calls_whose_recording_never_comes_are_bounded() {
        let mut rooms = Rooms::default();
        for call in 0..MOST_ENDED as i64 + 5 {
            rooms.room(CallId(call));
            rooms.close(CallId(call), Course::Ended);
        }
        assert_eq!(rooms.len(), MOST_ENDED);
    }

    #[test]
    fn the_audience_is_unknown_until_the_arrival_was_seen() {
        let mut room = Room::default();
        room.take(&[started(None)]);
        assert_eq!(room.audience(), None);
        let arrived = EventKind::Arrived {
            trunk: TrunkId(1),
            line: LineId(1),
            from: String::new(),
            to: String::new(),
            caller: Arc::default(),
        };
        room.take(&[event(arrived)]);
        assert_eq!(room.audience(), Some(Audience::default()));
    }
}
