//! Calls and changes of calls whose INVITE leaves the offer to the exchange (RFC 3261 §13.2.1, §14.2).

use std::{net::SocketAddr, time::Duration};

use call::{Cause, EventKind};
use tests::{
    company::{Company, LINE},
    daemon::Options,
    sim::{
        Answering, Centre, Describes, Intent, Outcome, Talking, company::phone_address,
        invariants::violations, wire::Record,
    },
    sipp::Sipp,
};

const SOON: Duration = Duration::from_secs(30);
const CLIENT: &str = "+79161234567";

fn answers(then: Talking) -> Answering {
    let after = Duration::from_secs(1);
    Answering::Answer { after, then }
}

/// A caller whose INVITE has no description, and an agent who answers.
fn talking(describes: Describes, then: Talking) -> (Centre, SocketAddr) {
    let mut centre = Centre::calm(1, 1);
    for phone in centre.phones.values_mut().filter(|it| !it.is_gateway) {
        phone.script.push_back(answers(then));
        phone.habits.resumes_without_offer = true;
    }
    assert!(centre.run(SOON, |centre| {
        centre.phones.values().all(|phone| phone.registered)
    }));
    let intent = Intent {
        describes,
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

fn runs(centre: &mut Centre, length: Duration) {
    let until = centre.now + length;
    centre.run(until, |_| false);
}

fn ends_well(centre: &mut Centre, caller: SocketAddr, outcome: Outcome) {
    centre.run_until_quiet();
    assert_eq!(violations(centre), Vec::<String>::new());
    assert_eq!(centre.callers[&caller].outcome, Some(outcome));
}

fn cause(centre: &Centre) -> Option<Cause> {
    let mut journal = centre.world.journal.iter();
    journal.find_map(|event| match event.kind {
        EventKind::Ended { cause, .. } => Some(cause),
        _ => None,
    })
}

fn sent<'a>(
    centre: &'a Centre,
    party: SocketAddr,
    start: &'a str,
) -> impl Iterator<Item = &'a Record> {
    let wire = centre.wire.iter();
    wire.filter(move |it| !it.incoming && it.party == party && it.message.start.starts_with(start))
}

#[test]
fn caller_without_an_offer_gets_ours_and_the_ack_brings_the_answer() {
    let (mut centre, caller) = talking(Describes::InAck, Talking::Stay);
    runs(&mut centre, Duration::from_secs(5));
    let description = sent(&centre, caller, "SIP/2.0 200").next().unwrap();
    assert!(
        description.message.body.contains("RTP/AVP 8 0 101"),
        "both codecs are offered"
    );
    assert_eq!(centre.plane.bridges.len(), 1, "and both hear each other");
    assert_eq!(centre.plane.bridges[0].a.ip(), caller.ip());
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
    assert_eq!(cause(&centre), Some(Cause::HungUp));
}

#[test]
fn caller_whose_ack_has_no_answer_gets_bye_with_the_reason() {
    let (mut centre, caller) = talking(Describes::Nowhere, Talking::Stay);
    ends_well(&mut centre, caller, Outcome::Ended);
    assert_eq!(cause(&centre), Some(Cause::MediaFailed));
    let bye = sent(&centre, caller, "BYE").next().unwrap();
    assert!(
        bye.message.text("Reason").starts_with("SIP;cause=488"),
        "{bye}"
    );
    assert_eq!(sent(&centre, phone_address(0, 0), "BYE").count(), 1);
}

#[test]
fn telephone_resumes_by_an_invite_without_an_offer() {
    let hold = Talking::Hold {
        after: Duration::from_secs(2),
        length: Duration::from_secs(3),
        rest: Duration::from_secs(60),
    };
    let (mut centre, caller) = talking(Describes::InInvite, hold);
    runs(&mut centre, Duration::from_secs(10));
    let held: Vec<bool> = centre
        .world
        .journal
        .iter()
        .filter_map(|it| match it.kind {
            EventKind::Held { held, .. } => Some(held),
            _ => None,
        })
        .collect();
    assert_eq!(held, [true, false]);
    let phone = phone_address(0, 0);
    let offer = sent(&centre, phone, "SIP/2.0 200").last().unwrap();
    assert!(offer.message.body.contains("a=sendrecv"), "{offer}");
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
}

#[test]
fn caller_without_an_offer_cancels_while_it_rings() {
    let mut centre = Centre::calm(1, 1);
    assert!(centre.run(SOON, |centre| {
        centre.phones.values().all(|phone| phone.registered)
    }));
    let phone = centre.phones.get_mut(&phone_address(0, 0)).unwrap();
    phone.script.push_back(Answering::Ignore);
    let intent = Intent {
        describes: Describes::InAck,
        patience: Duration::from_secs(3),
        ..Intent::patient()
    };
    let caller = centre.place(centre.now, 0, intent);
    ends_well(&mut centre, caller, Outcome::Refused(487));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_leaves_every_offer_to_the_exchange() {
    let company = Company::found(1, &Options::default()).await;
    let phone = company.phone(0, 0);
    phone.with(|phone, _| phone.script.push_back(answers(Talking::Stay)));
    let (local, remote) = (company.daemon.address(3, 5060), company.daemon.sip());
    Sipp::start(
        "caller_leaves_the_offer_to_us",
        company.daemon.folder(),
        local,
        remote,
        (CLIENT, LINE),
    )
    .succeeds();
    phone.wait("the telephone is told", |phone| {
        phone.calls.iter().all(|call| call.over)
    });
    let call = company.ended_call(CLIENT).await;
    assert_eq!(
        (&call["missed"], &call["cause"]),
        (&false.into(), &"hung_up".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_answers_the_offer_with_nothing_and_gets_bye() {
    let company = Company::found(1, &Options::default()).await;
    let phone = company.phone(0, 0);
    phone.with(|phone, _| phone.script.push_back(answers(Talking::Stay)));
    let (local, remote) = (company.daemon.address(3, 5060), company.daemon.sip());
    Sipp::start(
        "caller_never_describes_the_session",
        company.daemon.folder(),
        local,
        remote,
        (CLIENT, LINE),
    )
    .succeeds();
    let call = company.ended_call(CLIENT).await;
    assert_eq!(call["cause"], "media_failed", "{call:#}");
}
