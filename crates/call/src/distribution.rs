//! From the caller to an agent: decide, reserve, offer, announce, ring, and the next one (R2, R3).

use std::{sync::Arc, time::Duration};

use model::{DeviceId, DialogSnapshot, Explanation, Rule, UserId, Utc};

use crate::{
    AgentStep, Bridge, Cause, Effect, EffectEnd, EventKind, Lead, LegNo, OfferEnd, Origin, Output,
    Ready,
    call::{Call, Context, State},
    offer::Offer,
    waiting::{PAUSE, REST},
};

impl Call {
    pub(crate) fn decide(&mut self) {
        self.state = State::Deciding;
        // Whoever had the call before may be handed it again, but only once: the last end says that this was.
        let tried = match self.transfer {
            Some(_) if self.last_end.is_none() => Vec::new(),
            _ => self.tried.iter().map(|(agent, _)| *agent).collect(),
        };
        let caller = Arc::clone(&self.caller);
        let dialled = match &self.origin {
            Origin::Internal(internal) => Some(internal.callee),
            _ if self.transfer.is_none() => self.reception.take_wanted(),
            _ => None,
        };
        let wanted = match &self.transfer {
            Some(transfer) => transfer.wanted().map(|it| self.conference.rule(it)),
            None => dialled.map(|agent| (agent, Rule::Dialled)),
        };
        self.outputs.push_back(Output::Decide {
            tried,
            wanted,
            caller,
        });
    }

    pub(crate) fn decided(
        &mut self,
        context: &mut Context<'_>,
        choice: Option<((UserId, Rule, Duration), bool)>,
        explanation: Arc<Explanation>,
        qualified: bool,
    ) {
        if self.state != State::Deciding {
            return;
        }
        self.explanation = explanation;
        let Some(((agent, rule, ring_timeout), beside)) = choice else {
            if !self.seeks_anybody() {
                return self.nobody_took_it(context);
            }
            if std::mem::take(&mut self.reception.asked_directly) {
                // The colleague whom the caller dialled is in a call.
                return self.decide();
            }
            if (qualified || self.stay.is_some()) && self.wait(context) {
                return;
            }
            let cause = match (&self.origin, qualified, self.attempts) {
                (Origin::Internal(_), ..) => self.last_end.map_or(Cause::Busy, Cause::from),
                (_, _, 1..) => Cause::NobodyAnswered,
                (_, true, 0) => Cause::NobodyFree,
                (_, false, 0) => Cause::NobodyQualified,
            };
            return self.nobody(context, cause);
        };
        self.tried.push((agent, context.now.mono + REST));
        self.ring_timeout = ring_timeout;
        self.offer = Some(Offer::new(agent, rule, self.attempts));
        if beside {
            // The reservation is the first call's.
            return self.reserved();
        }
        let effect = self.effect(context, Effect::Reserve { agent });
        self.state = State::Reserving { effect };
    }

    pub(crate) fn reserved(&mut self) {
        if let Some(offer) = &self.offer {
            self.state = State::Preparing;
            let (agent, caller) = (offer.agent, Arc::clone(&self.caller));
            self.outputs.push_back(Output::Prepare { agent, caller });
        }
    }

    /// Refused, or too slow: the next one. A grant that is still on its way is given back by the
    /// release behind it, since effects of one call stay in order.
    pub(crate) fn reservation_refused(&mut self, context: &mut Context<'_>, too_slow: bool) {
        if let Some(offer) = self.offer.take() {
            self.free_agent(offer.agent, false);
            self.rest(context.now.mono + PAUSE);
            if self.transfer.is_some() {
                self.last_end = Some(OfferEnd::Busy);
            }
            if too_slow {
                self.effect(context, Effect::Release { agent: offer.agent });
            }
        }
        self.look_on(context);
    }

    pub(crate) fn prepared(
        &mut self,
        context: &mut Context<'_>,
        legs: Vec<Ready>,
        snapshot: DialogSnapshot,
    ) {
        let (State::Preparing, Some(offer)) = (&self.state, &mut self.offer) else {
            return;
        };
        offer.add_legs(legs);
        self.attempts += 1;
        self.last_offered = Some(offer.agent);
        let (agent, attempt, rule) = (offer.agent, offer.attempt, offer.rule);
        let offered = self.offered_to(agent, attempt, rule, snapshot);
        let effect = self.commit(context, vec![offered]);
        self.state = State::Offering { effect };
    }

