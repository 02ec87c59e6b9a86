//! Who takes the calls of somebody who is absent, and of somebody who has left: over SIP, HTTP and WebSocket (R6).

use std::time::Duration;

use serde_json::{Value, json};
use tests::{
    company::Company,
    daemon::Options,
    live::Live,
    sim::{Answering, Intent, Outcome, Talking, phone::Phone},
};

const CLIENT: &str = "+79161234567";

fn answers(phone: &Live<Phone>) {
    let answer = Answering::Answer {
        after: Duration::from_millis(50),
        then: Talking::HangUp {
            after: Duration::from_millis(300),
        },
    };
    phone.with(|phone, _| phone.script.push_back(answer));
}

/// Who was offered each call of the client, newest first.
async fn offered(company: &Company) -> Vec<Value> {
    let calls = company.rest.get("calls?number=79161234567").await;
    let mut agents = Vec::new();
    for call in calls["items"].as_array().expect("a list") {
        let route = company.route(call).await;
        let offers = route["offers"].as_array().expect("offers").iter();
        agents.push(offers.map(|offer| offer["agent"].clone()).collect());
    }
    agents
}

async fn does(company: &Company, method: &str, path: &str, body: Value) -> Value {
    let (status, bytes) = company.rest.ask(method, path, Some(&body)).await;
    let text = String::from_utf8_lossy(&bytes);
    assert!(
        (200..300).contains(&status),
        "{method} {path}: {status} {text}"
    );
    serde_json::from_slice(&bytes).unwrap_or(Value::Null)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deputy_gets_the_card_and_the_call_until_the_manager_is_back() {
    let company = Company::found(3, &Options::default()).await;
    let ids: Vec<&str> = company
        .agents
        .iter()
        .map(|agent| agent.id.as_str())
        .collect();
    company.person("Ivan Petrov", CLIENT, Some(0)).await;
    let phones: Vec<_> = (0..3).map(|agent| company.phone(agent, 0)).collect();
    let deputy = company.events(2).await;
    let path = format!("users/{}/deputy", ids[0]);
    let manager = company.log_in(0).await;
    let own = json!({ "deputy": ids[2] });
    assert_eq!(manager.ask("PUT", &path, Some(&own)).await.0, 200);
    let leave = json!({ "from": "2020-01-01T00:00:00Z", "until": "2096-05-01T00:00:00Z", "note": "holiday" });
    let leave = manager.post("absences", &leave).await;
    let away = |agents: &Value| {
        let mut agents = agents["items"].as_array().into_iter().flatten();
        agents.any(|it| it["user"] == ids[0] && it["reason"] == "absent")
    };
    company
        .rest
        .until("agents", "the manager is absent", away)
        .await;

    answers(&phones[2]);
    let caller = company.call(CLIENT, Intent::patient());
    let (_, card) = deputy.frame("call.offered", |_| true).await;
    assert_eq!(caller.wait_for_end(), Outcome::Ended);
    let why = &card["why"];
    assert_eq!(
        (&why["rule"], &why["ownership"]),
        (&json!("deputy"), &json!("colleague"))
    );
    assert_eq!(why["colleague"]["name"], "Agent 0", "{why:#}");
    assert_eq!(why["owner"]["id"], ids[0]);
    company.ended_call(CLIENT).await;
    let english = [
        "Agent 0 · assigned manager · passed over: absent until 2096-",
        "Agent 2 · stands in for Agent 0 · chosen",
        "Offered to Agent 2 (stands in for Agent 0); the client is Agent 0's",
    ];
    let russian = [
        "Agent 0 · закреплённый менеджер · пропущен: отсутствует до 2096-",
        "Agent 2 · замещает: Agent 0 · выбран",
        "Предложен: Agent 2 (замещает: Agent 0)",
    ];
    for (language, sentences) in [("en", english), ("ru", russian)] {
        let told = company
            .daemon
            .run(&["trace", CLIENT, "--language", language]);
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        for sentence in sentences {
            assert!(text.contains(sentence), "no \"{sentence}\" in\n{text}");
        }
    }

    let leave = format!("absences/{}", leave["id"].as_str().expect("an id"));
    does(&company, "DELETE", &leave, Value::Null).await;
    answers(&phones[0]);
    let caller = company.call_from(3, CLIENT, Intent::patient());
    assert_eq!(caller.wait_for_end(), Outcome::Ended);
    assert_eq!(offered(&company).await, [json!([ids[0]]), json!([ids[2]])]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leavers_client_reaches_the_successor_with_the_very_next_call() {
    let company = Company::found(3, &Options::default()).await;
    let ids: Vec<&str> = company
        .agents
        .iter()
        .map(|agent| agent.id.as_str())
        .collect();
    let person = company.person("Ivan Petrov", CLIENT, Some(0)).await;
    let phones: Vec<_> = (0..3).map(|agent| company.phone(agent, 0)).collect();
    let successor = company.events(2).await;
    answers(&phones[0]);
    let caller = company.call(CLIENT, Intent::patient());
    assert_eq!(caller.wait_for_end(), Outcome::Ended);

    let leaver = format!("users/{}", ids[0]);
    let (status, refused) = company.rest.ask("DELETE", &leaver, None).await;
    assert_eq!(status, 409, "{}", String::from_utf8_lossy(&refused));
    let path = format!("{leaver}/hand-over");
    let order = json!({ "to": ids[2] });
    let made = company.rest.post_with_key(&path, &order, "leaver").await;
    assert_eq!(made["moved"]["persons"], 1, "{made:#}");
    answers(&phones[2]);
    let caller = company.call_from(3, CLIENT, Intent::patient());
    let (_, card) = successor.frame("call.offered", |_| true).await;
    assert_eq!(card["why"]["rule"], "assigned", "{card:#}");
    assert_eq!(caller.wait_for_end(), Outcome::Ended);
    assert_eq!(
        company.rest.post_with_key(&path, &order, "leaver").await,
        made
    );
    let trace = company
        .rest
        .get(&format!("hand-overs?person={person}"))
        .await;
    assert_eq!(trace["items"], json!([made]));

    does(&company, "DELETE", &leaver, Value::Null).await;
    let agents = company.rest.get("agents").await;
    let gone = |it: &Value| it["user"] != ids[0];
    assert!(agents["items"].as_array().expect("a list").iter().all(gone));
    answers(&phones[2]);
    let caller = company.call_from(4, CLIENT, Intent::patient());
    assert_eq!(caller.wait_for_end(), Outcome::Ended);
    let told = company.daemon.run(&["trace", CLIENT, "--language", "en"]);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let kept = "Agent 0 · assigned manager · chosen";
    assert!(text.contains(kept), "the history keeps the name:\n{text}");
    let [new, old] = [2, 0].map(|agent| json!([ids[agent]]));
    assert_eq!(offered(&company).await, [new.clone(), new, old]);
}
