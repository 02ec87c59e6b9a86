//! The calls and what they want: every output of a call is carried out here, by one part each.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use call::{AgentStep, Call, Consulted, Context, LegNo, Origin, Output as Wish};
use model::{
    CallId, CallerIdentity, Considered, Explanation, Now, PassedOver, Rule, UserId, Verdict,
};
use routing::Question;

use crate::{io::Output, mutant::mutant, switch::Switch};

/// All calls, with the wake-ups they asked for.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    table: BTreeMap<CallId, Entry>,
    wakes: BTreeSet<(Duration, CallId)>,
    told_drained: bool,
}

#[derive(Debug)]
struct Entry {
    call: Call,
    wake: Option<Duration>,
    last_leg: u16,
}

impl Calls {
    pub(crate) fn insert(&mut self, call: Call) {
        self.table.insert(
            call.id(),
            Entry {
                call,
                wake: None,
                last_leg: 0,
            },
        );
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// True from the second time on.
    pub(crate) fn told_drained(&mut self) -> bool {
        std::mem::replace(&mut self.told_drained, true)
    }

    /// The end of this call is on its way to the journal.
    pub(crate) fn is_ending(&self, call: CallId) -> bool {
        self.table
            .get(&call)
            .is_some_and(|entry| entry.call.is_ending())
    }

    pub(crate) fn ids(&self) -> Vec<CallId> {
        self.table.keys().copied().collect()
    }

    pub(crate) fn open_effects(&self) -> usize {
        self.table
            .values()
            .map(|entry| entry.call.open_effects())
            .sum()
    }

    /// How the call began; none if it is gone.
    pub(crate) fn origin(&self, call: CallId) -> Option<&Origin> {
        self.table.get(&call).map(|entry| entry.call.origin())
    }

    /// The call, as long as anything of it is left.
    pub(crate) fn find(&self, call: CallId) -> Option<&Call> {
        self.table.get(&call).map(|entry| &entry.call)
    }

    /// The call of a client that has rung for the longest, at this agent or at anybody.
    pub(crate) fn longest_ringing(&self, at: Option<UserId>) -> Option<CallId> {
        let ringing = self.table.iter().filter_map(|(id, entry)| {
            let (agent, since) = entry.call.rings_at()?;
            at.is_none_or(|at| at == agent).then_some((since, *id))
        });
        ringing.min().map(|(_, id)| id)
    }

    /// The places where clients are parked.
    pub(crate) fn places(&self) -> BTreeSet<u8> {
        let calls = self.table.values();
        calls.filter_map(|entry| entry.call.parked_at()).collect()
    }

    /// The call that waits in this place for somebody to take it out.
    pub(crate) fn waits_at(&self, place: u8) -> Option<CallId> {
        let mut calls = self.table.iter();
        let found = calls.find(|(_, entry)| entry.call.waits_at() == Some(place));
        found.map(|(id, _)| *id)
    }

    /// Whether this leg may hand its conversation over now.
    pub(crate) fn may_transfer(&self, call: CallId, leg: LegNo) -> bool {
        let entry = self.table.get(&call);
        entry.is_some_and(|entry| entry.call.may_transfer(leg))
    }

    /// Whom the agent of this leg asks in it.
    pub(crate) fn consulted(&self, call: CallId, leg: LegNo) -> Option<Consulted> {
        self.table.get(&call)?.call.consulted(leg)
    }

    /// A number for a new leg of the call, never used twice.
    pub(crate) fn new_leg_no(&mut self, call: CallId) -> Option<LegNo> {
        let entry = self.table.get_mut(&call)?;
        entry.last_leg = entry.last_leg.checked_add(1)?;
        Some(LegNo(entry.last_leg))
    }

    pub(crate) fn next_wake(&self) -> Option<Duration> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Takes one call whose wake-up is due.
    pub(crate) fn due(&mut self, now: Duration) -> Option<CallId> {
        let (at, call) = *self.wakes.first()?;
        if at > now {
            return None;
        }
        self.wakes.remove(&(at, call));
        if let Some(entry) = self.table.get_mut(&call) {
            entry.wake = None;
        }
        Some(call)
    }

    fn reschedule(&mut self, call: CallId) {
        let Some(entry) = self.table.get_mut(&call) else {
            return;
        };
        let next = entry.call.next_wake();
        if next == entry.wake {
            return;
        }
        if let Some(old) = std::mem::replace(&mut entry.wake, next) {
            self.wakes.remove(&(old, call));
        }
        if let Some(at) = next {
            self.wakes.insert((at, call));
        }
    }

    fn remove(&mut self, call: CallId) {
        if let Some(Entry { wake: Some(at), .. }) = self.table.remove(&call) {
            self.wakes.remove(&(at, call));
        }
    }
}

impl Switch {
    /// Gives an input to a call and carries out what it wants; nothing if the call is gone.
    pub(crate) fn tell_call(&mut self, now: Now, id: CallId, input: call::Input) {
        let mut next = Some(input);
        loop {
            let Some(entry) = self.calls.table.get_mut(&id) else {
                return;
            };
            if let Some(input) = next.take() {
                entry.call.handle(
                    Context {
                        now,
                        ids: &mut self.ids,
                    },
                    input,
                );
            }
            let Some(wish) = entry.call.poll() else { break };
            next = self.carry_out(now, id, wish);
        }
        self.calls.reschedule(id);
    }

