//! Calls that ring at a colleague and are taken at another telephone by `*8`: in the simulated call centre, and through the
//! real program.

use std::{net::SocketAddr, time::Duration};

use call::{EventKind, OfferEnd};
use model::{Rule, UserId};
use serde_json::json;
use tests::{
    asking::{SOON, sent_to},
    company::Company,
    daemon::Options,
    sim::{
        Answering, Centre, Intent, Outcome,
        company::{phone_address, short_number},
        invariants::violations,
    },
};

/// A centre of so many agents whose telephones ring and are not answered, and clients who call it one second apart.
fn ringing(agents: usize, clients: usize) -> (Centre, Vec<SocketAddr>) {
    let mut centre = Centre::calm(agents, 1);
    assert!(centre.run(SOON, |centre| {
        centre.phones.values().all(|phone| phone.registered)
    }));
    for phone in centre.phones.values_mut().filter(|it| !it.is_gateway) {
        phone.script.push_back(Answering::Ignore);
    }
    let mut called = Vec::new();
    for number in 0..clients {
        called.push(centre.place(centre.now, 0, Intent::patient()));
        let until = centre.now + SOON;
        assert!(centre.run(until, |centre| rung(centre).len() > number));
        goes_on(&mut centre, 1);
    }
    (centre, called)
}

/// The agents whose telephones have rung, in the order in which they did.
fn rung(centre: &Centre) -> Vec<usize> {
    let ringing = centre.world.journal.iter().filter_map(|it| match it.kind {
        EventKind::Ringing { agent, .. } => usize::try_from(agent.0 - 1).ok(),
        _ => None,
    });
    ringing.collect()
}

fn idle(centre: &Centre, agents: usize) -> usize {
    let rung = rung(centre);
    let mut idle = (0..agents).filter(|agent| !rung.contains(agent));
    idle.next().expect("somebody is idle")
}

fn user(agent: usize) -> UserId {
    UserId(agent as i64 + 1)
}

fn goes_on(centre: &mut Centre, secs: u64) {
    let end = centre.now + Duration::from_secs(secs);
    centre.run(end, |_| false);
}

fn talks(centre: &mut Centre, party: SocketAddr) {
    let until = centre.now + Duration::from_secs(3);
    assert!(centre.run(until, |centre| centre.callers[&party].talk.is_some()));
}

fn ends_well(centre: &mut Centre) {
    centre.run_until_quiet();
    assert_eq!(violations(centre), Vec::<String>::new());
}

#[test]
fn whoever_picks_a_call_up_has_the_card_first_and_then_the_client() {
    let (mut centre, clients) = ringing(2, 1);
    let (client, first, second) = (clients[0], rung(&centre)[0], idle(&centre, 2));
    let picker = centre.pick_up(centre.now, second, "*8", client);
    talks(&mut centre, picker);
    talks(&mut centre, client);
    let call = centre.world.journal[0].call;
    assert!(
        centre.world.cards.contains(&(call, user(second))),
        "the card"
    );
    let cancelled = |centre: &Centre| sent_to(centre, phone_address(first, 0), "CANCEL") == 1;
    let until = centre.now + SOON;
    assert!(centre.run(until, cancelled), "the first one stops");
    goes_on(&mut centre, 5);
    centre.leave(client);
    ends_well(&mut centre);
    assert_eq!(centre.callers[&client].outcome, Some(Outcome::HungUp));
    assert_eq!(centre.callers[&picker].outcome, Some(Outcome::Ended));
    let journal = &centre.world.journal;
    let ended = journal.iter().position(|it| {
        let kind = EventKind::OfferEnded {
            agent: user(first),
            end: OfferEnd::PickedUp,
        };
        it.kind == kind
    });
    let after: Vec<&str> = journal[ended.expect("it was picked up") + 1..]
        .iter()
        .map(|it| it.kind.name())
        .collect();
    assert_eq!(
        after,
        [
            "call.offered",
            "offer.accepted",
            "line.answered",
            "conversation.started",
            "call.ended",
            "recording.ready"
        ]
    );
    let offered = journal.iter().any(|it| {
        matches!(it.kind, EventKind::Offered { agent, rule: Rule::PickedUp { by }, attempt: 1, .. }
            if (agent, by) == (user(second), user(first)))
    });
    assert!(offered);
}

#[test]
fn the_longest_ringing_call_is_picked_up_or_the_one_at_the_number_behind_the_code() {
    for named in [false, true] {
        let (mut centre, clients) = ringing(3, 2);
        let (at, third) = (rung(&centre), idle(&centre, 3));
        let (code, wanted) = match named {
            true => (format!("*8{}", short_number(at[1])), clients[1]),
            false => ("*8".to_owned(), clients[0]),
        };
        let picker = centre.pick_up(centre.now, third, &code, wanted);
        talks(&mut centre, picker);
        talks(&mut centre, wanted);
        for client in clients {
            centre.leave(client);
        }
        ends_well(&mut centre);
    }
}

