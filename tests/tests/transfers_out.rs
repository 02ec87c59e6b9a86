//! Conversations handed to a number outside, moment by moment, in the simulated call centre.

use std::{net::SocketAddr, time::Duration};

use call::{Act, Cause, ControlRefused, EventKind};
use model::Rule;
use tests::{
    asking::{SOON, answers_after, sent_to},
    sim::{
        Answering, Centre, Intent, Outcome, Talking,
        company::{gateway_address, phone_address},
        invariants::violations,
    },
};

const NUMBER: &str = "+74957654321";

/// An agent who talks to a client.
struct Talk {
    centre: Centre,
    client: SocketAddr,
    phone: SocketAddr,
}

impl Talk {
    /// The agent orders the transfer to `number` after 3 s; the telephone there does what is said.
    fn begin(number: &str, at_once: bool, there: Answering) -> Self {
        let after = Duration::from_secs(3);
        let mut talk = Self::quiet(Talking::Transfer { after, at_once }, there);
        let phone = talk.phone();
        phone.colleagues = [number.to_owned()].into();
        talk
    }

    fn quiet(then: Talking, there: Answering) -> Self {
        let mut centre = Centre::calm(1, 1);
        assert!(centre.run(SOON, |centre| {
            centre.phones.values().all(|phone| phone.registered)
        }));
        let phone = phone_address(0, 0);
        let client = centre.place(centre.now, 0, Intent::patient());
        let mut talk = Self {
            centre,
            client,
            phone,
        };
        talk.phone().script = [answers_after(1, then)].into();
        talk.gateway(0).script = [there].into();
        talk.until("no conversation", |centre| {
            centre.callers[&client].talk.is_some()
        });
        talk
    }

    fn phone(&mut self) -> &mut tests::sim::phone::Phone {
        let phone = self.phone;
        self.centre.phones.get_mut(&phone).expect("a telephone")
    }

    fn gateway(&mut self, place: usize) -> &mut tests::sim::phone::Phone {
        let gateway = gateway_address(place);
        self.centre.phones.get_mut(&gateway).expect("a gateway")
    }

    fn until(&mut self, what: &str, done: impl Fn(&Centre) -> bool) {
        let until = self.centre.now + SOON + SOON;
        assert!(self.centre.run(until, done), "{what}");
    }

    fn told(&mut self, status: &str) {
        let phone = self.phone;
        self.until("the telephone is not told", |centre| {
            centre.phones[&phone].told.iter().any(|it| it == status)
        });
    }

    fn goes_on(&mut self, secs: u64) {
        let end = self.centre.now + Duration::from_secs(secs);
        self.centre.run(end, |_| false);
    }

    fn sent(&self, party: SocketAddr, start: &str) -> usize {
        sent_to(&self.centre, party, start)
    }

    /// The client hangs up.
    fn leave(mut self) -> Centre {
        self.centre.leave(self.client);
        self.end(Outcome::HungUp)
    }

    fn end(mut self, outcome: Outcome) -> Centre {
        self.centre.run_until_quiet();
        assert_eq!(violations(&self.centre), Vec::<String>::new());
        assert_eq!(self.centre.callers[&self.client].outcome, Some(outcome));
        self.centre
    }
}

fn handed_to(centre: &Centre) -> Vec<&str> {
    let numbers = centre.world.journal.iter();
    let numbers = numbers.filter_map(|it| match &it.kind {
        EventKind::TransferredOut { number, .. } => Some(number.as_str()),
        _ => None,
    });
    numbers.collect()
}

fn end(centre: &Centre) -> (Cause, bool) {
    let mut ends = centre.world.journal.iter().filter_map(|it| match it.kind {
        EventKind::Ended { cause, missed, .. } => Some((cause, missed)),
        _ => None,
    });
    let end = ends.next().expect("the call ended");
    assert_eq!(ends.next(), None, "one conversation, one end");
    end
}

#[test]
fn whoever_answers_outside_talks_to_the_client_and_the_agent_is_free() {
    let there = answers_after(2, Talking::Stay);
    let mut talk = Talk::begin(NUMBER, false, there);
    talk.told("notify 200");
    let (phone, gateway) = (talk.phone, gateway_address(0));
    let told = ["202", "notify 100", "notify 180", "notify 200"];
    assert_eq!(talk.phone().told, told);
    talk.until("the agent is not let go", |centre| {
        sent_to(centre, phone, "BYE") == 1
    });
    let asked = talk.sent(gateway, "INVITE");
    assert_eq!(asked, 2, "once more with the password");
    assert_eq!(
        talk.centre.plane.bridges.len(),
        2,
        "the client is joined anew"
    );
    talk.goes_on(10);
    assert_eq!(talk.sent(gateway, "BYE"), 0, "they talk");
    let centre = talk.leave();
    assert_eq!(sent_to(&centre, gateway, "BYE"), 1);
    assert_eq!(handed_to(&centre), [NUMBER]);
    assert_eq!(end(&centre), (Cause::HungUp, false));
}

#[test]
fn whoever_was_called_outside_hangs_up_and_the_client_is_told() {
    let leaves = Talking::HangUp {
        after: Duration::from_secs(4),
    };
    let mut talk = Talk::begin(NUMBER, true, answers_after(2, leaves));
    let client = talk.client;
    talk.until("the client is not told", |centre| {
        sent_to(centre, client, "BYE") == 1
    });
    let centre = talk.end(Outcome::Ended);
    assert_eq!(handed_to(&centre), [NUMBER]);
    assert_eq!(end(&centre), (Cause::HungUp, false));
}

