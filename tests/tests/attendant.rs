//! What callers hear and say before anybody's telephone rings, through the real program with sound: greeting, menu,
//! recording notice, closed office and voicemail. Runs alone, since it measures time.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{
    audio::{
        Law, assert_heard, assert_in_order, assert_not_heard, heard_at, prompt, recording, speech,
    },
    company::Company,
    daemon::Options,
    live::remote_media,
    sim::{Answering, Intent, Outcome, Talking},
    voice::Voice,
};

const CLIENT: &str = "+79161234567";
/// Half a second of tone and the pause before it.
const TONE_FRAMES: usize = 30;

/// The company, whose line was given these settings.
async fn company(agents: usize, line: &Value) -> Company {
    let company = Company::found(agents, &Options::default()).await;
    change_line(&company, line).await;
    company
}

async fn change_line(company: &Company, settings: &Value) {
    let line = format!("lines/{}", company.line);
    let (status, answer) = company.rest.ask("PATCH", &line, Some(settings)).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
}

/// An office that is closed at this moment and on every other day of the week.
async fn closed_office(company: &Company) -> String {
    let office = json!({ "name": "Moscow", "time_zone": "Europe/Moscow" });
    let made = company.rest.post("offices", &office).await;
    made["id"].as_str().expect("an id").to_owned()
}

