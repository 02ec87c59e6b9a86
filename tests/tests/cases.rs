//! Moments of a call that go wrong in every exchange sooner or later, each by its name, in the simulated call centre.

use std::{net::SocketAddr, time::Duration};

use call::{Cause, EventKind, OfferEnd};
use tests::sim::{
    Answering, Centre, Intent, Outcome, Store, Talking, company::phone_address,
    invariants::violations,
};

const SOON: Duration = Duration::from_secs(30);

fn answers_after(after: Duration) -> Answering {
    Answering::Answer {
        after,
        then: Talking::Stay,
    }
}

/// Agents with telephones that are registered, and one caller who dials; every agent may be offered the line.
fn dialled(agents: usize, devices: usize, script: &[Answering]) -> (Centre, SocketAddr) {
    let mut centre = Centre::calm(agents, devices);
    for phone in centre.phones.values_mut().filter(|phone| !phone.is_gateway) {
        phone.script.extend(script);
    }
    assert!(centre.run(SOON, |centre| {
        centre.phones.values().all(|phone| phone.registered)
    }));
    let caller = centre.place(centre.now, 0, Intent::patient());
    (centre, caller)
}

fn sent_to(centre: &Centre, party: SocketAddr, start: &str) -> usize {
    let to = |record: &&tests::sim::wire::Record| {
        !record.incoming && record.party == party && record.message.start.starts_with(start)
    };
    centre.wire.iter().filter(to).count()
}

/// Runs until the exchange got a message that begins like this from the party.
fn until_got(centre: &mut Centre, party: SocketAddr, start: &str) {
    let until = centre.now + SOON;
    let got = centre.run(until, |centre| {
        centre
            .wire
            .iter()
            .any(|r| r.incoming && r.party == party && r.message.start.starts_with(start))
    });
    assert!(got, "nothing like {start} came from {party}");
}

fn until_talking(centre: &mut Centre, caller: SocketAddr) {
    let until = centre.now + SOON;
    assert!(
        centre.run(until, |centre| centre.callers[&caller].talk.is_some()),
        "no conversation"
    );
}

fn ends_well(centre: &mut Centre, caller: SocketAddr, outcome: Outcome) {
    centre.run_until_quiet();
    assert_eq!(violations(centre), Vec::<String>::new());
    assert_eq!(centre.callers[&caller].outcome, Some(outcome));
}

/// Cause and talk time of the one call in the journal.
fn end_of_call(centre: &Centre) -> (Cause, u64) {
    let ends: Vec<_> = centre
        .world
        .journal
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::Ended { cause, talk_ms, .. } => Some((cause, talk_ms)),
            _ => None,
        })
        .collect();
    assert_eq!(ends.len(), 1, "one call, one end");
    ends[0]
}

#[test]
fn caller_and_agent_talk_until_the_caller_hangs_up() {
    let (mut centre, caller) = dialled(1, 1, &[answers_after(Duration::from_secs(2))]);
    until_talking(&mut centre, caller);
    let rings = centre.callers[&caller].provisional.clone();
    assert_eq!(
        rings,
        [100, 180],
        "trying, then the telephone's own ringing"
    );
    let end = centre.now + Duration::from_secs(10);
    centre.run(end, |_| false);
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
    let (cause, talk_ms) = end_of_call(&centre);
    assert_eq!(cause, Cause::HungUp);
    assert!((9_900..=10_300).contains(&talk_ms), "{talk_ms}");
}

#[test]
fn cancel_while_answered_waits() {
    let (mut centre, caller) = dialled(1, 1, &[answers_after(Duration::from_secs(2))]);
    let phone = phone_address(0, 0);
    centre.world.troubles.store = Store::Takes(Duration::from_millis(200));
    until_got(&mut centre, phone, "SIP/2.0 200 OK");
    until_got(&mut centre, phone, "SIP/2.0 180");
    let until = centre.now + SOON;
    assert!(
        centre.run(until, |centre| sent_to(centre, phone, "ACK") == 1),
        "ACK leaves before the commit"
    );
    assert_eq!(
        sent_to(&centre, caller, "SIP/2.0 200"),
        0,
        "the 200 to the caller waits"
    );
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::Refused(487));
    assert_eq!(sent_to(&centre, phone, "BYE"), 1);
    assert_eq!(end_of_call(&centre), (Cause::CallerCancelled, 0));
}

