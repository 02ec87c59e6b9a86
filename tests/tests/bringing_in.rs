//! An agent asks a colleague about a client and brings the client in by two keys, moment by moment in the simulated call
//! centre; and a colleague joins through the API.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use call::{Cause, EventKind};
use model::AgentState;
use serde_json::{Value, json};
use tests::{
    asking::{PLAIN, Story, asking, only_asks, sent_to},
    company::Company,
    daemon::Options,
    live::Live,
    sim::{Answering, Intent, Outcome, Store, Talking, consulting::Manner, phone::Phone},
    three::{heard, sorted},
};

const LONG: Duration = Duration::from_secs(1_000);

/// What the journal tells of the conversation with the client if the colleague was asked first.
const BROUGHT_IN: [&str; 12] = [
    "call.arrived",
    "call.offered",
    "call.ringing",
    "offer.accepted",
    "line.answered",
    "conversation.started",
    "call.updated",
    "conference.begun",
    "call.offered",
    "offer.accepted",
    "conference.joined",
    "call.updated",
];

fn brings_in() -> Manner {
    Manner {
        confers: Some(LONG),
        ..PLAIN
    }
}

/// The asker has pressed `*3`, and all three talk.
fn brought_in() -> Story {
    let mut story = asking(2, brings_in(), Talking::Stay);
    let asker = story.asker;
    story.until("the client is not brought in", |centre| {
        sent_to(centre, asker, "BYE") == 1
    });
    story.goes_on(2);
    story
}

/// The port of ours that the asker sends to in the question.
fn question_port(story: &Story) -> SocketAddr {
    let talk = story.centre.phones[&story.asker].questions[0].talk.as_ref();
    let port = talk.and_then(|talk| talk.remote_media);
    port.expect("the colleague answered")
}

fn client_hears(story: &Story) -> Vec<IpAddr> {
    let talk = story.centre.callers[&story.client].talk.as_ref();
    heard(&story.centre, talk.and_then(|talk| talk.remote_media))
}

#[test]
fn whoever_asks_a_colleague_brings_the_client_in_by_two_keys() {
    let mut story = brought_in();
    let (asker, colleague) = (story.asker, story.colleague);
    assert_eq!(client_hears(&story), sorted([asker.ip(), colleague.ip()]));
    let at_asker = heard(&story.centre, Some(question_port(&story)));
    assert_eq!(at_asker, sorted([story.client.ip(), colleague.ip()]));
    // The leg that held the client is gone, the one that is in use stays.
    assert_eq!(story.sent_to(asker, "BYE"), 1);
    assert!(story.centre.phones[&asker].calls[0].over);
    assert!(!story.centre.phones[&asker].questions[0].over);
    assert_eq!(story.sent_to(colleague, "BYE"), 0);
    assert_eq!(story.sent_to(colleague, "INVITE"), 1);
    assert_eq!(story.names(0), BROUGHT_IN);
    assert_eq!(story.end_of(1), (Cause::Conference, false));
    let talking = AgentState::Talking {
        call: story.calls()[0],
    };
    for phone in [asker, colleague] {
        let user = story.user_of(phone);
        assert_eq!(story.centre.agents[&user].state, talking);
        assert_eq!(story.centre.world.ledger[&user], story.calls()[0]);
    }
    let user = story.user_of(colleague);
    let states = story.centre.states.iter().filter(|it| it.agent == user);
    let last: Vec<_> = states.rev().take(2).map(|it| it.state).collect();
    let asked = AgentState::Talking {
        call: story.calls()[1],
    };
    assert_eq!(last, [talking, asked], "never free");
    assert!(story.centre.world.cards.contains(&(story.calls()[0], user)));
    let client = story.client;
    story.centre.leave(client);
    story.ends_well(Outcome::HungUp);
    assert_eq!(story.end_of(0), (Cause::HungUp, false));
}

#[test]
fn after_the_keys_too_the_first_who_leaves_leaves_the_client_with_the_other() {
    for asker_leaves in [true, false] {
        let mut story = brought_in();
        let (leaves, stays) = match asker_leaves {
            true => (story.asker, story.colleague),
            false => (story.colleague, story.asker),
        };
        story.centre.hang_up(leaves);
        story.goes_on(3);
        assert_eq!(client_hears(&story), [stays.ip()]);
        let facts = story.facts(0);
        let left = EventKind::ConferenceLeft {
            agent: story.user_of(leaves),
            stays: story.user_of(stays),
        };
        assert_eq!(facts.last(), Some(&&left));
        let client = story.client;
        story.centre.leave(client);
        story.ends_well(Outcome::HungUp);
    }
}