#[test]
fn a_refusal_outside_leaves_the_client_with_the_agent() {
    let busy = Answering::Refuse {
        after: Duration::from_secs(1),
        status: 486,
    };
    let mut talk = Talk::begin(NUMBER, false, busy);
    talk.told("notify 486");
    talk.goes_on(5);
    assert_eq!(talk.sent(talk.phone, "BYE"), 0, "the conversation goes on");
    let centre = talk.leave();
    assert_eq!(handed_to(&centre), [""; 0]);
    let told = centre.world.journal.iter().any(|it| {
        let cause = Cause::Busy;
        matches!(it.kind, EventKind::TransferFailed { to: None, cause: why, .. } if why == cause)
    });
    assert!(told, "the journal says why it came back");
}

#[test]
fn a_trunk_that_fails_is_followed_by_the_next() {
    let fails = Answering::Refuse {
        after: Duration::from_secs(1),
        status: 503,
    };
    let mut talk = Talk::begin(NUMBER, false, fails);
    talk.gateway(1).script = [answers_after(1, Talking::Stay)].into();
    talk.told("notify 200");
    assert_eq!(talk.sent(gateway_address(1), "ACK"), 1);
    let centre = talk.leave();
    assert_eq!(handed_to(&centre), [NUMBER]);
}

#[test]
fn nobody_answers_outside_and_the_client_comes_back_to_whoever_hung_up() {
    let mut talk = Talk::begin(NUMBER, true, Answering::Ignore);
    let phone = talk.phone;
    talk.phone().script = [answers_after(1, Talking::Stay)].into();
    talk.until("it does not come back", |centre| {
        sent_to(centre, phone, "ACK") == 2
    });
    assert_eq!(talk.sent(gateway_address(0), "CANCEL"), 1);
    let centre = talk.leave();
    let returned = centre.world.journal.iter().any(|it| {
        let rule = Rule::Returned { by: None };
        matches!(it.kind, EventKind::Offered { rule: why, .. } if why == rule)
    });
    assert!(returned);
    assert_eq!(handed_to(&centre), [""; 0]);
    assert_eq!(end(&centre), (Cause::HungUp, false));
}

#[test]
fn the_client_hangs_up_while_it_rings_outside() {
    let mut talk = Talk::begin(NUMBER, false, Answering::Ignore);
    talk.told("notify 180");
    let (phone, gateway) = (talk.phone, gateway_address(0));
    let centre = talk.leave();
    assert_eq!(sent_to(&centre, gateway, "CANCEL"), 1);
    assert_eq!(sent_to(&centre, phone, "BYE"), 1);
    assert_eq!(end(&centre), (Cause::HungUp, false));
}

#[test]
fn killed_while_it_rings_outside_everybody_is_told() {
    let mut talk = Talk::begin(NUMBER, false, Answering::Ignore);
    talk.told("notify 180");
    talk.centre.kill();
    let (phone, gateway) = (talk.phone, gateway_address(0));
    let centre = talk.end(Outcome::Ended);
    assert!(sent_to(&centre, gateway, "CANCEL") >= 1);
    assert!(sent_to(&centre, phone, "BYE") >= 1);
    assert_eq!(end(&centre), (Cause::Crash, false));
}

#[test]
fn killed_while_they_talk_outside_everybody_is_told() {
    let mut talk = Talk::begin(NUMBER, false, answers_after(1, Talking::Stay));
    talk.told("notify 200");
    talk.goes_on(3);
    talk.centre.kill();
    let gateway = gateway_address(0);
    let centre = talk.end(Outcome::Ended);
    assert!(sent_to(&centre, gateway, "BYE") >= 1);
}

#[test]
fn numbers_that_the_agent_may_not_call_are_refused_and_the_conversation_goes_on() {
    for (number, status) in [("+4930123456", "403"), ("112", "404"), ("hello", "404")] {
        let mut talk = Talk::begin(number, false, Answering::Ignore);
        talk.told(status);
        talk.goes_on(2);
        assert_eq!(talk.sent(gateway_address(0), "INVITE"), 0, "{number}");
        assert_eq!(talk.sent(talk.phone, "BYE"), 0, "{number}");
        talk.leave();
    }
}

#[test]
fn an_ordered_transfer_goes_outside_as_one_of_the_telephone_does() {
    let mut talk = Talk::quiet(Talking::Stay, answers_after(2, Talking::Stay));
    let call = talk.centre.world.journal[0].call;
    let mut wanted = |to: &str| {
        let to = to.to_owned();
        let order = talk.centre.control((0, false), call, Act::Transfer { to });
        let until = talk.centre.now + Duration::from_secs(1);
        let settled = |centre: &Centre| centre.controlled.contains_key(&order);
        assert!(talk.centre.run(until, settled));
        talk.centre.controlled[&order]
    };
    assert_eq!(wanted("+4930123456"), Err(ControlRefused::NotAllowed));
    assert_eq!(wanted("nobody"), Err(ControlRefused::NoColleague));
    assert_eq!(wanted("8 (495) 765-43-21"), Ok(()));
    assert_eq!(wanted(NUMBER), Err(ControlRefused::NotNow));
    let phone = talk.phone;
    talk.until("the agent is not let go", |centre| {
        sent_to(centre, phone, "BYE") == 1
    });
    assert_eq!(talk.phone().told, [""; 0], "no telephone asked for it");
    talk.goes_on(3);
    let centre = talk.leave();
    assert_eq!(handed_to(&centre), [NUMBER]);
}
