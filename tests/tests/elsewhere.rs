//! Agents whose telephone is elsewhere, moment by moment, in the simulated call centre.

use std::{net::SocketAddr, time::Duration};

use call::{Cause, EventKind, OfferEnd};
use model::DeviceId;
use tests::sim::{
    Answering, Centre, Intent, Outcome, Talking,
    company::{gateway_address, mobile, phone_address},
    invariants::violations,
    wire::Record,
};

const SOON: Duration = Duration::from_secs(60);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn answers_after(after: u64) -> Answering {
    Answering::Answer {
        after: secs(after),
        then: Talking::Stay,
    }
}

/// One agent with a telephone at the desk and a mobile one that rings so many seconds later; a caller dials.
fn dialled(
    ring_after: u32,
    (desk, there): (Answering, Answering),
    key: Option<Duration>,
) -> (Centre, SocketAddr) {
    let mut centre = Centre::calm(1, 1);
    centre.change_directory(|directory| directory.devices.push(mobile(0, ring_after)));
    let registered = |centre: &Centre| centre.phones.values().all(|phone| phone.registered);
    assert!(centre.run(SOON, registered));
    let script = |centre: &mut Centre, address, answering| {
        let phone = centre.phones.get_mut(&address).expect("it is there");
        phone.script.push_back(answering);
        phone.keys.push_back(key);
    };
    script(&mut centre, phone_address(0, 0), desk);
    script(&mut centre, gateway_address(0), there);
    let caller = centre.place(centre.now, 0, Intent::patient());
    (centre, caller)
}

fn ends_well(centre: &mut Centre, caller: SocketAddr, outcome: Outcome) {
    centre.run_until_quiet();
    assert_eq!(violations(centre), Vec::<String>::new());
    assert_eq!(centre.callers[&caller].outcome, Some(outcome));
}

fn first(centre: &Centre, to: SocketAddr, start: &str) -> Option<Duration> {
    let sent = |r: &&Record| !r.incoming && r.party == to && r.message.start.starts_with(start);
    centre.wire.iter().find(sent).map(|r| r.at)
}

/// The telephone on which the call was taken.
fn taken_on(centre: &Centre) -> Option<DeviceId> {
    let mut journal = centre.world.journal.iter();
    journal.find_map(|event| match event.kind {
        EventKind::OfferAccepted { device, .. } => Some(device),
        _ => None,
    })
}

fn cause(centre: &Centre) -> Cause {
    let mut journal = centre.world.journal.iter();
    let end = journal.find_map(|event| match event.kind {
        EventKind::Ended { cause, .. } => Some(cause),
        _ => None,
    });
    end.expect("the call ended")
}

fn offer_ends(centre: &Centre) -> Vec<OfferEnd> {
    let journal = centre.world.journal.iter();
    journal
        .filter_map(|event| match event.kind {
            EventKind::OfferEnded { end, .. } => Some(end),
            _ => None,
        })
        .collect()
}

#[test]
fn both_ring_together_and_the_desk_takes_it() {
    let both = (answers_after(3), Answering::Ignore);
    let (mut centre, caller) = dialled(0, both, None);
    let (desk, there) = (phone_address(0, 0), gateway_address(0));
    assert!(centre.run(SOON, |centre| centre.callers[&caller].talk.is_some()));
    let rung = [desk, there].map(|phone| first(&centre, phone, "INVITE"));
    assert!(rung[0].is_some() && rung[0] == rung[1], "{rung:?}");
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
    assert!(first(&centre, there, "CANCEL").is_some());
    assert_eq!(taken_on(&centre), Some(DeviceId(1)));
}

#[test]
fn in_turn_the_mobile_rings_after_its_delay() {
    let both = (Answering::Ignore, answers_after(1));
    let (mut centre, caller) = dialled(8, both, Some(secs(2)));
    assert!(centre.run(SOON, |centre| centre.callers[&caller].talk.is_some()));
    let (desk, there) = (phone_address(0, 0), gateway_address(0));
    let delay = first(&centre, there, "INVITE").unwrap() - first(&centre, desk, "INVITE").unwrap();
    assert!((secs(8)..secs(9)).contains(&delay), "{delay:?}");
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
    assert_eq!(taken_on(&centre), Some(DeviceId(10_001)));
}