    pub(crate) fn offered_to(
        &self,
        agent: UserId,
        attempt: u16,
        rule: Rule,
        snapshot: DialogSnapshot,
    ) -> EventKind {
        let about = match rule {
            Rule::Deputy { match_index, .. } => match_index,
            _ => 0,
        };
        let about = self.caller.matches.get(usize::from(about));
        let owner = about.and_then(|client| client.manager);
        EventKind::Offered {
            agent,
            attempt,
            rule,
            explanation: match rule {
                // Nobody decided that.
                Rule::Caller => Arc::default(),
                _ => Arc::clone(&self.explanation),
            },
            owner: owner.filter(|owner| *owner != agent),
            snapshot,
        }
    }

    pub(crate) fn offered(&mut self, context: &mut Context<'_>) {
        let Some(offer) = &self.offer else { return };
        if !offer.has_legs() {
            return self.next_candidate(context, OfferEnd::Unreachable);
        }
        let announce = Effect::Announce {
            agent: offer.agent,
            attempt: offer.attempt,
        };
        let effect = self.effect(context, announce);
        self.state = State::Announcing {
            effect,
            since: context.now.utc,
        };
    }

    pub(crate) fn announced(
        &mut self,
        context: &mut Context<'_>,
        since: Utc,
        end: Option<&EffectEnd>,
    ) {
        let Some(offer) = &self.offer else { return };
        let lead = match end {
            Some(EffectEnd::Announced { clients: 0, .. }) => None,
            Some(EffectEnd::Announced { shown, clients, at }) => Some(Lead {
                micros: micros(context.now.utc.since(*at)),
                confirmed: *shown == crate::ShownBy::Client,
                clients: *clients,
            }),
            _ => Some(Lead {
                micros: micros(context.now.utc.since(since)),
                confirmed: false,
                clients: 1,
            }),
        };
        let agent = offer.agent;
        if self.answers_picker(context) {
            return;
        }
        let longest = self
            .offer
            .as_mut()
            .map(|offer| offer.begin(context.now.mono));
        self.ring_on(context);
        self.outputs.push_back(Output::Agent {
            agent,
            step: AgentStep::Ringing,
        });
        self.commit(context, vec![EventKind::Ringing { agent, lead }]);
        self.state = State::Ringing {
            until: context.now.mono + longest.unwrap_or_default() + self.ring_timeout,
        };
    }

    pub(crate) fn leg_ringing(&mut self, leg: LegNo) {
        if let State::Calling { .. } = self.state {
            return self.client_rings(leg);
        }
        let rings = matches!(self.state, State::Ringing { .. })
            && self
                .offer
                .as_ref()
                .is_some_and(|offer| offer.open_device(leg).is_some());
        // Whoever ordered a call hears nothing of it before the telephone is taken up.
        if rings && self.transfer.is_some() {
            return self.tell_transferor(180);
        }
        if rings && !self.relayed_ringing && !matches!(self.origin, Origin::Outbound(_)) {
            self.relayed_ringing = true;
            self.outputs.push_back(Output::RelayRinging);
        }
    }

    pub(crate) fn leg_answered(
        &mut self,
        context: &mut Context<'_>,
        leg: LegNo,
        snapshot: DialogSnapshot,
    ) {
        if self.is_outside(leg) {
            return self.answered_outside(context, leg, snapshot);
        }
        if self.placing.leg() == Some(leg) {
            return self.client_answered(context, leg, snapshot);
        }
        let State::Ringing { .. } = self.state else {
            // A second device answered in the same moment, or the offer is over.
            return self.outputs.push_back(Output::DropLeg(leg));
        };
        let confirms = |offer: &Offer| offer.confirms(leg);
        match self.offer.as_ref().is_some_and(confirms) {
            true => self.ask_to_take(context, leg, snapshot),
            false => self.taken(context, leg, snapshot),
        }
    }

