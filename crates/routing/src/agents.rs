//! What every agent is doing, and the clock of wrap-up.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use model::{
    Absence, Agent, AgentChanged, AgentState, AwayReason, CallId, Deputy, LineId, Now, Skill,
    UserId,
};

use crate::{
    absence::Absences,
    beside::Beside,
    index::{LineIndex, Skilled},
    machine::{self, Input, Phase, Target},
};

/// The one state machine of all agents (S8), with the order in which each line offers its calls.
///
/// Inputs that do not fit (a release by a call that does not have the agent, a second reservation,
/// an unknown agent) change nothing. Changes are drained with [`Agents::poll`].
#[derive(Debug, Default)]
pub struct Agents {
    entries: BTreeMap<UserId, Entry>,
    lines: BTreeMap<LineId, LineIndex>,
    pub(crate) absences: Absences,
    /// Kept for every user, so that a phone may register before its user becomes an agent.
    registered: BTreeSet<UserId>,
    wrap_ups: BTreeSet<(Duration, UserId)>,
    pub(crate) changes: VecDeque<AgentChanged>,
    /// Moving mean of the conversations that were.
    usual_talk: Option<Duration>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    record: Agent,
    pub(crate) state: AgentState,
    /// When the state began.
    pub(crate) since: Now,
    registered: bool,
    away: bool,
    absent: bool,
    wrap_up_until: Option<Duration>,
    /// Calls of the agent's own beside the one that the state names, such as a question to a colleague.
    pub(crate) beside: Vec<Beside>,
    /// Removed from the directory while a call has the agent.
    pub(crate) leaving: bool,
    skills: BTreeMap<LineId, u8>,
}

impl Agents {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a new directory. States stay; a removed agent whom a call has leaves when the call
    /// releases it, any other removed agent at once. A record's `away` counts when it is new or
    /// differs from the record before, so that a directory read a moment ago does not undo
    /// [`Agents::set_away`].
    pub fn update(&mut self, now: Now, agents: &[Agent], skills: &[Skill]) {
        let present: BTreeSet<UserId> = agents.iter().map(|agent| agent.user).collect();
        let gone: Vec<UserId> = self
            .entries
            .keys()
            .filter(|user| !present.contains(user))
            .copied()
            .collect();
        for agent in agents {
            self.take_record(now, agent);
        }
        for user in gone {
            self.remove(now, user);
        }
        for entry in self.entries.values_mut() {
            entry.skills.clear();
        }
        for skill in skills.iter().filter(|skill| skill.level > 0) {
            if let Some(entry) = self.entries.get_mut(&skill.user) {
                if !entry.leaving {
                    entry.skills.insert(skill.line, skill.level.min(10));
                }
            }
        }
        self.lines.clear();
        for (user, entry) in &self.entries {
            entry.enter_index(*user, &mut self.lines);
        }
    }

    /// Takes a new plan of absences, and who stands in for whom.
    pub fn set_absences(&mut self, now: Now, deputies: &[Deputy], absences: &[Absence]) {
        self.absences.plan(deputies, absences);
        self.look_at_absences(now);
    }

    /// An absence that begins leaves a call and a wrap-up alone: it counts when they are over.
    fn look_at_absences(&mut self, now: Now) {
        for user in self.absences.look(now) {
            if let Some(entry) = self.entries.get_mut(&user) {
                entry.absent = self.absences.until(user).is_some();
                self.apply(now, user, Input::FactsChanged, None);
            }
        }
    }

    /// The agent has a registered device, or none.
    pub fn set_registered(&mut self, now: Now, agent: UserId, registered: bool) {
        if registered {
            self.registered.insert(agent);
        } else {
            self.registered.remove(&agent);
        }
        if let Some(entry) = self.entries.get_mut(&agent) {
            entry.registered = registered;
            self.apply(now, agent, Input::FactsChanged, None);
        }
    }

    /// The agent goes away or comes back. During a call it takes effect when the call is over; it
    /// ends a wrap-up.
    pub fn set_away(&mut self, now: Now, agent: UserId, away: bool) {
        if let Some(entry) = self.entries.get_mut(&agent) {
            entry.away = away;
            let input = if away {
                Input::WentAway
            } else {
                Input::FactsChanged
            };
            self.apply(now, agent, input, None);
        }
    }