    /// Takes up a new call and carries out what it wants at once.
    pub(crate) fn begin_call(&mut self, now: Now, call: Call) {
        let id = call.id();
        self.calls.insert(call);
        self.tell_call(now, id, call::Input::Timer);
    }

    /// Carries out one wish; some are answered on the spot.
    fn carry_out(&mut self, now: Now, id: CallId, wish: Wish) -> Option<call::Input> {
        match wish {
            Wish::Effect(request) => self.outputs.push_back(Output::Effect(request)),
            Wish::Decide {
                tried,
                wanted: Some(wanted),
                ..
            } => return Some(self.decide_directly(now, id, wanted, &tried)),
            Wish::Decide { tried, caller, .. } => {
                return Some(self.decide(now, id, &tried, &caller));
            }
            Wish::Prepare { agent, caller } => return Some(self.prepare(now, id, agent, &caller)),
            Wish::Agent { agent, step } => self.step_agent(now, id, agent, step),
            Wish::Place { number, failed } => {
                return Some(self.place(now, id, &number, &failed));
            }
            Wish::AnswerLine => {
                return Some(call::Input::MayAnswer(self.snapshot_of_answered(id)));
            }
            Wish::Choose { keys } => return Some(self.choose(now, id, &keys)),
            Wish::Turn { line } => return Some(self.turn(now, line)),
            Wish::Hush => self.hush(id),
            Wish::RecordMessage { file } => self.record_message(id, file),
            Wish::EnterQueue(turn) => return Some(self.enter_queue(id, turn)),
            Wish::Wait(turn) => self.wait(id, turn),
            Wish::LeaveQueue => self.waiting.leave(id),
            Wish::Say { words, call_back } => self.say(id, words, call_back),
            Wish::AskToTake(leg) => self.ask_to_take(id, leg),
            Wish::Ring(leg) => self.ring(now, id, leg),
            Wish::AnswerLeg(leg) => return Some(self.answer_picker(now, id, leg)),
            Wish::Park => return Some(self.park(id)),
            Wish::PlayMusic(leg) => self.play_music(id, leg),
            Wish::TellPlace { leg, place } => self.tell_place(id, leg, place),
            Wish::Echo(leg) => self.echo(id, leg),
            Wish::RelayRinging => self.relay_ringing(now, id),
            Wish::PlayRingback(leg) => self.play_ringback(id, leg),
            Wish::RelayEarlyMedia { client, agent } => {
                self.relay_early_media(now, id, client, agent);
            }
            Wish::DropLeg(leg) => self.drop_device(now, id, leg),
            Wish::Connect { bridge, recording } => self.connect(id, bridge, recording),
            Wish::Reconnect { bridge } => self.reconnect(id, bridge),
            Wish::Confer { bridge, guest } => self.confer(id, bridge, guest),
            Wish::BringIn(leg) => self.bring_in(now, id, leg),
            Wish::TransferProgress { leg, status } => self.transfer_progress(now, id, leg, status),
            Wish::PauseRecording { paused } => self.pause_recording(id, paused),
            Wish::StopRecording => self.stop_recording(id),
            Wish::AnswerCaller => self.answer_caller(now, id),
            Wish::RejectCaller { status } => self.reject_caller(now, id, status),
            Wish::DropCaller => self.drop_caller(now, id),
            Wish::ConfirmHangUp => self.confirm_hang_up(now, id),
            Wish::Probe(leg) => self.probe(now, id, leg),
            Wish::Over => {
                self.orders.remove(&id);
                self.controls.forget(id);
                self.calls.remove(id);
            }
        }
        None
    }

