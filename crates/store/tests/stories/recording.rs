//! Recordings on their way to MP3.

use crm::{Calls, Journal, Mp3, Recordings};
use rstest::rstest;

use crate::scene::{Kind, Script, UNKNOWN, line, scene, user};

#[rstest]
#[tokio::test]
async fn a_finished_recording_waits_for_its_mp3_until_that_is_made_or_given_up(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let line = line(store, "+74950000001").await.id;
    let anna = user(store, "Anna").await.id;
    let mut calls = Vec::new();
    for _ in 0..2 {
        let script = Script::new(store, UNKNOWN, line, anna).await;
        calls.push(script.call);
        script.talk(store).await;
    }
    let mut running = Script::new(store, UNKNOWN, line, anna).await;
    store
        .append(vec![running.arrived(), running.offered(0)])
        .await
        .unwrap();
    store.append(running.answered()).await.unwrap();

    let waiting = store.without_mp3(10).await.unwrap();
    let of: Vec<_> = waiting.iter().map(|it| it.call).collect();
    assert_eq!(
        of, calls,
        "the oldest first, and not one that is being made"
    );
    assert_eq!(waiting[0].file, format!("{}.wav", calls[0]));
    assert_eq!(store.without_mp3(1).await.unwrap(), waiting[..1]);

    let made = Mp3::Made { bytes: 4_711 };
    store.set_mp3(waiting[0].id, made).await.unwrap();
    let reason = "no sound".to_owned();
    store
        .set_mp3(waiting[1].id, Mp3::Failed { reason })
        .await
        .unwrap();
    assert!(store.without_mp3(10).await.unwrap().is_empty());
    let mut found = Vec::new();
    for call in calls {
        let recording = Calls::read(store, call).await.unwrap().recording.unwrap();
        found.push((recording.mp3_bytes, recording.mp3_error));
    }
    let given_up = Some("no sound".to_owned());
    assert_eq!(found, [(Some(4_711), None), (None, given_up)]);
}
