//! A conference out of a question: an agent who asks a colleague brings the client in, whom the same telephone has on hold.
//! Both legs of the question move into the conversation with the client; of the agent's two the one that is in use stays.

use call::{Bridge, Conferring, Consulted, Joining, LegNo};
use media::{LegKey, plane::Command};
use model::{CallId, Now, UserId};

use crate::{
    consultations::{is_answered, may_come},
    leg::{Leg, Side},
    media_paths::conversation,
    switch::Switch,
};

/// What belongs together.
struct Question {
    /// The telephone's leg of the call with the client.
    client: (CallId, LegNo),
    /// The colleague's leg of the question.
    theirs: LegNo,
    colleague: UserId,
}

impl Switch {
    /// Brings the client in, if the telephone of this leg has one; nothing happens if it has none.
    pub(crate) fn bring_in(&mut self, now: Now, question: CallId, own: LegNo) {
        let Some(found) = self.question(question, own) else {
            return;
        };
        let (call, leg) = found.client;
        let agent = found.colleague;
        let own = self.fetch(question, own, call);
        let theirs = self.fetch(question, found.theirs, call);
        let (Some((own, _, held)), Some((leg_no, device, theirs_held))) = (own, theirs) else {
            return;
        };
        self.agents.pass_on(now, agent, (question, call));
        let joining = Joining {
            agent,
            leg: leg_no,
            device,
            held: theirs_held,
            snapshot: self.snapshot(call),
        };
        let conferring = Conferring { own, held, joining };
        self.tell_call(now, question, call::Input::QuestionJoined);
        self.tell_call(now, call, call::Input::Confer { leg, conferring });
    }

    fn question(&self, question: CallId, own: LegNo) -> Option<Question> {
        let Consulted::Talks {
            leg: theirs,
            agent: colleague,
        } = self.calls.consulted(question, own)?
        else {
            return None;
        };
        let here = self.legs.find(self.legs.key_of(question, own)?)?;
        let there = self.legs.find(self.legs.key_of(question, theirs)?)?;
        if !may_come(here) || !may_come(there) {
            return None;
        }
        let Side::Device(device) = here.side else {
            return None;
        };
        // Several telephones may have one account.
        let is_here = |leg: &Leg| leg.path.remote.ip() == here.path.remote.ip();
        let client = self.legs.of_device(device).filter(|leg| {
            let held = leg.held && is_answered(leg) && is_here(leg);
            held && self.calls.may_transfer(leg.call, leg.no)
        });
        // Of several the one that rang or was dialled last.
        let client = client.max_by_key(|leg| leg.key)?;
        Some(Question {
            client: (client.call, client.no),
            theirs,
            colleague,
        })
    }

    /// The three hear one another; the recording, if there is one, goes on with both of the agents.
    pub(crate) fn confer(&mut self, call: CallId, bridge: Bridge, guest: LegNo) {
        let key = |no| self.legs.key_of(call, no);
        let keys: Option<Vec<LegKey>> = [bridge.client, bridge.agent, guest]
            .into_iter()
            .map(key)
            .collect();
        if let Some(&[client, agent, guest]) = keys.as_deref() {
            self.order(Command::Confer {
                client,
                agents: [agent, guest],
                conversation: conversation(call),
            });
        }
    }
}