    /// Reserves an available agent for a call; false if the agent is not available.
    pub fn reserve(&mut self, now: Now, agent: UserId, call: CallId) -> bool {
        self.apply(now, agent, Input::Reserve, Some(call))
    }

    /// The agent begins a call. One who is in another call has both then, and is free when both are over.
    pub fn dial(&mut self, now: Now, agent: UserId, call: CallId) {
        if self.apply(now, agent, Input::Dial, Some(call)) {
            return;
        }
        if let Some(entry) = self.entries.get_mut(&agent) {
            entry.beside.push(Beside::own(call));
        }
    }

    /// A colleague dials the agent's own number; false if the agent is in a call. Away or not is for the agent's
    /// telephones to say.
    pub fn take_directly(&mut self, now: Now, agent: UserId, call: CallId) -> bool {
        self.apply(now, agent, Input::Dial, Some(call))
    }

    /// The agent is away by plan.
    pub fn is_absent(&self, agent: UserId) -> bool {
        self.absences.until(agent).is_some()
    }

    /// The agent's devices ring for the call that reserved it.
    pub fn ringing(&mut self, now: Now, agent: UserId, call: CallId) {
        self.apply(now, agent, Input::Ring, Some(call));
    }

    /// The agent took the call that reserved it or rings.
    pub fn talking(&mut self, now: Now, agent: UserId, call: CallId) {
        if !self.apply(now, agent, Input::Talk, Some(call)) {
            self.takes_second(agent, call);
        }
    }

    /// The agent's conversation goes on in another call, without a free moment in between.
    pub fn pass_on(&mut self, now: Now, agent: UserId, (from, to): (CallId, CallId)) {
        let Some(entry) = self.entries.get_mut(&agent) else {
            return;
        };
        if entry.call() == Some(from) {
            entry.state = AgentState::Talking { call: to };
            entry.since = now;
            self.changes.push_back(entry.shown(agent));
        } else if let Some(beside) = entry.beside.iter_mut().find(|it| it.call == from) {
            beside.call = to;
        }
    }

    /// The call's offer or conversation ended. With `wrap_up` the agent's wrap-up time begins, if
    /// it is more than nothing.
    pub fn release(&mut self, now: Now, agent: UserId, call: CallId, wrap_up: bool) {
        let Some(entry) = self.entries.get_mut(&agent) else {
            return;
        };
        if entry.call() != Some(call) {
            return entry.beside.retain(|beside| beside.call != call);
        }
        if !entry.beside.is_empty() {
            return self.turn_to_next(now, agent);
        }
        if let AgentState::Talking { .. } = entry.state {
            let talk = now.mono.saturating_sub(entry.since.mono);
            self.usual_talk = Some(self.usual_talk.map_or(talk, |mean| (mean * 15 + talk) / 16));
        }
        let leaving = entry.leaving;
        let input = if wrap_up && entry.record.wrap_up_secs > 0 && !leaving {
            Input::ReleaseToWrapUp
        } else {
            Input::Release
        };
        let released = self.apply(now, agent, input, Some(call));
        if leaving && released {
            self.remove(now, agent);
        }
    }

    /// The agent ends the wrap-up time early.
    pub fn end_wrap_up(&mut self, now: Now, agent: UserId) {
        self.apply(now, agent, Input::WrapUpOver, None);
    }

    /// The record of an agent of the present directory.
    pub fn agent(&self, agent: UserId) -> Option<&Agent> {
        let entry = self.entries.get(&agent)?;
        (!entry.leaving).then_some(&entry.record)
    }

    /// What the agent is doing.
    pub fn state(&self, agent: UserId) -> Option<AgentState> {
        self.entries.get(&agent).map(|entry| entry.state)
    }

