//! Telephones and callers behind connections that break, in the simulated call centre.

use std::{net::SocketAddr, time::Duration};

use model::{AgentState, AwayReason};
use switch::Resources;
use tests::sim::{
    Answering, Centre, Intent, Outcome, Talking, company::phone_address, invariants::violations,
    message::Message,
};

const SOON: Duration = Duration::from_secs(40);
const ANSWERS: Answering = Answering::Answer {
    after: Duration::from_secs(2),
    then: Talking::Stay,
};

/// Agents whose telephones are registered over connections.
fn connected(agents: usize, script: &[Answering]) -> Centre {
    let mut centre = Centre::calm(agents, 1);
    let phones: Vec<SocketAddr> = centre.phones.keys().copied().collect();
    phones.into_iter().for_each(|phone| centre.connect(phone));
    for phone in centre.phones.values_mut() {
        phone.script.extend(script);
    }
    until(&mut centre, "all are registered", |centre| {
        centre.phones.values().all(|phone| phone.registered)
    });
    centre
}

fn until(centre: &mut Centre, what: &str, holds: impl Fn(&Centre) -> bool) {
    let end = centre.now + SOON;
    assert!(centre.run(end, holds), "waited in vain until {what}");
}

fn state(centre: &Centre, phone: SocketAddr) -> AgentState {
    centre.agents[&centre.owners[&phone]].state
}

fn sent_to(centre: &Centre, party: SocketAddr, start: &str) -> Vec<Message> {
    let records = centre.wire.iter().filter(|record| {
        !record.incoming && record.party == party && record.message.start.starts_with(start)
    });
    records.map(|record| record.message.clone()).collect()
}

const UNREGISTERED: AgentState = AgentState::Away {
    reason: AwayReason::Unregistered,
};

#[test]
fn a_broken_connection_unregisters_the_agent_at_once_until_the_telephone_registers_again() {
    let mut centre = connected(1, &[ANSWERS]);
    let phone = phone_address(0, 0);
    assert_eq!(state(&centre, phone), AgentState::Available);
    centre.disconnect(phone);
    assert_eq!(state(&centre, phone), UNREGISTERED);
    assert!(
        centre.world.bindings.values().all(Vec::is_empty),
        "nothing is left in the store"
    );
    centre.connect(phone);
    until(&mut centre, "it is registered again", |centre| {
        state(centre, phone) == AgentState::Available
    });
    let caller = centre.place(centre.now, 0, Intent::patient());
    until(&mut centre, "somebody answers", |centre| {
        centre.callers[&caller].talk.is_some()
    });
    let invite = &sent_to(&centre, phone, "INVITE")[0];
    assert!(invite.text("Via").starts_with("SIP/2.0/TCP "), "{invite:?}");
    assert!(invite.text("Contact").contains(";transport=tcp"));
}

#[test]
fn a_broken_connection_ends_no_conversation_and_requests_follow_the_telephone_to_its_new_one() {
    let mut centre = connected(1, &[ANSWERS]);
    let phone = phone_address(0, 0);
    let caller = centre.place(centre.now, 0, Intent::patient());
    until(&mut centre, "somebody answers", |centre| {
        centre.callers[&caller].talk.is_some()
    });
    centre.disconnect(phone);
    centre.connect(phone);
    until(
        &mut centre,
        "the telephone has registered again",
        |centre| {
            let registered = centre.world.bindings.values().flatten().count();
            registered == 1
        },
    );
    assert_eq!(centre.callers[&caller].outcome, None, "they talk on");
    centre.leave(caller);
    centre.run_until_quiet();
    assert_eq!(violations(&centre), Vec::<String>::new());
    assert_eq!(centre.callers[&caller].outcome, Some(Outcome::HungUp));
    assert_eq!(sent_to(&centre, phone, "BYE").len(), 1);
}

#[test]
fn a_telephone_that_hangs_up_by_its_new_connection_is_understood() {
    let then = Talking::HangUp {
        after: Duration::from_secs(10),
    };
    let mut centre = connected(
        1,
        &[Answering::Answer {
            after: Duration::from_secs(1),
            then,
        }],
    );
    let phone = phone_address(0, 0);
    let caller = centre.place(centre.now, 0, Intent::patient());
    until(&mut centre, "somebody answers", |centre| {
        centre.callers[&caller].talk.is_some()
    });
    centre.disconnect(phone);
    centre.connect(phone);
    centre.run_until_quiet();
    assert_eq!(violations(&centre), Vec::<String>::new());
    assert_eq!(centre.callers[&caller].outcome, Some(Outcome::Ended));
}

