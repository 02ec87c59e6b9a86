//! The one writer: order, grouping, and a database that does not answer.

use std::time::Duration;

use call::EventKind;
use crm::{Error, InteractionFilter, Interactions, Journal, PageRequest};
use rstest::rstest;
use sqlx::{Connection, SqliteConnection};
use store::{Options, Store};

use crate::{
    postgres::cluster,
    scene::{Kind, Place, Script, UNKNOWN, line, person, scene, user, who},
};

/// Waits for something that another task brings about.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    let deadline = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert!(deadline.is_ok(), "{what} did not happen");
}

#[rstest]
#[tokio::test]
async fn what_waits_together_is_committed_together_and_in_order(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let line = line(store, "+74950000001").await.id;
    let anna = user(store, "Anna").await.id;
    let before = store.counters().transactions;
    let mut tasks = Vec::new();
    for _ in 0..200 {
        let mut script = Script::new(store, UNKNOWN, line, anna).await;
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let begin = store
                .append(vec![script.arrived(), script.offered(0)])
                .await
                .unwrap();
            let end = store.append(vec![script.ended(0)]).await.unwrap();
            (script.call, [begin, end].concat())
        }));
    }
    let mut places = Vec::new();
    for task in tasks {
        let (call, of_call) = task.await.unwrap();
        assert!(of_call.is_sorted(), "{of_call:?}");
        places.extend(of_call.into_iter().map(|seq| (seq, call)));
    }
    places.sort_unstable();
    let entries = store.read_after(0, 1_000).await.unwrap();
    // The callers have one number: they are owed one call back, which is a fact of its own.
    let given = entries
        .iter()
        .filter(|it| !matches!(it.event.kind, EventKind::ObligationOpened { .. }));
    let stored: Vec<_> = given.map(|it| (it.seq, it.event.call)).collect();
    assert_eq!(stored, places);
    assert_eq!(stored.len(), 600);
    assert_eq!((entries.len(), store.last_seq()), (601, 601));
    // One transaction per piece would be 400.
    let transactions = store.counters().transactions - before;
    assert!(transactions < 200, "{transactions}");
    let filter = InteractionFilter::default();
    let history = Interactions::list(store, &filter, &PageRequest::first(200)).await;
    assert_eq!(history.unwrap().items.len(), 200);
}

#[rstest]
#[tokio::test]
async fn a_change_that_is_refused_takes_nothing_with_it(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let line = line(&scene.store, "+74950000001").await.id;
    let anna = user(&scene.store, "Anna").await.id;
    let mut tasks = Vec::new();
    for number in 0..20 {
        let store = scene.store.clone();
        tasks.push(tokio::spawn(async move {
            // Every second one has a login that is taken.
            let name = if number % 2 == 0 {
                format!("user {number}")
            } else {
                "Anna".to_owned()
            };
            let data = crate::scene::user_data(&name, None);
            let made = crm::Repository::create(&store, data).await;
            let mut script = Script::new(&store, UNKNOWN, line, anna).await;
            store.append(vec![script.arrived()]).await.unwrap();
            made.is_ok() == (number % 2 == 0)
        }));
    }
    for task in tasks {
        assert!(task.await.unwrap());
    }
    assert_eq!(scene.store.read_after(0, 1_000).await.unwrap().len(), 20);
}

#[tokio::test]
async fn a_locked_database_loses_nothing_and_a_full_queue_says_so() {
    let place = Place::new(Kind::Sqlite).await;
    let options = Options {
        queue: 4,
        ..Options::default()
    };
    let store = Store::open(&place.url, 1, "RU", options).await.unwrap();
    let line = line(&store, "+74950000001").await.id;
    let anna = user(&store, "Anna").await.id;
    let path = place.url.strip_prefix("sqlite:").unwrap();
    let mut other = SqliteConnection::connect(path).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let append = |store: Store| {
        tokio::spawn(async move {
            let mut script = Script::new(&store, UNKNOWN, line, anna).await;
            store.append(vec![script.arrived()]).await
        })
    };
    let mut waiting = vec![append(store.clone())];
    eventually("a second attempt", async || store.counters().retries > 0).await;
    for _ in 0..4 {
        waiting.push(append(store.clone()));
    }
    eventually("a full queue", async || store.counters().waiting == 4).await;
    assert_eq!(append(store.clone()).await.unwrap(), Err(Error::Full));
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    for task in waiting {
        assert_eq!(task.await.unwrap().unwrap().len(), 1);
    }
    assert_eq!(store.read_after(0, 100).await.unwrap().len(), 5);
    assert_eq!(who(&store, UNKNOWN, line).await.len(), 0);
    person(&store, "After", &[UNKNOWN]).await;
    assert_eq!(who(&store, UNKNOWN, line).await, ["After"]);
}

#[tokio::test]
async fn a_server_that_cuts_the_connection_loses_nothing() {
    let scene = scene(Kind::Postgres).await;
    let store = &scene.store;
    let line = line(store, "+74950000001").await.id;
    let anna = user(store, "Anna").await.id;
    let name = scene.place.url.rsplit('/').next().unwrap();
    let mut other = cluster().connect("postgres").await;
    for round in 1..=3 {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        sqlx::query(sql)
            .bind(name)
            .execute(&mut other)
            .await
            .unwrap();
        let mut script = Script::new(store, UNKNOWN, line, anna).await;
        store
            .append(vec![script.arrived(), script.offered(0)])
            .await
            .unwrap();
        assert_eq!(store.last_seq(), round * 2);
    }
    assert!(store.counters().retries > 0);
    eventually("reading again", async || {
        store.read_after(0, 100).await.is_ok()
    })
    .await;
    assert_eq!(store.read_after(0, 100).await.unwrap().len(), 6);
}
