//! A conversation handed to a number outside (T3): the client stays, a trunk calls the number, and whoever handed it over has
//! the client back if nobody answers there. Nobody of ours talks then, and the recording goes on.

use std::{sync::Arc, time::Duration};

use model::{DialogSnapshot, TrunkId};

use crate::{
    Bridge, Cause, EventKind, LegNo, Output, Placed,
    call::{Call, Context, State},
};

/// How long the telephone outside may ring while the client waits.
pub(crate) const RING_LIMIT: Duration = Duration::from_secs(60);

/// The way to the number.
#[derive(Debug)]
pub(crate) struct Outside {
    number: Arc<str>,
    placed: Option<Placed>,
    failed: Vec<TrunkId>,
    last_cause: Cause,
}

impl Outside {
    pub(crate) fn new(number: Arc<str>) -> Self {
        Self {
            number,
            placed: None,
            failed: Vec::new(),
            last_cause: Cause::Unreachable,
        }
    }
}

impl Call {
    /// The leg to the number outside, until somebody answers there.
    pub(crate) fn outside_leg(&self) -> Option<LegNo> {
        let placed = self.outside.as_ref()?.placed.as_ref()?;
        Some(placed.leg)
    }

    pub(crate) fn is_outside(&self, leg: LegNo) -> bool {
        self.outside_leg() == Some(leg)
    }

    /// By the next trunk.
    pub(crate) fn place_outside(&mut self) {
        let Some(outside) = &self.outside else { return };
        self.state = State::Placing;
        self.outputs.push_back(Output::Place {
            number: outside.number.to_string(),
            failed: outside.failed.clone(),
        });
    }

    pub(crate) fn placed_outside(
        &mut self,
        context: &mut Context<'_>,
        placed: Option<Placed>,
        snapshot: DialogSnapshot,
    ) {
        if let Some(outside) = self.outside.as_mut().filter(|_| placed.is_some()) {
            outside.placed = placed;
            return self.route_outside(context, snapshot);
        }
        self.not_reached_outside(context);
    }

    /// The way is stored before the INVITE leaves, so that a restart can withdraw it.
    pub(crate) fn route_outside(&mut self, context: &mut Context<'_>, snapshot: DialogSnapshot) {
        let outside = self.outside.as_ref();
        let Some((outside, placed)) = outside.and_then(|it| Some((it, it.placed.as_ref()?))) else {
            return;
        };
        let routed = EventKind::Routed {
            trunk: placed.trunk,
            device: None,
            outside: Some(outside.number.to_string()),
            snapshot,
        };
        let effect = self.commit(context, vec![routed]);
        self.state = State::Routing { effect };
    }

    pub(crate) fn answered_outside(
        &mut self,
        context: &mut Context<'_>,
        leg: LegNo,
        snapshot: DialogSnapshot,
    ) {
        let (State::Calling { .. }, Some(transfer)) = (&self.state, self.transfer) else {
            return self.outputs.push_back(Output::DropLeg(leg));
        };
        let Some(outside) = self.outside.take() else {
            return self.outputs.push_back(Output::DropLeg(leg));
        };
        self.tell_transferor(200);
        self.transfer = None;
        let bridge = Bridge {
            client: transfer.bridge.client,
            agent: leg,
        };
        let back = self.leave_to(context, transfer, bridge);
        let transferred = EventKind::TransferredOut {
            from: transfer.from,
            number: outside.number.to_string(),
            snapshot,
        };
        let facts = [Some(transferred), back];
        self.commit(context, facts.into_iter().flatten().collect());
        self.state = State::Talking { bridge };
    }

    /// The trunk or whoever is called refuses: another trunk may do better.
    pub(crate) fn refused_outside(
        &mut self,
        context: &mut Context<'_>,
        leg: LegNo,
        cause: Cause,
        elsewhere: bool,
    ) {
        let Some(outside) = &mut self.outside else {
            return;
        };
        outside.last_cause = cause;
        let placed = outside.placed.take();
        self.outputs.push_back(Output::DropLeg(leg));
        match placed.filter(|_| elsewhere) {
            Some(placed) => {
                outside.failed.push(placed.trunk);
                self.place_outside();
            }
            None => self.not_reached_outside(context),
        }
    }

    /// It rang there long enough.
    pub(crate) fn unanswered_outside(&mut self, context: &mut Context<'_>) {
        if let Some(leg) = self.outside_leg() {
            self.refused_outside(context, leg, Cause::NoAnswer, false);
        }
    }

    fn not_reached_outside(&mut self, context: &mut Context<'_>) {
        let outside = self.outside.take();
        let cause = outside.map_or(Cause::Unreachable, |outside| outside.last_cause);
        self.transfer_failed(context, cause);
    }

    /// Nobody is called any more: the call ends, or the client is back already.
    pub(crate) fn drop_outside(&mut self) {
        let leg = self.outside_leg();
        self.outside = None;
        self.outputs.extend(leg.map(Output::DropLeg));
    }
}
