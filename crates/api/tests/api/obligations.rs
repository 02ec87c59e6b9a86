//! Who is owed a call back, by role, and who may let that go (H5).

use reqwest::Method;
use serde_json::{Value, json};

use crate::house::{Client, House};

const HERS: &str = "+79160000001";

/// The ids on a page.
async fn ids(client: &Client, query: &str) -> Vec<String> {
    let list = client.get(&format!("obligations{query}")).await.is(200);
    let items = list.json()["items"].as_array().unwrap().clone();
    let ids = items.iter().map(|item| item["id"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

/// The newest obligation, as an administrator sees it.
async fn newest(house: &House) -> Value {
    let list = house.admin.get("obligations?limit=1").await.is(200);
    list.json()["items"][0].clone()
}

#[tokio::test]
async fn a_missed_call_is_owed_a_call_back_until_somebody_has_talked() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let line = house.line("+7 495 123-45-67").await;
    let person = json!({"name": "Petr", "manager": anna.user, "numbers": [{"typed": HERS}]});
    let person = house.admin.post("persons", person).await.is(201).id();
    let minutes = json!({"callback_minutes": 1});
    let changed = house.admin.patch(&format!("lines/{line}"), minutes).await;
    assert_eq!(changed.is(200).json()["callback_minutes"], 1);
    let first = house.ring(HERS, &line, &anna).await;
    house.end(first, &anna, None).await;
    let last = house.ring(HERS, &line, &anna).await;
    house.end(last, &anna, None).await;
    let owed = newest(&house).await;
    let id = owed["id"].as_str().unwrap();
    let path = format!("obligations/{id}");
    assert_eq!(anna.get(&path).await.is(200).json(), owed);
    let expected = json!({
        "state": "open", "client": {"person": person, "organisation": null}, "client_name": "Petr",
        "number": HERS, "line": line, "responsible": anna.user, "responsible_name": "anna",
        "overdue": false, "missed_calls": 2, "first_call": first.to_string(),
        "last_call": last.to_string(), "closed_at": null, "closed_by": null, "closed_call": null,
        "waived_by": null, "reason": null,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&owed[field], value, "{field}: {owed:#}");
    }
    let ended = house.admin.get(&format!("calls/{first}")).await.is(200);
    assert_eq!(owed["opened_at"], ended.json()["ended_at"]);
    let time = |field: &str| {
        let time: api::moment::Moment = serde_json::from_value(owed[field].clone()).unwrap();
        time.0
    };
    assert_eq!(time("due").since(time("opened_at")).as_secs(), 60);

    for (talk_ms, state) in [(4_900, "open"), (5_000, "closed")] {
        let call = house.ring(HERS, &line, &anna).await;
        house.answer(call, &anna, None).await;
        house.end(call, &anna, Some(talk_ms)).await;
        let owed = anna.get(&path).await.is(200).json();
        assert_eq!(owed["state"], state, "after {talk_ms} ms");
        if state == "closed" {
            assert_eq!(owed["closed_by"], "conversation");
            assert_eq!(owed["closed_call"], call.to_string());
            assert!(owed["closed_at"].is_string());
        }
    }
    assert!(ids(&anna, "?state=open").await.is_empty());
    assert_eq!(ids(&anna, "?state=closed&overdue=false").await, [id]);
    assert_eq!(ids(&anna, &format!("?person={person}")).await, [id]);
    assert!(ids(&anna, "?overdue=true").await.is_empty());
    let due = owed["due"].as_str().unwrap();
    assert_eq!(ids(&anna, &format!("?due_after={due}")).await, [id]);
    assert!(ids(&anna, &format!("?due_before={due}")).await.is_empty());
}

#[tokio::test]
async fn agents_see_their_own_and_nobodys_and_leaders_see_all() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let boris = house.user("boris", "agent", Some("102")).await;
    let boss = house.user("boss", "supervisor", None).await;
    let line = house.line("+7 495 123-45-67").await;
    let person = json!({"name": "Petr", "manager": boris.user, "numbers": [{"typed": HERS}]});
    house.admin.post("persons", person).await.is(201);
    // Boris's client, offered to Anna; then a stranger, offered to Anna.
    for number in [HERS, "+79160000002"] {
        let call = house.ring(number, &line, &anna).await;
        house.end(call, &anna, None).await;
    }
    let all = ids(&boss, "").await;
    assert_eq!(all.len(), 2);
    assert_eq!(ids(&house.admin, "").await, all);
    assert_eq!(ids(&anna, "").await, all[..1]);
    assert_eq!(ids(&boris, "").await, all[1..]);
    assert_eq!(
        ids(&boss, &format!("?responsible={}", boris.user)).await,
        all[1..]
    );
    anna.get(&format!("obligations/{}", all[0])).await.is(200);
    anna.get(&format!("obligations/{}", all[1])).await.is(404);
    boris.get(&format!("obligations/{}", all[1])).await.is(200);
    boss.get(&format!("obligations/{}", all[1])).await.is(200);
    let page = boss.get("obligations?limit=1").await.is(200).json();
    let next = page["next"].as_str().unwrap();
    assert_eq!(
        ids(&boss, &format!("?limit=1&cursor={next}")).await,
        all[1..]
    );
    for bad in [
        "state=lost",
        "overdue=7",
        "due_before=now",
        "person=x",
        "what=1",
    ] {
        let refused = boss.get(&format!("obligations?{bad}")).await.is(422);
        let field = bad.split('=').next().unwrap();
        assert_eq!(refused.fields(), [field], "{bad}");
    }
}

#[tokio::test]
async fn only_leaders_waive_and_only_with_a_reason_and_nobody_closes_by_hand() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let boss = house.user("boss", "supervisor", None).await;
    let line = house.line("+7 495 123-45-67").await;
    let call = house.ring(HERS, &line, &anna).await;
    house.end(call, &anna, None).await;
    let id = newest(&house).await["id"].as_str().unwrap().to_owned();
    let (path, waive) = (
        format!("obligations/{id}"),
        format!("obligations/{id}/waive"),
    );
    let reason = json!({"reason": "a fax machine"});
    anna.post(&waive, reason.clone()).await.is(403);
    for method in [Method::PATCH, Method::PUT, Method::DELETE] {
        let closing = json!({"state": "closed", "closed_call": call.to_string()});
        for client in [&anna, &boss, &house.admin] {
            let request = client.request(method.clone(), &path).json(&closing);
            let status = client.send(request).await.status.as_u16();
            assert!([403, 405].contains(&status), "{method}: {status}");
        }
    }
    for bad in [
        json!({}),
        json!({"reason": ""}),
        json!({"reason": "x".repeat(501)}),
    ] {
        assert_eq!(boss.post(&waive, bad).await.is(422).fields(), ["reason"]);
    }
    boss.post("obligations/7/waive", reason.clone())
        .await
        .is(404);
    let waived = boss.post(&waive, reason.clone()).await.is(200).json();
    assert_eq!(waived["state"], "waived");
    assert_eq!(waived["closed_by"], "waived");
    assert_eq!(waived["waived_by"], boss.user.as_str());
    assert_eq!(waived["reason"], "a fax machine");
    assert_eq!(waived["closed_call"], Value::Null);
    assert_eq!(anna.get(&path).await.is(200).json(), waived);
    house.admin.post(&waive, reason).await.is(409);
    assert_eq!(ids(&boss, "?state=waived").await, [id]);
    assert!(ids(&boss, "?state=closed").await.is_empty());
}

#[tokio::test]
async fn a_line_says_how_soon_a_missed_call_is_called_back() {
    let house = House::build().await;
    let line = house.line("+7 495 123-45-67").await;
    let path = format!("lines/{line}");
    let stored = house.admin.get(&path).await.is(200).json();
    assert_eq!(stored["callback_minutes"], 30);
    for bad in [0, 10_081] {
        let refused = house.admin.patch(&path, json!({"callback_minutes": bad}));
        assert_eq!(refused.await.is(422).fields(), ["callback_minutes"]);
    }
    let changed = house
        .admin
        .patch(&path, json!({"callback_minutes": 10_080}));
    assert_eq!(changed.await.is(200).json()["callback_minutes"], 10_080);
}
