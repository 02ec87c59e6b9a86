//! Listening, whole and by ranges.

use call::EventKind;
use crm::{Mp3, Recordings as _, SoundFile};
use reqwest::Method;

use crate::house::{Answer, Client, House};

const FILE: &str = "2026-03/talk.wav";

async fn with_recording(length: usize) -> (House, Client, String, Vec<u8>) {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let line = house.line("+7 495 123-45-67").await;
    let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
    std::fs::create_dir(house.recordings.join("2026-03")).unwrap();
    std::fs::write(house.recordings.join(FILE), &bytes).unwrap();
    let call = house.ring("+79160000001", &line, &anna).await;
    house.answer(call, &anna, Some(FILE)).await;
    house.hang_up(call, &anna, false).await;
    let ready = EventKind::RecordingReady {
        file: FILE.to_owned(),
        length_ms: 2_000,
        bytes: length as u64,
        gaps_ms: 0,
        gaps: Vec::new(),
        error: None,
    };
    house.commit(call, vec![ready]).await;
    (house, anna, format!("calls/{call}"), bytes)
}

async fn range(client: &Client, path: &str, headers: &[(&'static str, &str)]) -> Answer {
    let mut request = client.request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client.send(request).await
}

#[tokio::test]
async fn a_recording_is_streamed_whole_and_by_ranges() {
    let (_house, anna, call, bytes) = with_recording(300_000).await;
    let described = anna.get(&call).await.is(200).json();
    let recording = &described["recording"];
    assert_eq!(recording["ready"], true);
    assert_eq!(recording["length_ms"], 2_000);
    let path = recording["url"].as_str().unwrap().to_owned();
    let whole = anna.get(&path).await.is(200);
    assert_eq!(whole.header("content-type"), "audio/wav");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("content-length"), "300000");
    assert!(whole.bytes == bytes);
    let tag = whole.tag();
    for (header, first, last) in [
        ("bytes=0-43", 0, 43),
        ("bytes=100000-", 100_000, 299_999),
        ("bytes=-100", 299_900, 299_999),
        ("bytes=299999-400000", 299_999, 299_999),
    ] {
        let part = range(&anna, &path, &[("range", header)]).await.is(206);
        assert_eq!(
            part.header("content-range"),
            format!("bytes {first}-{last}/300000")
        );
        assert!(part.bytes == bytes[first..=last], "{header}");
    }
    let outside = range(&anna, &path, &[("range", "bytes=300000-")])
        .await
        .is(416);
    assert_eq!(outside.header("content-range"), "bytes */300000");
    let same = [("range", "bytes=0-9"), ("if-range", tag.as_str())];
    assert_eq!(range(&anna, &path, &same).await.is(206).bytes.len(), 10);
    let other = [("range", "bytes=0-9"), ("if-range", "\"other\"")];
    assert_eq!(
        range(&anna, &path, &other).await.is(200).bytes.len(),
        300_000
    );
    let head = anna.send(anna.request(Method::HEAD, &path)).await.is(200);
    assert_eq!(head.header("content-length"), "300000");
    assert!(head.bytes.is_empty());
}

#[tokio::test]
async fn an_mp3_can_be_heard_once_it_is_made() {
    let (house, anna, call, _) = with_recording(10).await;
    let path = format!("{call}/recording.mp3");
    let missing = anna.get(&path).await.is(404).json();
    assert!(missing["detail"].as_str().unwrap().contains("MP3"));
    let described = anna.get(&call).await.is(200).json();
    assert!(described["recording"]["mp3_url"].is_null());

    let waiting = house.store.without_mp3(1).await.unwrap().remove(0);
    let file = house.recordings.join(waiting.file).with_extension("mp3");
    std::fs::write(file, [7; 1_000]).unwrap();
    let made = Mp3::Made { bytes: 1_000 };
    house.store.set_mp3(waiting.id, made).await.unwrap();
    let described = anna.get(&call).await.is(200).json();
    assert_eq!(described["recording"]["mp3_bytes"], 1_000);
    let url = described["recording"]["mp3_url"].as_str().unwrap();
    let whole = anna.get(url).await.is(200);
    assert_eq!(whole.header("content-type"), "audio/mpeg");
    assert_eq!(whole.bytes, [7; 1_000]);
    let part = range(&anna, &path, &[("range", "bytes=990-")])
        .await
        .is(206);
    assert_eq!(part.header("content-range"), "bytes 990-999/1000");
}

#[tokio::test]
async fn a_file_removed_because_of_its_age_is_gone_since_a_day_that_is_told() {
    let (house, anna, call, bytes) = with_recording(10).await;
    let waiting = house.store.without_mp3(1).await.unwrap().remove(0);
    let mp3 = house.recordings.join(FILE).with_extension("mp3");
    std::fs::write(mp3, &bytes).unwrap();
    let made = Mp3::Made { bytes: 10 };
    house.store.set_mp3(waiting.id, made).await.unwrap();
    let ids = vec![waiting.id];
    for (file, name, (other, status)) in [
        (SoundFile::Wav, "wav", ("mp3", 200)),
        (SoundFile::Mp3, "mp3", ("wav", 410)),
    ] {
        house.store.mark_removed(ids.clone(), file).await.unwrap();
        let recording = anna.get(&call).await.is(200).json()["recording"].clone();
        let at = recording[format!("{name}_removed_at")].as_str().unwrap();
        let path = format!("{call}/recording.{name}");
        let gone = anna.get(&path).await.is(410).json();
        let detail = gone["detail"].as_str().unwrap();
        assert!(detail.contains(&at[..10]), "{detail} names the day of {at}");
        anna.get(&format!("{call}/recording.{other}"))
            .await
            .is(status);
        assert_eq!(recording["mp3_url"].is_null(), name == "mp3");
    }
}

#[tokio::test]
async fn a_recording_that_is_not_there_is_said_so() {
    let (house, anna, call, _) = with_recording(10).await;
    std::fs::remove_file(house.recordings.join(FILE)).unwrap();
    let path = format!("{call}/recording.wav");
    let missing = anna.get(&path).await.is(404);
    assert!(missing.json()["detail"].as_str().unwrap().contains("file"));
    let line = house.line("100").await;
    let unrecorded = house.ring("+79160000001", &line, &anna).await;
    let path = format!("calls/{unrecorded}/recording.wav");
    let missing = anna.get(&path).await.is(404);
    assert!(
        missing.json()["detail"]
            .as_str()
            .unwrap()
            .contains("recording")
    );
    assert_eq!(
        anna.get(&format!("calls/{unrecorded}"))
            .await
            .is(200)
            .json()["missed"],
        false
    );
}

#[tokio::test]
async fn the_history_links_the_recording() {
    let (_house, anna, call, _) = with_recording(10).await;
    let history = anna.get("interactions").await.is(200).json();
    assert_eq!(
        history["items"][0]["recording_url"],
        format!("/api/v1/{call}/recording.wav")
    );
}
