//! A conference of three (T3): a colleague joins the client and the agent. The conversation keeps its id and its file;
//! whoever of the two agents stays goes on with the client.

use std::{sync::Arc, time::Duration};

use model::{DeviceId, DialogSnapshot, Explanation, Rule, UserId};

use crate::{
    AgentStep, Bridge, Cause, Effect, EventKind, Joining, LegNo, Origin, Output, Party,
    call::{Call, Context, State},
    transfer::Transfer,
};

/// The keys by which an agent who asks a colleague brings the client in, the second soon after the first.
const KEYS: [char; 2] = ['*', '3'];
const SOON: Duration = Duration::from_secs(3);

/// The third party.
#[derive(Clone, Copy, Debug)]
struct Guest {
    agent: UserId,
    leg: LegNo,
}

/// What a conversation has to do with a third party.
#[derive(Debug, Default)]
pub(crate) struct Conference {
    /// The colleague who is being rung is to join, not to take over.
    invites: bool,
    guest: Option<Guest>,
    /// The first of the keys was pressed there, and when.
    pressed: Option<(LegNo, Duration)>,
}

impl Conference {
    /// The leg of the third party.
    pub(crate) fn leg(&self) -> Option<LegNo> {
        self.guest.map(|guest| guest.leg)
    }

    /// The third party.
    pub(crate) fn agent(&self) -> Option<UserId> {
        self.guest.map(|guest| guest.agent)
    }

    /// Why the colleague is rung.
    pub(crate) fn rule(&self, (agent, rule): (UserId, Rule)) -> (UserId, Rule) {
        match rule {
            Rule::Transferred { by } if self.invites => (agent, Rule::Conference { by }),
            _ => (agent, rule),
        }
    }

    /// Whether the colleague who is being rung is to join; from now on to take over.
    pub(crate) fn take_invitation(&mut self) -> bool {
        std::mem::take(&mut self.invites)
    }
}

/// An agent and the colleague whom they asked come from that call into the one with the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conferring {
    /// The agent's leg of the question, which belongs to this call already and takes the place of the one that held the client.
    pub own: LegNo,
    /// The agent holds that too.
    pub held: bool,
    /// The colleague.
    pub joining: Joining,
}

impl Call {
    /// The colleague's telephones ring, while the two go on.
    pub(crate) fn invite(&mut self, context: &mut Context<'_>, to: UserId) {
        let (State::Talking { bridge }, Some(from)) = (&self.state, self.talker) else {
            return;
        };
        let bridge = *bridge;
        if !self.may_transfer(bridge.agent) {
            return;
        }
        let mut transfer = Transfer::to_one_who_was_asked(bridge, from, to);
        transfer.is_ordered();
        self.transfer = Some(transfer);
        self.conference.invites = true;
        (self.offer, self.last_end) = (None, None);
        self.commit(context, vec![EventKind::ConferenceBegun { from, to }]);
        self.decide();
    }

    /// The colleague who was rung has answered.
    pub(crate) fn joined(
        &mut self,
        context: &mut Context<'_>,
        leg: LegNo,
        (agent, device): (UserId, DeviceId),
        snapshot: DialogSnapshot,
    ) {
        let (Some(transfer), Some(from)) = (self.transfer.take(), self.talker) else {
            return;
        };
        self.offer = None;
        let facts = vec![
            EventKind::OfferAccepted { agent, device },
            EventKind::ConferenceJoined {
                from,
                agent,
                device,
                snapshot,
            },
        ];
        self.meet(context, transfer.bridge, Guest { agent, leg });
        self.commit(context, facts);
    }

    /// From now on the three hear one another.
    fn meet(&mut self, context: &Context<'_>, bridge: Bridge, guest: Guest) {
        self.outputs.push_back(Output::Confer {
            bridge,
            guest: guest.leg,
        });
        self.outputs.push_back(Output::Agent {
            agent: guest.agent,
            step: AgentStep::Talking,
        });
        self.conference.guest = Some(guest);
        // The client is still with whoever had them.
        self.last_offered = self.talker;
        self.state = State::Talking { bridge };
        self.probe_bridge(context, bridge);
    }

