//! A caller who waits and an agent elsewhere, through the real program with sound: prompts, music, keys, and who hears
//! whom afterwards. Runs alone, since it measures time.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{
    audio::{
        Law, assert_heard, assert_in_order, assert_not_heard, heard_at, prompt, recording, speech,
    },
    company::Company,
    daemon::Options,
    live::{Live, remote_media},
    sim::{Answering, Caller, Intent, Outcome, Talking, phone::Phone},
    voice::{Heard, Voice},
};

const FIRST: &str = "+79161112233";
const CLIENT: &str = "+79161234567";
const MOBILE: &str = "+79251234567";

fn answers(phone: &Live<Phone>) {
    let answering = Answering::Answer {
        after: Duration::from_millis(100),
        then: Talking::Stay,
    };
    phone.with(|phone, _| phone.script.push_back(answering));
}

/// Where the gateway's call that was answered sends its sound.
fn media(gateway: &Phone) -> Option<std::net::SocketAddr> {
    let mut calls = gateway.calls.iter();
    calls.find(|call| call.answered)?.invite.media()
}

/// One agent who talks to a first client, and a second one who waits and speaks; the line has a queue.
async fn waiting() -> (Company, Live<Phone>, Live<Caller>, Live<Caller>, Voice) {
    let company = Company::found(1, &Options::default()).await;
    let queue = json!({ "queue": { "announce_secs": 10 } });
    let line = format!("lines/{}", company.line);
    let (status, answer) = company.rest.ask("PATCH", &line, Some(&queue)).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    let phone = company.phone(0, 0);
    answers(&phone);
    let first = company.call(FIRST, Intent::patient());
    first.wait_for_answer();
    let voice = Voice::open(
        company.daemon.address(3, 30_000),
        Law::A,
        speech("caller-ru"),
    );
    let caller = company.call_from(3, CLIENT, Intent::patient());
    voice.speak_to(remote_media(&caller));
    (company, phone, first, caller, voice)
}

