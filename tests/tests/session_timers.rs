//! Session timers (RFC 4028): who refreshes, by what, and what becomes of a session that nobody refreshes.

use std::{net::SocketAddr, time::Duration};

use call::{Cause, EventKind};
use tests::sim::{
    Answering, Centre, Dialled, Habits, Intent, Outcome, Setup, Talking, Timer,
    chance::Chance,
    company::{gateway_address, phone_address},
    invariants::violations,
    message::Message,
};
use tests::{
    company::{Company, LINE},
    daemon::Options,
    sipp::Sipp,
};

const SOON: Duration = Duration::from_secs(30);

fn knows(timer: Timer) -> Habits {
    Habits {
        timer,
        updates: true,
        ..Habits::default()
    }
}

/// A caller and a telephone with these habits talk; the exchange asks for timers of 90 s.
fn talking(habits: Habits, caller_does: (Timer, Option<u32>)) -> (Centre, SocketAddr) {
    let setup = Setup {
        session_expires_secs: 90,
        ..Setup::calm(1, 1)
    };
    let mut centre = Centre::new(Chance::new(7), &setup);
    for phone in centre.phones.values_mut().filter(|it| !it.is_gateway) {
        phone.habits = habits;
        phone.script.push_back(Answering::Answer {
            after: Duration::from_secs(1),
            then: Talking::Stay,
        });
    }
    assert!(centre.run(SOON, |centre| {
        centre.phones.values().all(|phone| phone.registered)
    }));
    let intent = Intent {
        timer: caller_does,
        patience: Duration::from_secs(1_000),
        ..Intent::patient()
    };
    let caller = centre.place(centre.now, 0, intent);
    let until = centre.now + SOON;
    assert!(
        centre.run(until, |centre| centre.callers[&caller].talk.is_some()),
        "no answer"
    );
    (centre, caller)
}

fn passes(centre: &mut Centre, secs: u64) {
    let until = centre.now + Duration::from_secs(secs);
    centre.run(until, |_| false);
}

fn sent(centre: &Centre, party: SocketAddr, start: &str) -> Vec<(Duration, Message)> {
    let wire = centre.wire.iter();
    let sent = wire.filter(|it| !it.incoming && it.party == party);
    sent.filter(|it| it.message.start.starts_with(start))
        .map(|it| (it.at, it.message.clone()))
        .collect()
}

fn came(centre: &Centre, party: SocketAddr, start: &str) -> usize {
    let wire = centre.wire.iter();
    wire.filter(|it| it.incoming && it.party == party && it.message.start.starts_with(start))
        .count()
}

fn cause(centre: &Centre) -> Option<Cause> {
    let mut journal = centre.world.journal.iter();
    journal.find_map(|event| match event.kind {
        EventKind::Ended { cause, .. } => Some(cause),
        _ => None,
    })
}

fn ends_well(centre: &mut Centre, caller: SocketAddr, outcome: Outcome) {
    centre.run_until_quiet();
    assert_eq!(violations(centre), Vec::<String>::new());
    assert_eq!(centre.callers[&caller].outcome, Some(outcome));
}

const PHONE: fn() -> SocketAddr = || phone_address(0, 0);

