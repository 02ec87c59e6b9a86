//! What stands after the process died.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use call::{Cause, EventKind, Party};
use crm::{Calls, InteractionFilter, Interactions, Journal, PageRequest};
use model::{DialogSnapshot, LineId};
use rstest::rstest;
use store::{Options, Store};

use crate::scene::{Kind, Place, Script, UNKNOWN, line, open, user};

const DATABASE: &str = "RINGBOOK_STORE_CRASH_DATABASE";

#[rstest]
#[tokio::test]
async fn calls_that_a_crash_left_are_found_with_what_ends_them(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let place = Place::new(kind).await;
    let store = place.open().await;
    let line = line(&store, "+74950000001").await.id;
    let anna = user(&store, "Anna").await.id;
    let mut ringing = Script::new(&store, UNKNOWN, line, anna).await;
    store
        .append(vec![ringing.arrived(), ringing.offered(0)])
        .await
        .unwrap();
    store.append(vec![ringing.ringing()]).await.unwrap();
    let mut talking = Script::new(&store, UNKNOWN, line, anna).await;
    store
        .append(vec![talking.arrived(), talking.offered(0)])
        .await
        .unwrap();
    store.append(talking.answered()).await.unwrap();
    let mut recording = Script::new(&store, UNKNOWN, line, anna).await;
    store
        .append(vec![recording.arrived(), recording.offered(0)])
        .await
        .unwrap();
    store.append(recording.answered()).await.unwrap();
    store.append(vec![recording.ended(100)]).await.unwrap();
    let told = Script::new(&store, UNKNOWN, line, anna).await;
    let told_call = told.call;
    told.talk(&store).await;
    let last = store.last_seq();
    // Nobody closes it: the process is gone.
    drop(store);

    let store = place.open().await;
    assert_eq!(store.last_seq(), last);
    let open = store.open_calls().await.unwrap();
    let of = |call| open.iter().find(|it| it.call == call).unwrap();
    assert_eq!(open.len(), 4);
    let found = of(ringing.call);
    assert_eq!(
        (found.started_at, found.ended, found.agent),
        (None, false, Some(anna))
    );
    assert_eq!(found.snapshot.as_ref().unwrap().0, "offered 0");
    let found = of(talking.call);
    assert_eq!(found.recording, Some(format!("{}.wav", talking.call)));
    assert_eq!(found.snapshot.as_ref().unwrap().0, "answered");
    assert!(found.started_at > Some(found.arrived_at) && !found.ended);
    let found = of(recording.call);
    assert_eq!((found.ended, found.refused), (true, None));
    assert!(found.recording.is_some() && found.snapshot.is_some());
    let found = of(told_call);
    assert!(found.ended && found.recording.is_none() && found.snapshot.is_some());

    for script in [&mut ringing, &mut talking] {
        store.append(vec![script.ended(0)]).await.unwrap();
    }
    for script in [&mut talking, &mut recording] {
        store.append(vec![script.recorded(90)]).await.unwrap();
    }
    let open = store.open_calls().await.unwrap();
    assert!(open.iter().all(|it| it.ended && it.recording.is_none()));
    let refused = open.iter().map(|it| (it.call, it.refused));
    let refused: Vec<_> = refused.filter(|(_, status)| status.is_some()).collect();
    assert_eq!(
        refused,
        [(ringing.call, Some(487)), (talking.call, Some(487))]
    );
    let filter = InteractionFilter::default();
    let history = Interactions::list(&store, &filter, &PageRequest::default()).await;
    assert_eq!(history.unwrap().items.len(), 4);
}

/// While a BYE may still be on its way recovery finds the dialogs of a call that has ended, at the next start too;
/// afterwards they are gone from the database.
#[rstest]
#[tokio::test]
async fn dialogs_of_an_ended_call_are_kept_and_then_forgotten(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let place = Place::new(kind).await;
    let store = place.open().await;
    let line = line(&store, "+74950000001").await.id;
    let anna = user(&store, "Anna").await.id;
    for _ in 0..2 {
        Script::new(&store, UNKNOWN, line, anna)
            .await
            .talk(&store)
            .await;
    }
    store.close().await;

    let store = place.open().await;
    assert_eq!(store.open_calls().await.unwrap().len(), 2);
    store.close().await;

    let options = Options {
        dialogs_kept: Duration::ZERO,
        ..Options::default()
    };
    let store = Store::open(&place.url, 1, "RU", options).await.unwrap();
    forgotten(&store, "without anything else to write").await;
}

/// Waits until the store knows of no dialog any more.
async fn forgotten(store: &Store, when: &str) {
    let gone = async {
        while !store.open_calls().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(30), gone).await;
    assert!(gone.is_ok(), "dialogs are not forgotten {when}");
}

