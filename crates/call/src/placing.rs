//! From an agent to a client: by which trunk, how it rings there, and what else to try (O1).

use std::{sync::Arc, time::Duration};

use model::{DeviceId, DialogSnapshot, Rule, TrunkId, UserId};

use crate::{
    AgentStep, Bridge, Cause, Effect, EventKind, LegNo, OfferEnd, Origin, Output, Party, Placed,
    call::{Call, Context, State},
    offer::Offer,
    outside,
};

/// How long a client's telephone may ring: timer C of a proxy (RFC 3261 §16.6).
const RING_LIMIT: Duration = Duration::from_secs(180);

/// The way to the client.
#[derive(Debug, Default)]
pub(crate) struct Placing {
    placed: Option<Placed>,
    failed: Vec<TrunkId>,
    /// The agent's leg and device, once they are on the line: what the client's leg will be joined to.
    agent: Option<(LegNo, DeviceId)>,
    last_cause: Option<Cause>,
}

impl Placing {
    pub(crate) fn leg(&self) -> Option<LegNo> {
        self.placed.as_ref().map(|placed| placed.leg)
    }

    pub(crate) fn trunk(&self) -> Option<TrunkId> {
        self.placed.as_ref().map(|placed| placed.trunk)
    }

    /// The agent's leg, if it is one that we called.
    pub(crate) fn agent(&self) -> Option<LegNo> {
        self.agent
            .map(|(leg, _)| leg)
            .filter(|leg| *leg != LegNo::CALLER)
    }
}

impl Call {
    /// The agent who began the call.
    pub(crate) fn own_agent(&self) -> Option<UserId> {
        match &self.origin {
            Origin::Outbound(outbound) => Some(outbound.agent),
            Origin::Internal(internal) => Some(internal.agent),
            Origin::Echo(echo) => Some(echo.agent),
            Origin::Inbound(_) | Origin::Recovered => None,
        }
    }

    /// The agent is taken from the moment on in which the call begins.
    pub(crate) fn begin_own(&mut self) {
        if let Some(agent) = self.own_agent() {
            self.outputs.push_back(Output::Agent {
                agent,
                step: AgentStep::Dialling,
            });
        }
        if let Origin::Outbound(outbound) = &self.origin {
            self.ring_timeout = outbound.ring_timeout;
            self.placing.agent = outbound.device.map(|device| (LegNo::CALLER, device));
            self.last_offered = Some(outbound.agent);
        }
    }

    /// What the journal hears first of a call that an agent began. One who dialled has the card and is on the line.
    pub(crate) fn own_beginning(&self) -> Vec<EventKind> {
        let (agent, from, to, line, callee, device) = match &self.origin {
            Origin::Outbound(it) => (it.agent, &it.from, &it.number, it.line, None, it.device),
            Origin::Internal(it) => {
                let (from, _) = &it.from;
                (
                    it.agent,
                    from,
                    &it.number,
                    None,
                    Some(it.callee),
                    Some(it.device),
                )
            }
            Origin::Echo(it) => {
                let (me, device) = (Some(it.agent), Some(it.device));
                (it.agent, &it.from, &it.code, None, me, device)
            }
            Origin::Inbound(_) | Origin::Recovered => return Vec::new(),
        };
        let mut facts = vec![EventKind::Dialled {
            agent,
            from: from.clone(),
            to: to.clone(),
            line,
            callee,
            client: Arc::clone(&self.caller),
        }];
        if let Some(device) = device {
            let snapshot = DialogSnapshot::default();
            facts.push(self.offered_to(agent, 0, Rule::Caller, snapshot));
            facts.push(EventKind::OfferAccepted { agent, device });
        }
        facts
    }

    /// The telephones of the agent who ordered the call ring first.
    pub(crate) fn offer_to_orderer(&mut self, context: &mut Context<'_>) {
        let Origin::Outbound(outbound) = &self.origin else {
            return;
        };
        let agent = outbound.agent;
        self.ring_timeout = outbound.ring_timeout;
        self.offer = Some(Offer::new(agent, Rule::Caller, self.attempts));
        let effect = self.effect(context, Effect::Reserve { agent });
        self.state = State::Reserving { effect };
    }

    /// The agent who ordered the call is on the line: now the client.
    pub(crate) fn orderer_answered(
        &mut self,
        context: &mut Context<'_>,
        leg: LegNo,
        device: DeviceId,
    ) {
        let Some(offer) = self.offer.take() else {
            return;
        };
        self.placing.agent = Some((leg, device));
        let agent = offer.agent;
        self.commit(context, vec![EventKind::OfferAccepted { agent, device }]);
        self.place();
    }

    /// The agent who ordered the call does not take it up: nobody is called.
    pub(crate) fn orderer_gone(&mut self, context: &mut Context<'_>, agent: UserId, end: OfferEnd) {
        self.commit(context, vec![EventKind::OfferEnded { agent, end }]);
        self.end(context, Cause::CallerCancelled, Party::Agent);
    }

