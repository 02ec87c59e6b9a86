//! A conversation handed over (T3): the client stays, the colleague's telephones ring, or a number outside is called, and
//! whoever handed it over has the client back if nobody takes it.

use std::sync::Arc;

use model::{DeviceId, DialogSnapshot, Rule, UserId};

use crate::{
    AgentStep, Bridge, Cause, Effect, EventKind, LegNo, OfferEnd, Origin, Output, Party,
    call::{Call, Context, State},
    outside::Outside,
};

/// More offers of one call than any office makes: whoever wants more of them is a program that has gone wrong.
pub(crate) const MOST_ATTEMPTS: u16 = 1_000;

/// To whom a conversation goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// A colleague, whose telephones are to ring.
    Colleague(UserId),
    /// Whoever answers this number, which a trunk calls.
    Outside(Arc<str>),
}

/// A transfer on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    /// Who talked until now.
    pub(crate) bridge: Bridge,
    /// Who hands the client over.
    pub(crate) from: UserId,
    /// To which colleague, or to a number outside; back to the first one in the end.
    to: Option<UserId>,
    /// Whoever hands over has hung up already.
    left: bool,
    /// The colleague did not take it: back to the first one.
    returning: bool,
    /// No telephone asked for it, so none is told how it goes.
    ordered: bool,
    /// To whom in which case.
    pub(crate) course: Course,
}

/// Whom a conversation that is under way may come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Course {
    /// The colleague it is handed to.
    #[default]
    HandedOver,
    /// Whoever takes the parked client out of the place.
    Fetched,
    /// Whoever parked the client, since nobody came.
    Unclaimed,
    /// Anybody who is qualified, since they do not answer either.
    Anybody,
}

impl Transfer {
    /// The colleague was asked before, and comes at once.
    pub(crate) fn to_one_who_was_asked(bridge: Bridge, from: UserId, to: UserId) -> Self {
        Self {
            bridge,
            from,
            to: Some(to),
            left: false,
            returning: false,
            ordered: false,
            course: Course::HandedOver,
        }
    }

    pub(crate) fn from(self) -> UserId {
        self.from
    }

    pub(crate) fn goes_to(&mut self, agent: UserId) {
        self.to = Some(agent);
    }

    pub(crate) fn is_told_on_a_screen(self) -> bool {
        self.ordered
    }

    /// It was ordered from a screen.
    pub(crate) fn is_ordered(&mut self) {
        self.ordered = true;
    }

    /// Whom the call is offered to, and why; none if that is for routing to say.
    pub(crate) fn wanted(self) -> Option<(UserId, Rule)> {
        let from = self.from;
        let returned = Some((from, Rule::Returned { by: self.to }));
        match (self.course, self.to.filter(|_| !self.returning)) {
            (Course::HandedOver, Some(to)) => Some((to, Rule::Transferred { by: from })),
            (Course::HandedOver, None) => returned,
            (Course::Fetched, to) => Some((to?, Rule::Retrieved { by: from })),
            (Course::Unclaimed, _) => Some((from, Rule::NotRetrieved)),
            (Course::Anybody, _) => None,
        }
    }
}

impl Call {
    /// Whether this party may hand the conversation over now.
    pub fn may_transfer(&self, leg: LegNo) -> bool {
        let with_client = matches!(self.origin, Origin::Inbound(_) | Origin::Outbound(_));
        match self.state {
            State::Talking { bridge } => {
                let third = self.conference.leg().is_some();
                let free = !third && self.attempts < MOST_ATTEMPTS;
                with_client && bridge.agent == leg && self.talker.is_some() && free
            }
            _ => false,
        }
    }

    pub(crate) fn transfer(&mut self, context: &mut Context<'_>, leg: LegNo, to: Recipient) {
        let (State::Talking { bridge }, true, Some(from)) =
            (&self.state, self.may_transfer(leg), self.talker)
        else {
            return;
        };
        let (to, number) = match to {
            Recipient::Colleague(to) => (Some(to), None),
            Recipient::Outside(number) => (None, Some(number)),
        };
        self.transfer = Some(Transfer {
            bridge: *bridge,
            from,
            to,
            left: false,
            returning: false,
            ordered: false,
            course: Course::HandedOver,
        });
        self.offer = None;
        self.last_end = None;
        let begun = EventKind::TransferBegun {
            by: Party::Agent,
            from,
            to,
            number: number.as_deref().map(str::to_owned),
        };
        self.commit(context, vec![begun]);
        self.outside = number.map(Outside::new);
        match self.outside {
            Some(_) => self.place_outside(),
            None => self.decide(),
        }
    }

    /// The one who hands over hangs up before the colleague answers: the client hears the ringing.
    pub(crate) fn transferor_left(&mut self, context: &mut Context<'_>, leg: LegNo) {
        let Some(transfer) = &mut self.transfer else {
            return;
        };
        transfer.left = true;
        let client = transfer.bridge.client;
        let (from, to) = (transfer.from, transfer.to);
        // Whoever invited somebody and leaves hands the client over.
        if self.conference.take_invitation() {
            let by = Party::Agent;
            self.commit(
                context,
                vec![EventKind::TransferBegun {
                    by,
                    from,
                    to,
                    number: None,
                }],
            );
        }
        self.outputs.push_back(Output::DropLeg(leg));
        // Whoever has left is asked for no more, also if they held the client.
        self.probes.stop();
        if self.holders.contains(&client) {
            self.probes.start(context.now.mono, &[client]);
        }
        // Whoever is parked goes on hearing music.
        if self.parking.is_none() {
            self.outputs.push_back(Output::PlayRingback(client));
        }
        self.release_talker(context);
    }

