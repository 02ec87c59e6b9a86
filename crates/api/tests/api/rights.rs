//! Who may do what, by role and by client.

use model::AgentState;
use serde_json::json;

use crate::{document::operations, house::House};

#[tokio::test]
async fn every_route_asks_for_the_token_and_the_role() {
    let house = House::build().await;
    let nobody = house.nobody();
    let agent = house.user("anna", "agent", Some("101")).await;
    let supervisor = house.user("boss", "supervisor", None).await;
    let document = nobody.get("openapi.json").await.is(200).json();
    let operations = operations(&document);
    assert!(operations.len() > 60, "{}", operations.len());
    for (method, path) in operations {
        let verb: reqwest::Method = method.parse().unwrap();
        let access = api::rights::access(&path, &verb).expect("the table names every route");
        // Ids of the right form that name nothing: whoever passes the guard gets a 404 or 4xx.
        let target = path.replace("{id}", "7").replace("{number}", "7");
        let target = target.replace("{organisation}", "7");
        let refused = |answer: &crate::house::Answer| {
            answer.status == 403
                && answer.json()["detail"]
                    .as_str()
                    .unwrap()
                    .contains("the role")
        };
        let without = nobody.send(nobody.request(verb.clone(), &target)).await;
        let is_open = access == api::rights::Access::Open;
        assert_eq!(without.status == 401, !is_open, "{method} {path}");
        if !is_open {
            let junk = crate::house::Client {
                token: Some("junk".to_owned()),
                ..nobody.clone()
            };
            junk.send(junk.request(verb.clone(), &target)).await.is(401);
        }
        if method == "DELETE" && path == "/api/v1/session" {
            continue;
        }
        for (client, role) in [
            (&agent, crm::Role::Agent),
            (&supervisor, crm::Role::Supervisor),
            (&house.admin, crm::Role::Administrator),
        ] {
            let answer = client.send(client.request(verb.clone(), &target)).await;
            assert_ne!(answer.status, 401, "{method} {path} as {role:?}");
            assert_eq!(
                refused(&answer),
                !access.admits(role),
                "{method} {path} as {role:?}"
            );
            assert!(
                answer.status.as_u16() < 500,
                "{method} {path}: {}",
                answer.status
            );
        }
    }
}

#[tokio::test]
async fn agents_see_their_own_and_unassigned_clients_only() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let boris = house.user("boris", "agent", Some("102")).await;
    let boss = house.user("boss", "supervisor", None).await;
    let mut ids = Vec::new();
    for (name, manager) in [("A", Some(&anna)), ("B", Some(&boris)), ("C", None)] {
        let manager = manager.map(|client| client.user.clone());
        let person = json!({"name": name, "manager": manager});
        ids.push(house.admin.post("persons", person).await.is(201).id());
    }
    let names = |list: serde_json::Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(anna.get("persons").await.is(200).json()), ["A", "C"]);
    assert_eq!(names(boris.get("persons").await.is(200).json()), ["B", "C"]);
    assert_eq!(
        names(boss.get("persons").await.is(200).json()),
        ["A", "B", "C"]
    );
    let foreign = format!("persons/{}", ids[1]);
    anna.get(&foreign).await.is(404);
    anna.patch(&foreign, json!({"name": "X"})).await.is(404);
    anna.delete(&foreign).await.is(404);
    anna.get(&format!("{foreign}/notes")).await.is(404);
    anna.post(&format!("{foreign}/notes"), json!({"text": "x"}))
        .await
        .is(404);
    anna.post(&format!("{foreign}/numbers"), json!({"typed": "112"}))
        .await
        .is(404);
    let deal = json!({"title": "D", "stage": "s", "client": {"person": ids[1]}});
    anna.post("deals", deal.clone()).await.is(404);
    let deal = boris.post("deals", deal).await.is(201).id();
    anna.get(&format!("deals/{deal}")).await.is(404);
    assert_eq!(anna.get("deals").await.is(200).json()["items"], json!([]));
    let note = boris
        .post(&format!("{foreign}/notes"), json!({"text": "x"}))
        .await
        .is(201)
        .id();
    anna.get(&format!("notes/{note}")).await.is(404);
    boss.patch(&format!("notes/{note}"), json!({"text": "y"}))
        .await
        .is(200);
}

