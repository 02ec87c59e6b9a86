//! What becomes of a recording after hang-up, by the real program and the real `lame`.

use std::{os::unix::fs::PermissionsExt, path::Path, process::Command, time::Duration};

use tests::{
    audio::{Law, assert_heard, assert_not_heard, speech},
    company::Company,
    daemon::Options,
    sim::{Answering, Intent, Talking},
    voice::Voice,
};

const CLIENT: &str = "+79161234567";

/// Left and right of an MP3, as `lame` decodes it.
fn decoded(mp3: &Path) -> (Vec<i16>, Vec<i16>) {
    let wav = mp3.with_extension("decoded.wav");
    let status = Command::new("lame")
        .args(["--quiet", "--decode"])
        .args([mp3, &wav])
        .status()
        .expect("lame is installed");
    assert!(status.success(), "lame decodes what lame made");
    let mut reader = hound::WavReader::open(wav).expect("lame writes WAV");
    assert_eq!(
        (reader.spec().channels, reader.spec().sample_rate),
        (2, 8_000)
    );
    let samples: Vec<i16> = reader.samples().map(|sample| sample.unwrap()).collect();
    samples.chunks_exact(2).map(|two| (two[0], two[1])).unzip()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_hang_up_there_is_an_mp3_with_the_client_left_and_the_agent_right() {
    let company = Company::found(1, &Options::default()).await;
    let phone = company.phone(0, 0);
    phone.with(|phone, _| {
        phone.script.push_back(Answering::Answer {
            after: Duration::from_millis(100),
            then: Talking::Stay,
        });
    });
    let (client_words, agent_words) = (speech("caller-ru"), speech("agent-ru"));
    let client = company.daemon.address(2, 30_000);
    let agent = company.daemon.address(20, 10_002);
    let client = Voice::open(client, Law::A, client_words.clone());
    let agent = Voice::open(agent, Law::A, agent_words.clone());
    let caller = company.call(CLIENT, Intent::patient());
    caller.wait_for_answer();
    agent.speak_to(phone.with(|phone, _| phone.calls[0].invite.media()));
    client
        .speak_to(caller.with(|caller, _| caller.talk.as_ref().and_then(|talk| talk.remote_media)));
    client.wait_for(200, 150);
    caller.leave();
    let call = company.ended_call(CLIENT).await;

    let path = format!("calls/{}", call["id"].as_str().unwrap());
    let is_made = |call: &serde_json::Value| call["recording"]["mp3_url"].is_string();
    let call = company.rest.until(&path, "the MP3 is made", is_made).await;
    let recording = &call["recording"];
    let url = recording["mp3_url"].as_str().unwrap();
    let heard = company.rest.bytes(url.trim_start_matches("/api/v1/")).await;
    assert_eq!(recording["mp3_bytes"], heard.len());
    let wav = company
        .daemon
        .recordings()
        .join(recording["file"].as_str().unwrap());
    let mp3 = wav.with_extension("mp3");
    assert_eq!(
        std::fs::read(&mp3).unwrap(),
        heard,
        "the API gives the file"
    );
    let (left, right) = decoded(&mp3);
    assert_heard("the client on the left", &client_words, &left);
    assert_heard("the agent on the right", &agent_words, &right);
    assert_not_heard("the agent on the left", &agent_words, &left);
    assert_not_heard("the client on the right", &client_words, &right);
    let metrics = company.metrics().await;
    assert_eq!(metrics["ringbook_mp3_made_total"], 1);
    assert!(metrics["ringbook_recordings_free_bytes"] > 0);
    let mode = |file: &Path| std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&mp3), mode(&wav), "nobody else may hear it");

    let verify = |language: &str| {
        let arguments = ["recordings", "verify", "--language", language];
        let done = company.daemon.run(&arguments);
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        (done.status.code(), text)
    };
    std::fs::remove_file(mp3.with_extension("decoded.wav")).unwrap();
    let (code, text) = verify("en");
    assert!(
        code == Some(0)
            && text.contains(
                "Whole recordings: 1, with MP3: 1, MP3 to be made: 0, MP3 impossible: 0."
            ),
        "{text}"
    );
    let other = std::fs::File::create(wav.with_file_name("other.wav")).unwrap();
    let earlier = std::time::SystemTime::now() - Duration::from_secs(120);
    other.set_modified(earlier).unwrap();
    let longer = [heard.as_slice(), b"!"].concat();
    std::fs::write(&mp3, longer).unwrap();
    std::fs::remove_file(&wav).unwrap();
    let (code, text) = verify("en");
    assert_eq!(code, Some(1), "{text}");
    let name = recording["file"].as_str().unwrap();
    for sentence in [
        format!("{name}: the journal knows this file, the folder does not"),
        format!("{}: has {}", name.replace(".wav", ".mp3"), heard.len() + 1),
        "other.wav: no call has this file".to_owned(),
        "Problems: 3.".to_owned(),
    ] {
        assert!(text.contains(&sentence), "no \"{sentence}\" in\n{text}");
    }
    let (_, text) = verify("ru");
    assert!(text.contains("Неполадок: 3."), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_gets_full_is_told_in_the_log() {
    let options = Options {
        // More than any disk has.
        recordings: "alarm_free_mb = 1073741824".to_owned(),
        ..Options::default()
    };
    let company = Company::found(0, &options).await;
    company
        .daemon
        .wait_for_log("the disk of the recordings is getting full");
}
