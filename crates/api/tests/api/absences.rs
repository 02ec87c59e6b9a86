//! Absences and deputies, by role.

use serde_json::json;

use crate::house::House;

fn week(user: Option<&str>) -> serde_json::Value {
    json!({"user": user, "from": "2096-07-01T09:00:00Z", "until": "2096-07-08T09:00:00Z", "note": "holiday"})
}

#[tokio::test]
async fn everybody_plans_for_themselves_and_administrators_for_all() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let boris = house.user("boris", "agent", Some("102")).await;
    let boss = house.user("boss", "supervisor", None).await;

    let own = anna.post("absences", week(None)).await.is(201);
    assert_eq!(own.json()["user"], anna.user.as_str());
    assert_eq!(own.json()["until"], "2096-07-08T09:00:00.000000Z");
    let path = format!("absences/{}", own.id());
    boris.get(&path).await.is(404);
    boris.delete(&path).await.is(404);
    boris.post("absences", week(Some(&anna.user))).await.is(403);
    boss.get(&path).await.is(200);
    boss.patch(&path, json!({"note": "x"})).await.is(403);
    anna.patch(&path, json!({"user": boris.user})).await.is(403);
    let of_boris = house.admin.post("absences", week(Some(&boris.user))).await;
    of_boris.is(201);
    let count = |list: serde_json::Value| list["items"].as_array().unwrap().len();
    assert_eq!(count(anna.get("absences").await.is(200).json()), 1);
    assert_eq!(count(boss.get("absences").await.is(200).json()), 2);
    let none = "absences?after=2096-07-08T09:00:00Z";
    assert_eq!(count(boss.get(none).await.is(200).json()), 0);

    let ahead = house.store.clone();
    let ahead = crm::Settings::directory(&ahead).await.unwrap().absences;
    assert_eq!(ahead.len(), 2);
    let stale = anna.request(reqwest::Method::PATCH, &path);
    let stale = stale
        .header("if-match", "\"9\"")
        .json(&json!({"note": null}));
    anna.send(stale).await.is(412);
    let early = json!({"until": "2096-07-03T09:00:00Z"});
    let changed = anna.patch(&path, early).await.is(200).json();
    assert_eq!(changed["user"], anna.user.as_str());
    anna.delete(&path).await.is(204);
    anna.get(&path).await.is(404);
}

#[tokio::test]
async fn a_plan_that_cannot_be_is_refused_by_its_field() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    anna.post("absences", week(None)).await.is(201);
    let again = anna.post("absences", week(None)).await.is(422);
    assert_eq!(again.fields(), ["from"]);
    let mut backwards = week(None);
    backwards["until"] = json!("2096-06-01T09:00:00Z");
    let refused = anna.post("absences", backwards).await.is(422);
    assert_eq!(refused.fields(), ["until"]);
    let mut own = week(None);
    (own["from"], own["until"]) = (json!("2097-01-01T00:00:00Z"), json!("2097-01-02T00:00:00Z"));
    own["deputy"] = json!(anna.user);
    let refused = anna.post("absences", own.clone()).await.is(422);
    assert_eq!(refused.fields(), ["deputy"]);
    own["deputy"] = json!("7");
    let refused = anna.post("absences", own).await.is(422);
    assert_eq!(refused.fields(), ["deputy"]);
    let when = json!({"from": "tomorrow", "until": "2096-06-01T09:00:00Z"});
    assert_eq!(anna.post("absences", when).await.is(422).fields(), ["from"]);
}

#[tokio::test]
async fn a_deputy_is_set_by_oneself_or_an_administrator_and_never_in_a_circle() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let boris = house.user("boris", "agent", Some("102")).await;
    let path = |of: &crate::house::Client| format!("users/{}/deputy", of.user);
    let deputy = |of: &crate::house::Client| json!({"deputy": of.user});
    anna.put(&path(&anna), deputy(&boris)).await.is(200);
    assert_eq!(boris.get(&path(&anna)).await.is(200).json(), deputy(&boris));
    anna.put(&path(&boris), deputy(&anna)).await.is(403);
    let refused = boris.put(&path(&boris), deputy(&anna)).await.is(422);
    assert_eq!(refused.fields(), ["deputy"]);
    let why = refused.json()["detail"].to_string();
    assert!(why.contains("boris → anna → boris"), "{why}");
    let user = format!("users/{}", boris.user);
    let refused = house.admin.patch(&user, deputy(&anna)).await.is(422);
    assert_eq!(refused.fields(), ["deputy"]);
    let seen = house.admin.get(&format!("users/{}", anna.user)).await;
    assert_eq!(seen.is(200).json()["deputy"], boris.user.as_str());
    let none = json!({"deputy": null});
    house.admin.put(&path(&anna), none.clone()).await.is(200);
    boris.put(&path(&boris), deputy(&anna)).await.is(200);
    house.admin.put("users/7/deputy", none).await.is(404);
}
