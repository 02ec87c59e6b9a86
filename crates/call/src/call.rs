//! The conversation itself: one state, one function per transition, everything it wants as outputs.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use model::{
    CallId, CallerIdentity, EventId, Explanation, IdMaker, LineId, Now, OpenCall, RecordingGap,
    UserId, Utc,
};

use crate::{
    Bridge, Cause, Effect, EffectEnd, Event, EventKind, Inbound, Input, Internal, LegNo, OfferEnd,
    Origin, Outbound, Output, Party, conference::Conference, conversation::millis, ledger::Ledger,
    offer::Offer, outside::Outside, parking::Parking, placing::Placing, probe,
    reception::Reception, recording::Recording, transfer::Transfer, waiting::Stay,
};

/// Where the call stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    Identifying {
        effect: u32,
    },
    /// The line is being answered for what callers hear first.
    Admitting {
        effect: Option<u32>,
    },
    Telling {
        until: Duration,
    },
    Choosing {
        until: Duration,
    },
    /// A place for the client is asked for.
    Parking,
    /// The client waits there.
    Parked {
        until: Duration,
    },
    /// The caller hears itself.
    Echoing {
        until: Duration,
    },
    /// The caller leaves a message.
    Message {
        until: Duration,
    },
    Deciding,
    Reserving {
        effect: u32,
    },
    Preparing,
    Offering {
        effect: u32,
    },
    Announcing {
        effect: u32,
        since: Utc,
    },
    Ringing {
        until: Duration,
    },
    Entering,
    Queueing {
        effect: u32,
    },
    Waiting,
    Farewell {
        until: Duration,
        cause: Cause,
        by: Party,
    },
    Placing,
    Routing {
        effect: u32,
    },
    Calling {
        until: Duration,
    },
    Answering {
        effect: u32,
        bridge: Bridge,
    },
    Talking {
        bridge: Bridge,
    },
    Ending {
        effect: u32,
        reject: Option<u16>,
    },
    Ended,
    Over,
}

