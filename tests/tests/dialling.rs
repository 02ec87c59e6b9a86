//! Calls that agents begin, moment by moment, in the simulated call centre: to clients by a trunk, to colleagues, and by
//! order of the workspace.

use std::{net::SocketAddr, time::Duration};

use call::{Cause, EventKind, OrderRefused};
use model::Rule;
use tests::sim::{
    Answering, Centre, Dialled, Intent, Outcome, Talking,
    company::{client_number, gateway_address, phone_address},
    invariants::violations,
    wire::Record,
};

const SOON: Duration = Duration::from_secs(60);

fn answers_after(secs: u64) -> Answering {
    Answering::Answer {
        after: Duration::from_secs(secs),
        then: Talking::Stay,
    }
}

fn refuses(status: u16) -> Answering {
    let after = Duration::from_secs(1);
    Answering::Refuse { after, status }
}

/// Agents with one registered telephone each; nobody calls.
fn office(agents: usize) -> Centre {
    let mut centre = Centre::calm(agents, 1);
    assert!(centre.run(SOON, |centre| {
        centre.phones.values().all(|phone| phone.registered)
    }));
    centre
}

/// What the party at this address does with the next calls.
fn script(centre: &mut Centre, party: SocketAddr, script: &[Answering]) {
    let phone = centre.phones.get_mut(&party).expect("a telephone");
    phone.script.extend(script);
}

fn sent_to<'a>(centre: &'a Centre, party: SocketAddr, start: &str) -> Vec<&'a Record> {
    let wire = centre.wire.iter();
    wire.filter(|r| !r.incoming && r.party == party && r.message.start.starts_with(start))
        .collect()
}

fn until(centre: &mut Centre, what: &str, done: impl Fn(&Centre) -> bool) {
    let until = centre.now + SOON;
    assert!(centre.run(until, done), "{what}");
}

fn talks_for(centre: &mut Centre, secs: u64) {
    let end = centre.now + Duration::from_secs(secs);
    centre.run(end, |_| false);
}

fn ends_well(centre: &mut Centre, caller: SocketAddr, outcome: Outcome) {
    centre.run_until_quiet();
    assert_eq!(violations(centre), Vec::<String>::new());
    assert_eq!(centre.callers[&caller].outcome, Some(outcome));
}

fn cause(centre: &Centre) -> Cause {
    let mut ends = centre.world.journal.iter().filter_map(|it| match it.kind {
        EventKind::Ended { cause, .. } => Some(cause),
        _ => None,
    });
    let cause = ends.next().expect("the call ended");
    assert_eq!(ends.next(), None, "one call, one end");
    cause
}

#[test]
fn a_trunk_that_asks_for_the_password_gets_it_and_the_client_talks() {
    let mut centre = office(1);
    let gateway = gateway_address(0);
    script(&mut centre, gateway, &[answers_after(2)]);
    let caller = centre.dial(centre.now, 0, Dialled::Client(0), Intent::patient());
    until(&mut centre, "no conversation", |centre| {
        centre.callers[&caller].talk.is_some()
    });
    assert_eq!(centre.callers[&caller].provisional, [100, 180]);
    let invites = sent_to(&centre, gateway, "INVITE");
    let [first, second] = invites.as_slice() else {
        panic!("{invites:?}")
    };
    assert_eq!(first.message.header("Proxy-Authorization"), None);
    let answer = second.message.text("Proxy-Authorization");
    assert!(
        answer.contains("username=\"office\"") && answer.contains("realm=\"gateway\""),
        "{answer}"
    );
    assert!(second.message.cseq() > first.message.cseq());
    assert!(
        second.message.text("From").contains("sip:74951000000@"),
        "our number, as the trunk wants it"
    );
    talks_for(&mut centre, 10);
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
    assert_eq!(cause(&centre), Cause::HungUp);
}

#[test]
fn a_trunk_that_fails_hands_the_call_to_the_next() {
    let mut centre = office(1);
    script(&mut centre, gateway_address(0), &[refuses(503)]);
    script(&mut centre, gateway_address(1), &[answers_after(1)]);
    let caller = centre.dial(centre.now, 0, Dialled::Client(0), Intent::patient());
    until(&mut centre, "no conversation", |centre| {
        centre.callers[&caller].talk.is_some()
    });
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
    let trunks: Vec<i64> = centre
        .world
        .journal
        .iter()
        .filter_map(|it| match it.kind {
            EventKind::Routed { trunk, .. } => Some(trunk.0),
            _ => None,
        })
        .collect();
    // The first one twice: without the password and with it.
    assert_eq!(trunks, [1, 1, 2]);
}

#[test]
fn a_client_who_is_busy_is_not_tried_by_another_trunk() {
    let mut centre = office(1);
    script(&mut centre, gateway_address(0), &[refuses(486)]);
    let caller = centre.dial(centre.now, 0, Dialled::Client(0), Intent::patient());
    ends_well(&mut centre, caller, Outcome::Refused(486));
    assert_eq!(cause(&centre), Cause::Busy);
    assert!(sent_to(&centre, gateway_address(1), "INVITE").is_empty());
}

#[test]
fn no_trunk_takes_the_call_and_the_telephone_hears_it() {
    let mut centre = office(1);
    for place in 0..2 {
        script(&mut centre, gateway_address(place), &[refuses(500)]);
    }
    let caller = centre.dial(centre.now, 0, Dialled::Client(0), Intent::patient());
    ends_well(&mut centre, caller, Outcome::Refused(502));
    assert_eq!(cause(&centre), Cause::Unreachable);
}