#[test]
fn a_request_in_the_dialog_shows_the_new_connection_before_the_telephone_registers_again() {
    let then = Talking::Hold {
        after: Duration::from_secs(3),
        length: Duration::from_secs(60),
        rest: Duration::from_secs(60),
    };
    let after = Duration::from_secs(1);
    let mut centre = connected(1, &[Answering::Answer { after, then }]);
    let phone = phone_address(0, 0);
    let caller = centre.place(centre.now, 0, Intent::patient());
    until(&mut centre, "somebody answers", |centre| {
        centre.callers[&caller].talk.is_some()
    });
    centre.disconnect(phone);
    centre.connect(phone);
    until(&mut centre, "the telephone holds", |centre| {
        let mut came = centre.wire.iter().filter(|record| record.incoming);
        came.any(|record| record.party == phone && record.message.start.starts_with("INVITE"))
    });
    centre.leave(caller);
    until(&mut centre, "the telephone is told", |centre| {
        centre.phones[&phone].calls[0].over
    });
    assert_eq!(state(&centre, phone), UNREGISTERED);
}

#[test]
fn a_connection_that_breaks_while_it_rings_hands_the_call_to_the_next_agent_at_once() {
    let mut centre = connected(2, &[Answering::Ignore]);
    let phones = [phone_address(0, 0), phone_address(1, 0)];
    let caller = centre.place(centre.now, 0, Intent::patient());
    let rung = |centre: &Centre, phone| !sent_to(centre, phone, "INVITE").is_empty();
    until(&mut centre, "a telephone rings", |centre| {
        phones.iter().any(|phone| rung(centre, *phone))
    });
    let first = phones.into_iter().find(|phone| rung(&centre, *phone));
    let first = first.expect("one rings");
    let second = phones.into_iter().find(|phone| *phone != first);
    let second = second.expect("there are two");
    let begin = centre.now;
    centre.disconnect(first);
    until(&mut centre, "the other one rings", |centre| {
        rung(centre, second)
    });
    assert!(centre.now - begin < Duration::from_secs(1));
    assert_eq!(state(&centre, first), UNREGISTERED);
    centre.connect(first);
    until(
        &mut centre,
        "it stops ringing as soon as it is back",
        |centre| centre.phones[&first].calls.iter().all(|call| call.over),
    );
    assert_eq!(sent_to(&centre, first, "CANCEL").len(), 1);
    centre.leave(caller);
    centre.run_until_quiet();
    assert_eq!(violations(&centre), Vec::<String>::new());
}

#[test]
fn a_telephone_that_is_answered_after_its_connection_broke_is_ended() {
    let answers = Answering::Answer {
        after: Duration::from_secs(10),
        then: Talking::Stay,
    };
    let mut centre = connected(1, &[answers]);
    let phone = phone_address(0, 0);
    let caller = centre.place(centre.now, 0, Intent::patient());
    until(&mut centre, "it rings", |centre| {
        !centre.phones[&phone].calls.is_empty()
    });
    centre.disconnect(phone);
    until(
        &mut centre,
        "it is answered, which nobody hears",
        |centre| centre.phones[&phone].calls[0].answered,
    );
    centre.connect(phone);
    until(&mut centre, "it is told that nobody is there", |centre| {
        centre.phones[&phone].calls[0].over
    });
    centre.run_until_quiet();
    assert!(centre.callers[&caller].talk.is_none());
    assert_eq!(centre.resources().legs, 0);
}

#[test]
fn nothing_is_left_of_a_call_whose_telephone_never_comes_back() {
    let mut centre = connected(1, &[ANSWERS]);
    let phone = phone_address(0, 0);
    let caller = centre.place(centre.now, 0, Intent::patient());
    until(&mut centre, "somebody answers", |centre| {
        centre.callers[&caller].talk.is_some()
    });
    centre.disconnect(phone);
    centre.leave(caller);
    let begin = centre.now;
    until(&mut centre, "the leg is given up", |centre| {
        centre.resources().legs == 0
    });
    assert!(
        centre.now - begin < Duration::from_secs(2),
        "nobody waits for an answer to a BYE that went nowhere"
    );
    centre.run_until_quiet();
    let Resources { ports, effects, .. } = centre.resources();
    assert_eq!((ports, effects), (0, 0));
}

#[test]
fn a_caller_over_tcp_is_answered_on_its_connection() {
    let mut centre = connected(1, &[ANSWERS]);
    let caller = centre.place(centre.now, 0, Intent::patient());
    centre.connect(caller);
    until(&mut centre, "somebody answers", |centre| {
        centre.callers[&caller].talk.is_some()
    });
    let answer = &sent_to(&centre, caller, "SIP/2.0 200")[0];
    assert!(
        answer.text("Contact").contains(";transport=tcp"),
        "{answer:?}"
    );
    centre.leave(caller);
    centre.run_until_quiet();
    assert_eq!(violations(&centre), Vec::<String>::new());
    assert_eq!(centre.callers[&caller].outcome, Some(Outcome::HungUp));
}