#[test]
fn only_the_two_keys_of_whoever_has_a_client_on_hold_bring_in() {
    let mut story = asking(2, only_asks(), Talking::Stay);
    let (asker, colleague) = (story.asker, story.colleague);
    let of_asker = question_port(&story);
    let talk = story.centre.phones[&colleague].calls[0].talk.as_ref();
    let of_colleague = talk.and_then(|talk| talk.remote_media).expect("they talk");
    let press = |story: &mut Story, port: SocketAddr, keys: &str| {
        for key in keys.chars() {
            story.centre.press(port, key);
            let next = story.centre.now + Duration::from_millis(200);
            story.centre.run(next, |_| false);
        }
    };
    press(&mut story, of_colleague, "*3");
    press(&mut story, of_asker, "3");
    press(&mut story, of_asker, "*13");
    press(&mut story, of_asker, "*");
    press(&mut story, of_colleague, "3");
    story.goes_on(5);
    press(&mut story, of_asker, "3");
    story.goes_on(1);
    assert_eq!(story.sent_to(asker, "BYE"), 0);
    press(&mut story, of_asker, "**3");
    story.goes_on(2);
    assert_eq!(story.sent_to(asker, "BYE"), 1);
    assert_eq!(client_hears(&story), sorted([asker.ip(), colleague.ip()]));
    press(&mut story, of_asker, "*3");
    story.goes_on(2);
    assert_eq!(story.names(0), BROUGHT_IN, "once is enough");
    let client = story.client;
    story.centre.leave(client);
    story.ends_well(Outcome::HungUp);
}

#[test]
fn the_client_is_gone_when_the_keys_are_pressed() {
    let mut story = asking(2, brings_in(), Talking::Stay);
    let (asker, client) = (story.asker, story.client);
    story.centre.leave(client);
    story.goes_on(5);
    assert_eq!(story.sent_to(story.colleague, "BYE"), 0);
    story.centre.hang_up(asker);
    story.ends_well(Outcome::HungUp);
    assert_eq!(story.end_of(1), (Cause::HungUp, false));
}

#[test]
fn killed_between_the_keys_and_the_journal_everybody_is_told() {
    for moment in [0, 30, 60, 90, 120, 250] {
        let mut story = asking(2, only_asks(), Talking::Stay);
        let (asker, colleague) = (story.asker, story.colleague);
        let takes = Store::Takes(Duration::from_millis(40));
        story.centre.world.troubles.store = takes;
        let port = question_port(&story);
        story.centre.press(port, '*');
        story.centre.press(port, '3');
        story.until("the client is not brought in", |centre| {
            sent_to(centre, asker, "BYE") == 1
        });
        let until = story.centre.now + Duration::from_millis(moment);
        story.centre.run(until, |_| false);
        assert_eq!(story.sent_to(colleague, "BYE"), 0);
        story.centre.kill();
        story.ends_well(Outcome::Ended);
        assert!(story.sent_to(colleague, "BYE") >= 1, "after {moment} ms");
        assert!(story.sent_to(asker, "BYE") >= 2, "after {moment} ms");
        assert_eq!(story.end_of(0).0, Cause::Crash);
    }
}

fn answers(phone: &Live<Phone>) {
    let answering = Answering::Answer {
        after: Duration::from_millis(200),
        then: Talking::Stay,
    };
    phone.with(|phone, _| phone.script.push_back(answering));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_the_api_a_colleague_joins_and_stays_with_the_client() {
    let company = Company::found(2, &Options::default()).await;
    let [first, second] = [company.phone(0, 0), company.phone(1, 0)];
    answers(&first);
    answers(&second);
    let events = company.events(1).await;
    let [anna, boris] = [company.log_in(0).await, company.log_in(1).await];
    let caller = company.call("+79161234567", Intent::patient());
    caller.wait_for_answer();
    let live = |calls: &Value| calls["items"][0]["started_at"].is_string();
    let calls = company.rest.until("calls", "they talk", live).await;
    let call = calls["items"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("calls/{call}/conference");
    let nobody = anna.ask("POST", &path, Some(&json!({"to": "999"}))).await;
    assert_eq!(nobody.0, 422, "{}", String::from_utf8_lossy(&nobody.1));
    let to_boris = json!({"to": "102"});
    let not_his = boris.ask("POST", &path, Some(&to_boris)).await;
    assert!([403, 404].contains(&not_his.0), "{}", not_his.0);
    let (status, problem) = anna.ask("POST", &path, Some(&to_boris)).await;
    assert_eq!(status, 204, "{}", String::from_utf8_lossy(&problem));
    let (_, card) = events
        .frame("call.offered", |card| card["attempt"] == 1)
        .await;
    assert_eq!(card["why"]["rule"], "conference", "{card:#}");
    assert_eq!(card["why"]["colleague"]["name"], "Agent 0");
    let (_, joined) = events.frame("conference.joined", |_| true).await;
    let [one, other] = [0, 1].map(|agent| json!(company.agents[agent].id));
    assert_eq!((&joined["from"], &joined["agent"]), (&one, &other));
    let (again, _) = anna.ask("POST", &path, Some(&to_boris)).await;
    assert_eq!(again, 409);
    let route = boris.get(&format!("calls/{call}/route")).await;
    assert_eq!(
        route["offers"][1]["rule"]["rule"], "conference",
        "{route:#}"
    );
    let hang_up = format!("calls/{call}/hang-up");
    assert_eq!(anna.ask("POST", &hang_up, None).await.0, 204);
    let (_, left) = events.frame("conference.left", |_| true).await;
    assert_eq!((&left["agent"], &left["stays"]), (&one, &other));
    first.wait("it is released", |phone| {
        phone.calls.iter().all(|it| it.over)
    });
    assert_eq!(boris.ask("POST", &hang_up, None).await.0, 204);
    assert_eq!(caller.wait_for_end(), Outcome::Ended);
    let ended = company.ended_call("+79161234567").await;
    assert_eq!(
        (&ended["cause"], &ended["agent"]),
        (&json!("hung_up"), &other)
    );
}
