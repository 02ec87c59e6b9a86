//! Everything an administrator and an agent create, change, list and remove.

use serde_json::{Value, json};

use crate::house::House;

#[tokio::test]
async fn a_whole_company_is_created_over_rest() {
    let house = House::build().await;
    let admin = &house.admin;
    let anna = house.user("anna", "agent", Some("101")).await;
    let line = house.line("+7 (495) 123-45-67").await;
    let skills = json!({"skills": [{"user": anna.user, "level": 10}]});
    let stored = admin
        .put(&format!("lines/{line}/skills"), skills)
        .await
        .is(200)
        .json();
    assert_eq!(stored["normal"], "+74951234567");
    assert_eq!(stored["skills"], json!([{"user": anna.user, "level": 10}]));
    assert_eq!(stored["recorded"], true);

    let device = json!({"user": anna.user, "name": "Desk", "digest": "both"});
    let device = admin.post("devices", device).await.is(201).json();
    assert!(device["secret"].as_str().unwrap().len() >= 16);
    assert_eq!(device["realm"], "ringbook.example");
    assert!(!device["auth_user"].as_str().unwrap().is_empty());
    let read = admin
        .get(&format!("devices/{}", device["id"].as_str().unwrap()))
        .await
        .is(200);
    let text = String::from_utf8(read.bytes).unwrap();
    assert!(!text.contains("secret") && !text.contains("ha1"), "{text}");

    let trunk = json!({"name": "Telco", "networks": ["203.0.113.0/24", "2001:db8::1"],
        "trusted_identity": true});
    let trunk = admin.post("trunks", trunk).await.is(201).json();
    assert_eq!(
        trunk["networks"],
        json!(["203.0.113.0/24", "2001:db8::1/128"])
    );

    let directory = crm::Base::settings(&house.store).directory().await.unwrap();
    assert_eq!(directory.agents.len(), 1);
    assert_eq!(directory.devices.len(), 1);
    assert_eq!(directory.lines.len(), 1);
    assert_eq!(directory.trunks.len(), 1);
    assert_eq!(directory.skills.len(), 1);
}

#[tokio::test]
async fn the_client_base_is_built_over_rest() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let organisation = json!({"name": "Кабель-Сервис", "manager": anna.user,
        "numbers": [{"typed": "8 (495) 777-00-11", "kind": "switchboard"}]});
    let organisation = anna.post("organisations", organisation).await.is(201).id();
    let person = json!({"name": "Пётр Семёнов", "memberships": [{"organisation": organisation,
        "position": "buyer"}], "flags": ["vip"]});
    let person = anna.post("persons", person).await.is(201).id();
    let number = json!({"typed": "8 916 000-00-01 доб. 12", "kind": "mobile"});
    let with_number = anna
        .post(&format!("persons/{person}/numbers"), number)
        .await
        .is(200)
        .json();
    assert_eq!(with_number["numbers"][0]["normal"], "+79160000001");
    assert_eq!(with_number["numbers"][0]["extension"], "12");
    assert_eq!(with_number["flags"], json!(["vip"]));

    let found = anna
        .get("persons?number=%2B7%20916%20000%2000%2001")
        .await
        .is(200)
        .json();
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let found = anna.get("persons?text=петр").await.is(200).json();
    assert_eq!(found["items"][0]["id"], person.as_str());
    let mine = anna
        .get(&format!("persons?manager={}", anna.user))
        .await
        .is(200)
        .json();
    assert_eq!(
        mine["items"].as_array().unwrap().len(),
        1,
        "lent by the organisation"
    );

    let note = json!({"text": "Prefers the morning"});
    let note = anna
        .post(&format!("persons/{person}/notes"), note)
        .await
        .is(201)
        .id();
    let notes = anna
        .get(&format!("persons/{person}/notes"))
        .await
        .is(200)
        .json();
    assert_eq!(notes["items"][0]["text"], "Prefers the morning");
    assert_eq!(notes["items"][0]["author"], anna.user.as_str());
    let changed = json!({"text": "Prefers the evening"});
    anna.patch(&format!("notes/{note}"), changed).await.is(200);
    anna.delete(&format!("notes/{note}")).await.is(204);
    anna.get(&format!("notes/{note}")).await.is(404);

    let deal = json!({"title": "Copper", "client": {"organisation": organisation},
        "stage": "offer", "amount_minor": 12_000_000});
    let deal = anna.post("deals", deal).await.is(201).json();
    assert_eq!(deal["currency"], "RUB");
    assert_eq!(deal["state"], "open");
    let won = anna
        .patch(
            &format!("deals/{}", deal["id"].as_str().unwrap()),
            json!({"state": "won"}),
        )
        .await
        .is(200)
        .json();
    assert_eq!(won["title"], "Copper");
    assert_eq!(won["state"], "won");

    let task = json!({"title": "Call back", "client": {"person": person},
        "assignee": anna.user, "due": "2026-03-01T12:30:00+03:00"});
    let task = anna.post("tasks", task).await.is(201).json();
    assert_eq!(task["due"], "2026-03-01T09:30:00.000000Z");
    let open = anna.get("tasks?done=false").await.is(200).json();
    assert_eq!(open["items"][0]["id"], task["id"]);
}

