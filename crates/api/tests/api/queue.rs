//! How callers wait, as the administrator says it.

use serde_json::{Value, json};

use crate::house::House;

#[tokio::test]
async fn a_line_has_a_queue_if_it_is_given_one() {
    let house = House::build().await;
    let line = house.line("+7 495 123-45-67").await;
    let other = house.line("+7 495 123-45-68").await;
    let path = format!("lines/{line}");
    let stored = house.admin.get(&path).await.is(200).json();
    assert_eq!(
        (&stored["queue"], &stored["language"]),
        (&Value::Null, &json!("ru"))
    );

    let given = json!({"queue": {}, "language": "en"});
    let changed = house.admin.patch(&path, given).await.is(200).json();
    let usual = json!({
        "most_waiting": 20, "most_wait_secs": 300, "announce_secs": 30,
        "offers_call_back": true, "overflow": null,
    });
    assert_eq!(
        (&changed["queue"], &changed["language"]),
        (&usual, &json!("en"))
    );

    let helped = json!({"queue": {"overflow": {"line": other, "after_secs": 60}}});
    let changed = house
        .admin
        .patch(&path, helped.clone())
        .await
        .is(200)
        .json();
    assert_eq!(changed["queue"]["overflow"], helped["queue"]["overflow"]);

    let none = house
        .admin
        .patch(&path, json!({"queue": null}))
        .await
        .is(200)
        .json();
    assert_eq!(none["queue"], Value::Null);
}

#[tokio::test]
async fn a_queue_that_cannot_work_is_refused_by_its_field() {
    let house = House::build().await;
    let line = house.line("+7 495 123-45-67").await;
    let path = format!("lines/{line}");
    for (queue, field) in [
        (json!({"most_waiting": 0}), "queue.most_waiting"),
        (json!({"most_wait_secs": 9}), "queue.most_wait_secs"),
        (json!({"announce_secs": 601}), "queue.announce_secs"),
        (
            json!({"overflow": {"line": line, "after_secs": 60}}),
            "queue.overflow.line",
        ),
        (
            json!({"overflow": {"line": "4711", "after_secs": 60}}),
            "queue.overflow.line",
        ),
        (
            json!({"overflow": {"line": line, "after_secs": 0}}),
            "queue.overflow.after_secs",
        ),
    ] {
        let refused = house.admin.patch(&path, json!({"queue": queue})).await;
        assert_eq!(refused.is(422).fields(), [field]);
    }
}
