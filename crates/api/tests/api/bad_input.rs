//! What no reasonable client sends.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    document::operations,
    house::{House, PATIENCE},
};

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let house = House::build().await;
    for path in [
        "/",
        "/api/v1/nothing",
        "/api/v2/users",
        "/api/v1/users/1/2/3",
    ] {
        let missing = house.admin.get(path).await.is(404);
        assert_eq!(
            missing.header("content-type"),
            "application/problem+json",
            "{path}"
        );
    }
    let request = house.admin.request(Method::DELETE, "users");
    let refused = house.admin.send(request).await.is(405);
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert!(refused.header("allow").contains("POST"));
}

#[tokio::test]
async fn ids_that_are_none_name_nothing() {
    let house = House::build().await;
    for id in [
        "0",
        "-1",
        "x",
        "99999999999999999999",
        "%00",
        "%ff",
        "1e3",
        "1%2F2",
        "77",
    ] {
        for resource in [
            "users",
            "devices",
            "lines",
            "trunks",
            "organisations",
            "persons",
            "deals",
            "tasks",
            "calls",
            "interactions",
            "notes",
        ] {
            let missing = house.admin.get(&format!("{resource}/{id}")).await;
            assert_eq!(missing.status, 404, "{resource}/{id}");
        }
    }
}

#[tokio::test]
async fn bodies_are_bounded_and_must_be_json() {
    let house = House::build().await;
    let post = || house.admin.request(Method::POST, "persons");
    let big = post()
        .header("content-type", "application/json")
        .body(vec![b' '; 1_100_000]);
    house.admin.send(big).await.is(413);
    let form = post().header("content-type", "text/plain").body("{}");
    house.admin.send(form).await.is(415);
    let broken = post()
        .header("content-type", "application/json; charset=utf-8")
        .body("{\"name\":\n oops");
    let refused = house.admin.send(broken).await.is(400);
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("line 2, column 2"), "{detail}");
    let person = house
        .admin
        .post("persons", json!({"name": "Petr"}))
        .await
        .is(201)
        .id();
    let deep = house
        .admin
        .request(Method::PATCH, &format!("persons/{person}"))
        .header("content-type", "application/json")
        .body(format!("{{\"name\":{}", "[".repeat(100_000)));
    house.admin.send(deep).await.is(400);
    let long = json!({"name": "x".repeat(301)});
    assert_eq!(
        house.admin.post("persons", long).await.is(422).fields(),
        ["name"]
    );
    let control = json!({"name": "a\u{0}b"});
    let answer = house.admin.post("persons", control).await;
    assert!(answer.status.as_u16() < 500, "{}", answer.status);
}

/// JSON that is almost right: values of every kind under the names that the API knows.
fn almost_right(random: &mut StdRng, depth: u32) -> Value {
    const NAMES: [&str; 16] = [
        "name", "login", "role", "password", "user", "number", "typed", "networks", "skills",
        "title", "client", "person", "assignee", "due", "flags", "text",
    ];
    match random.random_range(0..if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => Value::Bool(random.random()),
        2 => json!(random.random::<i64>()),
        3 => json!(random.random::<f64>() * 1e300),
        4 => json!(random.random_range(1..1_000_000_u32).to_string()),
        5 => Value::String(
            (0..random.random_range(0..20))
                .map(|_| random.random::<char>())
                .collect(),
        ),
        6 => (0..random.random_range(0..4))
            .map(|_| almost_right(random, depth - 1))
            .collect(),
        _ => (0..random.random_range(0..6))
            .map(|_| {
                let name = NAMES[random.random_range(0..NAMES.len())].to_owned();
                (name, almost_right(random, depth - 1))
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

fn query(random: &mut StdRng) -> String {
    const NAMES: [&str; 8] = [
        "cursor", "limit", "text", "person", "number", "since", "after", "role",
    ];
    let mut query = String::new();
    for _ in 0..random.random_range(0..3) {
        let name = NAMES[random.random_range(0..NAMES.len())];
        let value: String = (0..random.random_range(0..12))
            .map(|_| format!("%{:02X}", random.random::<u8>()))
            .collect();
        query.push_str(if query.is_empty() { "?" } else { "&" });
        query.push_str(&format!("{name}={value}"));
    }
    query
}

#[tokio::test]
async fn no_input_makes_any_route_fail() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let person = anna
        .post("persons", json!({"name": "Petr"}))
        .await
        .is(201)
        .id();
    let document = house.nobody().get("openapi.json").await.is(200).json();
    let mut random = StdRng::seed_from_u64(7);
    for round in 0..12 {
        for (method, path) in operations(&document) {
            // Logging out would end the test early, wrong log-ins would only meet the limit.
            if path.starts_with("/api/v1/session") && method != "GET" {
                continue;
            }
            let id = match random.random_range(0..3) {
                0 => person.clone(),
                1 => anna.user.clone(),
                _ => random.random::<i64>().to_string(),
            };
            let target = path
                .replace("{id}", &id)
                .replace("{number}", &id)
                .replace("{organisation}", &id);
            let target = format!("{target}{}", query(&mut random));
            let client = if round % 2 == 0 { &house.admin } else { &anna };
            let request = client.request(method.parse().unwrap(), &target);
            let body = if random.random() {
                almost_right(&mut random, 3).to_string().into_bytes()
            } else {
                (0..random.random_range(0..200))
                    .map(|_| random.random())
                    .collect()
            };
            let described = format!("{method} {target} {}", String::from_utf8_lossy(&body));
            let request = request
                .header("content-type", "application/json")
                .header("range", "bytes=5-2,9-")
                .header("if-match", "\"?\"")
                .body(body);
            let answer = client.send(request).await;
            assert!(
                answer.status.as_u16() < 500,
                "{described}: {}",
                answer.status
            );
            if answer.status.is_client_error() {
                let kind = answer.header("content-type");
                assert_eq!(kind, "application/problem+json", "{described}");
            }
        }
    }
    house.admin.get("session").await.is(200);
}

#[tokio::test]
async fn bytes_that_are_no_http_harm_nobody() {
    let house = House::build().await;
    let mut random = StdRng::seed_from_u64(11);
    for _ in 0..50 {
        let bytes: Vec<u8> = (0..300).map(|_| random.random()).collect();
        let mut stream = tokio::net::TcpStream::connect(house.address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // It may be closed or reset; it must not hang.
        let read = stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(PATIENCE, read).await.unwrap();
    }
    house.admin.get("session").await.is(200);
}