#[test]
fn where_nothing_rings_there_is_nothing_to_pick_up() {
    for (code, status) in [("*8", 480), ("*8100", 480), ("*8999", 404)] {
        let mut centre = Centre::calm(2, 1);
        assert!(centre.run(SOON, |centre| {
            centre.phones.values().all(|phone| phone.registered)
        }));
        let nobody = centre.dial_number(centre.now, 1, code, Intent::patient());
        ends_well(&mut centre);
        let refused = Some(Outcome::Refused(status));
        assert_eq!(centre.callers[&nobody].outcome, refused, "{code}");
        assert!(centre.world.journal.is_empty());
    }
}

#[test]
fn whoever_rings_or_talks_picks_nothing_up() {
    let (mut centre, clients) = ringing(2, 1);
    let first = rung(&centre)[0];
    let busy = centre.pick_up(centre.now, first, "*8", clients[0]);
    goes_on(&mut centre, 2);
    assert_eq!(centre.callers[&busy].outcome, Some(Outcome::Refused(486)));
    centre.leave(clients[0]);
    ends_well(&mut centre);
}

#[test]
fn whoever_gives_up_picking_up_leaves_the_client_to_the_next_one() {
    let mut gave_up = 0;
    for millis in (0..60).step_by(4) {
        let (mut centre, clients) = ringing(3, 1);
        let second = idle(&centre, 3);
        let picker = centre.pick_up(centre.now, second, "*8", clients[0]);
        let until = centre.now + Duration::from_secs(1);
        assert!(centre.run(until, |centre| sent_to(centre, picker, "SIP/2.0 100") > 0));
        let then = centre.now + Duration::from_millis(millis);
        centre.run(then, |_| false);
        centre.leave(picker);
        goes_on(&mut centre, 3);
        if centre.callers[&picker].outcome == Some(Outcome::Refused(487)) {
            gave_up += 1;
            assert!(rung(&centre).len() > 1, "somebody is rung again");
        }
        centre.leave(clients[0]);
        ends_well(&mut centre);
    }
    assert!(gave_up > 0, "never before the answer");
}

#[test]
fn killed_while_a_call_is_picked_up_everybody_is_told() {
    for millis in (0..60).step_by(6) {
        let (mut centre, clients) = ringing(2, 1);
        let second = idle(&centre, 2);
        let picker = centre.pick_up(centre.now, second, "*8", clients[0]);
        let until = centre.now + Duration::from_secs(1);
        assert!(centre.run(until, |centre| sent_to(centre, picker, "SIP/2.0 100") > 0));
        let then = centre.now + Duration::from_millis(millis);
        centre.run(then, |_| false);
        centre.kill();
        goes_on(&mut centre, 30);
        centre.leave(clients[0]);
        ends_well(&mut centre);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registered_telephone_picks_up_what_rings_at_a_colleague() {
    let company = Company::found(2, &Options::default()).await;
    let first = company.phone(0, 0);
    first.with(|phone, _| phone.script.push_back(Answering::Ignore));
    let _second = company.phone(1, 0);
    let events = company.events(1).await;
    let caller = company.call("+79161234567", Intent::patient());
    first.wait("it rings", |phone| !phone.calls.is_empty());
    caller.wait("it rings", |caller| caller.provisional.contains(&180));
    let picker = company.dial(1, 40, "*8", Intent::patient());
    picker.wait_for_answer();
    caller.wait_for_answer();
    let (_, card) = events
        .frame("call.offered", |card| card["attempt"] == 1)
        .await;
    assert_eq!(card["why"]["rule"], "picked_up", "{card:#}");
    assert_eq!(card["why"]["colleague"]["name"], "Agent 0", "{card:#}");
    events.frame("conversation.started", |_| true).await;
    first.wait("it stops", |phone| phone.calls.iter().all(|it| it.over));
    picker.leave();
    assert_eq!(caller.wait_for_end(), Outcome::Ended);
    let call = company.ended_call("+79161234567").await;
    assert_eq!(call["agent"], json!(company.agents[1].id));
    assert_eq!(call["recording"]["ready"], true);
    let route = company.route(&call).await;
    let ends = [&route["offers"][0]["end"], &route["offers"][1]["end"]];
    assert_eq!(ends, [&json!("picked_up"), &json!(null)], "{route:#}");
    for (language, words) in [
        ("en", "picked it up while it rang at Agent 0"),
        ("ru", "пока он звонил у Agent 0"),
    ] {
        let told = company
            .daemon
            .run(&["trace", "+79161234567", "--language", language]);
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(text.contains(words), "{text}");
    }
}