    fn release_talker(&mut self, context: &mut Context<'_>) {
        if let Some(agent) = self.talker.take() {
            self.free_agent(agent, true);
            self.effect(context, Effect::Release { agent });
        }
    }

    /// The leg of whoever hands over, as long as it is there.
    pub(crate) fn transferor(&self) -> Option<LegNo> {
        let transfer = self.transfer.filter(|transfer| !transfer.left)?;
        Some(transfer.bridge.agent)
    }

    pub(crate) fn tell_transferor(&mut self, status: u16) {
        let asked = self.transfer.is_some_and(|transfer| !transfer.ordered);
        if let Some(leg) = self.transferor().filter(|_| asked) {
            self.outputs
                .push_back(Output::TransferProgress { leg, status });
        }
    }

    /// The colleague took it.
    pub(crate) fn transferred(
        &mut self,
        context: &mut Context<'_>,
        leg: LegNo,
        (agent, device): (UserId, DeviceId),
        snapshot: DialogSnapshot,
    ) {
        self.tell_transferor(200);
        self.hand_over(context, leg, (agent, device), snapshot);
    }

    /// The leg takes the place of the one who hands over.
    pub(crate) fn hand_over(
        &mut self,
        context: &mut Context<'_>,
        leg: LegNo,
        (agent, device): (UserId, DeviceId),
        snapshot: DialogSnapshot,
    ) {
        let Some(transfer) = self.transfer.take() else {
            return;
        };
        let bridge = Bridge {
            client: transfer.bridge.client,
            agent: leg,
        };
        self.leave_queue();
        self.parking = None;
        let back = self.leave_to(context, transfer, bridge);
        self.outputs.push_back(Output::Agent {
            agent,
            step: AgentStep::Talking,
        });
        self.talker = Some(agent);
        let accepted = EventKind::OfferAccepted { agent, device };
        let transferred = EventKind::Transferred {
            from: transfer.from,
            agent,
            device,
            snapshot,
        };
        let facts = [Some(accepted), Some(transferred), back];
        self.commit(context, facts.into_iter().flatten().collect());
        self.state = State::Talking { bridge };
    }

    /// These two talk from now on, and whoever handed over goes. If they held the client, that is over: the fact of it.
    pub(crate) fn leave_to(
        &mut self,
        context: &mut Context<'_>,
        transfer: Transfer,
        bridge: Bridge,
    ) -> Option<EventKind> {
        self.outputs.push_back(Output::Reconnect { bridge });
        if !transfer.left {
            self.outputs
                .push_back(Output::DropLeg(transfer.bridge.agent));
            self.release_talker(context);
        }
        let was_held = self.holders.contains(&transfer.bridge.agent);
        self.holders.retain(|holder| *holder == bridge.client);
        self.probe_bridge(context, bridge);
        was_held.then_some(EventKind::Held {
            by: Party::Agent,
            held: false,
        })
    }

    /// No telephone of the colleague took it.
    pub(crate) fn nobody_took_it(&mut self, context: &mut Context<'_>) {
        if self.stays_parked(context) {
            return;
        }
        let cause = self.last_end.map_or(Cause::Busy, Cause::from);
        self.transfer_failed(context, cause);
    }

    /// The client is back with whoever handed over, whose telephones ring if they have hung up.
    pub(crate) fn transfer_failed(&mut self, context: &mut Context<'_>, cause: Cause) {
        self.tell_transferor(cause.sip_status());
        let Some(mut transfer) = self.transfer.take() else {
            return;
        };
        if !self.conference.take_invitation() && !transfer.returning {
            let failed = EventKind::TransferFailed {
                from: transfer.from,
                to: transfer.to,
                cause,
            };
            self.commit(context, vec![failed]);
        }
        if !transfer.left {
            self.last_offered = Some(transfer.from);
            self.state = State::Talking {
                bridge: transfer.bridge,
            };
        } else if transfer.returning {
            self.transfer = Some(transfer);
            self.end(context, Cause::NobodyAnswered, Party::System);
        } else {
            transfer.returning = true;
            self.transfer = Some(transfer);
            self.last_end = None;
            self.decide();
        }
    }

    /// A party of the conversation is gone while it is being handed over; false if the leg is none of theirs.
    pub(crate) fn left_during_transfer(
        &mut self,
        context: &mut Context<'_>,
        leg: LegNo,
        (cause, by): (Cause, Party),
    ) -> bool {
        let Some(transfer) = self.transfer else {
            return false;
        };
        if leg == transfer.bridge.client {
            let cause = self.left_place(cause);
            self.end(context, cause, by);
        } else if self.transferor() == Some(leg) {
            self.transferor_left(context, leg);
        } else if self.is_outside(leg) {
            self.refused_outside(context, leg, cause, true);
        } else {
            let open = self
                .offer
                .as_ref()
                .is_some_and(|it| it.open_device(leg).is_some());
            if open {
                self.leg_failed(context, leg, OfferEnd::Unreachable);
            }
        }
        true
    }
}
