//! Calls that people order: who may, what the PBX answers, and that a repeated request calls nobody twice.

use api::orders::Outcome;
use call::{Command, OrderId, OrderRefused};
use model::{CallId, UserId};
use reqwest::Method;
use serde_json::json;

use crate::house::{Answer, Client, House, PATIENCE};

/// The order that reaches the PBX next.
async fn next(house: &House) -> (OrderId, UserId, String) {
    let mut commands = house.commands.lock().await;
    let command = tokio::time::timeout(PATIENCE, commands.recv()).await;
    match command.unwrap().unwrap() {
        Command::Call {
            order,
            agent,
            number,
        } => (order, agent, number),
        other => panic!("{other:?}"),
    }
}

/// Orders a call and lets the PBX answer.
async fn ordered(
    house: &House,
    client: &Client,
    key: &str,
    outcome: Outcome,
) -> (Answer, UserId, String) {
    let request = client
        .request(Method::POST, "calls")
        .header("Idempotency-Key", key)
        .json(&json!({"number": "8 495 111-22-33"}));
    let pbx = async {
        let (order, agent, number) = next(house).await;
        house.orders.answer(order, outcome);
        (agent, number)
    };
    let (answer, (agent, number)) = tokio::join!(client.send(request), pbx);
    (answer, agent, number)
}

#[tokio::test]
async fn an_ordered_call_is_answered_once_it_has_begun_and_not_repeated() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let (answer, agent, number) = ordered(&house, &anna, "one", Ok(CallId(77))).await;
    let answer = answer.is(201);
    assert_eq!(answer.json(), json!({"id": "77"}));
    assert_eq!(answer.header("location"), "/api/v1/calls/77");
    assert_eq!(
        (agent, number.as_str()),
        (anna.user_id(), "8 495 111-22-33")
    );
    // The PBX is not asked again: nobody answers it here.
    let again = anna
        .request(Method::POST, "calls")
        .header("Idempotency-Key", "one")
        .json(&json!({"number": "8 495 111-22-33"}));
    assert_eq!(anna.send(again).await.is(201).json(), json!({"id": "77"}));
}

#[tokio::test]
async fn what_the_pbx_refuses_is_told_with_the_field_or_the_remedy() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    for (refused, status, fields) in [
        (OrderRefused::NoSuchNumber, 422, &["number"][..]),
        (OrderRefused::Colleague, 422, &["number"]),
        (OrderRefused::NotAnAgent, 422, &["agent"]),
        (OrderRefused::NotAllowed, 403, &[]),
        (OrderRefused::NoTelephone, 409, &[]),
        (OrderRefused::InCall, 409, &[]),
        (OrderRefused::NoTrunk, 409, &[]),
        (OrderRefused::NoRoom, 503, &[]),
    ] {
        // A refused request may be made again with its key.
        let (answer, ..) = ordered(&house, &anna, "same", Err(refused)).await;
        assert_eq!(answer.is(status).fields(), fields, "{refused:?}");
    }
}

#[tokio::test]
async fn agents_call_for_themselves_and_supervisors_for_others() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let boris = house.user("boris", "agent", Some("102")).await;
    let vera = house.user("vera", "supervisor", None).await;
    let for_boris = json!({"number": "84951112233", "agent": boris.user});
    anna.post("calls", for_boris.clone()).await.is(403);
    let pbx = async {
        let (order, agent, _) = next(&house).await;
        assert_eq!(agent, boris.user_id());
        house.orders.answer(order, Ok(CallId(5)));
    };
    let (answer, ()) = tokio::join!(vera.post("calls", for_boris), pbx);
    answer.is(201);
}

#[tokio::test]
async fn a_trunks_password_is_kept_and_never_shown() {
    let house = House::build().await;
    let outbound = json!({"proxy": "203.0.113.7:5060", "caller_number": "+7 495 123-45-01",
        "user": "office", "password": "very secret"});
    let trunk = json!({"name": "Telco", "networks": ["203.0.113.7"], "outbound": outbound});
    let made = house.admin.post("trunks", trunk).await.is(201);
    let path = format!("trunks/{}", made.id());
    assert!(!String::from_utf8_lossy(&made.bytes).contains("very secret"));
    let change = json!({"outbound": {"priority": 4}});
    let changed = house.admin.patch(&path, change).await.is(200);
    assert_eq!(changed.json()["outbound"]["priority"], 4);
    let directory = crm::Base::settings(&house.store).directory().await.unwrap();
    let stored = directory.trunks[0].outbound.as_ref().unwrap();
    let credentials = stored.credentials.as_ref().unwrap();
    assert_eq!(
        (credentials.user.as_str(), credentials.password.as_str()),
        ("office", "very secret")
    );
    let nonsense = json!({"outbound": {"domain": "a b"}});
    let refused = house.admin.patch(&path, nonsense).await.is(422);
    assert_eq!(refused.fields(), ["outbound.domain"]);
}