#[test]
fn a_desk_that_declines_lets_the_mobile_ring_at_once() {
    let declines = Answering::Refuse {
        after: secs(1),
        status: 486,
    };
    let (mut centre, caller) = dialled(15, (declines, answers_after(1)), Some(secs(1)));
    assert!(centre.run(SOON, |centre| centre.callers[&caller].talk.is_some()));
    let (desk, there) = (phone_address(0, 0), gateway_address(0));
    let delay = first(&centre, there, "INVITE").unwrap() - first(&centre, desk, "INVITE").unwrap();
    assert!(delay < secs(2), "{delay:?}");
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
}

#[test]
fn the_desk_takes_it_while_the_mobile_is_asked_and_the_mobile_answers_after_the_desk() {
    for (desk, there) in [(6, 2), (3, 3)] {
        let both = (answers_after(desk), answers_after(there));
        let (mut centre, caller) = dialled(0, both, Some(secs(30)));
        assert!(centre.run(SOON, |centre| centre.callers[&caller].talk.is_some()));
        centre.leave(caller);
        ends_well(&mut centre, caller, Outcome::HungUp);
        assert_eq!(taken_on(&centre), Some(DeviceId(1)));
        let there = gateway_address(0);
        let ended = [
            first(&centre, there, "BYE"),
            first(&centre, there, "CANCEL"),
        ];
        assert!(ended.iter().any(Option::is_some), "{ended:?}");
    }
}

#[test]
fn without_the_key_nobody_gets_the_client() {
    let both = (Answering::Ignore, answers_after(1));
    let (mut centre, caller) = dialled(0, both, None);
    ends_well(&mut centre, caller, Outcome::Refused(480));
    assert_eq!(cause(&centre), Cause::NobodyAnswered);
    assert_eq!(offer_ends(&centre), [OfferEnd::NoAnswer]);
    let there = gateway_address(0);
    let asked = first(&centre, there, "BYE").unwrap() - first(&centre, there, "ACK").unwrap();
    assert!((secs(20)..secs(23)).contains(&asked), "{asked:?}");
}

#[test]
fn whoever_takes_it_just_before_the_ring_time_ends_has_time_for_the_key() {
    let both = (Answering::Ignore, answers_after(4));
    let (mut centre, caller) = dialled(0, both, Some(secs(4)));
    centre.change_directory(|directory| directory.agents[0].ring_timeout_secs = 5);
    assert!(centre.run(SOON, |centre| centre.callers[&caller].talk.is_some()));
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
    assert_eq!(taken_on(&centre), Some(DeviceId(10_001)));
}

#[test]
fn the_client_gives_up_while_the_mobile_is_asked() {
    let both = (Answering::Ignore, answers_after(1));
    let (mut centre, caller) = dialled(0, both, Some(secs(19)));
    let there = gateway_address(0);
    assert!(
        centre.run(SOON, |centre| first(centre, there, "ACK").is_some()
            && centre.phones[&there].calls.iter().any(|call| call.answered))
    );
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::Refused(487));
    assert!(first(&centre, there, "BYE").is_some());
    assert_eq!(cause(&centre), Cause::CallerCancelled);
}

#[test]
fn killed_while_the_mobile_is_asked_it_gets_bye() {
    let both = (Answering::Ignore, answers_after(1));
    let (mut centre, caller) = dialled(0, both, Some(secs(19)));
    let there = gateway_address(0);
    let asked = |centre: &Centre| centre.phones[&there].calls.iter().any(|call| call.answered);
    assert!(centre.run(SOON, asked));
    centre.run(centre.now + secs(1), |_| false);
    centre.kill();
    ends_well(&mut centre, caller, Outcome::Refused(503));
    assert!(first(&centre, there, "BYE").is_some());
    assert_eq!(cause(&centre), Cause::Crash);
}

#[test]
fn an_agent_without_a_desk_is_there_for_distribution_as_long_as_calls_can_go_out() {
    let both = (Answering::Silent, answers_after(1));
    let (mut centre, caller) = dialled(0, both, Some(secs(1)));
    centre.run(centre.now + secs(30), |_| false);
    centre.leave(caller);
    let desk = phone_address(0, 0);
    let phone = centre.phones.get_mut(&desk).expect("it is there");
    phone.retired = true;
    phone.crash(centre.now);
    centre.run(centre.now + secs(120), |_| false);
    let there = centre
        .phones
        .get_mut(&gateway_address(0))
        .expect("it is there");
    there.script.push_back(answers_after(1));
    there.keys.push_back(Some(secs(1)));
    let second = centre.place(centre.now, 0, Intent::patient());
    let until = centre.now + SOON;
    assert!(centre.run(until, |centre| centre.callers[&second].talk.is_some()));
    centre.leave(second);
    ends_well(&mut centre, second, Outcome::HungUp);
}