/// The telephone has hung up, and that it answered is not stored yet.
fn hung_up_while_answered_waits() -> (Centre, SocketAddr, SocketAddr) {
    let answering = Answering::Answer {
        after: Duration::from_secs(2),
        then: Talking::HangUp {
            after: Duration::from_millis(50),
        },
    };
    let (mut centre, caller) = dialled(1, 1, &[answering]);
    let phone = phone_address(0, 0);
    centre.world.troubles.store = Store::Takes(Duration::from_millis(200));
    until_got(&mut centre, phone, "BYE");
    (centre, caller, phone)
}

#[test]
fn agent_hangs_up_while_answered_waits() {
    let (mut centre, caller, phone) = hung_up_while_answered_waits();
    ends_well(&mut centre, caller, Outcome::Refused(480));
    let confirmed = centre.wire.iter().filter(|record| {
        !record.incoming && record.party == phone && record.message.method() == "BYE"
    });
    assert!(
        confirmed
            .filter(|record| record.message.status() == Some(200))
            .count()
            >= 1,
        "the telephone's BYE is answered"
    );
}

#[test]
fn a_refusal_that_was_lost_with_the_process_is_said_again() {
    let (mut centre, caller, _) = hung_up_while_answered_waits();
    centre.cut(true);
    let until = centre.now + SOON;
    let ended = |centre: &Centre| {
        let journal = &centre.world.journal;
        journal
            .iter()
            .any(|event| matches!(event.kind, EventKind::Ended { .. }))
    };
    let refused = |centre: &Centre| sent_to(centre, caller, "SIP/2.0 480") >= 1;
    assert!(centre.run(until, |centre| refused(centre) && ended(centre)));
    centre.kill();
    let dead = centre.now + Duration::from_millis(1);
    centre.run(dead, |_| false);
    centre.cut(false);
    ends_well(&mut centre, caller, Outcome::Refused(480));
}

#[test]
fn two_devices_200_cross() {
    let (mut centre, caller) = dialled(1, 2, &[answers_after(Duration::from_secs(2))]);
    until_talking(&mut centre, caller);
    let end = centre.now + Duration::from_secs(2);
    centre.run(end, |_| false);
    let phones = [phone_address(0, 0), phone_address(0, 1)];
    for phone in phones {
        assert_eq!(sent_to(&centre, phone, "ACK"), 1, "both 200 get their ACK");
    }
    let byes: usize = phones
        .iter()
        .map(|phone| sent_to(&centre, *phone, "BYE"))
        .sum();
    assert_eq!(byes, 1, "the second one gets BYE");
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
}

#[test]
fn one_of_two_devices_answers_and_the_other_stops_ringing() {
    let (mut centre, caller) = dialled(1, 2, &[]);
    let (quick, slow) = (phone_address(0, 0), phone_address(0, 1));
    for (phone, answering) in [
        (quick, answers_after(Duration::from_secs(1))),
        (slow, Answering::Ignore),
    ] {
        centre
            .phones
            .get_mut(&phone)
            .unwrap()
            .script
            .push_back(answering);
    }
    until_talking(&mut centre, caller);
    let end = centre.now + Duration::from_secs(1);
    centre.run(end, |_| false);
    assert_eq!(
        (
            sent_to(&centre, slow, "CANCEL"),
            sent_to(&centre, quick, "CANCEL")
        ),
        (1, 0)
    );
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
}

fn hold_then_leave(leaves_first: bool) {
    let hold = Answering::Answer {
        after: Duration::from_secs(1),
        then: Talking::Hold {
            after: Duration::from_secs(5),
            length: Duration::from_secs(600),
            rest: Duration::from_secs(10),
        },
    };
    let (mut centre, caller) = dialled(1, 1, &[hold]);
    let phone = phone_address(0, 0);
    until_talking(&mut centre, caller);
    // The telephone puts its re-INVITE on the wire 5 s after its answer, at a known moment.
    let answered = centre
        .wire
        .iter()
        .find(|r| {
            r.incoming
                && r.party == phone
                && r.message.start.contains("200 OK")
                && r.message.method() == "INVITE"
        })
        .unwrap()
        .at;
    let reinvite = answered - Duration::from_millis(1) + Duration::from_secs(5);
    let micros = Duration::from_micros(400);
    let moment = if leaves_first {
        reinvite - micros
    } else {
        reinvite + micros
    };
    centre.run(moment, |_| false);
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
    let asked = centre
        .wire
        .iter()
        .filter(|r| r.incoming && r.message.start.starts_with("INVITE sip:ringbook"));
    assert_eq!(asked.count(), 1, "the re-INVITE was on its way");
}

