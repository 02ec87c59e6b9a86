//! The OpenAPI document against the routes and the table of rights.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::house::House;

/// Methods that a path item may have.
pub(crate) const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// Every method and path of the document.
pub(crate) fn operations(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = METHODS.iter().filter(|method| item.get(**method).is_some());
            methods.map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect()
}

#[tokio::test]
async fn the_document_lists_every_route_and_nothing_else() {
    let house = House::build().await;
    let document = house.nobody().get("openapi.json").await.is(200).json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let documented: BTreeSet<&str> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    // A route that the table of rights does not name is closed, so the table is the list of routes.
    let ruled: BTreeSet<&str> = api::rights::TABLE
        .iter()
        .map(|(path, _, _)| *path)
        .collect();
    assert_eq!(documented, ruled);
    for (method, path) in operations(&document) {
        let path = path.replace("{id}", "1").replace("{number}", "1");
        let path = path.replace("{organisation}", "1");
        let request = house.admin.request(method.parse().unwrap(), &path);
        let answer = house.admin.send(request).await;
        let kind = answer.json()["type"].clone();
        assert_ne!(answer.status, 405, "{method} {path}");
        assert_ne!(kind, "urn:ringbook:problem:forbidden", "{method} {path}");
        if method == "DELETE" && path == "/api/v1/session" {
            break;
        }
    }
}

#[tokio::test]
async fn the_document_is_whole() {
    let house = House::build().await;
    let document = house.nobody().get("openapi.json").await.is(200).json();
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
    let mut names = BTreeSet::new();
    for (method, path) in operations(&document) {
        let operation = &document["paths"][&path][method.to_lowercase()];
        let name = format!("{}/{}", operation["tags"][0], operation["operationId"]);
        assert!(
            operation["summary"].is_string(),
            "{method} {path} says nothing"
        );
        assert!(names.insert(name.clone()), "{name} stands twice");
        let problem = &operation["responses"]["default"]["content"]["application/problem+json"];
        assert!(
            problem.is_object(),
            "{method} {path} does not describe its refusals"
        );
        for parameter in path.split('{').skip(1) {
            let parameter = parameter.split('}').next().unwrap();
            let described = operation["parameters"].as_array().unwrap();
            assert!(
                described.iter().any(|one| one["name"] == parameter),
                "{method} {path}"
            );
        }
    }
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                found.push(reference.clone());
            }
            map.values()
                .for_each(|value| collect_references(value, found));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_references(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn health_and_metrics_answer_without_a_token_on_this_machine() {
    let house = House::build().await;
    let nobody = house.nobody();
    let health = nobody.get("/health").await.is(200).json();
    assert_eq!(health["status"], "ok");
    let metrics = nobody.get("/metrics").await.is(200);
    let text = String::from_utf8(metrics.bytes).unwrap();
    assert!(text.contains("# TYPE ringbook_test_total counter\nringbook_test_total 42\n"));
    assert!(text.contains("# TYPE ringbook_obligations_open gauge\nringbook_obligations_open 0\n"));
    assert!(text.contains("ringbook_obligations_overdue 0\n"));
    let proxied = nobody.request(reqwest::Method::GET, "/metrics");
    let proxied = proxied.header("x-forwarded-for", "192.0.2.1");
    nobody.send(proxied).await.is(401);
}