    /// A key in a conversation between colleagues: `*3` brings the client in, whom one of them has on hold.
    pub(crate) fn key_in_question(&mut self, context: &Context<'_>, leg: LegNo, key: char) {
        let talks = matches!(self.state, State::Talking { .. });
        if !matches!(self.origin, Origin::Internal(_)) || !talks {
            return;
        }
        let now = context.now.mono;
        let [first, second] = KEYS;
        let before = self.conference.pressed.take();
        let follows = before.is_some_and(|(by, at)| by == leg && now <= at + SOON);
        if key == second && follows {
            self.outputs.push_back(Output::BringIn(leg));
        } else if key == first {
            self.conference.pressed = Some((leg, now));
        }
    }

    /// Agent and colleague come from their question; the leg that held the client is not needed any more. To the journal
    /// the colleague is offered the call and joins at once.
    pub(crate) fn confer(&mut self, context: &mut Context<'_>, leg: LegNo, conferring: Conferring) {
        let Conferring { own, held, joining } = conferring;
        let (State::Talking { bridge }, true, Some(from)) =
            (&self.state, self.may_transfer(leg), self.talker)
        else {
            self.free_agent(joining.agent, false);
            let legs = [own, joining.leg].map(Output::DropLeg);
            return self.outputs.extend(legs);
        };
        let bridge = Bridge {
            client: bridge.client,
            agent: own,
        };
        let Joining { agent, device, .. } = joining;
        let rule = Rule::Conference { by: from };
        self.explanation = Arc::new(Explanation::of_one(agent, rule));
        (self.offer, self.last_end) = (None, None);
        let attempt = self.attempts;
        self.attempts += 1;
        // They talk already, whatever the ledger says: the reservation only keeps others away.
        self.effect(context, Effect::Reserve { agent });
        let begun = EventKind::ConferenceBegun { from, to: agent };
        let offered = self.offered_to(agent, attempt, rule, joining.snapshot.clone());
        self.commit(context, vec![begun, offered]);
        self.effect(context, Effect::Announce { agent, attempt });
        let was_held = self.holders.contains(&leg);
        self.holders.retain(|holder| *holder != leg);
        self.meet(
            context,
            bridge,
            Guest {
                agent,
                leg: joining.leg,
            },
        );
        self.outputs.push_back(Output::DropLeg(leg));
        let facts = [
            Some(EventKind::OfferAccepted { agent, device }),
            Some(EventKind::ConferenceJoined {
                from,
                agent,
                device,
                snapshot: joining.snapshot,
            }),
            // The leg that held the client is gone.
            was_held.then_some(EventKind::Held {
                by: Party::Agent,
                held: false,
            }),
        ];
        self.commit(context, facts.into_iter().flatten().collect());
        self.held(context, own, held);
        self.held(context, joining.leg, joining.held);
    }

    /// One of the two agents leaves, and the other goes on with the client; false if this is no conference, or the leg is
    /// the client's.
    pub(crate) fn left_conference(&mut self, context: &mut Context<'_>, leg: LegNo) -> bool {
        let State::Talking { bridge } = self.state else {
            return false;
        };
        let is_agents = |guest: &mut Guest| leg == guest.leg || leg == bridge.agent;
        let Some(guest) = self.conference.guest.take_if(is_agents) else {
            return false;
        };
        let (left, bridge) = if leg == guest.leg {
            (Some(guest.agent), bridge)
        } else {
            let agent = guest.leg;
            (self.talker.replace(guest.agent), Bridge { agent, ..bridge })
        };
        self.outputs.push_back(Output::Reconnect { bridge });
        self.outputs.push_back(Output::DropLeg(leg));
        self.state = State::Talking { bridge };
        self.last_offered = self.talker;
        let was_held = self.holders.contains(&leg);
        self.holders.retain(|holder| *holder != leg);
        self.probe_bridge(context, bridge);
        let mut facts = Vec::with_capacity(2);
        if let (Some(agent), Some(stays)) = (left, self.talker) {
            self.free_agent(agent, true);
            self.effect(context, Effect::Release { agent });
            facts.push(EventKind::ConferenceLeft { agent, stays });
        }
        facts.extend(was_held.then_some(EventKind::Held {
            by: Party::Agent,
            held: false,
        }));
        self.commit(context, facts);
        true
    }

    /// The question is over: both colleagues are with the client now.
    pub(crate) fn question_joined(&mut self, context: &mut Context<'_>) {
        self.end(context, Cause::Conference, Party::Agent);
    }
}