/// Has the telephone refuse the next refresh like this.
fn refuses(centre: &mut Centre, status: u16, header: Option<(&'static str, String)>) {
    let phone = centre.phones.get_mut(&PHONE()).unwrap();
    let talk = phone.calls[0].talk.as_mut().unwrap();
    talk.refusals.push_back((status, header));
}

#[test]
fn whoever_we_call_is_asked_for_a_timer_and_refreshed_by_update_at_half_time() {
    let (mut centre, caller) = talking(knows(Timer::Known), (Timer::Unknown, None));
    let (_, invite) = sent(&centre, PHONE(), "INVITE")[0].clone();
    assert_eq!(invite.text("Session-Expires"), "90");
    assert!(invite.text("Supported").contains("timer"));
    let talks = centre.now;
    passes(&mut centre, 100);
    let updates = sent(&centre, PHONE(), "UPDATE");
    assert_eq!(updates.len(), 2);
    assert!(
        (43..=46).contains(&(updates[0].0 - talks).as_secs()),
        "{:?}",
        updates[0].0
    );
    assert_eq!(updates[0].1.text("Session-Expires"), "90;refresher=uac");
    assert!(updates[0].1.body.is_empty());
    assert!(
        sent(&centre, caller, "UPDATE").is_empty(),
        "the caller knows no timers"
    );
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
}

#[test]
fn whoever_does_not_allow_update_gets_a_reinvite_with_the_description_as_it_was() {
    let habits = Habits {
        updates: false,
        ..knows(Timer::Known)
    };
    let (mut centre, caller) = talking(habits, (Timer::Unknown, None));
    passes(&mut centre, 50);
    let invites = sent(&centre, PHONE(), "INVITE");
    assert_eq!(invites.len(), 2);
    assert_eq!(
        invites[1].1.body, invites[0].1.body,
        "the same version, too"
    );
    assert!(sent(&centre, PHONE(), "UPDATE").is_empty());
    assert_eq!(sent(&centre, PHONE(), "ACK").len(), 2);
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
}

#[test]
fn a_caller_who_wants_to_refresh_does_and_is_answered() {
    let (mut centre, caller) = talking(knows(Timer::Unknown), (Timer::Refreshes, Some(90)));
    let (_, ok) = sent(&centre, caller, "SIP/2.0 200")[0].clone();
    assert_eq!(ok.text("Session-Expires"), "90;refresher=uac");
    assert!(ok.text("Require").contains("timer"));
    passes(&mut centre, 140);
    assert!(came(&centre, caller, "UPDATE") >= 2);
    assert!(cause(&centre).is_none(), "the conversation goes on");
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
}

#[test]
fn a_caller_who_forgets_to_refresh_is_given_up_before_the_end() {
    let (mut centre, caller) = talking(knows(Timer::Unknown), (Timer::Forgets, Some(120)));
    let talks = centre.callers[&caller].answered_at.unwrap();
    ends_well(&mut centre, caller, Outcome::Ended);
    assert_eq!(cause(&centre), Some(Cause::SignallingLost));
    let (at, bye) = sent(&centre, caller, "BYE")[0].clone();
    // Ours is the shorter interval; a third of it is left.
    assert!((59..=60).contains(&(at - talks).as_secs()));
    assert!(bye.text("Reason").starts_with("SIP;cause=408"), "{bye:?}");
}

#[test]
fn an_interval_below_the_least_gets_422_and_the_caller_comes_again() {
    let (mut centre, caller) = talking(knows(Timer::Unknown), (Timer::Known, Some(30)));
    let (_, refusal) = sent(&centre, caller, "SIP/2.0 422")[0].clone();
    assert_eq!(refusal.text("Min-SE"), "90");
    let (_, ok) = sent(&centre, caller, "SIP/2.0 200")[0].clone();
    assert_eq!(ok.text("Session-Expires"), "90;refresher=uas");
    passes(&mut centre, 50);
    assert_eq!(sent(&centre, caller, "UPDATE").len(), 1, "we refresh");
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
}

#[test]
fn whoever_we_call_may_want_a_longer_interval() {
    let habits = Habits {
        least_expires: Some(300),
        ..knows(Timer::Known)
    };
    let (mut centre, caller) = talking(habits, (Timer::Unknown, None));
    let invites = sent(&centre, PHONE(), "INVITE");
    let asked = |n: usize| {
        let message = &invites[n].1;
        (
            message.text("Session-Expires"),
            message.text("Min-SE"),
            message.cseq(),
        )
    };
    assert_eq!((asked(0), asked(1)), (("90", "", 1), ("300", "300", 2)));
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
}

#[test]
fn a_trunk_that_wants_credentials_and_a_longer_interval_gets_both() {
    let setup = Setup {
        session_expires_secs: 90,
        ..Setup::calm(1, 1)
    };
    let mut centre = Centre::new(Chance::new(7), &setup);
    assert!(centre.run(SOON, |centre| {
        centre.phones.values().all(|phone| phone.registered)
    }));
    let gateway = centre.phones.get_mut(&gateway_address(0)).unwrap();
    gateway.habits.least_expires = Some(120);
    gateway.habits.timer = Timer::Known;
    gateway.script.push_back(Answering::Answer {
        after: Duration::from_secs(1),
        then: Talking::Stay,
    });
    let caller = centre.dial(centre.now, 0, Dialled::Client(0), Intent::patient());
    let until = centre.now + SOON;
    assert!(centre.run(until, |centre| centre.callers[&caller].talk.is_some()));
    let invites = sent(&centre, gateway_address(0), "INVITE");
    let numbers: Vec<u32> = invites.iter().map(|(_, invite)| invite.cseq()).collect();
    assert_eq!(numbers, [1, 2, 3, 4], "407, 422, 407 with a new nonce");
    let last = &invites[3].1;
    assert_eq!(last.text("Session-Expires"), "120");
    assert!(last.header("Proxy-Authorization").is_some());
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
}

#[test]
fn a_dialog_that_is_gone_ends_the_leg() {
    for status in [481, 408] {
        let (mut centre, caller) = talking(knows(Timer::Known), (Timer::Unknown, None));
        refuses(&mut centre, status, None);
        ends_well(&mut centre, caller, Outcome::Ended);
        assert_eq!(cause(&centre), Some(Cause::SignallingLost));
        assert_eq!(sent(&centre, PHONE(), "BYE").len(), 1, "{status}");
    }
}

#[test]
fn glare_is_waited_out_and_other_refusals_are_tried_again() {
    let refusals = [
        (491, None, 2_100..=4_000),
        (422, Some(("Min-SE", "120".to_owned())), 0..=300),
        (405, None, 0..=300),
        (500, None, 5_000..=9_000),
    ];
    for (status, header, wait_ms) in refusals {
        let (mut centre, caller) = talking(knows(Timer::Known), (Timer::Unknown, None));
        refuses(&mut centre, status, header);
        passes(&mut centre, 57);
        let again = if status == 405 { "INVITE" } else { "UPDATE" };
        let first = sent(&centre, PHONE(), "UPDATE")[0].0;
        let second = sent(&centre, PHONE(), again)[1].clone();
        let waited = (second.0 - first).as_millis();
        assert!(wait_ms.contains(&waited), "{status}: {waited} ms");
        if status == 422 {
            assert_eq!(second.1.text("Min-SE"), "120");
            assert_eq!(second.1.text("Session-Expires"), "120;refresher=uac");
        }
        centre.leave(caller);
        ends_well(&mut centre, caller, Outcome::HungUp);
    }
}

#[test]
fn whoever_is_silent_to_refreshes_is_given_up_in_time() {
    let (mut centre, caller) = talking(knows(Timer::Known), (Timer::Unknown, None));
    passes(&mut centre, 40);
    centre.cut(true);
    let cut = centre.now;
    let until = centre.now + Duration::from_secs(60);
    assert!(centre.run(until, |centre| cause(centre).is_some()));
    assert!(
        centre.now - cut < Duration::from_secs(25),
        "{:?}",
        centre.now - cut
    );
    assert_eq!(cause(&centre), Some(Cause::SignallingLost));
    centre.cut(false);
    ends_well(&mut centre, caller, Outcome::Ended);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_asks_for_a_timer_is_told_the_least_and_refreshes() {
    let company = Company::found(1, &Options::default()).await;
    let phone = company.phone(0, 0);
    phone.with(|phone, _| {
        phone.habits = knows(Timer::Known);
        phone.script.push_back(Answering::Answer {
            after: Duration::from_millis(200),
            then: Talking::Stay,
        });
    });
    Sipp::start(
        "caller_refreshes_its_session",
        company.daemon.folder(),
        company.daemon.address(3, 5060),
        company.daemon.sip(),
        ("+79161234567", LINE),
    )
    .succeeds();
    let call = company.ended_call("+79161234567").await;
    assert_eq!(call["cause"], "hung_up", "{call:#}");
    let invite = phone.message("INVITE").expect("the telephone was rung");
    assert_eq!(invite.text("Session-Expires"), "1800");
    company.daemon.wait_for_log("session timer is too short");
}
