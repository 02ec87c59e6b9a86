//! Recordings on their way to MP3, and to their end.

use std::time::Duration;

use call::EventKind;
use crm::{Calls, Journal, Mp3, Recordings, SoundFile};
use model::{RecordingId, Utc};
use rstest::rstest;
use store::{Options, Store};

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
    let mut silent = Script::new(store, UNKNOWN, line, anna).await;
    let silent_call = silent.call;
    let begin = vec![silent.arrived(), silent.offered(0)];
    store.append(begin).await.unwrap();
    store.append(silent.answered()).await.unwrap();
    let end = vec![silent.ended(100), silent.recorded(0)];
    store.append(end).await.unwrap();
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
    let of: Vec<_> = waiting.iter().map(|it| it.file.clone()).collect();
    let files: Vec<_> = calls.iter().map(|call| format!("{call}.wav")).collect();
    assert_eq!(
        of, files,
        "the oldest first, none without sound and none that is being made"
    );
    assert_eq!(waiting[0].length, Duration::from_secs(5));
    assert_eq!(store.without_mp3(1).await.unwrap(), waiting[..1]);

    let made = Mp3::Made { bytes: 4_711 };
    store.set_mp3(waiting[0].id, made).await.unwrap();
    let reason = "no sound".to_owned();
    store
        .set_mp3(waiting[1].id, Mp3::Failed { reason })
        .await
        .unwrap();
    assert!(store.without_mp3(10).await.unwrap().is_empty());

    let all = store.after(RecordingId(0), 10).await.unwrap();
    let of: Vec<_> = all.iter().map(|it| it.call).collect();
    assert_eq!(of, [silent_call, calls[0], calls[1], running.call]);
    assert_eq!(all[1].mp3_bytes, Some(4_711));
    let rest = store.after(all[1].id, 1).await.unwrap();
    assert_eq!(rest, all[2..3]);
    assert_eq!(store.conversations_without().await.unwrap(), 0);
    let mut unrecorded = Script::new(store, UNKNOWN, line, anna).await;
    let begin = vec![unrecorded.arrived(), unrecorded.offered(0)];
    store.append(begin).await.unwrap();
    let mut answered = unrecorded.answered();
    for entry in &mut answered {
        if let EventKind::ConversationStarted { recording, .. } = &mut entry.event.kind {
            *recording = None;
        }
    }
    store.append(answered).await.unwrap();
    assert_eq!(store.conversations_without().await.unwrap(), 1);

    let elsewhere = Store::open(&scene.place.url, 2, "RU", Options::default());
    let elsewhere = elsewhere.await.unwrap();
    assert!(
        elsewhere
            .after(RecordingId(0), 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(elsewhere.without_mp3(10).await.unwrap().is_empty());
    elsewhere.close().await;

    let mut found = Vec::new();
    for call in calls {
        let recording = Calls::read(store, call).await.unwrap().recording.unwrap();
        found.push((recording.mp3_bytes, recording.mp3_error));
    }
    let given_up = Some("no sound".to_owned());
    assert_eq!(found, [(Some(4_711), None), (None, given_up)]);
}

#[rstest]
#[tokio::test]
async fn old_files_are_marked_before_they_go_and_remembered_when_they_are_gone(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let line = line(store, "+74950000001").await.id;
    let anna = user(store, "Anna").await.id;
    let mut calls = Vec::new();
    for _ in 0..3 {
        let script = Script::new(store, UNKNOWN, line, anna).await;
        calls.push(script.call);
        script.talk(store).await;
    }
    let first = (Utc::from_micros(i64::MIN), RecordingId(0));
    let later = Utc::from_micros(i64::MAX);
    let (wav, mp3) = (SoundFile::Wav, SoundFile::Mp3);
    let all = store.older_than(later, wav, first, 10).await.unwrap();
    let of: Vec<_> = all.iter().map(|it| it.call).collect();
    assert_eq!(of, calls, "the oldest first");
    let behind = (all[0].started_at, all[0].id);
    let page = store.older_than(later, wav, behind, 1).await.unwrap();
    assert_eq!(page, all[1..2]);
    let before = all[0].started_at;
    assert_eq!(store.older_than(before, wav, first, 10).await.unwrap(), []);
    assert_eq!(store.older_than(later, mp3, first, 10).await.unwrap(), []);

    let made = Mp3::Made { bytes: 4_711 };
    store.set_mp3(all[1].id, made).await.unwrap();
    let with_mp3 = store.older_than(later, mp3, first, 10).await.unwrap();
    assert_eq!(with_mp3.len(), 1);
    assert_eq!(with_mp3[0].id, all[1].id);

    let marked = vec![all[0].id, all[1].id];
    store.mark_removed(marked.clone(), wav).await.unwrap();
    let left = store.older_than(later, wav, first, 10).await.unwrap();
    assert_eq!(left, all[2..]);
    let half = store.half_removed(RecordingId(0), 10).await.unwrap();
    assert_eq!(half.len(), 2);
    assert!(
        half.iter()
            .all(|it| it.wav_removed_at.is_some() && it.mp3_removed_at.is_none())
    );
    let rest = store.half_removed(half[0].id, 10).await.unwrap();
    assert_eq!(rest, half[1..]);
    let elsewhere = Store::open(&scene.place.url, 2, "RU", Options::default());
    let elsewhere = elsewhere.await.unwrap();
    assert_eq!(
        elsewhere.older_than(later, wav, first, 10).await.unwrap(),
        []
    );
    assert_eq!(
        elsewhere.half_removed(RecordingId(0), 10).await.unwrap(),
        []
    );
    elsewhere.close().await;
    store.set_gone(marked).await.unwrap();
    assert_eq!(store.half_removed(RecordingId(0), 10).await.unwrap(), []);

    store.mark_removed(vec![all[1].id], mp3).await.unwrap();
    assert_eq!(store.older_than(later, mp3, first, 10).await.unwrap(), []);
    let call = Calls::read(store, calls[1]).await.unwrap();
    let recording = call.recording.unwrap();
    assert_eq!(recording.wav_removed_at, half[1].wav_removed_at);
    assert!(recording.mp3_removed_at.is_some());
    assert_eq!(
        recording.mp3_bytes,
        Some(4_711),
        "what it was is remembered"
    );
}
