//! A client who gave up is owed a call back until somebody has talked with them (H5): over SIP, HTTP and WebSocket.

use std::time::Duration;

use serde_json::Value;
use tests::{
    company::Company,
    daemon::Options,
    events::Events,
    sim::{Answering, Intent, Outcome, Talking},
};

const CLIENT: &str = "+79161234567";

/// What is owed now, as the API tells it.
async fn open(company: &Company) -> Vec<Value> {
    let open = company.rest.get("obligations?state=open").await;
    open["items"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gave_up_is_owed_a_call_back_until_a_conversation_of_five_seconds() {
    let company = Company::found(2, &Options::default()).await;
    let person = company.person("Ivan Petrov", CLIENT, Some(0)).await;
    let answering = [
        Answering::Ignore,
        Answering::Answer {
            after: Duration::from_millis(50),
            then: Talking::HangUp {
                after: Duration::from_millis(5_200),
            },
        },
    ];
    let phone = company.phone(0, 0);
    phone.with(|phone, _| phone.script.extend(answering));
    let manager = company.events(0).await;
    let colleague = company.events(1).await;

    let gives_up = Intent {
        patience: Duration::from_millis(500),
        ..Intent::patient()
    };
    let caller = company.call(CLIENT, gives_up);
    let (_, opened) = manager.frame("obligation.opened", |_| true).await;
    assert_eq!(caller.wait_for_end(), Outcome::Refused(487));
    let owed = open(&company).await;
    assert_eq!(owed.len(), 1, "{owed:#?}");
    assert_eq!(owed[0]["id"], opened["obligation"]);
    assert_eq!(owed[0]["client"]["person"], person.as_str());
    assert_eq!(owed[0]["responsible"], company.agents[0].id.as_str());
    assert_eq!(owed[0]["first_call"], opened["call"]);
    assert_eq!(owed[0]["due"], opened["due"]);
    assert_eq!(opened["client_name"], "Ivan Petrov");
    let metrics = company.metrics().await;
    assert_eq!(metrics["ringbook_obligations_open"], 1);
    assert_eq!(metrics["ringbook_obligations_overdue"], 0);

    let caller = company.call_from(3, CLIENT, Intent::patient());
    let again = |frame: &Value| frame["call"] != opened["call"];
    let (_, card) = manager.frame("call.offered", again).await;
    assert_eq!(card["obligations"][0]["id"], opened["obligation"]);
    let (_, closed) = manager.frame("obligation.closed", |_| true).await;
    assert_eq!(caller.wait_for_end(), Outcome::Ended);
    assert_eq!(closed["obligation"], opened["obligation"]);
    assert_eq!(closed["closed_by"], "conversation");
    assert_eq!(closed["closed_call"], card["call"]);
    assert!(closed["cursor"].is_string());
    assert!(open(&company).await.is_empty());
    let id = opened["obligation"].as_str().expect("an id");
    let owed = company.rest.get(&format!("obligations/{id}")).await;
    assert_eq!(owed["state"], "closed", "{owed:#}");
    assert_eq!(owed["closed_call"], card["call"]);
    let id = card["call"].as_str().expect("an id");
    let call = company.rest.get(&format!("calls/{id}")).await;
    assert!(call["talk_ms"].as_u64() >= Some(5_000));
    // What the manager owes is no affair of a colleague's.
    let told = colleague.frames();
    let about = |frame: &&Value| {
        frame["type"]
            .as_str()
            .is_some_and(|it| it.starts_with("obligation"))
    };
    assert_eq!(told.iter().find(about), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calling_the_client_back_closes_what_is_owed_once_they_have_talked() {
    let company = Company::found(2, &Options::default()).await;
    company.person("Ivan Petrov", CLIENT, Some(0)).await;
    company.way_out(4, 1).await;
    let gateway = company.gateway(4);
    let talks_for = |millis| Answering::Answer {
        after: Duration::from_millis(50),
        then: Talking::HangUp {
            after: Duration::from_millis(millis),
        },
    };
    let script = [Answering::Ignore, talks_for(1_000), talks_for(5_300)];
    gateway.with(|gateway, _| gateway.script.extend(script));
    let leader = company.rest.clone();
    let events = Events::open(&leader, None).await;
    let caller = company.call(CLIENT, Intent::patient());
    assert_eq!(
        caller.wait_for_end(),
        Outcome::Refused(486),
        "nobody's telephone is registered"
    );
    let (_, opened) = events.frame("obligation.opened", |_| true).await;
    let impatient = Intent {
        patience: Duration::from_secs(1),
        ..Intent::patient()
    };
    for (host, intent, end) in [
        (20, impatient, Outcome::Refused(487)),
        (21, Intent::patient(), Outcome::Ended),
    ] {
        let agent = company.dial(1, host, "89161234567", intent);
        assert_eq!(agent.wait_for_end(), end);
        assert_eq!(
            open(&company).await.len(),
            1,
            "no, or too short a conversation"
        );
    }
    let agent = company.dial(1, 22, "89161234567", Intent::patient());
    let (_, closed) = events.frame("obligation.closed", |_| true).await;
    assert_eq!(agent.wait_for_end(), Outcome::Ended);
    assert_eq!(closed["obligation"], opened["obligation"]);
    let id = closed["closed_call"].as_str().expect("an id");
    let call = company.rest.get(&format!("calls/{id}")).await;
    assert_eq!(call["direction"], "outbound", "{call:#}");
    assert_eq!(call["agent"], company.agents[1].id.as_str(), "by anyone");
    assert!(open(&company).await.is_empty());
}