#[tokio::test]
async fn numbers_memberships_and_flags_are_sub_resources() {
    let house = House::build().await;
    let admin = &house.admin;
    let organisation = json!({"name": "Cables"});
    let organisation = admin.post("organisations", organisation).await.is(201).id();
    let person = admin
        .post("persons", json!({"name": "Petr"}))
        .await
        .is(201)
        .id();
    let path = |rest: &str| format!("persons/{person}/{rest}");
    admin
        .post(&path("numbers"), json!({"typed": "112"}))
        .await
        .is(200);
    let two = admin
        .post(&path("numbers"), json!({"typed": "8 800 555-35-35"}))
        .await
        .is(200)
        .json();
    let first = two["numbers"][0]["id"].as_str().unwrap();
    let one = admin
        .delete(&path(&format!("numbers/{first}")))
        .await
        .is(200)
        .json();
    assert_eq!(one["numbers"].as_array().unwrap().len(), 1);
    assert_eq!(one["numbers"][0]["normal"], "+78005553535");
    admin.delete(&path("numbers/1")).await.is(404);

    let membership = json!({"organisation": organisation, "position": "clerk"});
    admin.post(&path("memberships"), membership).await.is(200);
    let membership = json!({"organisation": organisation, "position": "head"});
    let person_now = admin
        .post(&path("memberships"), membership)
        .await
        .is(200)
        .json();
    assert_eq!(
        person_now["memberships"],
        json!([{"organisation": organisation, "position": "head"}])
    );
    let gone = admin
        .delete(&path(&format!("memberships/{organisation}")))
        .await
        .is(200);
    assert_eq!(gone.json()["memberships"], json!([]));
    admin
        .delete(&path(&format!("memberships/{organisation}")))
        .await
        .is(404);

    let flags = json!({"flags": ["core", "vip", "core"]});
    let flagged = admin.put(&path("flags"), flags).await.is(200).json();
    assert_eq!(flagged["flags"], json!(["vip", "core"]));
    let path = format!("organisations/{organisation}/numbers");
    let with = admin
        .post(&path, json!({"typed": "8 495 777 00 11"}))
        .await
        .is(200)
        .json();
    let number = with["numbers"][0]["id"].as_str().unwrap();
    admin.delete(&format!("{path}/{number}")).await.is(200);
    let flags = json!({"flags": ["undesirable"]});
    admin
        .put(&format!("organisations/{organisation}/flags"), flags)
        .await
        .is(200);
    let note = json!({"text": "Pays late"});
    admin
        .post(&format!("organisations/{organisation}/notes"), note)
        .await
        .is(201);
    let notes = admin
        .get(&format!("organisations/{organisation}/notes"))
        .await
        .is(200)
        .json();
    assert_eq!(notes["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn problems_name_the_field_and_the_remedy() {
    let house = House::build().await;
    let admin = &house.admin;
    let anna = house.user("anna", "agent", Some("101")).await;
    let cases: Vec<(&str, Value, u16, &str)> = vec![
        ("users", json!({"name": "X", "login": "x"}), 422, "role"),
        (
            "users",
            json!({"name": "", "login": "x", "role": "agent"}),
            422,
            "name",
        ),
        (
            "users",
            json!({"name": "X", "login": "x", "role": "agent", "short_number": "12a"}),
            422,
            "short_number",
        ),
        (
            "users",
            json!({"name": "X", "login": "x", "role": "king"}),
            422,
            "role",
        ),
        (
            "users",
            json!({"name": "X", "login": "x", "role": "agent", "nmae": 1}),
            422,
            "nmae",
        ),
        (
            "users",
            json!({"name": "X", "login": "ANNA", "role": "agent"}),
            409,
            "login",
        ),
        (
            "users",
            json!({"name": "X", "login": "x", "role": "agent", "short_number": "101"}),
            409,
            "short_number",
        ),
        (
            "devices",
            json!({"user": "77", "name": "Desk"}),
            422,
            "user",
        ),
        ("devices", json!({"user": "x", "name": "Desk"}), 422, "user"),
        (
            "devices",
            json!({"user": anna.user, "name": "Desk", "auth_user": "a b"}),
            422,
            "auth_user",
        ),
        (
            "lines",
            json!({"number": "+7 495 1", "name": ""}),
            422,
            "name",
        ),
        (
            "lines",
            json!({"number": "100", "name": "L", "skills": [{"user": anna.user, "level": 11}]}),
            422,
            "skills[0].level",
        ),
        (
            "lines",
            json!({"number": "100", "name": "L", "skills": [{"user": anna.user, "level": 1},
                {"user": anna.user, "level": 2}]}),
            422,
            "skills[1].user",
        ),
        (
            "trunks",
            json!({"name": "T", "networks": ["nowhere"]}),
            422,
            "networks[0]",
        ),
        (
            "trunks",
            json!({"name": "T", "networks": []}),
            422,
            "networks",
        ),
        (
            "persons",
            json!({"name": "P", "numbers": [{"typed": ""}]}),
            422,
            "numbers[0].typed",
        ),
        (
            "persons",
            json!({"name": "P", "numbers": [{"typed": "1", "knd": 1}]}),
            422,
            "numbers[0].knd",
        ),
        (
            "persons",
            json!({"name": "P", "flags": ["loud"]}),
            422,
            "flags[0]",
        ),
        (
            "persons",
            json!({"name": "P", "memberships": [{"organisation": "5"}]}),
            422,
            "memberships",
        ),
        (
            "deals",
            json!({"title": "D", "stage": "s", "client": {}}),
            422,
            "client",
        ),
        (
            "deals",
            json!({"title": "D", "stage": "s", "client": {"person": "5"}, "currency": "rub"}),
            422,
            "currency",
        ),
        (
            "tasks",
            json!({"title": "T", "assignee": anna.user, "due": "soon"}),
            422,
            "due",
        ),
    ];
    for (path, body, status, field) in cases {
        let refused = admin.post(path, body.clone()).await.is(status);
        let fields = refused.fields();
        assert!(
            fields.iter().any(|named| named.starts_with(field)),
            "{path} {body}: {fields:?}"
        );
        let problem = refused.json();
        assert!(
            problem["type"]
                .as_str()
                .unwrap()
                .starts_with("urn:ringbook:problem:")
        );
        assert_eq!(problem["status"], status);
        assert!(!problem["errors"][0]["message"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_change_with_an_old_tag_is_refused_and_changes_nothing() {
    let house = House::build().await;
    let admin = &house.admin;
    let created = admin.post("persons", json!({"name": "Petr"})).await.is(201);
    let path = format!("persons/{}", created.id());
    let tag = created.tag();
    assert_eq!(tag, admin.get(&path).await.is(200).tag());
    let change = |name: &str, tag: &str| {
        let request = admin.request(reqwest::Method::PATCH, &path);
        request.header("if-match", tag).json(&json!({"name": name}))
    };
    let second = admin.send(change("Pyotr", &tag)).await.is(200);
    assert_ne!(second.tag(), tag);
    let refused = admin.send(change("Peter", &tag)).await.is(412);
    assert_eq!(
        refused.json()["type"],
        "urn:ringbook:problem:changed-meanwhile"
    );
    assert_eq!(admin.get(&path).await.is(200).json()["name"], "Pyotr");
    let delete = admin.request(reqwest::Method::DELETE, &path);
    admin.send(delete.header("if-match", tag)).await.is(412);
    admin.patch(&path, json!({"name": "Peter"})).await.is(200);
    admin.delete(&path).await.is(204);
    admin.get(&path).await.is(404);
}

#[tokio::test]
async fn pages_follow_one_another_without_gap_or_repetition() {
    let house = House::build().await;
    let admin = &house.admin;
    for n in 0..7 {
        let name = format!("Person {n}");
        admin.post("persons", json!({"name": name})).await.is(201);
    }
    let mut seen = Vec::new();
    let mut path = "persons?limit=3".to_owned();
    loop {
        let page = admin.get(&path).await.is(200).json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 3);
        seen.extend(
            items
                .iter()
                .map(|item| item["name"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else {
            break;
        };
        let next: String = url_encoded(next);
        path = format!("persons?limit=3&cursor={next}");
    }
    let expected: Vec<String> = (0..7).map(|n| format!("Person {n}")).collect();
    assert_eq!(seen, expected);
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("cursor=%00%ff", "cursor"),
        ("colour=red", "colour"),
        ("manager=me", "manager"),
    ] {
        let refused = admin.get(&format!("persons?{query}")).await.is(422);
        assert_eq!(refused.fields(), [field], "{query}");
    }
}

fn url_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn a_user_without_a_password_gets_a_random_one_once() {
    let house = House::build().await;
    let user = json!({"name": "Boris", "login": "boris", "role": "supervisor"});
    let created = house.admin.post("users", user).await.is(201).json();
    let password = created["password"].as_str().unwrap();
    let login = json!({"login": "boris", "password": password});
    house.nobody().post("session", login).await.is(201);
    let path = format!("users/{}", created["id"].as_str().unwrap());
    let read = house.admin.get(&path).await.is(200).json();
    assert_eq!(read.get("password"), None);
}

#[tokio::test]
async fn an_administrator_cannot_lock_everybody_out() {
    let house = House::build().await;
    let path = format!("users/{}", house.admin.user);
    house.admin.delete(&path).await.is(409);
    house
        .admin
        .patch(&path, json!({"role": "agent"}))
        .await
        .is(409);
    house
        .admin
        .patch(&path, json!({"name": "Chief"}))
        .await
        .is(200);
}

#[tokio::test]
async fn a_removed_user_is_logged_out() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    house
        .admin
        .delete(&format!("users/{}", anna.user))
        .await
        .is(204);
    anna.get("session").await.is(401);
}

#[tokio::test]
async fn a_new_secret_voids_the_old_one_and_the_account_name_stays() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let device = json!({"user": anna.user, "name": "Desk", "auth_user": "anna-desk"});
    let first = house.admin.post("devices", device).await.is(201).json();
    let path = format!("devices/{}", first["id"].as_str().unwrap());
    let stored = || async {
        let directory = crm::Base::settings(&house.store).directory().await.unwrap();
        directory.devices[0].clone()
    };
    let before = stored().await;
    let second = house
        .admin
        .post(&format!("{path}/secret"), json!({}))
        .await
        .is(200)
        .json();
    assert_ne!(first["secret"], second["secret"]);
    let after = stored().await;
    assert_ne!(before.ha1_md5, after.ha1_md5);
    assert_ne!(before.ha1_sha256, after.ha1_sha256);
    let renamed = json!({"name": "Kitchen", "media_source": "sdp"});
    let renamed = house.admin.patch(&path, renamed).await.is(200).json();
    assert_eq!(renamed["auth_user"], "anna-desk");
    let refused = house
        .admin
        .patch(&path, json!({"auth_user": "other"}))
        .await
        .is(422);
    assert_eq!(refused.fields(), ["auth_user"]);
}
