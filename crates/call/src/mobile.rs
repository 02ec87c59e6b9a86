//! Telephones elsewhere (T5): an agent's mobile or home number is called by a trunk, and whoever answers says by a key
//! that a person takes the call, so that no voicemail and nobody else at home gets the client.

use std::time::Duration;

use model::{DialogSnapshot, TrunkId};

use crate::{
    Cause, EventKind, LegNo, OfferEnd, Output,
    call::{Call, Context, State},
};

/// Whoever answers is asked for so long.
const ASKING: Duration = Duration::from_secs(20);
/// The key that takes the call.
const TAKE: char = '1';

impl Call {
    /// A telephone elsewhere was answered: is a person there, and may they?
    pub(crate) fn ask_to_take(
        &mut self,
        context: &mut Context<'_>,
        leg: LegNo,
        snapshot: DialogSnapshot,
    ) {
        let asked_until = context.now.mono + ASKING;
        if let Some(offer) = &mut self.offer {
            let way = offer.way(leg);
            offer.ask(leg, asked_until, snapshot.clone());
            self.outputs.push_back(Output::AskToTake(leg));
            // From now on a restart has a dialog to end.
            if let Some((trunk, device)) = way {
                let device = Some(device);
                let routed = EventKind::Routed {
                    trunk,
                    device,
                    outside: None,
                    snapshot,
                };
                self.commit(context, vec![routed]);
            }
        }
        if let State::Ringing { until } = &mut self.state {
            *until = asked_until.max(*until);
        }
    }

    /// A key on a telephone elsewhere.
    pub(crate) fn key_elsewhere(&mut self, context: &mut Context<'_>, leg: LegNo, key: char) {
        let State::Ringing { .. } = self.state else {
            return;
        };
        let Some(offer) = self.offer.as_mut().filter(|_| key == TAKE) else {
            return;
        };
        if let Some(snapshot) = offer.take(leg) {
            self.taken(context, leg, snapshot);
        }
    }

    /// Nobody said that they take it: the leg is given up, the other telephones ring on.
    fn not_taken(&mut self, context: &mut Context<'_>, leg: LegNo) {
        let asked = self.offer.as_ref().is_some_and(|it| it.is_asked(leg));
        if asked {
            self.outputs.push_back(Output::DropLeg(leg));
            self.leg_failed(context, leg, OfferEnd::NoAnswer);
        }
    }

    /// The telephones whose time has come ring.
    pub(crate) fn ring_on(&mut self, context: &Context<'_>) {
        let Some(offer) = &mut self.offer else { return };
        let legs = offer.ring(context.now.mono);
        self.outputs.extend(legs.into_iter().map(Output::Ring));
    }

    /// Time passes while telephones ring.
    pub(crate) fn rung(&mut self, context: &mut Context<'_>) {
        let now = context.now.mono;
        self.ring_on(context);
        while let Some(leg) = self.offer.as_ref().and_then(|offer| offer.speechless(now)) {
            self.not_taken(context, leg);
        }
    }

    /// The trunk wants credentials for a telephone elsewhere: what a restart needs to withdraw the INVITE has changed.
    pub(crate) fn challenged_elsewhere(
        &mut self,
        context: &mut Context<'_>,
        (leg, trunk): (LegNo, TrunkId),
        snapshot: DialogSnapshot,
    ) {
        let device = self.offer.as_ref().and_then(|offer| offer.open_device(leg));
        if device.is_none() {
            return;
        }
        let routed = EventKind::Routed {
            trunk,
            device,
            outside: None,
            snapshot,
        };
        let effect = self.commit(context, vec![routed]);
        if let Some(offer) = &mut self.offer {
            offer.send_again(leg, effect);
        }
    }

    /// The trunk or the telephone elsewhere refuses.
    pub(crate) fn refused_elsewhere(
        &mut self,
        context: &mut Context<'_>,
        leg: LegNo,
        cause: Cause,
    ) {
        let end = match cause {
            Cause::Busy => OfferEnd::Busy,
            Cause::Declined => OfferEnd::Declined,
            Cause::NoAnswer => OfferEnd::NoAnswer,
            Cause::MediaFailed => OfferEnd::MediaFailed,
            _ => OfferEnd::Unreachable,
        };
        self.leg_failed(context, leg, end);
    }
}
