//! The database is locked or gone while people talk: calls go on, and afterwards nothing is missing.

use std::{net::SocketAddr, time::Duration};

use rusqlite::Connection;
use serde_json::Value;
use tests::{
    cable::Cable,
    company::Company,
    daemon::Options,
    events::Events,
    postgres::postgres,
    sim::{Answering, Intent, Outcome, Talking},
};

const CLIENT: &str = "+79161234567";

/// A whole call while the database takes nothing, from the first ring to the last BYE.
async fn calls_without_a_store(company: &Company, events: &Events) {
    let phone = company.phone(0, 0);
    phone.with(|phone, _| {
        phone.script.push_back(Answering::Answer {
            after: Duration::from_millis(200),
            then: Talking::Stay,
        });
    });
    let caller = company.call(CLIENT, Intent::patient());
    let (shown_at, card) = events.frame("call.offered", |_| true).await;
    assert_eq!(
        card["cursor"],
        Value::Null,
        "nothing is acknowledged: {card:#}"
    );
    assert_eq!(card["clients"][0]["name"], "Ivan Petrov", "{card:#}");
    caller.wait_for_answer();
    assert!(
        shown_at < phone.came_at("INVITE").expect("it rings"),
        "the card comes before the ring all the same"
    );
    caller.leave();
    assert_eq!(caller.wait_for_end(), Outcome::HungUp);
    phone.wait("BYE reaches the telephone", |phone| {
        phone.calls.iter().all(|call| call.over)
    });
}

/// What the store did not take in time stands in it afterwards, once, late and under its cursor.
async fn nothing_is_missing(company: &Company, events: &Events) {
    let call = company.ended_call(CLIENT).await;
    assert_eq!(
        (&call["missed"], &call["cause"]),
        (&false.into(), &"hung_up".into()),
        "{call:#}"
    );
    assert_eq!(call["recording"]["error"], Value::Null, "{call:#}");
    let route = company.route(&call).await;
    assert_eq!(route["offers"][0]["rule"]["rule"], "assigned", "{route:#}");
    let (_, again) = events
        .frame("call.offered", |frame| frame["cursor"].is_string())
        .await;
    let (_, first) = events.frame("call.offered", |_| true).await;
    assert_eq!(again["id"], first["id"], "the same fact");
    events
        .frame("recording.ready", |frame| frame["cursor"].is_string())
        .await;
    let metrics = company.metrics().await;
    assert!(metrics["ringbook_late_events_total"] > 0, "{metrics:?}");
    assert_eq!(metrics["ringbook_lost_events_total"], 0, "{metrics:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database_stops_no_call_and_nothing_is_missing_afterwards() {
    let company = Company::found(1, &Options::default()).await;
    company.person("Ivan Petrov", CLIENT, Some(0)).await;
    let events = company.events(0).await;
    let other = Connection::open(company.daemon.folder().join("ringbook.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    calls_without_a_store(&company, &events).await;
    other.execute_batch("ROLLBACK").unwrap();
    nothing_is_missing(&company, &events).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_server_that_is_gone_stops_no_call_and_nothing_is_missing_afterwards() {
    let url = postgres().database();
    let server: SocketAddr = url
        .split(['@', '/'])
        .find_map(|part| part.parse().ok())
        .expect("a URL names the server");
    let cable = Cable::lay(server);
    let store = url.replace(&server.to_string(), &cable.address().to_string());
    let options = Options {
        store: Some(store),
        ..Options::default()
    };
    let company = Company::found(1, &options).await;
    company.person("Ivan Petrov", CLIENT, Some(0)).await;
    let events = company.events(0).await;
    cable.pull();
    calls_without_a_store(&company, &events).await;
    company
        .daemon
        .wait_for_log("the database did not take a transaction; trying again");
    cable.plug();
    nothing_is_missing(&company, &events).await;
}
