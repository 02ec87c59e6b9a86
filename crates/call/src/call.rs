//! The conversation itself: one state, one function per transition, everything it wants as outputs.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use model::{
    CallId, CallerIdentity, EventId, Explanation, IdMaker, LineId, Now, OpenCall, RecordingGap,
    TrunkId, UserId, Utc,
};

use crate::{
    Cause, Effect, EffectEnd, Event, EventKind, Inbound, Input, LegNo, OfferEnd, Output, Party,
    conversation::millis, ledger::Ledger, offer::Offer, probe, recording::Recording,
};

/// Where the call stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    Identifying { effect: u32 },
    Deciding,
    Reserving { effect: u32 },
    Preparing,
    Offering { effect: u32 },
    Announcing { effect: u32, since: Utc },
    Ringing { until: Duration },
    Answering { effect: u32, leg: LegNo },
    Talking { leg: LegNo },
    Ending { effect: u32, reject: Option<u16> },
    Ended,
    Over,
}

/// One conversation.
#[derive(Debug)]
pub struct Call {
    pub(crate) id: CallId,
    pub(crate) inbound: Option<Inbound>,
    pub(crate) caller: Arc<CallerIdentity>,
    pub(crate) state: State,
    pub(crate) ledger: Ledger,
    pub(crate) offer: Option<Offer>,
    pub(crate) explanation: Arc<Explanation>,
    pub(crate) ring_timeout: Duration,
    pub(crate) tried: Vec<UserId>,
    pub(crate) attempts: u16,
    pub(crate) last_offered: Option<UserId>,
    pub(crate) arrived_at: Utc,
    pub(crate) arrival_journalled: bool,
    pub(crate) started_at: Option<Utc>,
    pub(crate) relayed_ringing: bool,
    pub(crate) holders: Vec<LegNo>,
    pub(crate) probes: probe::Probes,
    pub(crate) recording: Recording,
    pub(crate) gaps: Vec<RecordingGap>,
    pub(crate) outputs: VecDeque<Output>,
}

/// The present and the maker of ids, lent to a call while it works.
#[derive(Debug)]
pub struct Context<'a> {
    /// The present.
    pub now: Now,
    /// Makes the ids of events.
    pub ids: &'a mut IdMaker,
}

impl Call {
    /// A call that came in: asks who it is first (R1).
    pub fn inbound(id: CallId, inbound: Inbound, context: &mut Context<'_>) -> Self {
        let number = inbound.from.clone();
        let line = inbound.line;
        let mut call = Self::new(id, Some(inbound), context.now.utc);
        call.caller = Arc::new(CallerIdentity {
            number: number.clone(),
            ..Default::default()
        });
        let effect = call.effect(context, Effect::Identify { number, line });
        call.state = State::Identifying { effect };
        call
    }

    /// A call that the journal shows as unfinished after a crash: it only has to end, and to wait
    /// for [`Input::RecordingClosed`] with what the repaired file holds.
    pub fn recovered(open: &OpenCall, context: &mut Context<'_>) -> Self {
        let mut call = Self::new(open.call, None, open.arrived_at);
        call.arrival_journalled = true;
        if let Some(file) = &open.recording {
            call.recording = Recording::interrupted(file.clone(), context.now.mono);
        }
        if open.ended {
            call.state = State::Ended;
            return call;
        }
        let talk_ms = open.started_at.map_or(0, |_| open.recorded_ms.unwrap_or(0));
        let ended = EventKind::Ended {
            cause: Cause::Crash,
            by: Party::System,
            agent: open.agent,
            talk_ms,
            wait_ms: millis(
                open.started_at
                    .unwrap_or(context.now.utc)
                    .since(open.arrived_at),
            ),
            missed: open.started_at.is_none(),
        };
        let effect = call.commit(context, vec![ended]);
        call.state = State::Ending {
            effect,
            reject: None,
        };
        call
    }

    /// The end of the call is on its way to the journal.
    pub fn is_ending(&self) -> bool {
        matches!(self.state, State::Ending { .. })
    }

