//! A call to the short number of somebody who talks rings there too, if they want that: in the simulated call centre, and through
//! the real program.

use std::{net::SocketAddr, time::Duration};

use call::EventKind;
use model::{AgentState, CallId, UserId};
use serde_json::json;
use tests::{
    asking::{SOON, answers_after},
    company::Company,
    daemon::Options,
    sim::{
        Answering, Centre, Dialled, Intent, Outcome, Talking, company::phone_address,
        invariants::violations,
    },
};

/// Whom everybody calls, and who has call waiting or not.
const BUSY: usize = 0;

/// The busy one talks to a client; what they do with the second call.
struct Talk {
    centre: Centre,
    client: SocketAddr,
    first: CallId,
}

fn stays() -> Intent {
    Intent {
        talking: Talking::HangUp {
            after: Duration::from_secs(600),
        },
        ..Intent::patient()
    }
}

fn talking(wanted: bool, second: Answering) -> Talk {
    let mut centre = Centre::calm(3, 1);
    assert!(centre.run(SOON, |centre| {
        centre.phones.values().all(|phone| phone.registered)
    }));
    centre.change_directory(|directory| {
        directory.agents[BUSY].call_waiting = wanted;
        directory.agents[BUSY].ring_timeout_secs = 10;
        directory
            .skills
            .retain(|skill| skill.user == UserId(BUSY as i64 + 1));
    });
    let phone = phone_address(BUSY, 0);
    let phone = centre.phones.get_mut(&phone).expect("a telephone");
    phone.script = [answers_after(1, Talking::Stay), second].into();
    let client = centre.place(centre.now, 0, stays());
    let talks = |centre: &Centre| centre.callers[&client].talk.is_some();
    assert!(centre.run(SOON, talks));
    let first = centre.world.journal[0].call;
    let mut talk = Talk {
        centre,
        client,
        first,
    };
    talk.goes_on(3);
    talk
}

impl Talk {
    fn goes_on(&mut self, secs: u64) {
        let end = self.centre.now + Duration::from_secs(secs);
        self.centre.run(end, |_| false);
    }

    fn state(&self) -> AgentState {
        self.centre.agents[&UserId(BUSY as i64 + 1)].state
    }

    /// A colleague dials the short number.
    fn dials(&mut self, colleague: usize) -> SocketAddr {
        let now = self.centre.now;
        self.centre
            .dial(now, colleague, Dialled::Colleague(BUSY), stays())
    }

    /// The call of the colleague.
    fn second(&self) -> CallId {
        let journal = self.centre.world.journal.iter();
        let mut begun = journal.filter(|it| matches!(it.kind, EventKind::Dialled { .. }));
        begun.next().expect("somebody dialled").call
    }

    fn has(&self, party: SocketAddr) -> bool {
        let caller = &self.centre.callers[&party];
        caller.talk.is_some() && caller.outcome.is_none()
    }

    fn outcome(&self, party: SocketAddr) -> Option<Outcome> {
        self.centre.callers[&party].outcome
    }

    fn ends_well(mut self) {
        self.centre.run_until_quiet();
        assert_eq!(violations(&self.centre), Vec::<String>::new());
    }
}

#[test]
fn the_second_call_rings_and_is_taken_and_either_may_end_first() {
    for client_first in [true, false] {
        let mut talk = talking(true, answers_after(3, Talking::Stay));
        let of_first = AgentState::Talking { call: talk.first };
        let colleague = talk.dials(1);
        talk.goes_on(2);
        assert!(talk.centre.callers[&colleague].provisional.contains(&180));
        assert_eq!(talk.state(), of_first);
        talk.goes_on(3);
        assert!(talk.has(colleague) && talk.has(talk.client));
        assert_eq!(talk.state(), of_first);
        let of_second = AgentState::Talking {
            call: talk.second(),
        };
        let (one, other, then) = match client_first {
            true => (talk.client, colleague, of_second),
            false => (colleague, talk.client, of_first),
        };
        talk.centre.leave(one);
        talk.goes_on(2);
        assert_eq!(talk.state(), then);
        assert!(talk.has(other));
        talk.centre.leave(other);
        talk.goes_on(2);
        assert_eq!(talk.state(), AgentState::Available);
        talk.ends_well();
    }
}