/// One conversation.
#[derive(Debug)]
pub struct Call {
    pub(crate) id: CallId,
    pub(crate) origin: Origin,
    /// The client, whoever called whom.
    pub(crate) caller: Arc<CallerIdentity>,
    pub(crate) state: State,
    pub(crate) ledger: Ledger,
    pub(crate) offer: Option<Offer>,
    /// The way to the client, if an agent calls.
    pub(crate) placing: Placing,
    /// Who talks with the client.
    pub(crate) talker: Option<UserId>,
    /// The conversation is being handed over.
    pub(crate) transfer: Option<Transfer>,
    /// A third party.
    pub(crate) conference: Conference,
    /// The client is parked meanwhile.
    pub(crate) parking: Option<Parking>,
    /// It goes to a number outside.
    pub(crate) outside: Option<Outside>,
    pub(crate) explanation: Arc<Explanation>,
    pub(crate) ring_timeout: Duration,
    /// Whom the call was offered to, and until when they rest from it if it waits.
    pub(crate) tried: Vec<(UserId, Duration)>,
    /// The caller was answered before anybody talks.
    pub(crate) answered: bool,
    /// What the caller hears first.
    pub(crate) reception: Reception,
    /// The caller is in the queue.
    pub(crate) stay: Option<Stay>,
    pub(crate) attempts: u16,
    pub(crate) last_offered: Option<UserId>,
    pub(crate) last_end: Option<OfferEnd>,
    pub(crate) arrived_at: Utc,
    pub(crate) beginning_journalled: bool,
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
        let line = Some(inbound.line);
        let mut call = Self::new(id, Origin::Inbound(inbound), context.now.utc);
        call.identify(context, number, line);
        call
    }

    /// A call of an agent to a client (O1): asks whose number it is first.
    pub fn outbound(id: CallId, outbound: Outbound, context: &mut Context<'_>) -> Self {
        let (number, line) = (outbound.number.clone(), outbound.line);
        let mut call = Self::new(id, Origin::Outbound(outbound), context.now.utc);
        call.begin_own();
        call.identify(context, number, line);
        call
    }

    /// A call of an agent to a colleague (T4), who is asked at once.
    pub fn internal(id: CallId, internal: Internal, context: &mut Context<'_>) -> Self {
        let (number, _) = internal.from.clone();
        let mut call = Self::new(id, Origin::Internal(internal), context.now.utc);
        call.caller = Arc::new(CallerIdentity {
            number,
            in_time: true,
            ..CallerIdentity::default()
        });
        // The first offer is the caller's own.
        call.attempts = 1;
        call.begin_own();
        call.decide();
        call
    }

    fn identify(&mut self, context: &mut Context<'_>, number: String, line: Option<LineId>) {
        self.caller = Arc::new(CallerIdentity {
            number: number.clone(),
            ..CallerIdentity::default()
        });
        let effect = self.effect(context, Effect::Identify { number, line });
        self.state = State::Identifying { effect };
    }

    /// A call that the journal shows as unfinished after a crash: it only has to end, and to wait
    /// for [`Input::RecordingClosed`] with what the repaired file holds.
    pub fn recovered(open: &OpenCall, context: &mut Context<'_>) -> Self {
        let mut call = Self::new(open.call, Origin::Recovered, open.arrived_at);
        call.beginning_journalled = true;
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

    pub(crate) fn new(id: CallId, origin: Origin, arrived_at: Utc) -> Self {
        Self {
            id,
            origin,
            caller: Arc::default(),
            state: State::Deciding,
            ledger: Ledger::new(id),
            offer: None,
            placing: Placing::default(),
            talker: None,
            transfer: None,
            conference: Conference::default(),
            parking: None,
            outside: None,
            explanation: Arc::default(),
            ring_timeout: Duration::ZERO,
            tried: Vec::new(),
            answered: false,
            reception: Reception::default(),
            stay: None,
            attempts: 0,
            last_offered: None,
            last_end: None,
            arrived_at,
            beginning_journalled: false,
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

    /// How it began.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whose leg this is.
    pub(crate) fn party(&self, leg: LegNo) -> Party {
        let client = match &self.origin {
            Origin::Inbound(_) | Origin::Recovered => leg == LegNo::CALLER,
            Origin::Outbound(_) => self.placing.leg() == Some(leg),
            Origin::Internal(_) | Origin::Echo(_) => false,
        };
        if client { Party::Client } else { Party::Agent }
    }

    /// When the call wants [`Input::Timer`].
    pub fn next_wake(&self) -> Option<Duration> {
        let ring = match self.state {
            State::Ringing { until } => {
                let next = self.offer.as_ref().and_then(Offer::next_wake);
                let words = self.stay.map(|stay| stay.words_at);
                [Some(until), next, words].into_iter().flatten().min()
            }
            State::Calling { until }
            | State::Farewell { until, .. }
            | State::Telling { until }
            | State::Choosing { until }
            | State::Echoing { until }
            | State::Message { until } => Some(until),
            State::Waiting => self.stay.map(Stay::next_wake),
            _ => None,
        };
        [
            self.ledger.next_deadline(),
            ring,
            self.probes.next_wake(),
            self.recording.next_wake(),
            self.parking_wake(),
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
                beside,
            } => {
                let choice = choice.map(|choice| (choice, beside));
                self.decided(context, choice, explanation, qualified);
            }
            Input::Prepared { legs, snapshot } => self.prepared(context, legs, snapshot),
            Input::MayEnter { place, snapshot } => self.may_enter(context, place, snapshot),
            Input::MayAnswer(snapshot) => self.admitted(context, snapshot),
            Input::Understood { choice, more } => self.understood(context, choice, more),
            Input::Turned(service) => self.turned(context, service),
            Input::Freed => self.freed(context),
            Input::Key { leg, key } if matches!(self.state, State::Talking { .. }) => {
                self.key_in_question(context, leg, key);
            }
            Input::Key { leg, key } if leg == LegNo::CALLER => self.key(context, key),
            Input::Key { leg, key } => self.key_elsewhere(context, leg, key),
            Input::Said(leg) => self.said(context, leg),
            Input::Placed { placed, snapshot } => self.placed(context, placed, snapshot),
            Input::LegChallenged {
                leg,
                trunk,
                snapshot,
            } => self.challenged(context, (leg, trunk), snapshot),
            Input::LegRinging(leg) => self.leg_ringing(leg),
            Input::LegProgress(leg) => self.leg_progress(leg),
            Input::LegAnswered { leg, snapshot } => self.leg_answered(context, leg, snapshot),
            Input::LegFailed(leg, end) => self.leg_failed(context, leg, end),
            Input::LegRefused {
                leg,
                cause,
                elsewhere,
            } => self.refused(context, leg, cause, elsewhere),
            Input::Transfer { leg, to } => self.transfer(context, leg, to),
            Input::Park(leg) => self.park(leg, false),
            Input::MayPark {
                place,
                keep,
                snapshot,
            } => self.may_park(context, place, keep, snapshot),
            Input::Retrieved(picker) => self.retrieved(context, picker),
            Input::Ordered(ordered) => self.ordered(context, ordered),
            Input::PickedUp(picker) => self.picked_up(context, picker),
            Input::Join { leg, joining } => self.join(context, leg, joining),
            Input::Confer { leg, conferring } => self.confer(context, leg, conferring),
            Input::QuestionJoined => self.question_joined(context),
            Input::Consulted => self.end(context, Cause::Transferred, Party::Agent),
            Input::CallerCancelled => {
                let by = self.party(LegNo::CALLER);
                self.end(context, Cause::CallerCancelled, by);
            }
            Input::LegHungUp(leg) => {
                let by = self.party(leg);
                self.leg_hung_up(context, leg, Cause::HungUp, by);
            }
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
        if let State::Ringing { .. } = self.state {
            self.rung(context);
        }
        match self.state {
            State::Ringing { until } if until <= context.now.mono => {
                self.next_candidate(context, OfferEnd::NoAnswer);
            }
            State::Calling { until } if until <= context.now.mono && self.outside.is_some() => {
                self.unanswered_outside(context);
            }
            State::Calling { until } if until <= context.now.mono => {
                self.end(context, Cause::NoAnswer, Party::System);
            }
            _ => {
                self.waited(context);
                self.received(context);
                self.stayed(context);
            }
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

    /// Commits facts; how the call began goes in front of the first ones.
    pub(crate) fn commit(&mut self, context: &mut Context<'_>, kinds: Vec<EventKind>) -> u32 {
        let mut events = Vec::with_capacity(kinds.len() + 1);
        if !std::mem::replace(&mut self.beginning_journalled, true) {
            for kind in self.beginning() {
                events.push(self.event(context, self.arrived_at, kind));
            }
        }
        for kind in kinds {
            events.push(self.event(context, context.now.utc, kind));
        }
        self.effect(context, Effect::Commit { events })
    }

    fn beginning(&self) -> Vec<EventKind> {
        match &self.origin {
            Origin::Inbound(inbound) => vec![EventKind::Arrived {
                trunk: inbound.trunk,
                line: inbound.line,
                from: inbound.from.clone(),
                to: inbound.to.clone(),
                caller: Arc::clone(&self.caller),
            }],
            Origin::Outbound(_) | Origin::Internal(_) | Origin::Echo(_) => self.own_beginning(),
            Origin::Recovered => Vec::new(),
        }
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
                self.identified(context);
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
            (State::Admitting { effect }, _) if *effect == Some(number) => self.admit(context),
            (State::Queueing { effect }, _) if *effect == number => self.queued(context),
            (State::Routing { effect }, _) if *effect == number => self.call_client(context),
            (State::Answering { effect, bridge }, _) if *effect == number => {
                self.state = State::Talking { bridge: *bridge };
                self.outputs.push_back(Output::AnswerCaller);
            }
            (State::Ending { effect, reject }, _) if *effect == number => {
                let answer = reject.map(|status| Output::RejectCaller { status });
                self.outputs.extend(answer);
                // Also after a refusal: the agent may have hung up before the caller was answered.
                self.outputs.push_back(Output::ConfirmHangUp);
                self.state = State::Ended;
            }
            // A commit nobody waited for but a leg, or an effect of a state the call has left.
            _ => {
                let offer = self.offer.as_mut();
                let leg = offer.and_then(|offer| offer.waited_for(number));
                self.outputs.extend(leg.map(Output::Ring));
            }
        }
    }

    fn identified(&mut self, context: &mut Context<'_>) {
        match &self.origin {
            Origin::Outbound(outbound) if outbound.device.is_some() => self.place(),
            Origin::Outbound(_) => self.offer_to_orderer(context),
            Origin::Inbound(_) => self.receive(context),
            _ => self.decide(),
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
                self.wait_as_known(context);
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