/// How many frames these prompts take.
fn frames(names: &[&str]) -> u64 {
    let samples: usize = names.iter().map(|name| prompt(name).len() + 800).sum();
    u64::try_from(samples / 160).expect("a small number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_hears_greeting_and_menu_and_is_recorded_after_the_notice_with_whom_the_key_means()
{
    let company = Company::found(2, &Options::default()).await;
    let wanted = &company.agents[1];
    let reception = json!({
        "announcement": "transferring",
        "recording_notice": true,
        "menu": { "choices": [{ "key": "2", "user": wanted.id }], "extensions": true },
    });
    change_line(&company, &json!({ "reception": reception })).await;
    let phone = company.phone(1, 0);
    let answering = Answering::Answer {
        after: Duration::from_millis(100),
        then: Talking::Stay,
    };
    phone.with(|phone, _| phone.script.push_back(answering));
    let events = company.events(1).await;
    let here = company.daemon.address(2, 30_000);
    let client = Voice::open(here, Law::A, speech("caller-ru"));
    let caller = company.call(CLIENT, Intent::patient());
    client.speak_to(remote_media(&caller));
    client.wait_for(0, frames(&["transferring", "menu"]));
    client.press(2);
    let (_, card) = events.frame("call.offered", |_| true).await;
    assert_eq!(card["why"]["rule"], "dialled", "{card:#}");
    phone.wait("the telephone answers", |phone| {
        phone.calls.iter().any(|call| call.answered)
    });
    let desk = company.daemon.address(30, 10_002);
    let agent = Voice::open(desk, Law::A, speech("agent-ru"));
    agent.speak_to(phone.with(|phone, _| phone.calls[0].invite.media()));
    agent.wait_for(200, 150);
    caller.leave();
    assert_eq!(caller.wait_for_end(), Outcome::HungUp);
    let (client, agent) = (client.close().samples(), agent.close().samples());
    assert_in_order(&["transferring", "menu", "recording-notice"], &client);
    assert_heard("the agent", &speech("agent-ru"), &client);
    assert!(heard_at("menu", &agent).is_none());

    let call = company.ended_call(CLIENT).await;
    let file = call["recording"]["file"].as_str().expect("a recording");
    let (left, right) = recording(&company.daemon.recordings().join(file));
    assert_heard("the agent on the right", &speech("agent-ru"), &right);
    assert!(heard_at("recording-notice", &left).is_none());
    let route = company.route(&call).await;
    let steps = route["received"].as_array().expect("steps");
    assert_eq!(
        (&steps[0]["step"], &steps[0]["closed"]),
        (&json!("received"), &json!(false)),
        "{route:#}"
    );
    assert_eq!(
        (&steps[1]["keys"], &steps[1]["to"]["agent"]),
        (&json!("2"), &json!(wanted.id)),
        "{route:#}"
    );
    let told = company.daemon.run(&["trace", CLIENT, "--language", "en"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("the caller dialled 2: "), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outside_the_hours_a_message_is_recorded_and_owed_a_call_back() {
    let company = company(
        1,
        &json!({ "reception": { "voicemail": { "most_secs": 60 } } }),
    )
    .await;
    let office = closed_office(&company).await;
    change_line(&company, &json!({ "office": office })).await;
    let (person, _) = company.employee("Ivan Petrov", CLIENT, 0).await;
    let here = company.daemon.address(2, 30_000);
    let client = Voice::open(here, Law::A, speech("caller-ru"));
    let caller = company.call(CLIENT, Intent::patient());
    let remote = remote_media(&caller);
    let tone = u64::try_from(TONE_FRAMES).expect("a small number");
    client.wait_for(0, frames(&["closed", "voicemail"]) + tone);
    client.speak_to(remote);
    client.wait_for(250, 0);
    caller.leave();
    assert_eq!(caller.wait_for_end(), Outcome::HungUp);
    let heard = client.close().samples();
    assert_in_order(&["closed", "voicemail"], &heard);

    let call = company.ended_call(CLIENT).await;
    assert_eq!(
        (&call["cause"], &call["missed"], &call["ended_by"]),
        (&json!("message_left"), &json!(true), &json!("client")),
        "{call:#}"
    );
    let file = call["recording"]["file"].as_str().expect("a message");
    let (left, right) = recording(&company.daemon.recordings().join(file));
    assert_heard("the message", &speech("caller-ru"), &left);
    assert_not_heard("the message on the right", &speech("caller-ru"), &right);
    for side in [&left, &right] {
        assert!(
            heard_at("voicemail", side).is_none(),
            "no prompt is recorded"
        );
    }
    let id = call["id"].as_str().expect("an id");
    let (status, sound) = company
        .rest
        .ask("GET", &format!("calls/{id}/recording.wav"), None)
        .await;
    assert!(status == 200 && sound.len() > 30_000, "{status}");
    let owed = company.rest.get("obligations?state=open").await;
    assert_eq!(
        owed["items"][0]["client"]["person"],
        json!(person),
        "{owed:#}"
    );
    let history = company
        .rest
        .get(&format!("interactions?person={person}"))
        .await;
    assert_eq!(history["items"][0]["call"], call["id"]);
    let told = company.daemon.run(&["trace", CLIENT, "--language", "ru"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("был закрыт"), "{told}");
    assert!(told.contains("клиент оставил сообщение"), "{told}");
    let verified = company.daemon.run(&["recordings", "verify"]);
    assert!(verified.status.success(), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_office_is_refused_with_the_field_and_kept_as_long_as_a_line_has_its_hours() {
    let company = company(1, &json!({})).await;
    let refused = |office: Value| {
        let rest = &company.rest;
        async move {
            let (status, answer) = rest.ask("POST", "offices", Some(&office)).await;
            (status, String::from_utf8_lossy(&answer).into_owned())
        }
    };
    for (office, field) in [
        (json!({ "name": "A", "time_zone": "Moscow" }), "time_zone"),
        (
            json!({ "name": "A", "time_zone": "Europe/Moscow",
                "week": [{ "days": ["monday"], "from": "18:00", "to": "09:00" }] }),
            "week[0].to",
        ),
        (
            json!({ "name": "A", "time_zone": "Europe/Moscow",
                "holidays": [{ "date": "2027-02-29" }] }),
            "holidays[0].date",
        ),
    ] {
        let (status, answer) = refused(office).await;
        assert!(status == 422 && answer.contains(field), "{status} {answer}");
    }
    let office = closed_office(&company).await;
    change_line(&company, &json!({ "office": office })).await;
    let path = format!("offices/{office}");
    let (status, answer) = company.rest.ask("DELETE", &path, None).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        status == 422 && answer.contains("another office"),
        "{status} {answer}"
    );
    change_line(&company, &json!({ "office": null })).await;
    let (status, _) = company.rest.ask("DELETE", &path, None).await;
    assert_eq!(status, 204);
    let line = format!("lines/{}", company.line);
    for (reception, field) in [
        (
            json!({ "announcement": "../secret" }),
            "reception.announcement",
        ),
        (
            json!({ "menu": { "choices": [{ "key": "1" }] } }),
            "choices[0]",
        ),
        (
            json!({ "menu": { "choices": [{ "key": "1", "voicemail": true }] } }),
            "voicemail that the line does not have",
        ),
        (
            json!({ "menu": { "choices": [{ "key": "1", "line": "12345" }] } }),
            "reception.menu.choices",
        ),
    ] {
        let patch = json!({ "reception": reception });
        let (status, answer) = company.rest.ask("PATCH", &line, Some(&patch)).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(status == 422 && answer.contains(field), "{status} {answer}");
    }
}