    pub(crate) fn place(&mut self) {
        let Origin::Outbound(outbound) = &self.origin else {
            return;
        };
        self.state = State::Placing;
        self.outputs.push_back(Output::Place {
            number: outbound.number.clone(),
            failed: self.placing.failed.clone(),
        });
    }

    pub(crate) fn placed(
        &mut self,
        context: &mut Context<'_>,
        placed: Option<Placed>,
        snapshot: DialogSnapshot,
    ) {
        if self.state != State::Placing {
            return;
        }
        if self.outside.is_some() {
            return self.placed_outside(context, placed, snapshot);
        }
        let Some(placed) = placed else {
            let cause = self.placing.last_cause.unwrap_or(Cause::Unreachable);
            return self.end(context, cause, Party::System);
        };
        self.placing.placed = Some(placed);
        self.store_route(context, snapshot);
    }

    /// The INVITE has credentials now: what a restart needs to withdraw it has changed.
    pub(crate) fn challenged(
        &mut self,
        context: &mut Context<'_>,
        (leg, trunk): (LegNo, TrunkId),
        snapshot: DialogSnapshot,
    ) {
        let calling = matches!(self.state, State::Calling { .. });
        if calling && self.is_outside(leg) {
            self.route_outside(context, snapshot);
        } else if calling && self.placing.leg() == Some(leg) {
            self.store_route(context, snapshot);
        } else {
            self.challenged_elsewhere(context, (leg, trunk), snapshot);
        }
    }

    fn store_route(&mut self, context: &mut Context<'_>, snapshot: DialogSnapshot) {
        let Some(trunk) = self.placing.trunk() else {
            return;
        };
        let effect = self.commit(
            context,
            vec![EventKind::Routed {
                trunk,
                device: None,
                outside: None,
                snapshot,
            }],
        );
        self.state = State::Routing { effect };
    }

    /// The way is stored: the INVITE goes out.
    pub(crate) fn call_client(&mut self, context: &Context<'_>) {
        let (leg, limit) = match self.outside_leg() {
            Some(leg) => (Some(leg), outside::RING_LIMIT),
            None => (self.placing.leg(), RING_LIMIT),
        };
        self.outputs.extend(leg.map(Output::Ring));
        self.state = State::Calling {
            until: context.now.mono + limit,
        };
    }

    pub(crate) fn client_rings(&mut self, leg: LegNo) {
        if self.is_outside(leg) {
            return self.tell_transferor(180);
        }
        if self.placing.leg() != Some(leg) || self.relayed_ringing {
            return;
        }
        self.relayed_ringing = true;
        self.outputs.push_back(match self.placing.agent() {
            Some(agent) => Output::PlayRingback(agent),
            None => Output::RelayRinging,
        });
    }

    /// Announcements and foreign ringing tones pass before the answer, since no other telephone rings for this call.
    pub(crate) fn leg_progress(&mut self, leg: LegNo) {
        // Of an agent's telephone elsewhere, and of one outside, only that it rings is of interest.
        if self.placing.leg() != Some(leg) {
            return self.leg_ringing(leg);
        }
        let calling = matches!(self.state, State::Calling { .. });
        if let (true, Some((agent, _))) = (
            calling && self.placing.leg() == Some(leg),
            self.placing.agent,
        ) {
            self.outputs
                .push_back(Output::RelayEarlyMedia { client: leg, agent });
        }
    }

    pub(crate) fn client_answered(
        &mut self,
        context: &mut Context<'_>,
        leg: LegNo,
        snapshot: DialogSnapshot,
    ) {
        let calling = matches!(self.state, State::Calling { .. });
        let (true, Some((own, device)), Some(agent)) =
            (calling, self.placing.agent, self.own_agent())
        else {
            return self.outputs.push_back(Output::DropLeg(leg));
        };
        let bridge = Bridge {
            client: leg,
            agent: own,
        };
        self.start_conversation(context, bridge, (agent, device), Vec::new(), snapshot);
    }

    /// The client's leg ended without an answer: by another trunk, or not at all.
    pub(crate) fn refused(
        &mut self,
        context: &mut Context<'_>,
        leg: LegNo,
        cause: Cause,
        elsewhere: bool,
    ) {
        if self.is_outside(leg) {
            return self.refused_outside(context, leg, cause, elsewhere);
        }
        if self.placing.leg() != Some(leg) {
            return self.refused_elsewhere(context, leg, cause);
        }
        let on_its_way = matches!(self.state, State::Routing { .. } | State::Calling { .. });
        if !on_its_way {
            return;
        }
        let Some(placed) = self.placing.placed.take() else {
            return;
        };
        // Nothing is left of it if it was refused, but it may only have lost its media.
        self.outputs.push_back(Output::DropLeg(leg));
        if !elsewhere {
            return self.end(context, cause, Party::Client);
        }
        self.placing.failed.push(placed.trunk);
        self.placing.last_cause = Some(cause);
        self.place();
    }
}
