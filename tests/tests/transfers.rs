//! Conversations handed to a colleague, moment by moment, in the simulated call centre.

use std::{net::SocketAddr, time::Duration};

use call::{Cause, EventKind};
use model::Rule;
use tests::sim::{
    Answering, Centre, Intent, Outcome, Talking, company::phone_address, invariants::violations,
};

const SOON: Duration = Duration::from_secs(60);

fn answers_after(secs: u64, then: Talking) -> Answering {
    Answering::Answer {
        after: Duration::from_secs(secs),
        then,
    }
}

/// Hands the client over after 3 s.
fn transfers(at_once: bool) -> Answering {
    let after = Duration::from_secs(3);
    answers_after(1, Talking::Transfer { after, at_once })
}

/// The first agent's telephone talks to the client and transfers to `number`; the second one does what is said.
fn talking(at_once: bool, number: &str, second: Answering) -> (Centre, SocketAddr) {
    let mut centre = Centre::calm(2, 1);
    assert!(centre.run(SOON, |centre| {
        centre.phones.values().all(|phone| phone.registered)
    }));
    // Whoever of the two is offered the line first takes it; the other one is the colleague.
    let caller = centre.place(centre.now, 0, Intent::patient());
    let rung = |centre: &Centre, agent| !centre.phones[&phone_address(agent, 0)].calls.is_empty();
    for phone in centre.phones.values_mut().filter(|it| !it.is_gateway) {
        phone.script.push_back(transfers(at_once));
    }
    let until = centre.now + SOON;
    assert!(centre.run(until, |centre| rung(centre, 0) || rung(centre, 1)));
    let first = usize::from(rung(&centre, 1));
    let colleague = match number {
        "the colleague" => (101 - first).to_string(),
        "myself" => (100 + first).to_string(),
        number => number.to_owned(),
    };
    let phone = centre.phones.get_mut(&phone_address(first, 0)).unwrap();
    phone.colleagues = [colleague].into();
    let other = centre.phones.get_mut(&phone_address(1 - first, 0)).unwrap();
    other.script.clear();
    other.script.push_back(second);
    let until = centre.now + SOON;
    assert!(centre.run(until, |centre| centre.callers[&caller].talk.is_some()));
    (centre, caller)
}

/// The telephone that had the client first, and the other one.
fn phones(centre: &Centre) -> [SocketAddr; 2] {
    let both = [phone_address(0, 0), phone_address(1, 0)];
    let first_rung = |phone: &SocketAddr| {
        let mut wire = centre.wire.iter();
        wire.find(|r| r.party == *phone && r.message.start.starts_with("INVITE"))
            .map(|r| r.at)
    };
    match (first_rung(&both[0]), first_rung(&both[1])) {
        (None, Some(_)) => [both[1], both[0]],
        (Some(a), Some(b)) if b < a => [both[1], both[0]],
        _ => both,
    }
}

fn sent_to(centre: &Centre, party: SocketAddr, start: &str) -> usize {
    let to = |r: &&tests::sim::wire::Record| {
        !r.incoming && r.party == party && r.message.start.starts_with(start)
    };
    centre.wire.iter().filter(to).count()
}

fn until(centre: &mut Centre, what: &str, done: impl Fn(&Centre) -> bool) {
    let until = centre.now + SOON;
    assert!(centre.run(until, done), "{what}");
}

fn ends_well(centre: &mut Centre, caller: SocketAddr, outcome: Outcome) {
    centre.run_until_quiet();
    assert_eq!(violations(centre), Vec::<String>::new());
    assert_eq!(centre.callers[&caller].outcome, Some(outcome));
}

fn count(centre: &Centre, wanted: impl Fn(&EventKind) -> bool) -> usize {
    let journal = centre.world.journal.iter();
    journal.filter(|event| wanted(&event.kind)).count()
}

fn rules(centre: &Centre) -> Vec<Rule> {
    let journal = centre.world.journal.iter();
    let rules = journal.filter_map(|it| match it.kind {
        EventKind::Offered { rule, .. } => Some(rule),
        _ => None,
    });
    rules.collect()
}

#[test]
fn the_colleague_takes_the_client_and_it_stays_one_conversation() {
    let (mut centre, caller) = talking(false, "the colleague", answers_after(2, Talking::Stay));
    let [first, second] = phones(&centre);
    until(&mut centre, "the colleague does not talk", |centre| {
        sent_to(centre, second, "ACK") == 1
            && sent_to(centre, first, "BYE") == 1
            && centre.phones[&first].told.len() == 4
    });
    assert_eq!(
        centre.phones[&first].told,
        ["202", "notify 100", "notify 180", "notify 200"]
    );
    let talk = centre.now + Duration::from_secs(10);
    centre.run(talk, |_| false);
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
    let begun = |kind: &EventKind| matches!(kind, EventKind::ConversationStarted { .. });
    let ended = |kind: &EventKind| matches!(kind, EventKind::Ended { .. });
    let handed = |kind: &EventKind| matches!(kind, EventKind::Transferred { .. });
    assert_eq!(
        (
            count(&centre, begun),
            count(&centre, handed),
            count(&centre, ended)
        ),
        (1, 1, 1)
    );
    assert!(matches!(rules(&centre)[1], Rule::Transferred { .. }));
}