/// What a line does before it is answered, and a second word of a closed office, leave no dialogs behind that nobody forgets.
#[rstest]
#[tokio::test]
async fn nothing_is_left_of_a_call_to_a_closed_office(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
    #[values(true, false)] is_answered: bool,
) {
    let place = Place::new(kind).await;
    let options = Options {
        dialogs_kept: Duration::ZERO,
        ..Options::default()
    };
    let store = Store::open(&place.url, 1, "RU", options).await.unwrap();
    let line = line(&store, "+74950000001").await.id;
    let anna = user(&store, "Anna").await.id;
    let mut script = Script::new(&store, UNKNOWN, line, anna).await;
    let mut received = |instead: Option<LineId>, snapshot: &str| {
        script.event(EventKind::Received {
            line,
            closed: true,
            instead,
            opens_at: None,
            snapshot: DialogSnapshot(snapshot.to_owned()),
        })
    };
    let mut facts = vec![received(Some(line), "")];
    if is_answered {
        facts.push(received(None, "the caller's dialog"));
    }
    facts.push(received(None, ""));
    facts.insert(0, script.arrived());
    let ended = script.event(EventKind::Ended {
        cause: Cause::Closed,
        by: Party::System,
        agent: None,
        talk_ms: 0,
        wait_ms: 9_000,
        missed: true,
    });
    store.append(facts).await.unwrap();
    let open = store.open_calls().await.unwrap();
    let kept = open[0].snapshot.as_ref().map(|it| it.0.as_str());
    assert_eq!(kept, is_answered.then_some("the caller's dialog"));
    store.append(vec![ended]).await.unwrap();
    forgotten(&store, "after a call to a closed office").await;
}

/// Who was refused while the answer was on its way to the journal is refused again, not taken for somebody who talked.
#[rstest]
#[tokio::test]
async fn a_caller_who_was_never_answered_is_refused_again(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let place = Place::new(kind).await;
    let store = place.open().await;
    let line = line(&store, "+74950000001").await.id;
    let anna = user(&store, "Anna").await.id;
    let mut script = Script::new(&store, UNKNOWN, line, anna).await;
    store
        .append(vec![script.arrived(), script.offered(0)])
        .await
        .unwrap();
    store.append(script.answered()).await.unwrap();
    let hung_up = EventKind::Ended {
        cause: Cause::HungUp,
        by: Party::Agent,
        agent: Some(anna),
        talk_ms: 0,
        wait_ms: 100,
        missed: true,
    };
    let ended = script.event(hung_up);
    store.append(vec![ended]).await.unwrap();
    let open = store.open_calls().await.unwrap();
    assert!(open[0].ended && open[0].started_at.is_some());
    assert_eq!(open[0].refused, Some(480));
}

/// The child writes calls and prints the place of each as soon as it is acknowledged, until it is
/// killed; the parent then finds every one of them, whole.
#[rstest]
#[case::sqlite(
    "crash::acknowledged_entries_survive_a_kill::case_1_sqlite",
    Kind::Sqlite
)]
#[case::postgres(
    "crash::acknowledged_entries_survive_a_kill::case_2_postgres",
    Kind::Postgres
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_entries_survive_a_kill(#[case] name: &str, #[case] kind: Kind) {
    if let Ok(url) = std::env::var(DATABASE) {
        write_until_killed(&url).await;
        return;
    }
    let place = Place::new(kind).await;
    let store = place.open().await;
    line(&store, "+74950000001").await;
    user(&store, "Anna").await;
    store.close().await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(DATABASE, &place.url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    for text in lines {
        let text = text.unwrap();
        if let Some(seq) = text.split("acknowledged ").nth(1) {
            acknowledged.push(seq.parse::<i64>().unwrap());
        }
        if acknowledged.len() == 300 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acknowledged.len() >= 300, "{}", acknowledged.len());

    let store = open(&place.url).await;
    let mut entries = Vec::new();
    loop {
        let after = entries.last().map_or(0, |it: &crm::Journalled<_>| it.seq);
        let more = store.read_after(after, 1_000).await.unwrap();
        if more.is_empty() {
            break;
        }
        entries.extend(more);
    }
    for seq in &acknowledged {
        assert!(
            entries.binary_search_by_key(seq, |it| it.seq).is_ok(),
            "{seq} is lost"
        );
    }
    assert_eq!(store.last_seq(), entries.last().unwrap().seq);
    // Facts that belong together stand together: no call without its offer.
    for entry in &entries {
        assert_eq!(store.route(entry.event.call).await.unwrap().offers.len(), 1);
    }
}

async fn write_until_killed(url: &str) {
    let store = open(url).await;
    let agent = model::UserId(1);
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            loop {
                let mut script = Script::new(&store, UNKNOWN, model::LineId(1), agent).await;
                let places = store
                    .append(vec![script.arrived(), script.offered(0)])
                    .await
                    .unwrap();
                for seq in places {
                    println!("acknowledged {seq}");
                }
            }
        }));
    }
    for task in tasks {
        let ended: Result<(), _> = task.await;
        ended.unwrap();
    }
}
