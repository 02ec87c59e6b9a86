//! A colleague is asked before the client is handed over (T3): the question is a call of its own, which ends when the
//! colleague's leg comes into the conversation with the client.

use std::sync::Arc;

use model::{Explanation, Rule};

use crate::{
    Consulted, Effect, EventKind, Joining, LegNo, Origin, Output, Party,
    call::{Call, Context, State},
    transfer::Transfer,
};

impl Call {
    /// Whom the agent of this leg asks; none if this is no call between colleagues, or not at that point.
    pub fn consulted(&self, leg: LegNo) -> Option<Consulted> {
        let Origin::Internal(internal) = &self.origin else {
            return None;
        };
        match self.state {
            State::Talking { bridge } | State::Answering { bridge, .. } => {
                let (leg, agent) = if leg == bridge.client {
                    (bridge.agent, self.talker?)
                } else if leg == bridge.agent {
                    (bridge.client, internal.agent)
                } else {
                    return None;
                };
                Some(Consulted::Talks { leg, agent })
            }
            State::Reserving { .. }
            | State::Preparing
            | State::Offering { .. }
            | State::Announcing { .. }
            | State::Ringing { .. } => {
                (leg == LegNo::CALLER).then_some(Consulted::Called(internal.callee))
            }
            _ => None,
        }
    }

    /// The colleague comes, the one who asked goes: to the journal a transfer that is accepted at once.
    pub(crate) fn join(&mut self, context: &mut Context<'_>, leg: LegNo, joining: Joining) {
        let Joining {
            agent,
            leg: theirs,
            device,
            held,
            snapshot,
        } = joining;
        let (State::Talking { bridge }, true, Some(from)) =
            (&self.state, self.may_transfer(leg), self.talker)
        else {
            self.free_agent(agent, false);
            return self.outputs.push_back(Output::DropLeg(theirs));
        };
        let bridge = *bridge;
        let by = Party::Agent;
        let rule = Rule::Transferred { by: from };
        self.explanation = Arc::new(Explanation::of_one(agent, rule));
        (self.offer, self.last_end, self.last_offered) = (None, None, Some(agent));
        let attempt = self.attempts;
        self.attempts += 1;
        // They talk already, whatever the ledger says: the reservation only keeps others away.
        self.effect(context, Effect::Reserve { agent });
        let begun = EventKind::TransferBegun {
            by,
            from,
            to: Some(agent),
            number: None,
        };
        let offered = self.offered_to(agent, attempt, rule, snapshot.clone());
        self.commit(context, vec![begun, offered]);
        self.effect(context, Effect::Announce { agent, attempt });
        self.transfer = Some(Transfer::to_one_who_was_asked(bridge, from, agent));
        self.hand_over(context, theirs, (agent, device), snapshot);
        self.held(context, theirs, held);
    }
}