#[test]
fn bye_crosses_reinvite() {
    hold_then_leave(true);
    hold_then_leave(false);
}

#[test]
fn late_reservation() {
    let (mut centre, caller) = dialled(2, 1, &[answers_after(Duration::from_secs(1))]);
    centre.world.troubles.late_grants = 1_000;
    let until = centre.now + SOON;
    assert!(
        centre.run(until, |centre| !centre.world.late.is_empty()),
        "a reservation is on its way"
    );
    centre.world.troubles.late_grants = 0;
    let first = centre.world.late[0];
    until_talking(&mut centre, caller);
    assert!(!centre.world.ledger.contains_key(&first) || centre.world.ledger.len() == 2);
    let end = centre.now + Duration::from_secs(5);
    centre.run(end, |_| false);
    let reserved: Vec<_> = centre.world.ledger.keys().copied().collect();
    assert_eq!(reserved.len(), 1, "the late one is given back");
    assert_ne!(reserved[0], first, "the next candidate has the call");
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
}

#[test]
fn caller_hangs_up_while_the_card_is_on_its_way() {
    let (mut centre, caller) = dialled(1, 1, &[answers_after(Duration::from_secs(1))]);
    centre.world.troubles.late_cards = 1_000;
    let until = centre.now + SOON;
    assert!(
        centre.run(until, |centre| !centre.world.cards.is_empty()),
        "the card is on its way"
    );
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::Refused(487));
    assert_eq!(
        sent_to(&centre, phone_address(0, 0), "INVITE"),
        0,
        "the telephone never rings"
    );
    assert_eq!(end_of_call(&centre), (Cause::CallerCancelled, 0));
    let gone = |kind: &EventKind| {
        matches!(
            kind,
            EventKind::OfferEnded {
                end: OfferEnd::CallerGone,
                ..
            }
        )
    };
    assert!(centre.world.journal.iter().any(|event| gone(&event.kind)));
}

#[test]
fn a_card_that_nobody_confirms_delays_the_ring_by_its_deadline_only() {
    let (mut centre, caller) = dialled(1, 1, &[answers_after(Duration::from_secs(1))]);
    centre.world.troubles.late_cards = 1_000;
    let until = centre.now + SOON;
    assert!(centre.run(until, |centre| !centre.world.cards.is_empty()));
    let announced = centre.now;
    assert!(centre.run(until, |centre| sent_to(
        centre,
        phone_address(0, 0),
        "INVITE"
    ) == 1));
    let waited = centre.now - announced;
    assert!(waited <= Duration::from_millis(150), "{waited:?}");
    until_talking(&mut centre, caller);
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
}

#[test]
fn a_dead_store_stops_no_call() {
    let (mut centre, caller) = dialled(1, 1, &[answers_after(Duration::from_secs(1))]);
    centre.world.troubles.store = Store::Dead;
    until_talking(&mut centre, caller);
    assert!(centre.world.journal.is_empty(), "nothing could be written");
    let end = centre.now + Duration::from_secs(3);
    centre.run(end, |_| false);
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
}

#[test]
fn a_device_that_declines_or_is_busy_hands_the_call_to_the_next_agent() {
    for status in [486, 603] {
        let (mut centre, caller) = dialled(2, 1, &[]);
        let refuse = Answering::Refuse {
            after: Duration::from_millis(50),
            status,
        };
        let until = centre.now + SOON;
        for phone in centre.phones.values_mut() {
            phone.script.push_back(refuse);
        }
        assert!(centre.run(until, |centre| {
            centre.phones.values().any(|phone| !phone.calls.is_empty())
        }));
        for phone in centre.phones.values_mut() {
            if !phone.script.is_empty() {
                phone.script = [answers_after(Duration::from_secs(1))].into();
            }
        }
        until_talking(&mut centre, caller);
        centre.leave(caller);
        ends_well(&mut centre, caller, Outcome::HungUp);
        let offers = centre
            .world
            .journal
            .iter()
            .filter(|event| matches!(event.kind, EventKind::Offered { .. }));
        assert_eq!(offers.count(), 2);
    }
}

#[test]
fn killed_in_a_conversation_both_sides_get_bye() {
    let (mut centre, caller) = dialled(1, 1, &[answers_after(Duration::from_secs(1))]);
    let phone = phone_address(0, 0);
    until_talking(&mut centre, caller);
    let end = centre.now + Duration::from_secs(5);
    centre.run(end, |_| false);
    centre.kill();
    ends_well(&mut centre, caller, Outcome::Ended);
    assert!(sent_to(&centre, phone, "BYE") >= 1 && sent_to(&centre, caller, "BYE") >= 1);
    assert_eq!(end_of_call(&centre).0, Cause::Crash);
}

