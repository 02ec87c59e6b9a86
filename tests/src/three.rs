//! The setting of stories in which a colleague joins a client and an agent, in the simulated call centre.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use call::{Act, Cause, ControlRefused, EventKind};
use model::{AgentState, CallId, UserId};

use crate::{
    asking::{SOON, answers_after, sent_to},
    sim::{
        Answering, Centre, Intent, Outcome, Talking, company::phone_address, invariants::violations,
    },
};

/// A client, the agent who talks with the client, and a colleague with a telephone that does what is said.
pub struct Three {
    /// The call centre.
    pub centre: Centre,
    /// The client.
    pub client: SocketAddr,
    /// Agent and colleague, by their numbers.
    pub agents: [usize; 2],
    /// Their conversation.
    pub call: CallId,
}

impl Three {
    /// Client and agent talk.
    pub fn begin(colleague: Answering) -> Self {
        let mut centre = registered(2);
        let client = centre.place(centre.now, 0, Intent::patient());
        for phone in centre.phones.values_mut().filter(|it| !it.is_gateway) {
            phone.script.push_back(answers_after(1, Talking::Stay));
        }
        let until = centre.now + SOON;
        assert!(centre.run(until, |centre| centre.callers[&client].talk.is_some()));
        let first = usize::from(centre.phones[&phone_address(0, 0)].calls.is_empty());
        let phone = centre.phones.get_mut(&phone_address(1 - first, 0));
        phone.expect("a telephone").script = [colleague].into();
        let call = centre.world.journal[0].call;
        Self {
            centre,
            client,
            agents: [first, 1 - first],
            call,
        }
    }

    /// The same once all three talk.
    pub fn talking() -> Self {
        let mut three = Self::begin(answers_after(2, Talking::Stay));
        assert_eq!(three.invite(), Ok(()));
        let colleague = three.phone(1);
        three.until("the colleague does not join", |centre| {
            sent_to(centre, colleague, "ACK") == 1
        });
        three.goes_on(1);
        three
    }

    /// The telephone of agent (0) or colleague (1).
    pub fn phone(&self, which: usize) -> SocketAddr {
        phone_address(self.agents[which], 0)
    }

    /// Agent (0) or colleague (1).
    pub fn user(&self, which: usize) -> UserId {
        UserId(self.agents[which] as i64 + 1)
    }

    /// The short number of either.
    pub fn number(&self, which: usize) -> String {
        (100 + self.agents[which]).to_string()
    }

    /// What comes of an act of either.
    pub fn control(&mut self, which: usize, act: Act) -> Result<(), ControlRefused> {
        let order = self
            .centre
            .control((self.agents[which], false), self.call, act);
        let until = self.centre.now + Duration::from_secs(1);
        let answered = |centre: &Centre| centre.controlled.contains_key(&order);
        assert!(self.centre.run(until, answered));
        self.centre.controlled[&order]
    }

    /// The agent calls the colleague in.
    pub fn invite(&mut self) -> Result<(), ControlRefused> {
        let to = self.number(1);
        self.control(0, Act::Conference { to })
    }

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

    /// What agent (0) or colleague (1) does.
    pub fn state(&self, which: usize) -> AgentState {
        self.centre.agents[&self.user(which)].state
    }

    /// What the journal tells, by name.
    pub fn names(&self) -> Vec<&'static str> {
        let of_call = |it: &&call::Event| it.call == self.call;
        let journal = self.centre.world.journal.iter().filter(of_call);
        journal.map(|it| it.kind.name()).collect()
    }

    /// What the journal tells.
    pub fn facts(&self) -> impl Iterator<Item = &EventKind> {
        let journal = self.centre.world.journal.iter();
        let of_call = journal.filter(|it| it.call == self.call);
        of_call.map(|it| &it.kind)
    }

    /// Why the call ended, whose it was, and whether it was missed.
    pub fn end(&self) -> (Cause, Option<UserId>, bool) {
        let mut ends = self.facts().filter_map(|kind| match kind {
            EventKind::Ended {
                cause,
                agent,
                missed,
                ..
            } => Some((*cause, *agent, *missed)),
            _ => None,
        });
        ends.next().expect("the call ended")
    }

    /// Where the three are heard: client, agent, colleague.
    pub fn hears(&self) -> [Vec<IpAddr>; 3] {
        let [client, agent, colleague] = [self.client, self.phone(0), self.phone(1)];
        let phone = |phone: SocketAddr| {
            let calls = self.centre.phones[&phone].calls.iter();
            let talk = calls
                .filter(|call| !call.over)
                .find_map(|it| it.talk.as_ref());
            talk.and_then(|talk| talk.remote_media)
        };
        let talk = self.centre.callers[&client].talk.as_ref();
        let client = talk.and_then(|talk| talk.remote_media);
        [client, phone(agent), phone(colleague)].map(|ours| heard(&self.centre, ours))
    }

    /// Client, agent and colleague, by where they are.
    pub fn places(&self) -> [IpAddr; 3] {
        [self.client, self.phone(0), self.phone(1)].map(|it| it.ip())
    }

    /// The client hangs up.
    pub fn leave(&mut self) {
        let client = self.client;
        self.centre.leave(client);
    }

    /// The story ends without a wrong, and for the client in this way.
    pub fn ends_well(&mut self, outcome: Outcome) {
        self.centre.run_until_quiet();
        assert_eq!(violations(&self.centre), Vec::<String>::new());
        assert_eq!(self.centre.callers[&self.client].outcome, Some(outcome));
    }
}

/// A call centre whose telephones are all registered.
pub fn registered(agents: usize) -> Centre {
    let mut centre = Centre::calm(agents, 1);
    assert!(centre.run(SOON, |centre| {
        centre.phones.values().all(|phone| phone.registered)
    }));
    centre
}

/// Who hears what is sent to this port of ours, and is heard there.
pub fn heard(centre: &Centre, ours: Option<SocketAddr>) -> Vec<IpAddr> {
    let far = ours.map(|ours| centre.plane.heard_by(ours));
    let mut far: Vec<IpAddr> = far.into_iter().flatten().map(|it| it.ip()).collect();
    far.sort_unstable();
    far
}

/// Places in order.
pub fn sorted<const N: usize>(mut places: [IpAddr; N]) -> Vec<IpAddr> {
    places.sort_unstable();
    places.to_vec()
}
