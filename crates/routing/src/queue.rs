//! The callers who wait for an agent (R4, R7): who is asked next, and who has which place.
//!
//! Invariant: among those whom an agent may serve, the first of the highest class gets the agent; a caller whom an
//! agent did not take keeps the place, and is offered to that agent again only after a rest.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use model::{AgentChanged, AgentState, CallId, LineId, Priority, UserId};

use crate::Agents;

/// A caller who waits. Times are monotonic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The line called.
    pub line: LineId,
    /// The line whose agents may help, and from when on.
    pub overflow: Option<(LineId, Duration)>,
    /// The caller's managers: they take the call whatever line it came by.
    pub managers: Vec<UserId>,
    /// The class.
    pub priority: Priority,
    /// When the call came.
    pub since: Duration,
    /// Agents who are not to be asked before that moment.
    pub resting: Vec<(UserId, Duration)>,
    /// Nobody is to be asked before that moment.
    pub not_before: Duration,
}

type Place = (Reverse<Priority>, Duration, CallId);

#[derive(Debug)]
struct Entry {
    waiting: Waiting,
    /// An agent is being asked.
    asked: bool,
}

/// Everybody who waits.
#[derive(Debug, Default)]
pub struct WaitingRoom {
    order: BTreeMap<Place, Entry>,
    places: BTreeMap<CallId, Place>,
    wakes: BTreeSet<(Duration, CallId)>,
    changed: bool,
    /// As of when deputies were last asked for.
    deputies: u64,
}

impl WaitingRoom {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The call waits, or waits again after an agent did not take it.
    pub fn enter(&mut self, call: CallId, waiting: Waiting) {
        self.leave(call);
        let place = (Reverse(waiting.priority), waiting.since, call);
        let resting = waiting.resting.iter().map(|(_, until)| *until);
        let overflow = waiting.overflow.map(|(_, from)| from);
        let wakes = resting.chain(overflow).chain([waiting.not_before]);
        let later = wakes.filter(|at| *at > waiting.since);
        self.wakes.extend(later.map(|at| (at, call)));
        self.places.insert(call, place);
        let entry = Entry {
            waiting,
            asked: false,
        };
        self.order.insert(place, entry);
        self.changed = true;
    }

    /// The call keeps its place and is not asked for before it enters again.
    pub fn keep(&mut self, call: CallId) {
        let place = self.places.get(&call);
        if let Some(entry) = place.and_then(|place| self.order.get_mut(place)) {
            entry.asked = true;
        }
    }

    /// The call does not wait any more; nothing if it did not.
    pub fn leave(&mut self, call: CallId) {
        let Some(place) = self.places.remove(&call) else {
            return;
        };
        if let Some(entry) = self.order.remove(&place) {
            for (_, until) in entry.waiting.resting {
                self.wakes.remove(&(until, call));
            }
            if let Some((_, from)) = entry.waiting.overflow {
                self.wakes.remove(&(from, call));
            }
            self.wakes.remove(&(entry.waiting.not_before, call));
        }
    }

    /// An agent may serve more calls than before.
    pub fn agents_changed(&mut self) {
        self.changed = true;
    }

    /// An agent changed, and is free perhaps.
    pub fn agent_changed(&mut self, changed: &AgentChanged) {
        self.changed |= changed.state == AgentState::Available;
    }

    /// The call to be offered now, because an agent is free for it. It keeps its place, and is not named again before it
    /// has entered again or left.
    pub fn next(&mut self, now: Duration, agents: &Agents) -> Option<CallId> {
        let deputies = agents.absences.changes();
        self.changed |= std::mem::replace(&mut self.deputies, deputies) != deputies;
        if !self.changed {
            return None;
        }
        let ready = |(_, entry): &(&Place, &mut Entry)| {
            !entry.asked && entry.waiting.has_somebody(now, agents)
        };
        let found = self.order.iter_mut().find(ready);
        if let Some(((_, _, call), entry)) = found {
            entry.asked = true;
            return Some(*call);
        }
        self.changed = false;
        None
    }