fn pcm(company: &Company, call: &Value) -> (Vec<i16>, Vec<i16>) {
    let file = call["recording"]["file"].as_str().expect("a recording");
    recording(&company.daemon.recordings().join(file))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_hears_the_place_and_music_and_then_the_agent() {
    let (company, phone, first, caller, voice) = waiting().await;
    let events = company.events(0).await;
    let place = [
        "queue-welcome",
        "queue-position",
        "number-1",
        "queue-callback",
    ];
    let spoken: usize = place.iter().map(|name| prompt(name).len() + 800).sum();
    // Two seconds of music after the words.
    let frames = u64::try_from(spoken / 160 + 100).expect("a small number");
    voice.wait_for(0, frames);
    answers(&phone);
    let agent = Voice::open(
        company.daemon.address(20, 10_004),
        Law::A,
        speech("agent-ru"),
    );
    first.leave();
    let (_, card) = events
        .frame("call.offered", |frame| frame["attempt"] == 0)
        .await;
    assert_eq!(card["caller"]["number"], CLIENT, "{card:#}");
    phone.wait("the telephone answers again", |phone| {
        phone.calls.len() == 2 && phone.calls[1].answered
    });
    agent.speak_to(phone.with(|phone, _| phone.calls[1].invite.media()));
    voice.wait_for(200, 200);
    agent.wait_for(150, 100);
    caller.leave();
    assert_eq!(caller.wait_for_end(), Outcome::HungUp);
    let (voice, agent): (Heard, Heard) = (voice.close(), agent.close());
    let call = company.ended_call(CLIENT).await;

    let at_client = voice.samples();
    assert_in_order(&place, &at_client);
    let words = heard_at("queue-callback", &at_client).expect("just heard");
    let music = &at_client[words + prompt("queue-callback").len() + 4_000..][..8_000];
    let loud = music.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 8_000.0;
    assert!(loud.sqrt() > 500.0, "music, not silence: {}", loud.sqrt());
    let (agent_words, client_words) = (speech("agent-ru"), speech("caller-ru"));
    assert_heard("the agent", &agent_words, &at_client);
    assert_heard("the client", &client_words, &agent.samples());
    assert!(heard_at("queue-welcome", &agent.samples()).is_none());

    assert!(
        call["queued_at"].is_string() && call["missed"] == false,
        "{call:#}"
    );
    let (left, right) = pcm(&company, &call);
    let talk = i64::try_from(left.len() / 8).expect("a short file");
    let wait = call["wait_ms"].as_i64().expect("a wait");
    assert!(
        wait > 5_000 && talk < 10_000,
        "waited {wait} ms, talked {talk} ms"
    );
    assert_heard("the client on the left", &client_words, &left);
    assert_heard("the agent on the right", &agent_words, &right);
    assert_not_heard("the agent on the left", &agent_words, &left);
    for side in [&left, &right] {
        assert!(
            heard_at("queue-position", side).is_none(),
            "no prompt is recorded"
        );
    }
    let route = company.route(&call).await;
    assert_eq!(
        (&route["queued"]["place"], &route["queued"]["priority"]),
        (&json!(1), &json!("usual"))
    );
    let considered = &route["queued"]["explanation"]["considered"][0];
    assert_eq!(considered["state"]["state"], "talking", "{route:#}");
    let told = company.daemon.run(&["trace", CLIENT, "--language", "en"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("in the queue from"), "{told}");
    assert!(told.contains("place 1 (in the order of arrival)"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_presses_one_hears_that_we_call_back_and_is_owed_it() {
    let (company, _phone, first, caller, voice) = waiting().await;
    voice.wait_for(50, 50);
    voice.press(1);
    assert_eq!(caller.wait_for_end(), Outcome::Ended);
    let heard = voice.close().samples();
    assert_in_order(&["callback-taken"], &heard);
    let call = company.ended_call(CLIENT).await;
    assert_eq!(
        (&call["cause"], &call["missed"], &call["ended_by"]),
        (&json!("call_back_wanted"), &json!(true), &json!("client"))
    );
    assert_eq!(call["recording"], Value::Null);
    let owed = company.rest.get("obligations?state=open").await;
    assert_eq!(owed["items"][0]["number"], CLIENT, "{owed:#}");
    first.leave();
    assert_eq!(first.wait_for_end(), Outcome::HungUp);
}

/// The first agent has a mobile number and no telephone at the desk.
async fn elsewhere() -> (Company, Live<Phone>, Voice) {
    let company = Company::found(1, &Options::default()).await;
    company.way_out(4, 1).await;
    let gateway = company.gateway(4);
    let mobile =
        json!({ "user": company.agents[0].id, "name": "mobile", "number": "8 925 123-45-67" });
    let made = company.rest.post("devices", &mobile).await;
    assert_eq!(
        (&made["number"], &made["secret"]),
        (&json!(MOBILE), &Value::Null)
    );
    gateway.with(|gateway, _| gateway.challenges = true);
    answers(&gateway);
    let voice = Voice::open(
        company.daemon.address(4, 10_002),
        Law::A,
        speech("agent-ru"),
    );
    (company, gateway, voice)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_takes_the_call_on_the_mobile_by_a_key_with_card_recording_and_history() {
    let (company, gateway, agent) = elsewhere().await;
    let (person, _) = company.employee("Ivan Petrov", CLIENT, 0).await;
    let events = company.events(0).await;
    let client = Voice::open(
        company.daemon.address(2, 30_000),
        Law::A,
        speech("caller-ru"),
    );
    let caller = company.call(CLIENT, Intent::patient());
    gateway.wait("the mobile answers", |gateway| {
        gateway.calls.iter().any(|call| call.answered)
    });
    let (_, card) = events.frame("call.offered", |_| true).await;
    assert_eq!(card["clients"][0]["name"], "Ivan Petrov", "{card:#}");
    agent.speak_to(gateway.with(|gateway, _| media(gateway)));
    let asked = u64::try_from(prompt("press-one").len() / 160 + 10).expect("a short prompt");
    agent.wait_for(20, asked);
    assert!(
        caller.with(|caller, _| caller.answered_at.is_none()),
        "nobody has taken the call"
    );
    agent.press(1);
    client.speak_to(remote_media(&caller));
    client.wait_for(200, 150);
    caller.leave();
    let (client, agent) = (client.close(), agent.close());
    let call = company.ended_call(CLIENT).await;

    let at_agent = agent.samples();
    assert_in_order(&["press-one"], &at_agent);
    assert_heard("the client", &speech("caller-ru"), &at_agent);
    assert_heard("the agent", &speech("agent-ru"), &client.samples());
    let (left, right) = pcm(&company, &call);
    assert_heard("the client on the left", &speech("caller-ru"), &left);
    assert_heard("the agent on the right", &speech("agent-ru"), &right);
    let invite = gateway.message("INVITE").expect("the mobile is called");
    assert!(
        invite.text("From").contains("\"+79161234567 Ivan Petrov\""),
        "it shows who calls: {invite:?}"
    );
    let history = company
        .rest
        .get(&format!("interactions?person={person}"))
        .await;
    assert_eq!(history["items"][0]["call"], call["id"]);
    let route = company.route(&call).await;
    let devices = company
        .rest
        .get(&format!("devices?user={}", company.agents[0].id))
        .await;
    let mobile = devices["items"]
        .as_array()
        .expect("a page")
        .iter()
        .find(|it| it["number"] == MOBILE);
    assert_eq!(
        route["offers"][0]["device"],
        mobile.expect("the mobile")["id"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voicemail_that_answers_the_mobile_gets_nobody() {
    let (company, gateway, voicemail) = elsewhere().await;
    let caller = company.call(CLIENT, Intent::patient());
    gateway.wait("the voicemail answers", |gateway| {
        gateway.calls.iter().any(|call| call.answered)
    });
    voicemail.speak_to(gateway.with(|gateway, _| media(gateway)));
    let outcome = caller.wait_for_end();
    assert_eq!(outcome, Outcome::Refused(480), "nobody answered");
    gateway.wait("the voicemail is hung up on", |gateway| {
        gateway.calls.iter().all(|call| call.over)
    });
    let heard = voicemail.close().samples();
    assert!(heard_at("press-one", &heard).is_some(), "it was asked");
    let call = company.ended_call(CLIENT).await;
    assert_eq!(
        (&call["cause"], &call["missed"]),
        (&json!("nobody_answered"), &json!(true))
    );
    let route = company.route(&call).await;
    assert_eq!(route["offers"][0]["end"], "no_answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mobile_that_is_forwarded_to_our_line_is_a_loop_and_refused() {
    let (company, gateway, _voice) = elsewhere().await;
    gateway.with(|gateway, _| {
        gateway.script.clear();
        gateway.script.push_back(Answering::Ignore);
        gateway.script.push_back(Answering::Ignore);
    });
    let caller = company.call(CLIENT, Intent::patient());
    gateway.wait("the mobile rings", |gateway| !gateway.calls.is_empty());
    // The trunk brings our own call back, with our own number as the caller.
    let back = company.call_from(5, "+74951234501", Intent::patient());
    assert_eq!(back.wait_for_end(), Outcome::Refused(482));
    company.daemon.wait_for_log("is forwarded to our own line");
    caller.leave();
    assert_eq!(caller.wait_for_end(), Outcome::Refused(487));
}