#[test]
fn the_first_call_ends_while_the_second_one_rings() {
    let mut talk = talking(true, answers_after(5, Talking::Stay));
    let colleague = talk.dials(1);
    talk.goes_on(2);
    talk.centre.leave(talk.client);
    talk.goes_on(1);
    let call = talk.second();
    assert_eq!(talk.state(), AgentState::Ringing { call });
    talk.goes_on(4);
    assert_eq!(talk.state(), AgentState::Talking { call });
    talk.centre.leave(colleague);
    talk.goes_on(2);
    assert_eq!(talk.state(), AgentState::Available);
    talk.ends_well();
}

#[test]
fn a_second_call_that_is_not_taken_leaves_the_first_alone() {
    let busy = Answering::Refuse {
        after: Duration::from_secs(1),
        status: 486,
    };
    for (second, status) in [(busy, 486), (Answering::Ignore, 480)] {
        let mut talk = talking(true, second);
        let colleague = talk.dials(1);
        talk.goes_on(15);
        assert_eq!(talk.outcome(colleague), Some(Outcome::Refused(status)));
        assert_eq!(talk.state(), AgentState::Talking { call: talk.first });
        assert!(talk.has(talk.client));
        let again = talk.dials(1);
        talk.goes_on(1);
        assert_eq!(talk.outcome(again), None, "it rings again");
        talk.centre.leave(again);
        talk.centre.leave(talk.client);
        talk.goes_on(2);
        assert_eq!(talk.state(), AgentState::Available);
        talk.ends_well();
    }
}

#[test]
fn whoever_does_not_want_a_second_call_and_a_third_one_are_busy() {
    let mut talk = talking(false, Answering::Ignore);
    let colleague = talk.dials(1);
    talk.goes_on(2);
    assert_eq!(talk.outcome(colleague), Some(Outcome::Refused(486)));
    talk.centre.leave(talk.client);
    talk.ends_well();

    let mut talk = talking(true, Answering::Ignore);
    let colleague = talk.dials(1);
    talk.goes_on(2);
    let third = talk.dials(2);
    talk.goes_on(2);
    assert_eq!(talk.outcome(third), Some(Outcome::Refused(486)));
    assert_eq!(talk.outcome(colleague), None);
    talk.centre.leave(talk.client);
    talk.ends_well();
}

#[test]
fn distribution_never_rings_a_second_time() {
    let mut talk = talking(true, Answering::Ignore);
    let another = talk.centre.place(talk.centre.now, 0, stays());
    talk.goes_on(3);
    assert_eq!(talk.outcome(another), Some(Outcome::Refused(486)));
    let phone = &talk.centre.phones[&phone_address(BUSY, 0)];
    assert_eq!(phone.calls.len(), 1);
    talk.centre.leave(talk.client);
    talk.ends_well();
}

#[test]
fn killed_while_a_second_call_rings_everybody_is_told() {
    let mut talk = talking(true, Answering::Ignore);
    talk.dials(1);
    talk.goes_on(3);
    talk.centre.kill();
    talk.goes_on(30);
    talk.ends_well();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_switched_it_on_is_rung_by_a_colleague_while_talking() {
    let company = Company::found(2, &Options::default()).await;
    let path = format!("users/{}", company.agents[0].id);
    let user = company.rest.get(&path).await;
    assert_eq!(user["call_waiting"], json!(false), "{user:#}");
    let phone = company.phone(0, 0);
    let at_once = answers_after(0, Talking::Stay);
    phone.with(|phone, _| phone.script = [at_once, at_once].into());
    let client = company.call("+79161234567", stays());
    client.wait_for_answer();
    let refused = company.dial(1, 40, "101", stays());
    assert_eq!(refused.wait_for_end(), Outcome::Refused(486));

    let wanted = json!({ "call_waiting": true });
    let (status, _) = company.rest.ask("PATCH", &path, Some(&wanted)).await;
    assert_eq!(status, 200);
    let colleague = company.dial(1, 41, "101", stays());
    colleague.wait_for_answer();
    let state = |agents: &serde_json::Value| {
        let mut agents = agents["items"].as_array().into_iter().flatten();
        agents.any(|it| it["user"] == company.agents[0].id.as_str() && it["state"] == "talking")
    };
    client.leave();
    assert_eq!(client.wait_for_end(), Outcome::HungUp);
    company.rest.until("agents", "still in a call", state).await;
    colleague.leave();
    assert_eq!(colleague.wait_for_end(), Outcome::HungUp);
    let free = |agents: &serde_json::Value| {
        let mut agents = agents["items"].as_array().into_iter().flatten();
        agents.any(|it| it["user"] == company.agents[0].id.as_str() && it["state"] == "available")
    };
    company.rest.until("agents", "free again", free).await;
}