    /// The place of the call among those of its line, 1 for the first.
    pub fn place(&self, call: CallId) -> Option<u32> {
        let place = self.places.get(&call)?;
        let line = self.order.get(place)?.waiting.line;
        let before = self.order.range(..=*place);
        let of_line = before.filter(|(_, entry)| entry.waiting.line == line);
        u32::try_from(of_line.count()).ok()
    }

    /// What is known of a call that waits.
    pub fn get(&self, call: CallId) -> Option<&Waiting> {
        let entry = self.order.get(self.places.get(&call)?)?;
        Some(&entry.waiting)
    }

    /// How many wait on the line.
    pub fn length(&self, line: LineId) -> usize {
        let entries = self.order.values();
        entries.filter(|entry| entry.waiting.line == line).count()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Rests and delays that are over count now.
    pub fn handle_timers(&mut self, now: Duration) {
        while let Some(wake) = self.wakes.first().filter(|(at, _)| *at <= now).copied() {
            self.wakes.remove(&wake);
            self.changed = true;
        }
    }

    /// When [`Self::handle_timers`] wants to be called next (monotonic).
    pub fn next_timer(&self) -> Option<Duration> {
        self.wakes.first().map(|(at, _)| *at)
    }
}

impl Waiting {
    fn has_somebody(&self, now: Duration, agents: &Agents) -> bool {
        let rests = |agent| {
            let mut resting = self.resting.iter();
            resting.any(|(who, until)| *who == agent && now < *until)
        };
        let overflow = self.overflow.filter(|(_, from)| *from <= now);
        let lines = [Some(self.line), overflow.map(|(line, _)| line)];
        now >= self.not_before
            && agents.has_free(lines.into_iter().flatten(), &self.managers, |agent| {
                !rests(agent)
            })
    }
}

#[cfg(test)]
mod tests {
    use model::{Agent, Now, Reach, Skill, Utc};

    use super::*;

    const LINE: LineId = LineId(1);
    const OTHER: LineId = LineId(2);

    fn at(secs: u64) -> Now {
        Now {
            mono: Duration::from_secs(secs),
            utc: Utc::from_secs(1) + Duration::from_secs(secs),
        }
    }

    /// Agents who are registered and available, each with skill for one line.
    fn agents(of_lines: &[LineId]) -> Agents {
        let users = || (1..).map(UserId).zip(of_lines);
        let records: Vec<Agent> = users()
            .map(|(user, _)| Agent {
                user,
                name: String::new(),
                short_number: user.to_string(),
                away: false,
                ring_timeout_secs: 20,
                wrap_up_secs: 0,
                may_call: Reach::National,
                call_waiting: false,
            })
            .collect();
        let skills: Vec<Skill> = users()
            .map(|(user, line)| Skill {
                user,
                line: *line,
                level: 5,
            })
            .collect();
        let mut agents = Agents::new();
        agents.update(at(0), &records, &skills);
        for (user, _) in users() {
            agents.set_registered(at(0), user, true);
        }
        agents
    }

    fn waiting(since: u64, priority: Priority) -> Waiting {
        Waiting {
            line: LINE,
            overflow: None,
            managers: Vec::new(),
            priority,
            since: Duration::from_secs(since),
            resting: Vec::new(),
            not_before: Duration::ZERO,
        }
    }

    fn next(room: &mut WaitingRoom, secs: u64, agents: &Agents) -> Option<i64> {
        room.handle_timers(Duration::from_secs(secs));
        room.next(Duration::from_secs(secs), agents)
            .map(|call| call.0)
    }

    #[test]
    fn the_higher_class_comes_first_and_within_it_who_came_first() {
        let (mut room, agents) = (WaitingRoom::new(), agents(&[LINE]));
        let classes = [
            (1, Priority::Last),
            (2, Priority::Usual),
            (3, Priority::Usual),
            (4, Priority::First),
        ];
        for (n, class) in classes {
            room.enter(CallId(n), waiting(n.unsigned_abs(), class));
        }
        let places: Vec<_> = (1..=4).map(|n| room.place(CallId(n)).unwrap()).collect();
        assert_eq!(places, [4, 2, 3, 1]);
        let order: Vec<_> = std::iter::from_fn(|| next(&mut room, 10, &agents)).collect();
        assert_eq!(order, [4, 2, 3, 1], "each is asked for once");
        assert_eq!(room.length(LINE), 4, "until it leaves");
    }