#[test]
fn a_telephone_that_answers_while_the_process_is_down_gets_ack_and_bye() {
    let (mut centre, caller) = dialled(1, 1, &[answers_after(Duration::from_secs(2))]);
    let phone = phone_address(0, 0);
    until_got(&mut centre, phone, "SIP/2.0 180");
    let killed = centre.now + Duration::from_millis(1_700);
    centre.run(killed, |_| false);
    centre.kill();
    let until = centre.now + SOON;
    let free = centre.run(until, |centre| {
        sent_to(centre, phone, "BYE") == 1
            && sent_to(centre, phone, "ACK") >= 1
            && centre.phones[&phone].calls.iter().all(|call| call.over)
    });
    assert!(free);
    assert!(
        centre.now < killed + Duration::from_secs(5),
        "{:?}",
        centre.now
    );
    ends_well(&mut centre, caller, Outcome::Refused(503));
}

#[test]
fn killed_between_the_ack_and_the_commit_the_telephone_gets_bye() {
    let (mut centre, caller) = dialled(1, 1, &[answers_after(Duration::from_secs(2))]);
    let phone = phone_address(0, 0);
    until_got(&mut centre, phone, "SIP/2.0 180");
    centre.world.troubles.store = Store::Dead;
    let until = centre.now + SOON;
    let acked = |centre: &Centre| {
        let calls = &centre.phones[&phone_address(0, 0)].calls;
        calls.iter().any(|call| call.talk.is_some())
    };
    assert!(centre.run(until, acked));
    centre.kill();
    let dead = centre.now + Duration::from_millis(10);
    centre.run(dead, |_| false);
    centre.world.troubles.store = Store::Fast;
    let over = |centre: &Centre| centre.phones[&phone].calls.iter().all(|call| call.over);
    assert!(
        centre.run(dead + Duration::from_secs(5), over),
        "it is told"
    );
    ends_well(&mut centre, caller, Outcome::Refused(503));
}

#[test]
fn killed_while_it_rings_the_device_gets_cancel_and_the_caller_503() {
    let (mut centre, caller) = dialled(1, 1, &[Answering::Ignore]);
    let phone = phone_address(0, 0);
    until_got(&mut centre, phone, "SIP/2.0 180");
    centre.kill();
    ends_well(&mut centre, caller, Outcome::Refused(503));
    assert!(sent_to(&centre, phone, "CANCEL") >= 1);
    assert_eq!(end_of_call(&centre), (Cause::Crash, 0));
}

#[test]
fn a_telephone_that_loses_power_in_a_conversation_frees_its_agent_within_75_seconds() {
    let crash = Answering::Answer {
        after: Duration::from_secs(1),
        then: Talking::Crash {
            after: Duration::from_secs(5),
        },
    };
    let (mut centre, caller) = dialled(1, 1, &[crash]);
    until_talking(&mut centre, caller);
    let until = centre.now + Duration::from_secs(5 + 75);
    assert!(
        centre.run(until, |centre| centre.resources().reservations == 0),
        "the agent is free again"
    );
    ends_well(&mut centre, caller, Outcome::Ended);
    assert_eq!(end_of_call(&centre).0, Cause::MediaTimeout);
}

#[test]
fn a_telephone_that_loses_power_on_hold_frees_its_agent_within_75_seconds() {
    let hold = Answering::Answer {
        after: Duration::from_secs(1),
        then: Talking::Hold {
            after: Duration::from_secs(5),
            length: Duration::from_secs(600),
            rest: Duration::from_secs(10),
        },
    };
    let (mut centre, caller) = dialled(1, 1, &[hold]);
    let phone = phone_address(0, 0);
    until_talking(&mut centre, caller);
    let end = centre.now + Duration::from_secs(20);
    centre.run(end, |_| false);
    let now = centre.now;
    centre.phones.get_mut(&phone).unwrap().crash(now);
    let until = now + Duration::from_secs(75);
    assert!(
        centre.run(until, |centre| centre.resources().reservations == 0),
        "the agent is free again"
    );
    ends_well(&mut centre, caller, Outcome::Ended);
    assert_eq!(end_of_call(&centre).0, Cause::SignallingLost);
}