#[test]
fn an_agent_who_gives_up_stops_the_ringing_at_the_client() {
    let mut centre = office(1);
    let gateway = gateway_address(0);
    script(&mut centre, gateway, &[Answering::Ignore]);
    let caller = centre.dial(centre.now, 0, Dialled::Client(0), Intent::patient());
    until(&mut centre, "no ringing", |centre| {
        centre.callers[&caller].provisional.contains(&180)
    });
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::Refused(487));
    assert_eq!(sent_to(&centre, gateway, "CANCEL").len(), 1);
    assert_eq!(cause(&centre), Cause::CallerCancelled);
}

#[test]
fn killed_while_the_client_rings_the_trunk_gets_cancel_and_the_agent_503() {
    let mut centre = office(1);
    let gateway = gateway_address(0);
    script(&mut centre, gateway, &[Answering::Ignore]);
    let caller = centre.dial(centre.now, 0, Dialled::Client(0), Intent::patient());
    until(&mut centre, "no ringing", |centre| {
        centre.callers[&caller].provisional.contains(&180)
    });
    centre.kill();
    ends_well(&mut centre, caller, Outcome::Refused(503));
    assert!(!sent_to(&centre, gateway, "CANCEL").is_empty());
    assert_eq!(cause(&centre), Cause::Crash);
}

#[test]
fn colleagues_talk_by_short_number_and_nobody_is_recorded() {
    let mut centre = office(2);
    script(&mut centre, phone_address(1, 0), &[answers_after(2)]);
    let caller = centre.dial(centre.now, 0, Dialled::Colleague(1), Intent::patient());
    until(&mut centre, "no conversation", |centre| {
        centre.callers[&caller].talk.is_some()
    });
    talks_for(&mut centre, 5);
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
    let rules: Vec<Rule> = centre
        .world
        .journal
        .iter()
        .filter_map(|it| match it.kind {
            EventKind::Offered { rule, .. } => Some(rule),
            _ => None,
        })
        .collect();
    assert_eq!(rules, [Rule::Caller, Rule::Dialled]);
    let recorded = |kind: &EventKind| matches!(kind, EventKind::RecordingReady { .. });
    assert!(!centre.world.journal.iter().any(|it| recorded(&it.kind)));
}

#[test]
fn a_colleague_in_a_call_is_busy_to_whoever_dials_the_short_number() {
    let mut centre = office(3);
    script(&mut centre, phone_address(1, 0), &[answers_after(1)]);
    let first = centre.dial(centre.now, 0, Dialled::Colleague(1), Intent::patient());
    until(&mut centre, "no conversation", |centre| {
        centre.callers[&first].talk.is_some()
    });
    let second = centre.dial(centre.now, 2, Dialled::Colleague(1), Intent::patient());
    until(&mut centre, "no answer", |centre| {
        centre.callers[&second].outcome.is_some()
    });
    assert_eq!(centre.callers[&second].outcome, Some(Outcome::Refused(486)));
    centre.leave(first);
    ends_well(&mut centre, first, Outcome::HungUp);
}

#[test]
fn an_ordered_call_rings_the_agent_first_and_then_the_client() {
    let mut centre = office(1);
    let (phone, gateway) = (phone_address(0, 0), gateway_address(0));
    script(&mut centre, phone, &[answers_after(2)]);
    let hangs_up = Answering::Answer {
        after: Duration::from_secs(3),
        then: Talking::HangUp {
            after: Duration::from_secs(10),
        },
    };
    script(&mut centre, gateway, &[hangs_up]);
    let order = centre.order(centre.now, 0, 0);
    centre.run_until_quiet();
    assert_eq!(violations(&centre), Vec::<String>::new());
    assert!(centre.ordered[&order].is_ok());
    let [rung] = sent_to(&centre, phone, "INVITE")[..] else {
        panic!("the telephone rings once")
    };
    assert!(rung.message.text("From").contains(&client_number(0)));
    let called = sent_to(&centre, gateway, "INVITE")[0].at;
    let taken = sent_to(&centre, phone, "ACK")[0].at;
    assert!(taken <= called, "{taken:?} {called:?}");
    assert_eq!(cause(&centre), Cause::HungUp);
}

#[test]
fn an_agent_who_does_not_take_up_an_ordered_call_costs_the_client_nothing() {
    let mut centre = office(1);
    script(&mut centre, phone_address(0, 0), &[refuses(603)]);
    let order = centre.order(centre.now, 0, 0);
    centre.run_until_quiet();
    assert_eq!(violations(&centre), Vec::<String>::new());
    assert!(centre.ordered[&order].is_ok());
    assert!(sent_to(&centre, gateway_address(0), "INVITE").is_empty());
    assert_eq!(cause(&centre), Cause::CallerCancelled);
}

#[test]
fn whoever_is_in_a_call_cannot_order_another() {
    let mut centre = office(1);
    script(&mut centre, gateway_address(0), &[Answering::Ignore]);
    let caller = centre.dial(centre.now, 0, Dialled::Client(0), Intent::patient());
    until(&mut centre, "no ringing", |centre| {
        centre.callers[&caller].provisional.contains(&180)
    });
    let order = centre.order(centre.now, 0, 1);
    until(&mut centre, "no answer to the order", |centre| {
        centre.ordered.contains_key(&order)
    });
    assert_eq!(centre.ordered[&order], Err(OrderRefused::InCall));
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::Refused(487));
}

#[test]
fn a_foreign_number_is_refused_to_whoever_may_call_at_home_only() {
    let mut centre = office(1);
    let number = "4930123456";
    let caller = centre.dial_number(centre.now, 0, &format!("+{number}"), Intent::patient());
    ends_well(&mut centre, caller, Outcome::Refused(403));
    assert!(centre.world.journal.is_empty(), "no call begins");
}
