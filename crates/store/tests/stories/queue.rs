//! Callers who wait: what the line says, and what the journal tells.

use std::sync::Arc;

use call::EventKind;
use crm::{Calls, Error, Journal, LineData, Repository, Settings};
use model::{DialogSnapshot, Explanation, LineId, Overflow, Priority, Queue};
use rstest::rstest;

use crate::scene::{Kind, Script, line, scene, user};

const QUEUE: Queue = Queue {
    most_waiting: 7,
    most_wait_secs: 200,
    announce_secs: 45,
    offers_call_back: true,
    overflow: None,
};

#[rstest]
#[tokio::test]
async fn the_queue_of_a_line_comes_to_the_exchange_and_names_a_line_that_exists(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let (sales, service) = (
        line(store, "+74950000001").await,
        line(store, "+74950000002").await,
    );
    let with = |overflow| LineData {
        language: model::Language::English,
        queue: Some(Queue { overflow, ..QUEUE }),
        ..sales.data.clone()
    };
    let help = |line| {
        Some(Overflow {
            line,
            after_secs: 60,
        })
    };
    let itself = store.update(sales.id, None, with(help(sales.id))).await;
    let why = "must name another line than this one";
    assert_eq!(itself, Err(Error::invalid("queue.overflow.line", why)));
    let nowhere = with(help(LineId(4_711)));
    let dangling = Error::Dangling {
        field: "queue.overflow.line",
    };
    assert_eq!(store.update(sales.id, None, nowhere).await, Err(dangling));
    let overflow = help(service.id);
    store.update(sales.id, None, with(overflow)).await.unwrap();
    let directory = store.directory().await.unwrap();
    let known = directory.lines.iter().find(|it| it.id == sales.id).unwrap();
    assert_eq!(known.queue, Some(Queue { overflow, ..QUEUE }));
    assert_eq!(known.language, model::Language::English);
    let lines: &dyn Repository<LineData> = store;
    let read = lines.read(sales.id).await.unwrap();
    assert_eq!(read.data, with(overflow));
}

#[rstest]
#[tokio::test]
async fn a_wait_stands_in_the_route_with_the_decision_and_what_recovery_needs(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let line = line(store, "+74950000001").await.id;
    let anna = user(store, "Anna").await.id;
    let mut script = Script::new(store, "+79160000009", line, anna).await;
    let explanation = Arc::new(Explanation {
        considered: Vec::new(),
        more: 5,
    });
    let queued = script.event(EventKind::Queued {
        place: 3,
        priority: Priority::First,
        explanation: Arc::clone(&explanation),
        snapshot: DialogSnapshot("the caller's dialog".to_owned()),
    });
    let at = queued.event.at;
    let facts = vec![
        script.arrived(),
        script.event(EventKind::LineAnswered),
        queued,
    ];
    store.append(facts).await.unwrap();
    let open = &store.open_calls().await.unwrap()[0];
    let snapshot = open.snapshot.as_ref().map(|it| it.0.as_str());
    assert_eq!(snapshot, Some("the caller's dialog"));
    let call = Calls::read(store, script.call).await.unwrap();
    assert_eq!(call.queued_at, Some(at));
    assert!(call.answered_at.is_some() && call.started_at.is_none());
    let route = store.route(script.call).await.unwrap();
    let queued = route.queued.unwrap();
    assert_eq!((queued.at, queued.place), (at, 3));
    assert_eq!(queued.priority, Priority::First);
    assert_eq!(queued.explanation, *explanation);

    store.append(vec![script.ended(0)]).await.unwrap();
    let call = Calls::read(store, script.call).await.unwrap();
    assert!(call.missed && call.queued_at == Some(at));
}