    /// What everybody is doing, by id.
    pub fn states(&self) -> impl Iterator<Item = AgentChanged> + '_ {
        self.entries.iter().map(|(user, entry)| entry.shown(*user))
    }

    /// Whether anybody serves this line.
    pub fn serve(&self, line: LineId) -> bool {
        self.line(line).is_some_and(|index| index.len() > 0)
    }

    /// Whether one of these managers, somebody who stands in for them, or somebody who serves one of these lines is
    /// available and `suits`.
    pub fn has_free(
        &self,
        mut lines: impl Iterator<Item = LineId>,
        managers: &[UserId],
        suits: impl Fn(UserId) -> bool,
    ) -> bool {
        let available = |agent| self.state(agent) == Some(AgentState::Available);
        let stand_in = |agent| self.absences.deputies_of(agent).map(|(_, deputy)| deputy);
        let mut asked = managers
            .iter()
            .flat_map(|agent| std::iter::once(*agent).chain(stand_in(*agent)));
        asked.any(|agent| available(agent) && suits(agent))
            || lines.any(|line| {
                let index = self.line(line);
                index.is_some_and(|index| index.free().any(|free| suits(free.agent)))
            })
    }

    /// How long the caller in this place of the line will wait, by the conversations so far and the agents who are
    /// there; none if nothing is known yet.
    pub fn expected_wait(&self, line: LineId, place: u32) -> Option<Duration> {
        let there = |agent| !matches!(self.state(agent), None | Some(AgentState::Away { .. }));
        let index = self.line(line)?;
        let present = index.all().filter(|it| there(it.agent)).count();
        let present = u32::try_from(present).unwrap_or(u32::MAX).max(1);
        Some(self.usual_talk? * place / present)
    }

    /// Ends the wrap-up times that are over; begins and ends absences.
    pub fn handle_timers(&mut self, now: Now) {
        if self.absences.wake().is_some_and(|at| at <= now.mono) {
            self.look_at_absences(now);
        }
        while let Some((at, agent)) = self.wrap_ups.first().copied() {
            if at > now.mono {
                break;
            }
            self.apply(now, agent, Input::WrapUpOver, None);
        }
    }

    /// When [`Agents::handle_timers`] wants to be called next (monotonic).
    pub fn next_timer(&self) -> Option<Duration> {
        let wrap_up = self.wrap_ups.first().map(|(at, _)| *at);
        wrap_up.into_iter().chain(self.absences.wake()).min()
    }

    /// The next change of a state, in order. A removed agent's last change is away, unregistered.
    pub fn poll(&mut self) -> Option<AgentChanged> {
        self.changes.pop_front()
    }

    pub(crate) fn entry_mut(&mut self, agent: UserId) -> Option<&mut Entry> {
        self.entries.get_mut(&agent)
    }

    pub(crate) fn entry(&self, agent: UserId) -> Option<&Entry> {
        self.entries.get(&agent)
    }

    pub(crate) fn line(&self, line: LineId) -> Option<&LineIndex> {
        self.lines.get(&line)
    }

    fn take_record(&mut self, now: Now, record: &Agent) {
        let user = record.user;
        if let Some(entry) = self.entries.get_mut(&user) {
            entry.leaving = false;
            let away_before = std::mem::replace(&mut entry.record, record.clone()).away;
            if away_before != record.away {
                self.set_away(now, user, record.away);
            }
            return;
        }
        let mut entry = Entry {
            record: record.clone(),
            state: AgentState::Available,
            since: now,
            registered: self.registered.contains(&user),
            away: record.away,
            absent: self.absences.until(user).is_some(),
            wrap_up_until: None,
            beside: Vec::new(),
            leaving: false,
            skills: BTreeMap::new(),
        };
        entry.state = entry.rest();
        self.changes.push_back(entry.shown(user));
        self.entries.insert(user, entry);
    }

    fn remove(&mut self, now: Now, user: UserId) {
        let Some(entry) = self.entries.get_mut(&user) else {
            return;
        };
        if entry.call().is_some() {
            entry.leaving = true;
            return;
        }
        let Some(entry) = self.entries.remove(&user) else {
            return;
        };
        entry.leave_index(user, &mut self.lines);
        if let Some(at) = entry.wrap_up_until {
            self.wrap_ups.remove(&(at, user));
        }
        let gone = AgentState::Away {
            reason: AwayReason::Unregistered,
        };
        if entry.state != gone {
            self.changes.push_back(AgentChanged {
                agent: user,
                since: now.utc,
                state: gone,
            });
        }
    }

    /// Takes one input through the table; true if there is a transition for it.
    fn apply(&mut self, now: Now, agent: UserId, input: Input, call: Option<CallId>) -> bool {
        let Some(entry) = self.entries.get_mut(&agent) else {
            return false;
        };
        // A call may only move the agent it has; a reservation takes one whom nobody has.
        if entry.call().is_some() && entry.call() != call {
            return false;
        }
        let Some(target) = machine::next(entry.phase(), input) else {
            return false;
        };
        let state = match (target, call) {
            (Target::To(Phase::Reserved), Some(call)) => AgentState::Reserved { call },
            (Target::To(Phase::Ringing), Some(call)) => AgentState::Ringing { call },
            (Target::To(Phase::Talking), Some(call)) => AgentState::Talking { call },
            (Target::To(Phase::WrapUp), Some(call)) => AgentState::WrapUp { call },
            _ => entry.rest(),
        };
        if state == entry.state {
            return true;
        }
        let index_changes = state == AgentState::Available || entry.state == AgentState::Available;
        if index_changes {
            entry.leave_index(agent, &mut self.lines);
        }
        entry.state = state;
        entry.since = now;
        if index_changes {
            entry.enter_index(agent, &mut self.lines);
        }
        if let Some(at) = entry.wrap_up_until.take() {
            self.wrap_ups.remove(&(at, agent));
        }
        if matches!(state, AgentState::WrapUp { .. }) {
            let at = now.mono + Duration::from_secs(entry.record.wrap_up_secs.into());
            entry.wrap_up_until = Some(at);
            self.wrap_ups.insert((at, agent));
        }
        self.changes.push_back(entry.shown(agent));
        true
    }
}