    fn new(id: CallId, inbound: Option<Inbound>, arrived_at: Utc) -> Self {
        Self {
            id,
            inbound,
            caller: Arc::default(),
            state: State::Deciding,
            ledger: Ledger::new(id),
            offer: None,
            explanation: Arc::default(),
            ring_timeout: Duration::ZERO,
            tried: Vec::new(),
            attempts: 0,
            last_offered: None,
            arrived_at,
            arrival_journalled: false,
            started_at: None,
            relayed_ringing: false,
            holders: Vec::new(),
            probes: probe::Probes::default(),
            recording: Recording::None,
            gaps: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    /// The call's id.
    pub fn id(&self) -> CallId {
        self.id
    }

    /// Effects that have not ended.
    pub fn open_effects(&self) -> usize {
        self.ledger.open()
    }

    /// The line called; none for a recovered call.
    pub fn line(&self) -> Option<LineId> {
        self.inbound.as_ref().map(|inbound| inbound.line)
    }

    /// The trunk it came by; none for a recovered call.
    pub fn trunk(&self) -> Option<TrunkId> {
        self.inbound.as_ref().map(|inbound| inbound.trunk)
    }

    /// When the call wants [`Input::Timer`].
    pub fn next_wake(&self) -> Option<Duration> {
        let ring = match self.state {
            State::Ringing { until } => Some(until),
            _ => None,
        };
        [
            self.ledger.next_deadline(),
            ring,
            self.probes.next_wake(),
            self.recording.next_wake(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next thing the call wants done.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Takes what happened; then drain [`Call::poll`].
    pub fn handle(&mut self, mut context: Context<'_>, input: Input) {
        let context = &mut context;
        match input {
            Input::EffectEnded { number, end } if self.ledger.end(number) => {
                self.effect_ended(context, number, Some(end));
            }
            Input::EffectEnded { end, .. } => self.late(context, &end),
            Input::Decided {
                choice,
                explanation,
                qualified,
            } => {
                self.decided(context, choice, explanation, qualified);
            }
            Input::Prepared { legs, snapshot } => self.prepared(context, legs, snapshot),
            Input::LegRinging(leg) => self.leg_ringing(leg),
            Input::LegAnswered { leg, snapshot } => self.leg_answered(context, leg, snapshot),
            Input::LegFailed(leg, end) => self.leg_failed(context, leg, end),
            Input::CallerCancelled => self.end(context, Cause::CallerCancelled, Party::Client),
            Input::LegHungUp(leg) => self.leg_hung_up(context, leg, Cause::HungUp, leg.party()),
            Input::LegLost(leg, cause) => self.leg_hung_up(context, leg, cause, Party::System),
            Input::Held { leg, held } => self.held(context, leg, held),
            Input::ProbeAnswered(leg) => self.probes.answered(context.now.mono, leg),
            Input::RecordingGap(gap) => self.recording_gap(gap),
            Input::RecordingClosed(summary) => self.recording_closed(context, summary),
            Input::Shutdown => self.end(context, Cause::Shutdown, Party::System),
            Input::Timer => self.timer(context),
        }
        self.finish();
    }

    fn timer(&mut self, context: &mut Context<'_>) {
        while let Some(number) = self.ledger.expire(context.now.mono) {
            self.effect_ended(context, number, None);
        }
        match self.state {
            State::Ringing { until } if until <= context.now.mono => {
                self.next_candidate(context, OfferEnd::NoAnswer);
            }
            _ => {}
        }
        while let Some(step) = self.probes.step(context.now.mono) {
            match step {
                probe::Step::Ask(leg) => self.outputs.push_back(Output::Probe(leg)),
                probe::Step::Lost(leg) => {
                    self.leg_hung_up(context, leg, Cause::SignallingLost, Party::System);
                }
            }
        }
        if let Some(summary) = self.recording.give_up(context.now.mono) {
            self.recording_closed(context, summary);
        }
    }

    pub(crate) fn effect(&mut self, context: &Context<'_>, effect: Effect) -> u32 {
        let request = self.ledger.begin(context.now.mono, effect);
        let number = request.id.number;
        self.outputs.push_back(Output::Effect(request));
        number
    }

    /// Commits facts; the arrival goes in front of the first ones.
    pub(crate) fn commit(&mut self, context: &mut Context<'_>, kinds: Vec<EventKind>) -> u32 {
        let mut events = Vec::with_capacity(kinds.len() + 1);
        if let (false, Some(inbound)) = (self.arrival_journalled, &self.inbound) {
            self.arrival_journalled = true;
            let arrived = EventKind::Arrived {
                trunk: inbound.trunk,
                line: inbound.line,
                from: inbound.from.clone(),
                to: inbound.to.clone(),
                caller: Arc::clone(&self.caller),
            };
            events.push(self.event(context, self.arrived_at, arrived));
        }
        for kind in kinds {
            events.push(self.event(context, context.now.utc, kind));
        }
        self.effect(context, Effect::Commit { events })
    }

    fn event(&self, context: &mut Context<'_>, at: Utc, kind: EventKind) -> Event {
        let id = EventId(context.ids.make(context.now.utc));
        Event {
            id,
            call: self.id,
            at,
            kind,
        }
    }

    /// The one place where an effect's end moves the call on; `None` is the deadline.
    fn effect_ended(&mut self, context: &mut Context<'_>, number: u32, end: Option<EffectEnd>) {
        match (&self.state, end) {
            (State::Identifying { effect }, end) if *effect == number => {
                if let Some(EffectEnd::Identified(caller)) = end {
                    self.caller = caller;
                }
                self.decide();
            }
            (State::Reserving { effect }, end) if *effect == number => {
                if end == Some(EffectEnd::Reserved { granted: true }) {
                    self.reserved();
                } else {
                    self.reservation_refused(context, end.is_none());
                }
            }
            (State::Offering { effect }, _) if *effect == number => self.offered(context),
            (State::Announcing { effect, since }, end) if *effect == number => {
                let since = *since;
                self.announced(context, since, end.as_ref());
            }
            (State::Answering { effect, leg }, _) if *effect == number => {
                self.state = State::Talking { leg: *leg };
                self.outputs.push_back(Output::AnswerCaller);
            }
            (State::Ending { effect, reject }, _) if *effect == number => {
                let answer = reject.map(|status| Output::RejectCaller { status });
                self.outputs.extend(answer);
                // Also after a refusal: the agent may have hung up before the caller was answered.
                self.outputs.push_back(Output::ConfirmHangUp);
                self.state = State::Ended;
            }
            // A commit nobody waited for, or an effect of a state the call has left.
            _ => {}
        }
    }

    /// A result after the effect's end, by its deadline or by another result. A reservation that is granted too late is
    /// given back by the release that went out behind it.
    fn late(&mut self, context: &mut Context<'_>, end: &EffectEnd) {
        match end {
            EffectEnd::Identified(caller) if self.is_open() && self.caller != *caller => {
                self.caller = Arc::clone(caller);
                let identified = EventKind::Identified {
                    caller: Arc::clone(caller),
                };
                self.commit(context, vec![identified]);
            }
            _ => {}
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        !matches!(
            self.state,
            State::Ending { .. } | State::Ended | State::Over
        )
    }
}
