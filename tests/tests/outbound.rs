//! Calls that agents begin, through the real program over real sockets: by a trunk that wants a password, to a colleague,
//! and ordered through the API.

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use tests::{
    baresip::{AnswerMode, Baresip},
    company::Company,
    daemon::Options,
    live::Live,
    sim::{Answering, Intent, Outcome, Talking, phone::Phone},
    sipp::Sipp,
};

const CLIENT: &str = "+74951112233";

fn answers(phone: &Live<Phone>) {
    let answering = Answering::Answer {
        after: Duration::from_millis(200),
        then: Talking::Stay,
    };
    phone.with(|phone, _| phone.script.push_back(answering));
}

/// A company whose agents may call out by a gateway at .4.
async fn office(agents: usize) -> (Company, Live<Phone>) {
    let company = Company::found(agents, &Options::default()).await;
    company.way_out(4, 1).await;
    let gateway = company.gateway(4);
    gateway.with(|gateway, _| gateway.challenges = true);
    (company, gateway)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_dials_a_client_whose_card_opens_and_whose_history_keeps_the_call() {
    let (company, gateway) = office(2).await;
    let (person, _) = company.employee("Ivan Petrov", CLIENT, 1).await;
    answers(&gateway);
    let events = company.events(0).await;
    let agent = company.dial(0, 20, "84951112233", Intent::patient());
    agent.wait_for_answer();
    let (_, card) = events.frame("call.offered", |_| true).await;
    assert_eq!(card["clients"][0]["name"], "Ivan Petrov", "{card:#}");
    assert_eq!(card["why"]["rule"], "caller");
    assert_eq!(
        (&card["why"]["ownership"], &card["why"]["owner"]["name"]),
        (&json!("colleague"), &json!("Agent 1")),
        "a colleague already works with this client"
    );
    events.frame("conversation.started", |_| true).await;
    agent.leave();
    assert_eq!(agent.wait_for_end(), Outcome::HungUp);
    let call = company.ended_call(CLIENT).await;
    assert_eq!(
        (&call["direction"], &call["from"], &call["to"]),
        (&json!("outbound"), &json!("101"), &json!(CLIENT))
    );
    assert_eq!(call["client_name"], "Ivan Petrov");
    assert_eq!(call["recording"]["ready"], true, "{call:#}");
    let entries = company
        .rest
        .get(&format!("interactions?person={person}"))
        .await;
    assert_eq!(entries["items"][0]["call"], call["id"], "{entries:#}");
    assert_eq!(entries["items"][0]["direction"], "outbound");
    let invite = gateway.message("INVITE").expect("the client is called");
    assert!(
        invite.text("To").contains("sip:84951112233@"),
        "as the trunk wants it: {invite:?}"
    );
}

#[rstest]
#[case::once("client_answers_behind_a_password")]
#[case::again_for_an_old_nonce("client_answers_behind_a_nonce_that_ages")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_as_the_telephone_company_knows_the_password_to_be_right(#[case] scenario: &str) {
    let (company, gateway) = office(1).await;
    // SIPp would take the question whether the trunk is there for a call; the next one comes in a minute.
    let up = |trunks: &Value| {
        let mut trunks = trunks["items"].as_array().into_iter().flatten();
        trunks.any(|trunk| trunk["state"]["code"] == "up")
    };
    company.rest.until("trunks", "the trunk is up", up).await;
    drop(gateway);
    let folder = tempfile::tempdir().unwrap();
    let gateway = company.daemon.address(4, 5060);
    let client = Sipp::waiting(scenario, folder.path(), gateway);
    let agent = company.dial(0, 20, "84951112233", Intent::patient());
    agent.wait_for_answer();
    agent.leave();
    assert_eq!(agent.wait_for_end(), Outcome::HungUp);
    client.succeeds();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baresip_dials_a_client_and_a_colleague() {
    let (company, gateway) = office(2).await;
    answers(&gateway);
    let colleague = company.phone(1, 0);
    answers(&colleague);
    let (user, secret) = company.agents[0].devices[0].clone();
    let words = tests::audio::speech("agent-ru");
    let mut desk = Baresip::start(
        company.daemon.sip(),
        (&user, &secret),
        &words,
        AnswerMode::Manual,
    );
    for number in ["84951112233", "102"] {
        desk.dial(number);
        desk.wait_for("CALL_ESTABLISHED");
        desk.order("hangup");
        desk.wait_for("CALL_CLOSED");
    }
    let outbound = company.ended_call(CLIENT).await;
    assert_eq!(outbound["cause"], "hung_up");
    let done = |calls: &Value| {
        let calls = calls["items"].as_array().expect("a page");
        calls.len() == 2 && calls.iter().all(|call| call["ended_at"].is_string())
    };
    let calls = company.rest.until("calls", "both calls end", done).await;
    let internal = &calls["items"][0];
    assert_eq!(
        (&internal["direction"], &internal["from"], &internal["to"]),
        (&json!("internal"), &json!("101"), &json!("102"))
    );
    assert_eq!(
        internal["recording"],
        Value::Null,
        "colleagues are not recorded"
    );
    let shown = colleague.message("INVITE").expect("the colleague is rung");
    assert!(
        shown.text("From").contains("Agent 0") && shown.text("From").contains("sip:101@"),
        "{shown:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_trunk_takes_what_the_first_refuses() {
    let (company, first) = office(1).await;
    company.way_out(5, 2).await;
    let second = company.gateway(5);
    first.with(|gateway, _| {
        gateway.script.push_back(Answering::Refuse {
            after: Duration::from_millis(10),
            status: 503,
        });
    });
    answers(&second);
    let agent = company.dial(0, 20, "84951112233", Intent::patient());
    agent.wait_for_answer();
    agent.leave();
    assert_eq!(agent.wait_for_end(), Outcome::HungUp);
    assert_eq!((first.came("INVITE"), second.came("INVITE")), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordered_call_rings_the_agent_and_then_the_client_once_per_key() {
    let (company, gateway) = office(1).await;
    company.person("Ivan Petrov", CLIENT, Some(0)).await;
    answers(&gateway);
    let phone = company.phone(0, 0);
    answers(&phone);
    let events = company.events(0).await;
    let rest = company.log_in(0).await;
    let order = json!({ "number": "8 495 111-22-33" });
    let made = rest.post_with_key("calls", &order, "once").await;
    assert_eq!(rest.post_with_key("calls", &order, "once").await, made);
    let (_, card) = events.frame("call.offered", |_| true).await;
    assert_eq!(card["call"], made["id"]);
    events.frame("conversation.started", |_| true).await;
    let (rung, called) = (phone.came_at("INVITE"), gateway.came_at("INVITE"));
    assert!(rung < called, "the agent's telephone rings first");
    phone.with(|phone, now| phone.hang_up_all(now));
    let call = company.ended_call(CLIENT).await;
    assert_eq!(call["id"], made["id"]);
    assert_eq!(
        (&call["cause"], &call["ended_by"]),
        (&json!("hung_up"), &json!("agent"))
    );
    let (status, problem) = rest
        .ask("POST", "calls", Some(&json!({ "number": "+49 30 123456" })))
        .await;
    assert_eq!(status, 403, "{}", String::from_utf8_lossy(&problem));
    let (status, problem) = rest
        .ask("POST", "calls", Some(&json!({ "number": "anna" })))
        .await;
    assert_eq!(status, 422, "{}", String::from_utf8_lossy(&problem));
}