impl Entry {
    pub(crate) fn serves(&self, line: LineId) -> bool {
        self.skills.contains_key(&line)
    }

    pub(crate) fn takes_second_calls(&self) -> bool {
        self.record.call_waiting && !self.leaving
    }

    fn phase(&self) -> Phase {
        match self.state {
            AgentState::Available => Phase::Available,
            AgentState::Reserved { .. } => Phase::Reserved,
            AgentState::Ringing { .. } => Phase::Ringing,
            AgentState::Talking { .. } => Phase::Talking,
            AgentState::WrapUp { .. } => Phase::WrapUp,
            AgentState::Away { .. } => Phase::Away,
        }
    }

    /// The call that has the agent; one that is only wrapped up has not.
    fn call(&self) -> Option<CallId> {
        match self.state {
            AgentState::Reserved { call }
            | AgentState::Ringing { call }
            | AgentState::Talking { call } => Some(call),
            _ => None,
        }
    }

    /// A plan is named before the agent's own choice, and that before a missing telephone.
    fn rest(&self) -> AgentState {
        if self.absent {
            AgentState::Away {
                reason: AwayReason::Absent,
            }
        } else if self.away {
            AgentState::Away {
                reason: AwayReason::Chosen,
            }
        } else if self.registered {
            AgentState::Available
        } else {
            AgentState::Away {
                reason: AwayReason::Unregistered,
            }
        }
    }

    pub(crate) fn shown(&self, agent: UserId) -> AgentChanged {
        AgentChanged {
            agent,
            since: self.since.utc,
            state: self.state,
        }
    }

    fn skilled(&self, agent: UserId, level: u8) -> Skilled {
        Skilled {
            agent,
            level,
            free_since: (self.state == AgentState::Available).then_some(self.since.mono),
        }
    }

    fn enter_index(&self, agent: UserId, lines: &mut BTreeMap<LineId, LineIndex>) {
        for (line, level) in &self.skills {
            let index = lines.entry(*line).or_default();
            index.insert(self.skilled(agent, *level));
        }
    }

    fn leave_index(&self, agent: UserId, lines: &mut BTreeMap<LineId, LineIndex>) {
        for (line, level) in &self.skills {
            if let Some(index) = lines.get_mut(line) {
                index.remove(self.skilled(agent, *level));
            }
        }
    }
}

#[cfg(test)]
#[path = "agents_tests.rs"]
mod tests;
