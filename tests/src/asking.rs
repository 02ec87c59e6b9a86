//! The setting of stories in which an agent asks a colleague about a client, in the simulated call centre.

use std::{net::SocketAddr, time::Duration};

use call::{Cause, EventKind};
use model::{CallId, UserId};

use crate::sim::{
    Answering, Centre, Intent, Outcome, Talking,
    company::{phone_address, short_number},
    consulting::Manner,
    invariants::violations,
    wire::Record,
};

/// Whatever is waited for happens within this time.
pub const SOON: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(1_000);

/// Asks for 3 s and then orders the transfer in the conversation with the client.
pub const PLAIN: Manner = Manner {
    asks: Duration::from_secs(3),
    waits: true,
    by_question: false,
    at_once: false,
    confers: None,
};

/// Takes the call after so many seconds.
pub fn answers_after(secs: u64, then: Talking) -> Answering {
    let after = Duration::from_secs(secs);
    Answering::Answer { after, then }
}

/// Asks without ever ordering the transfer.
pub fn only_asks() -> Manner {
    Manner {
        asks: LONG,
        ..PLAIN
    }
}

/// A story of a client, of the agent who has the client, and of the colleague who is asked.
pub struct Story {
    /// The call centre.
    pub centre: Centre,
    /// The client.
    pub client: SocketAddr,
    /// The telephone that has the client and asks.
    pub asker: SocketAddr,
    /// The telephone that is asked.
    pub colleague: SocketAddr,
}

/// The first of the agents who is offered the line talks to the client, and asks the next one after 3 s.
pub fn asked(agents: usize, manner: Manner, answering: Answering) -> Story {
    let mut centre = Centre::calm(agents, 1);
    assert!(centre.run(SOON, |centre| {
        centre.phones.values().all(|phone| phone.registered)
    }));
    let client = centre.place(centre.now, 0, Intent::patient());
    let after = Duration::from_secs(3);
    for phone in centre.phones.values_mut().filter(|it| !it.is_gateway) {
        let then = Talking::Consult { after, manner };
        phone.script.push_back(answers_after(1, then));
    }
    let rung = |centre: &Centre| {
        (0..agents).find(|agent| !centre.phones[&phone_address(*agent, 0)].calls.is_empty())
    };
    let until = centre.now + SOON;
    assert!(centre.run(until, |centre| rung(centre).is_some()));
    let first = rung(&centre).expect("somebody is rung");
    let second = (first + 1) % agents;
    let [asker, colleague] = [first, second].map(|agent| phone_address(agent, 0));
    for phone in centre.phones.values_mut() {
        phone.script.retain(|_| phone.address == asker);
    }
    let phone = centre.phones.get_mut(&asker).expect("a telephone");
    phone.colleagues = [short_number(second)].into();
    let phone = centre.phones.get_mut(&colleague).expect("a telephone");
    phone.script.push_back(answering);
    Story {
        centre,
        client,
        asker,
        colleague,
    }
}

/// The same once asker and colleague talk.
pub fn asking(agents: usize, manner: Manner, then: Talking) -> Story {
    let mut story = asked(agents, manner, answers_after(2, then));
    let asker = story.asker;
    story.until("the colleague is not asked", |centre| {
        let mut questions = centre.phones[&asker].questions.iter();
        questions.any(|question| question.talk.is_some())
    });
    // The ACK arrives, and what was said is in the journal.
    story.goes_on(1);
    story
}

impl Story {
    /// Runs until `done` says so.
    pub fn until(&mut self, what: &str, done: impl Fn(&Centre) -> bool) {
        let until = self.centre.now + SOON;
        assert!(self.centre.run(until, done), "{what}");
    }

    /// Lets so many seconds pass.
    pub fn goes_on(&mut self, secs: u64) {
        let end = self.centre.now + Duration::from_secs(secs);
        self.centre.run(end, |_| false);
    }

    /// How many messages with this beginning were sent to a party.
    pub fn sent_to(&self, party: SocketAddr, start: &str) -> usize {
        sent_to(&self.centre, party, start)
    }

    /// What the asker was told of transfers.
    pub fn told(&self) -> Vec<&str> {
        let told = self.centre.phones[&self.asker].told.iter();
        told.map(String::as_str).collect()
    }

    /// Whose telephone it is.
    pub fn user_of(&self, phone: SocketAddr) -> UserId {
        self.centre.owners[&phone]
    }

    /// The calls in the order in which they came into the journal: with the client, and with the colleague.
    pub fn calls(&self) -> Vec<CallId> {
        let journal = self.centre.world.journal.iter();
        let mut calls: Vec<CallId> = journal.map(|event| event.call).collect();
        calls.sort_unstable();
        calls.dedup();
        calls
    }

    /// What the journal tells of a call.
    pub fn facts(&self, call: usize) -> Vec<&EventKind> {
        let call = self.calls()[call];
        let journal = self.centre.world.journal.iter();
        let its = journal.filter(|event| event.call == call);
        its.map(|event| &event.kind).collect()
    }

    /// What the journal tells of a call, by name.
    pub fn names(&self, call: usize) -> Vec<&'static str> {
        self.facts(call).iter().map(|kind| kind.name()).collect()
    }

    /// Why the call ended, and whether it was missed.
    pub fn end_of(&self, call: usize) -> (Cause, bool) {
        let mut facts = self.facts(call).into_iter();
        let end = facts.find_map(|kind| match kind {
            EventKind::Ended { cause, missed, .. } => Some((*cause, *missed)),
            _ => None,
        });
        end.expect("the call ended")
    }

    /// Who is heard by the client: a telephone.
    pub fn client_hears(&self) -> Option<SocketAddr> {
        let talk = self.centre.callers[&self.client].talk.as_ref()?;
        let far = self.centre.plane.heard_at(talk.remote_media?)?;
        let mut phones = self.centre.phones.keys();
        phones.find(|phone| phone.ip() == far.ip()).copied()
    }

    /// The Call-IDs of the asker's conversations: with the client, and with the colleague.
    pub fn dialogs(&self) -> [String; 2] {
        let phone = &self.centre.phones[&self.asker];
        let client = phone.calls[0].invite.text("Call-ID").to_owned();
        [client, phone.questions[0].call_id().to_owned()]
    }

    /// What names the conversation with the colleague, as it stands in a Refer-To.
    pub fn question(&self) -> String {
        let named = self.centre.phones[&self.asker].questions[0].named();
        named.expect("there is a dialog")
    }

    /// The asker orders a transfer in the conversation with the client.
    pub fn refer(&mut self, replaces: &str) {
        let (phone, [client, _]) = (self.asker, self.dialogs());
        let to = format!("<sip:ringbook@10.0.0.1?Replaces={replaces}>");
        self.centre.refer(phone, &client, &to);
    }

    /// The story ends without a wrong, and for the client in this way.
    pub fn ends_well(&mut self, outcome: Outcome) {
        self.centre.run_until_quiet();
        assert_eq!(violations(&self.centre), Vec::<String>::new());
        let client = &self.centre.callers[&self.client];
        assert_eq!(client.outcome, Some(outcome));
    }
}

/// How many messages with this beginning were sent to a party.
pub fn sent_to(centre: &Centre, party: SocketAddr, start: &str) -> usize {
    let to = |r: &&Record| !r.incoming && r.party == party && r.message.start.starts_with(start);
    centre.wire.iter().filter(to).count()
}
