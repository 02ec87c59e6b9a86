//! Reliable provisional answers and PRACK (RFC 3262), of callers who require them and of trunks that send them.

use std::{net::SocketAddr, time::Duration};

use call::{Cause, EventKind};
use tests::{
    company::{Company, LINE},
    daemon::Options,
    sim::{
        Answering, Centre, Describes, Dialled, Intent, Outcome, Talking,
        company::{gateway_address, phone_address},
        invariants::violations,
        message::Message,
    },
    sipp::Sipp,
};

const SOON: Duration = Duration::from_secs(30);

fn answers() -> Answering {
    let after = Duration::from_secs(2);
    let then = Talking::Stay;
    Answering::Answer { after, then }
}

fn ready() -> Centre {
    let mut centre = Centre::calm(1, 1);
    assert!(centre.run(SOON, |centre| {
        centre.phones.values().all(|phone| phone.registered)
    }));
    centre
}

/// A caller who requires reliable answers.
fn requires(describes: Describes) -> Intent {
    Intent {
        reliably: true,
        describes,
        ..Intent::patient()
    }
}

fn talks(centre: &mut Centre, caller: SocketAddr) {
    let until = centre.now + SOON;
    assert!(
        centre.run(until, |centre| centre.callers[&caller].talk.is_some()),
        "no answer"
    );
}

fn sent(centre: &Centre, party: SocketAddr, start: &str) -> Vec<Message> {
    let wire = centre.wire.iter();
    let sent = wire.filter(|it| !it.incoming && it.party == party);
    sent.filter(|it| it.message.start.starts_with(start))
        .map(|it| it.message.clone())
        .collect()
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

#[test]
fn ringing_is_told_reliably_to_a_caller_who_requires_it() {
    let mut centre = ready();
    let phone = centre.phones.get_mut(&phone_address(0, 0)).unwrap();
    phone.script.push_back(answers());
    let caller = centre.place(centre.now, 0, requires(Describes::InInvite));
    talks(&mut centre, caller);
    let ringing = sent(&centre, caller, "SIP/2.0 180");
    assert!(ringing[0].text("Require").contains("100rel"));
    assert_eq!(centre.callers[&caller].acknowledged.len(), 1);
    let acknowledged = sent(&centre, caller, "SIP/2.0 200");
    assert_eq!(acknowledged[0].method(), "PRACK");
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
}

#[test]
fn the_first_reliable_answer_makes_the_offer_and_prack_answers_it() {
    let mut centre = ready();
    let phone = centre.phones.get_mut(&phone_address(0, 0)).unwrap();
    phone.script.push_back(answers());
    let caller = centre.place(centre.now, 0, requires(Describes::InAck));
    talks(&mut centre, caller);
    let ringing = sent(&centre, caller, "SIP/2.0 180");
    assert!(ringing[0].media().is_some(), "the offer");
    let mut success = sent(&centre, caller, "SIP/2.0 200").into_iter();
    let success = success.find(|it| it.method() == "INVITE").unwrap();
    assert!(
        success.body.is_empty(),
        "a description would be another offer"
    );
    let until = centre.now + Duration::from_secs(3);
    centre.run(until, |_| false);
    assert_eq!(centre.plane.bridges.len(), 1, "both hear each other");
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
}

#[test]
fn a_prack_without_the_answer_ends_the_call() {
    let mut centre = ready();
    let phone = centre.phones.get_mut(&phone_address(0, 0)).unwrap();
    phone.script.push_back(answers());
    let caller = centre.place(centre.now, 0, requires(Describes::Nowhere));
    centre.run_until_quiet();
    assert_eq!(violations(&centre), Vec::<String>::new());
    assert_eq!(cause(&centre), Some(Cause::MediaFailed));
    let refused = centre.callers[&caller].outcome;
    assert!(matches!(refused, Some(Outcome::Refused(_))), "{refused:?}");
}

#[test]
fn a_reliable_answer_without_prack_is_repeated_and_ends_the_call_after_64_t1() {
    let mut centre = ready();
    centre.change_directory(|directory| {
        for agent in &mut directory.agents {
            agent.ring_timeout_secs = 120;
        }
    });
    let phone = centre.phones.get_mut(&phone_address(0, 0)).unwrap();
    phone.script.push_back(Answering::Ignore);
    let caller = centre.place(centre.now, 0, requires(Describes::InInvite));
    centre.callers.get_mut(&caller).unwrap().forgets_prack = true;
    centre.run_until_quiet();
    assert_eq!(violations(&centre), Vec::<String>::new());
    let ringing = sent(&centre, caller, "SIP/2.0 180");
    assert_eq!(
        ringing.len(),
        7,
        "at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s"
    );
    assert_eq!(cause(&centre), Some(Cause::SignallingLost));
    assert_eq!(centre.callers[&caller].outcome, Some(Outcome::Refused(500)));
}

#[test]
fn a_trunk_whose_early_media_is_not_wanted_only_rings() {
    let mut centre = ready();
    centre.change_directory(|directory| {
        let outbound = directory.trunks[0].outbound.as_mut().unwrap();
        outbound.terms.early_media = false;
    });
    let gateway = centre.phones.get_mut(&gateway_address(0)).unwrap();
    gateway.habits.rings_reliably = true;
    gateway.script.push_back(answers());
    let caller = centre.dial(centre.now, 0, Dialled::Client(0), Intent::patient());
    talks(&mut centre, caller);
    assert_eq!(centre.callers[&caller].provisional, [100, 180]);
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
}

#[test]
fn a_reliable_183_of_the_trunk_gets_prack_and_its_description_counts() {
    let mut centre = ready();
    let gateway = centre.phones.get_mut(&gateway_address(0)).unwrap();
    gateway.habits.rings_reliably = true;
    gateway.script.push_back(answers());
    let caller = centre.dial(centre.now, 0, Dialled::Client(0), Intent::patient());
    talks(&mut centre, caller);
    let pracks = sent(&centre, gateway_address(0), "PRACK");
    assert_eq!(pracks.len(), 1);
    assert_eq!(
        pracks[0].text("RAck"),
        "7 2 INVITE",
        "the INVITE with the password"
    );
    assert_eq!(
        centre.callers[&caller].provisional,
        [100, 183],
        "early media"
    );
    let call = &centre.phones[&gateway_address(0)].calls[0];
    assert!(
        call.acknowledged && call.talk.is_some(),
        "its 200 had no description"
    );
    centre.leave(caller);
    ends_well(&mut centre, caller, Outcome::HungUp);
    let bye = &sent(&centre, gateway_address(0), "BYE")[0];
    assert_eq!(bye.cseq(), 4, "numbers go on after PRACK");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_requires_100rel_and_answers_our_offer_in_prack() {
    let company = Company::found(1, &Options::default()).await;
    let phone = company.phone(0, 0);
    phone.with(|phone, _| phone.script.push_back(answers()));
    Sipp::start(
        "caller_requires_reliable_ringing",
        company.daemon.folder(),
        company.daemon.address(3, 5060),
        company.daemon.sip(),
        ("+79161234567", LINE),
    )
    .succeeds();
    let call = company.ended_call("+79161234567").await;
    assert_eq!(call["cause"], "hung_up", "{call:#}");
}