#[tokio::test]
async fn agents_take_clients_but_do_not_hand_them_to_others() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let boris = house.user("boris", "agent", Some("102")).await;
    let person = json!({"name": "C", "manager": boris.user});
    anna.post("persons", person).await.is(403);
    let person = anna
        .post("persons", json!({"name": "C"}))
        .await
        .is(201)
        .id();
    let path = format!("persons/{person}");
    anna.patch(&path, json!({"manager": boris.user}))
        .await
        .is(403);
    anna.patch(&path, json!({"manager": anna.user}))
        .await
        .is(200);
    boris.get(&path).await.is(404);
    anna.patch(&path, json!({"manager": null})).await.is(200);
    boris.get(&path).await.is(200);
}

#[tokio::test]
async fn a_colleagues_client_is_seen_from_the_offer_until_wrap_up_ends() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let boris = house.user("boris", "agent", Some("102")).await;
    let line = house.line("+7 495 123-45-67").await;
    let person = json!({"name": "Petr", "manager": boris.user,
        "numbers": [{"typed": "8 916 000-00-01"}]});
    let person = house.admin.post("persons", person).await.is(201).id();
    let path = format!("persons/{person}");
    anna.get(&path).await.is(404);
    let call = house.ring("+79160000001", &line, &anna).await;
    house.set_state(&anna, AgentState::Ringing { call });
    assert_eq!(anna.get(&path).await.is(200).json()["name"], "Petr");
    anna.post(&format!("{path}/notes"), json!({"text": "called"}))
        .await
        .is(201);
    anna.patch(&path, json!({"name": "Pyotr"})).await.is(403);
    house.answer(call, &anna, None).await;
    house.set_state(&anna, AgentState::Talking { call });
    anna.get(&path).await.is(200);
    house.hang_up(call, &anna, false).await;
    house.set_state(&anna, AgentState::WrapUp { call });
    anna.get(&path).await.is(200);
    let agents = anna.get("agents?text=anna").await.is(200).json();
    assert_eq!(agents["items"][0]["state"], "wrap_up");
    assert_eq!(agents["items"][0]["call"], call.to_string());
    let agents = boris.get("agents?text=anna").await.is(200).json();
    assert_eq!(agents["items"][0]["call"], serde_json::Value::Null);
    house.set_state(&anna, AgentState::Available);
    anna.get(&path).await.is(404);
}

#[tokio::test]
async fn agents_see_calls_they_took_part_in_and_those_of_their_clients() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let boris = house.user("boris", "agent", Some("102")).await;
    let carla = house.user("carla", "agent", Some("103")).await;
    let line = house.line("+7 495 123-45-67").await;
    let person = json!({"name": "Petr", "manager": boris.user,
        "numbers": [{"typed": "8 916 000-00-01"}]});
    house.admin.post("persons", person).await.is(201);
    let call = house.ring("+79160000001", &line, &anna).await;
    house.hang_up(call, &anna, true).await;
    let stranger = house.ring("+79160000002", &line, &anna).await;
    house.hang_up(stranger, &anna, true).await;
    let ids = |list: serde_json::Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let (call, stranger) = (call.to_string(), stranger.to_string());
    for client in [&anna, &boris, &house.admin] {
        let seen = ids(client.get("calls").await.is(200).json());
        assert_eq!(seen, [stranger.clone(), call.clone()]);
        let route = client
            .get(&format!("calls/{call}/route"))
            .await
            .is(200)
            .json();
        assert_eq!(route["offers"][0]["agent"], anna.user.as_str());
        assert_eq!(route["offers"][0]["owner"], boris.user.as_str());
        assert_eq!(route["caller"]["matches"][0]["name"], "Petr");
    }
    assert_eq!(
        ids(carla.get("calls").await.is(200).json()),
        [stranger.as_str()]
    );
    carla.get(&format!("calls/{call}")).await.is(404);
    carla.get(&format!("calls/{call}/route")).await.is(404);
    for kind in ["wav", "mp3"] {
        let path = format!("calls/{call}/recording.{kind}");
        carla.get(&path).await.is(404);
    }
    let history = carla.get("interactions").await.is(200).json();
    assert_eq!(history["items"].as_array().unwrap().len(), 1);
    let history = boris.get("interactions").await.is(200).json();
    assert_eq!(history["items"].as_array().unwrap().len(), 2);
    let entry = ids(boris.get("interactions").await.is(200).json());
    let theirs = boris
        .get(&format!("interactions/{}", entry[1]))
        .await
        .is(200)
        .json();
    assert_eq!(theirs["call"], call.as_str());
    assert_eq!(theirs["missed"], true);
    carla
        .get(&format!("interactions/{}", entry[1]))
        .await
        .is(404);
}