    #[test]
    fn nobody_is_asked_for_while_nobody_is_free() {
        let (mut room, mut agents) = (WaitingRoom::new(), agents(&[LINE, OTHER]));
        assert!(agents.reserve(at(1), UserId(1), CallId(9)));
        room.enter(CallId(1), waiting(1, Priority::Usual));
        assert_eq!(next(&mut room, 2, &agents), None);
        agents.release(at(3), UserId(1), CallId(9), false);
        assert_eq!(next(&mut room, 3, &agents), None, "nobody said so");
        room.agents_changed();
        assert_eq!(next(&mut room, 3, &agents), Some(1));
    }

    #[test]
    fn help_comes_from_another_line_after_its_delay_and_from_the_manager_at_once() {
        let (mut room, agents) = (WaitingRoom::new(), agents(&[OTHER]));
        let helped = Waiting {
            overflow: Some((OTHER, Duration::from_secs(30))),
            ..waiting(1, Priority::Usual)
        };
        room.enter(CallId(1), helped);
        let managed = Waiting {
            managers: vec![UserId(1)],
            ..waiting(2, Priority::Usual)
        };
        room.enter(CallId(2), managed);
        assert_eq!(next(&mut room, 5, &agents), Some(2));
        assert_eq!(next(&mut room, 29, &agents), None);
        assert_eq!(room.next_timer(), Some(Duration::from_secs(30)));
        assert_eq!(next(&mut room, 30, &agents), Some(1));
    }

    #[test]
    fn a_deputy_is_offered_who_waits_for_the_manager_and_a_new_deputy_at_once() {
        let (mut room, mut agents) = (WaitingRoom::new(), agents(&[OTHER, OTHER]));
        let managed = Waiting {
            managers: vec![UserId(9)],
            ..waiting(1, Priority::Usual)
        };
        room.enter(CallId(1), managed.clone());
        assert_eq!(next(&mut room, 2, &agents), None);
        let (user, deputy) = (UserId(9), UserId(1));
        let stands_in = model::Deputy { user, deputy };
        assert!(agents.reserve(at(2), deputy, CallId(5)));
        agents.set_absences(at(3), &[stands_in], &[]);
        assert_eq!(next(&mut room, 3, &agents), None, "busy");
        let begins = model::Absence {
            user,
            from: at(10).utc,
            until: at(20).utc,
            deputy: Some(UserId(2)),
        };
        agents.set_absences(at(4), &[stands_in], &[begins]);
        assert_eq!(next(&mut room, 9, &agents), None);
        agents.handle_timers(at(10));
        assert_eq!(
            next(&mut room, 10, &agents),
            Some(1),
            "the plan names another"
        );
        room.enter(CallId(1), managed);
        agents.handle_timers(at(20));
        assert_eq!(next(&mut room, 20, &agents), None);
        agents.release(at(21), deputy, CallId(5), false);
        room.agents_changed();
        assert_eq!(next(&mut room, 21, &agents), Some(1));
    }

    #[test]
    fn who_did_not_take_a_call_rests_from_it_and_the_call_keeps_its_place() {
        let (mut room, agents) = (WaitingRoom::new(), agents(&[LINE]));
        room.enter(CallId(1), waiting(1, Priority::Usual));
        room.enter(CallId(2), waiting(2, Priority::Usual));
        assert_eq!(next(&mut room, 5, &agents), Some(1));
        let again = Waiting {
            resting: vec![(UserId(1), Duration::from_secs(40))],
            ..waiting(1, Priority::Usual)
        };
        room.enter(CallId(1), again);
        assert_eq!(room.place(CallId(1)), Some(1));
        assert_eq!(next(&mut room, 10, &agents), Some(2));
        assert_eq!(next(&mut room, 39, &agents), None);
        assert_eq!(next(&mut room, 40, &agents), Some(1));
        room.leave(CallId(1));
        room.leave(CallId(2));
        assert!(room.is_empty() && room.next_timer().is_none());
    }
}