    fn decide(
        &mut self,
        now: Now,
        id: CallId,
        tried: &[UserId],
        caller: &CallerIdentity,
    ) -> call::Input {
        let Some(Origin::Inbound(inbound)) = self.calls.origin(id) else {
            return nobody();
        };
        let service = inbound.service;
        let line = service.line;
        let question = Question {
            line,
            caller: Some(caller),
            tried,
        };
        let mut decision = self.agents.decide(now, &question);
        let help = service.queue.and_then(|queue| queue.overflow);
        let helps = help.is_some_and(|help| self.agents.serve(help.line));
        decision.qualified |= helps;
        if let (true, Some(line)) = (decision.candidates.is_empty(), self.overflow(now, id)) {
            let other = self.agents.decide(now, &Question { line, ..question });
            if !other.candidates.is_empty() {
                decision = other;
            }
        }
        let chosen = decision
            .candidates
            .first()
            .map(|first| (first.agent, first.rule));
        let granted = chosen.filter(|(agent, _)| self.agents.reserve(now, *agent, id));
        let of_line = self
            .directory
            .line(line)
            .and_then(|line| line.ring_timeout_secs);
        let choice = granted.map(|(agent, rule)| (agent, rule, self.ring_timeout(agent, of_line)));
        call::Input::Decided {
            choice,
            explanation: Arc::new(decision.explanation),
            qualified: decision.qualified,
            beside: false,
        }
    }

    /// The one agent who comes into question, unless in a call.
    fn decide_directly(
        &mut self,
        now: Now,
        id: CallId,
        (callee, rule): (UserId, Rule),
        tried: &[UserId],
    ) -> call::Input {
        let state = self.agents.state(callee);
        let fresh = !tried.contains(&callee);
        // A client who dials somebody on holiday does not hear an empty office ring.
        let from_client = matches!(self.calls.origin(id), Some(Origin::Inbound(_)));
        let absent = from_client && rule == Rule::Dialled && self.agents.is_absent(callee);
        let free = fresh && !absent && self.agents.take_directly(now, callee, id);
        let may_wait = fresh && !absent && !free && rule == Rule::Dialled;
        let beside = may_wait && self.agents.call_waits(callee, id);
        let taken = free || beside;
        let verdict = match (taken, state) {
            (true, _) => Verdict::Candidate { place: 0 },
            (false, _) if !fresh => Verdict::PassedOver(PassedOver::AlreadyTried),
            (false, Some(state)) => Verdict::PassedOver(PassedOver::NotAvailable { state }),
            (false, None) => Verdict::PassedOver(PassedOver::NotAnAgent),
        };
        let considered = Considered {
            agent: callee,
            rule,
            verdict,
        };
        call::Input::Decided {
            choice: taken.then(|| (callee, rule, self.ring_timeout(callee, None))),
            explanation: Arc::new(Explanation {
                considered: vec![considered],
                more: 0,
            }),
            qualified: true,
            beside,
        }
    }

    /// How long the agent's telephones ring, if the line does not say.
    pub(crate) fn ring_timeout(&self, agent: UserId, of_line: Option<u32>) -> Duration {
        let of_agent = self
            .agents
            .agent(agent)
            .map(|agent| agent.ring_timeout_secs);
        Duration::from_secs(u64::from(of_line.or(of_agent).unwrap_or(20).clamp(1, 600)))
    }

    fn step_agent(&mut self, now: Now, call: CallId, agent: UserId, step: AgentStep) {
        match step {
            AgentStep::Dialling => self.agents.dial(now, agent, call),
            AgentStep::Ringing => self.agents.ringing(now, agent, call),
            AgentStep::Talking => self.agents.talking(now, agent, call),
            AgentStep::Released { .. } if mutant!("agent_stuck") && call.0 % 3 == 0 => {}
            AgentStep::Released { wrap_up } => self.agents.release(now, agent, call, wrap_up),
        }
    }
}

fn nobody() -> call::Input {
    call::Input::Decided {
        choice: None,
        explanation: Arc::default(),
        qualified: false,
        beside: false,
    }
}
