//! A call that rings at a colleague is taken at another telephone (T3): the first offer ends, whoever takes it has the card
//! before they have the client.

use std::{sync::Arc, time::Duration};

use model::{DeviceId, DialogSnapshot, Explanation, Rule, UserId};

use crate::{
    Effect, EventKind, LegNo, OfferEnd, Origin, Output, Ready,
    call::{Call, Context, State},
    offer::Offer,
    waiting::REST,
};

/// Somebody who takes a call that rings elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picker {
    /// Who; routing has taken them for this call already.
    pub agent: UserId,
    /// Their leg, which belongs to this call already and is not answered.
    pub leg: LegNo,
    /// Their telephone.
    pub device: DeviceId,
    /// What recovery needs from now on.
    pub snapshot: DialogSnapshot,
}

impl Call {
    /// At whom this call of a client rings, and since when, if somebody else may take it.
    pub fn rings_at(&self) -> Option<(UserId, Duration)> {
        let inbound = matches!(self.origin, Origin::Inbound(_));
        let rings = matches!(self.state, State::Ringing { .. }) && self.transfer.is_none();
        let offer = self.offer.as_ref().filter(|_| inbound && rings)?;
        // Whoever picks up is about to have it.
        let fresh = !matches!(offer.rule, Rule::PickedUp { .. });
        fresh.then(|| (offer.agent, offer.since()))
    }

    pub(crate) fn picked_up(&mut self, context: &mut Context<'_>, picker: Picker) {
        let Some((from, _)) = self.rings_at() else {
            self.free_agent(picker.agent, false);
            return self.outputs.push_back(Output::DropLeg(picker.leg));
        };
        self.drop_device_legs(None);
        // They may be rung again if nothing comes of it.
        self.tried.retain(|(tried, _)| *tried != from);
        self.free_agent(from, false);
        self.effect(context, Effect::Release { agent: from });
        let ended = EventKind::OfferEnded {
            agent: from,
            end: OfferEnd::PickedUp,
        };
        self.offer_to_dialler(context, picker, Rule::PickedUp { by: from }, vec![ended]);
    }

    /// Somebody who dialled a code is offered the call, and answered as soon as they have the card.
    pub(crate) fn offer_to_dialler(
        &mut self,
        context: &mut Context<'_>,
        picker: Picker,
        rule: Rule,
        mut facts: Vec<EventKind>,
    ) {
        let Picker {
            agent,
            leg,
            device,
            snapshot,
        } = picker;
        // They have taken it, whatever the ledger says: the reservation only keeps others away.
        self.effect(context, Effect::Reserve { agent });
        self.explanation = Arc::new(Explanation::of_one(agent, rule));
        let mut offer = Offer::new(agent, rule, self.attempts);
        offer.add_legs(vec![Ready {
            leg,
            device,
            trunk: None,
            after: Duration::ZERO,
        }]);
        self.tried.push((agent, context.now.mono + REST));
        offer.dialled = true;
        let offered = self.offered_to(agent, self.attempts, rule, snapshot);
        self.attempts += 1;
        self.last_offered = Some(agent);
        self.offer = Some(offer);
        facts.push(offered);
        let effect = self.commit(context, facts);
        self.state = State::Offering { effect };
    }

    /// The card is out: whoever dialled for the call is answered instead of rung. False if nobody did.
    pub(crate) fn answers_picker(&mut self, context: &Context<'_>) -> bool {
        let Some(offer) = &mut self.offer else {
            return false;
        };
        if !offer.dialled {
            return false;
        }
        offer.begin(context.now.mono);
        let legs = offer.ring(context.now.mono);
        self.outputs.extend(legs.into_iter().map(Output::AnswerLeg));
        self.state = State::Ringing {
            until: context.now.mono + self.ring_timeout,
        };
        true
    }
}
