//! A leaver's clients handed over, by role.

use reqwest::Method;
use serde_json::json;

use crate::house::{Answer, Client, House};

async fn keyed(client: &Client, path: &str, body: serde_json::Value, key: &str) -> Answer {
    let request = client.request(Method::POST, path);
    let request = request.header("idempotency-key", key).json(&body);
    client.send(request).await
}

#[tokio::test]
async fn a_leaver_is_removed_once_the_clients_are_handed_over() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let boris = house.user("boris", "agent", Some("102")).await;
    let boss = house.user("boss", "supervisor", None).await;
    let line = house.line("+7 495 123-45-67").await;
    let person =
        json!({"name": "Ivan", "manager": anna.user, "numbers": [{"typed": "+79160000001"}]});
    let person = house.admin.post("persons", person).await.is(201).id();
    let call = house.ring("+79160000001", &line, &anna).await;
    house.hang_up(call, &anna, true).await;

    let leaver = format!("users/{}", anna.user);
    let refused = house.admin.delete(&leaver).await.is(409).json();
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.contains("persons: 1") && detail.contains("/hand-over"),
        "{detail}"
    );
    anna.get("session").await.is(200);
    let path = format!("{leaver}/hand-over");
    let held = boss.get(&path).await.is(200).json();
    assert_eq!(
        (&held["persons"], &held["obligations"]),
        (&json!(1), &json!(1))
    );
    let to = json!({"to": boris.user, "note": "Anna has left"});
    boss.post(&path, to.clone()).await.is(403);
    anna.post(&path, to.clone()).await.is(403);
    let done = keyed(&house.admin, &path, to.clone(), "1").await.is(201);
    let made = done.json();
    assert_eq!(
        done.header("location"),
        format!("/api/v1/hand-overs/{}", done.id())
    );
    assert_eq!(made["moved"], held);
    assert_eq!(
        (&made["from_name"], &made["by_name"]),
        (&json!("anna"), &json!("Root"))
    );
    assert_eq!(made["to"][0]["user"], boris.user.as_str());
    let again = keyed(&house.admin, &path, to, "1").await.is(201);
    assert_eq!(again.json(), made, "nothing moves twice");

    // The very next call finds the successor; the old manager does not see the client any more.
    let next = house.ring("+79160000001", &line, &boris).await;
    let route = boss
        .get(&format!("calls/{next}/route"))
        .await
        .is(200)
        .json();
    assert_eq!(
        route["caller"]["matches"][0]["manager"],
        boris.user.as_str()
    );
    anna.get(&format!("persons/{person}")).await.is(404);
    let notes = boris
        .get(&format!("persons/{person}/notes"))
        .await
        .is(200)
        .json();
    assert_eq!(notes["items"][0]["text"], "Anna has left");
    let owed = boris.get("obligations?state=open").await.is(200).json();
    assert_eq!(owed["items"][0]["responsible"], boris.user.as_str());

    let device = json!({"user": anna.user, "name": "Desk"});
    house.admin.post("devices", device).await.is(201);
    house.admin.delete(&leaver).await.is(204);
    anna.get("session").await.is(401);
    let directory = crm::Settings::directory(&house.store).await.unwrap();
    assert!(directory.devices.is_empty());
    assert!(
        directory
            .agents
            .iter()
            .all(|agent| agent.user != anna.user_id())
    );
    let old = boss
        .get(&format!("calls/{call}/route"))
        .await
        .is(200)
        .json();
    assert_eq!(
        old["offers"][0]["agent_name"], "anna",
        "the history keeps the name"
    );
    let trace = format!("hand-overs?person={person}");
    boris.get(&trace).await.is(403);
    let traces = boss.get(&trace).await.is(200).json();
    assert_eq!(traces["items"], json!([made]));
    boss.get(&format!("hand-overs/{}", done.id())).await.is(200);
}

#[tokio::test]
async fn an_order_that_names_nobody_or_too_many_is_refused_by_its_field() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let boris = house.user("boris", "agent", Some("102")).await;
    let path = format!("users/{}/hand-over", anna.user);
    for (body, field) in [
        (json!({}), "to"),
        (json!({"to": boris.user, "among": [boris.user]}), "to"),
        (json!({"to": anna.user}), "to"),
        (json!({"to": "7"}), "to"),
        (json!({"among": []}), "among"),
        (json!({"among": [boris.user, boris.user]}), "to"),
    ] {
        let refused = house.admin.post(&path, body).await.is(422);
        assert_eq!(refused.fields(), [field]);
    }
    let to = json!({"to": boris.user});
    house
        .admin
        .post("users/7/hand-over", to.clone())
        .await
        .is(404);
    keyed(&house.admin, &path, to, "1").await.is(201);
    let other = json!({"to": house.admin.user});
    let refused = keyed(&house.admin, &path, other, "1").await.is(409);
    assert_eq!(refused.fields(), ["idempotency_key"]);
    let split = json!({"among": [boris.user, house.admin.user]});
    let made = house.admin.post(&path, split).await.is(201).json();
    assert_eq!(made["to"].as_array().unwrap().len(), 2);
}