#[test]
fn a_colleague_who_declines_leaves_the_client_with_whoever_has_them() {
    let declines = Answering::Refuse {
        after: Duration::from_secs(1),
        status: 603,
    };
    let (mut centre, caller) = talking(false, "the colleague", declines);
    let [first, _] = phones(&centre);
    until(&mut centre, "nobody is told", |centre| {
        centre.phones[&first]
            .told
            .contains(&"notify 603".to_owned())
    });
    let talk = centre.now + Duration::from_secs(5);
    centre.run(talk, |_| false);
    assert_eq!(
        sent_to(&centre, first, "BYE"),
        0,
        "the conversation goes on"
    );
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
}

#[test]
fn nobody_takes_it_and_it_comes_back_to_whoever_hung_up() {
    let (mut centre, caller) = talking(true, "the colleague", Answering::Ignore);
    let [first, second] = phones(&centre);
    let again = answers_after(1, Talking::Stay);
    let phone = centre.phones.get_mut(&first).expect("a telephone");
    phone.script.push_back(again);
    until(&mut centre, "it does not come back", |centre| {
        sent_to(centre, first, "ACK") == 2
    });
    assert_eq!(sent_to(&centre, second, "CANCEL"), 1);
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
    assert!(matches!(
        rules(&centre)[1..],
        [Rule::Transferred { .. }, Rule::Returned { .. }]
    ));
}

#[test]
fn nobody_at_all_takes_it_and_the_call_ends() {
    let (mut centre, caller) = talking(true, "the colleague", Answering::Ignore);
    let [first, _] = phones(&centre);
    let phone = centre.phones.get_mut(&first).expect("a telephone");
    phone.script.push_back(Answering::Ignore);
    ends_well(&mut centre, caller, Outcome::Ended);
    let nobody = |kind: &EventKind| {
        matches!(
            kind,
            EventKind::Ended {
                cause: Cause::NobodyAnswered,
                missed: false,
                ..
            }
        )
    };
    assert_eq!(count(&centre, nobody), 1);
}

#[test]
fn transferor_hangs_up_while_the_target_rings_and_the_target_answers() {
    let (mut centre, caller) = talking(true, "the colleague", answers_after(4, Talking::Stay));
    let [_, second] = phones(&centre);
    until(&mut centre, "the colleague does not talk", |centre| {
        sent_to(centre, second, "ACK") == 1
    });
    let talk = centre.now + Duration::from_secs(5);
    centre.run(talk, |_| false);
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
}

#[test]
fn client_hangs_up_while_the_target_rings() {
    let (mut centre, caller) = talking(false, "the colleague", Answering::Ignore);
    let [first, second] = phones(&centre);
    until(&mut centre, "the colleague is not rung", |centre| {
        centre.phones[&first]
            .told
            .contains(&"notify 180".to_owned())
    });
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
    assert_eq!(sent_to(&centre, second, "CANCEL"), 1);
    assert_eq!(sent_to(&centre, first, "BYE"), 1);
    let begun = centre.world.journal.iter().find_map(|it| match it.kind {
        EventKind::TransferBegun { from, .. } => Some(from),
        _ => None,
    });
    let whose = centre.world.journal.iter().find_map(|it| match it.kind {
        EventKind::Ended { agent, .. } => Some(agent),
        _ => None,
    });
    assert_eq!(
        whose,
        Some(begun),
        "the conversation is whose it was, not of whom it rang at"
    );
}

#[test]
fn killed_while_the_target_rings_everybody_is_told() {
    let (mut centre, caller) = talking(false, "the colleague", Answering::Ignore);
    let [first, second] = phones(&centre);
    until(&mut centre, "the colleague is not rung", |centre| {
        centre.phones[&first]
            .told
            .contains(&"notify 180".to_owned())
    });
    centre.kill();
    ends_well(&mut centre, caller, Outcome::Ended);
    assert!(sent_to(&centre, second, "CANCEL") >= 1);
    assert!(sent_to(&centre, first, "BYE") >= 1);
}

#[test]
fn a_transfer_to_nobody_or_to_oneself_is_refused_and_the_conversation_goes_on() {
    for (number, status) in [("999", "404"), ("myself", "403")] {
        let (mut centre, caller) = talking(false, number, Answering::Ignore);
        let [first, second] = phones(&centre);
        until(&mut centre, "the REFER is not answered", |centre| {
            !centre.phones[&first].told.is_empty()
        });
        assert_eq!(centre.phones[&first].told, [status]);
        assert_eq!(sent_to(&centre, second, "INVITE"), 0);
        centre.leave(caller);
        ends_well(&mut centre, caller, Outcome::HungUp);
    }
}