    /// A person takes the call at this telephone.
    pub(crate) fn taken(
        &mut self,
        context: &mut Context<'_>,
        leg: LegNo,
        snapshot: DialogSnapshot,
    ) {
        let answered = self
            .offer
            .as_ref()
            .and_then(|offer| Some((offer.agent, offer.open_device(leg)?)));
        let Some((agent, device)) = answered else {
            return self.outputs.push_back(Output::DropLeg(leg));
        };
        self.drop_device_legs(Some(leg));
        if self.conference.take_invitation() {
            return self.joined(context, leg, (agent, device), snapshot);
        }
        if self.transfer.is_some() {
            return self.transferred(context, leg, (agent, device), snapshot);
        }
        let accepted = EventKind::OfferAccepted { agent, device };
        if let Origin::Outbound(_) = self.origin {
            return self.orderer_answered(context, leg, device);
        }
        let bridge = Bridge {
            client: LegNo::CALLER,
            agent: leg,
        };
        self.start_conversation(context, bridge, (agent, device), vec![accepted], snapshot);
    }

    /// Joins the two, and tells the journal; the 200 to whoever called waits for that.
    pub(crate) fn start_conversation(
        &mut self,
        context: &mut Context<'_>,
        bridge: Bridge,
        (agent, device): (UserId, DeviceId),
        mut facts: Vec<EventKind>,
        snapshot: DialogSnapshot,
    ) {
        let recording = self
            .is_recorded()
            .then(|| self.recording.start(self.id, context.now));
        self.outputs.push_back(Output::Connect {
            bridge,
            recording: recording.clone(),
        });
        for agent in [Some(agent), self.own_agent()].into_iter().flatten() {
            self.outputs.push_back(Output::Agent {
                agent,
                step: AgentStep::Talking,
            });
        }
        self.started_at = Some(context.now.utc);
        self.talker = Some(agent);
        self.leave_queue();
        self.probe_bridge(context, bridge);
        if !self.answered {
            facts.push(EventKind::LineAnswered);
        }
        facts.push(EventKind::ConversationStarted {
            agent,
            device,
            recording,
            snapshot,
        });
        facts.extend(self.unrecorded(context.now.utc));
        let effect = self.commit(context, facts);
        self.state = match self.answered {
            // Nothing waits for the journal any more.
            true => State::Talking { bridge },
            false => State::Answering { effect, bridge },
        };
    }

    fn is_recorded(&self) -> bool {
        match &self.origin {
            Origin::Inbound(inbound) => inbound.service.recorded && !self.lacks_notice(),
            Origin::Outbound(outbound) => outbound.recorded && !self.lacks_notice(),
            Origin::Internal(internal) => internal.recorded,
            Origin::Echo(_) | Origin::Recovered => false,
        }
    }

    pub(crate) fn leg_failed(&mut self, context: &mut Context<'_>, leg: LegNo, end: OfferEnd) {
        let (State::Offering { .. } | State::Announcing { .. } | State::Ringing { .. }) =
            self.state
        else {
            return;
        };
        let Some(offer) = &mut self.offer else { return };
        if offer.open_device(leg).is_none() {
            return;
        }
        let end = match offer.is_asked(leg) {
            // A voicemail hangs up too.
            true => OfferEnd::NoAnswer,
            false => end,
        };
        match (offer.end_leg(leg, end), &self.state) {
            (Some(end), _) => self.next_candidate(context, end),
            (None, State::Ringing { .. }) => self.ring_on(context),
            (None, _) => {}
        }
    }

    /// Ends the running offer and asks for the next agent (R3).
    pub(crate) fn next_candidate(&mut self, context: &mut Context<'_>, end: OfferEnd) {
        self.drop_device_legs(None);
        self.last_end = Some(end);
        self.rest(context.now.mono + REST);
        if let Some(offer) = self.offer.take() {
            if self.own_agent() == Some(offer.agent) && self.transfer.is_none() {
                return self.orderer_gone(context, offer.agent, end);
            }
            self.free_agent(offer.agent, false);
            self.effect(context, Effect::Release { agent: offer.agent });
            self.commit(
                context,
                vec![EventKind::OfferEnded {
                    agent: offer.agent,
                    end,
                }],
            );
        }
        match self.transfer {
            Some(_) => self.nobody_took_it(context),
            None => self.look_on(context),
        }
    }

    pub(crate) fn drop_device_legs(&mut self, but: Option<LegNo>) {
        let offers = self.offer.iter_mut();
        let dropped = offers.flat_map(|offer| offer.drop_legs(but));
        self.outputs.extend(dropped.map(Output::DropLeg));
    }

    pub(crate) fn free_agent(&mut self, agent: UserId, wrap_up: bool) {
        self.outputs.push_back(Output::Agent {
            agent,
            step: AgentStep::Released { wrap_up },
        });
    }
}

fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}
