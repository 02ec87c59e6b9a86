//! The echo test, `*43`: in the simulated call centre, and through the real program.

use std::{net::SocketAddr, time::Duration};

use call::{Cause, EventKind, Party};
use model::AgentState;
use serde_json::json;
use tests::{
    asking::SOON,
    company::Company,
    daemon::Options,
    sim::{Centre, Intent, Outcome, invariants::violations},
};

/// Somebody dials the code.
fn testing() -> (Centre, SocketAddr) {
    let mut centre = Centre::calm(2, 1);
    assert!(centre.run(SOON, |centre| {
        centre.phones.values().all(|phone| phone.registered)
    }));
    let tester = centre.dial_number(centre.now, 0, "*43", Intent::patient());
    let until = centre.now + Duration::from_secs(2);
    assert!(centre.run(until, |centre| centre.callers[&tester].talk.is_some()));
    (centre, tester)
}

fn hears_itself(centre: &Centre, tester: SocketAddr) -> bool {
    let caller = &centre.callers[&tester];
    let ours = caller.talk.as_ref().and_then(|talk| talk.remote_media);
    ours.and_then(|ours| centre.plane.heard_at(ours)) == Some(caller.media)
}

fn goes_on(centre: &mut Centre, secs: u64) {
    let end = centre.now + Duration::from_secs(secs);
    centre.run(end, |_| false);
}

fn ends_well(centre: &mut Centre) {
    centre.run_until_quiet();
    assert_eq!(violations(centre), Vec::<String>::new());
}

fn end(centre: &Centre) -> (Cause, Party) {
    let mut ends = centre.world.journal.iter().filter_map(|it| match it.kind {
        EventKind::Ended { cause, by, .. } => Some((cause, by)),
        _ => None,
    });
    ends.next().expect("it ended")
}

#[test]
fn whoever_dials_the_code_is_told_what_it_is_and_hears_itself() {
    let (mut centre, tester) = testing();
    let caller = &centre.callers[&tester];
    let ours = caller.talk.as_ref().and_then(|talk| talk.remote_media);
    assert!(centre.plane.sounds_at(ours.expect("our port")), "the words");
    assert!(!hears_itself(&centre, tester));
    let until = centre.now + Duration::from_secs(5);
    assert!(centre.run(until, |centre| hears_itself(centre, tester)));
    let state = |centre: &Centre, agent| centre.agents[&model::UserId(agent)].state;
    assert!(matches!(state(&centre, 1), AgentState::Talking { .. }));
    goes_on(&mut centre, 10);
    centre.leave(tester);
    goes_on(&mut centre, 1);
    let free = AgentState::Available;
    assert_eq!(state(&centre, 1), free, "without a wrap-up");
    ends_well(&mut centre);
    assert_eq!(centre.callers[&tester].outcome, Some(Outcome::HungUp));
    assert_eq!(end(&centre), (Cause::HungUp, Party::Agent));
    let told: Vec<&str> = centre
        .world
        .journal
        .iter()
        .map(|it| it.kind.name())
        .collect();
    assert_eq!(
        told,
        [
            "call.dialled",
            "call.offered",
            "offer.accepted",
            "line.answered",
            "conversation.started",
            "call.ended"
        ]
    );
}

#[test]
fn the_test_is_over_after_two_minutes() {
    let (mut centre, tester) = testing();
    goes_on(&mut centre, 115);
    assert!(hears_itself(&centre, tester));
    goes_on(&mut centre, 10);
    ends_well(&mut centre);
    assert_eq!(centre.callers[&tester].outcome, Some(Outcome::Ended));
    assert_eq!(end(&centre), (Cause::HungUp, Party::System));
}

#[test]
fn killed_during_the_test_the_telephone_gets_bye() {
    let mut told = 0;
    for millis in (0..200).step_by(10) {
        let mut centre = Centre::calm(1, 1);
        assert!(centre.run(SOON, |centre| {
            centre.phones.values().all(|phone| phone.registered)
        }));
        let tester = centre.dial_number(centre.now, 0, "*43", Intent::patient());
        let then = centre.now + Duration::from_millis(millis);
        centre.run(then, |_| false);
        centre.kill();
        goes_on(&mut centre, 30);
        ends_well(&mut centre);
        told += usize::from(centre.callers[&tester].outcome == Some(Outcome::Ended));
    }
    assert!(told > 0, "never after the answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registered_telephone_tries_itself_and_the_client_hears_of_nothing() {
    let company = Company::found(1, &Options::default()).await;
    let _phone = company.phone(0, 0);
    let events = company.events(0).await;
    let tester = company.dial(0, 40, "*43", Intent::patient());
    tester.wait_for_answer();
    events.frame("conversation.started", |_| true).await;
    tester.leave();
    assert_eq!(tester.wait_for_end(), Outcome::HungUp);
    let (_, ended) = events.frame("call.ended", |_| true).await;
    assert_eq!(ended["cause"], "hung_up", "{ended:#}");
    let calls = company.rest.get("calls").await;
    let call = &calls["items"][0];
    assert_eq!(
        json!([call["direction"], call["to"], call["recording"]]),
        json!(["internal", "*43", null]),
        "{call:#}"
    );
    let history = company.rest.get("interactions").await;
    assert_eq!(history["items"], json!([]), "{history:#}");
}
