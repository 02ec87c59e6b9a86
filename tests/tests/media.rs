//! Sound as sound: spoken words in the other side's stream and in the right channel of the recording. Runs alone and
//! one test after the other, since it measures time.

use std::time::Duration;

use rstest::rstest;
use tests::{
    audio::{Law, assert_continuous, assert_heard, assert_not_heard, recording, speech},
    baresip::{AnswerMode, Baresip},
    company::Company,
    daemon::Options,
    live::Live,
    postgres::postgres,
    sim::{Answering, Caller, Describes, Intent, Talking, consulting::Manner, phone::Phone},
    voice::{Heard, Packet, Voice},
};

const CLIENT: &str = "+79161234567";

fn with_threads(media_threads: usize) -> Options {
    Options {
        media_threads,
        ..Options::default()
    }
}

fn answers(phone: &Live<Phone>, then: Talking) {
    let after = Duration::from_millis(100);
    phone.with(|phone, _| phone.script.push_back(Answering::Answer { after, then }));
}

/// The streams of a caller and a telephone, before the call.
fn voices(company: &Company, agent_law: Law) -> (Voice, Voice) {
    let caller = Voice::open(
        company.daemon.address(2, 30_000),
        Law::A,
        speech("caller-ru"),
    );
    let agent = Voice::open(
        company.daemon.address(20, 10_002),
        agent_law,
        speech("agent-ru"),
    );
    (caller, agent)
}

/// Both sides speak as soon as they may.
fn speak(caller: &Live<Caller>, phone: &Live<Phone>, (client, agent): (&Voice, &Voice)) {
    phone.wait("the telephone answers", |phone| {
        phone.calls.iter().any(|call| call.answered)
    });
    agent.speak_to(phone.with(|phone, _| phone.calls[0].invite.media()));
    caller.wait_for_answer();
    client
        .speak_to(caller.with(|caller, _| caller.talk.as_ref().and_then(|talk| talk.remote_media)));
}

/// From the first packet of either to the end of the last, in milliseconds.
fn spoken_ms(one: &Heard, other: &Heard) -> i64 {
    let (first, last) = (one.spoke.unwrap(), other.spoke.unwrap());
    let length = first.1.max(last.1) - first.0.min(last.0) + Duration::from_millis(20);
    i64::try_from(length.as_millis()).unwrap()
}

#[rstest]
#[case::one_thread(1, Law::A)]
#[case::two_threads(2, Law::A)]
#[case::two_laws(2, Law::Mu)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_hear_each_other_and_the_recording_has_the_client_left_and_the_agent_right(
    #[case] media_threads: usize,
    #[case] law: Law,
) {
    let company = Company::found(1, &with_threads(media_threads)).await;
    let phone = company.phone(0, 0);
    phone.with(|phone, _| phone.mu_law_only = law == Law::Mu);
    answers(&phone, Talking::Stay);
    let (client, agent) = voices(&company, law);
    let caller = company.call(CLIENT, Intent::patient());
    speak(&caller, &phone, (&client, &agent));
    client.wait_for(200, 150);
    caller.leave();
    let (client, agent) = (client.close(), agent.close());
    let call = company.ended_call(CLIENT).await;

    let (caller_words, agent_words) = (speech("caller-ru"), speech("agent-ru"));
    let (at_client, at_agent) = (client.samples(), agent.samples());
    assert_heard("the agent", &agent_words, &at_client);
    assert_heard("the client", &caller_words, &at_agent);
    assert_not_heard("the client's own voice", &caller_words, &at_client);
    assert_not_heard("the agent's own voice", &agent_words, &at_agent);
    assert_continuous("the agent", &agent_words, &at_client);
    assert_continuous("the client", &caller_words, &at_agent);

    let file = company
        .daemon
        .recordings()
        .join(call["recording"]["file"].as_str().unwrap());
    let url = call["recording"]["url"]
        .as_str()
        .unwrap()
        .trim_start_matches("/api/v1/")
        .to_owned();
    assert_eq!(
        company.rest.bytes(&url).await,
        std::fs::read(&file).unwrap(),
        "the API gives the file"
    );
    let (left, right) = recording(&file);
    assert_heard("the client on the left", &caller_words, &left);
    assert_heard("the agent on the right", &agent_words, &right);
    assert_not_heard("the agent on the left", &agent_words, &left);
    assert_not_heard("the client on the right", &caller_words, &right);
    assert_continuous("the client on the left", &caller_words, &left);
    assert_continuous("the agent on the right", &agent_words, &right);
    let length = i64::try_from(left.len() / 8).unwrap();
    let spoken = spoken_ms(&client, &agent);
    assert!(
        (length - spoken).abs() <= 40,
        "the recording has {length} ms, spoken were {spoken} ms"
    );
    assert_eq!(call["recording"]["length_ms"].as_i64(), Some(length));
    assert_eq!(call["recording"]["gaps_ms"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_who_answers_our_offer_in_the_ack_hears_and_is_heard() {
    let company = Company::found(1, &Options::default()).await;
    let phone = company.phone(0, 0);
    answers(&phone, Talking::Stay);
    let (client, agent) = voices(&company, Law::A);
    let intent = Intent {
        describes: Describes::InAck,
        ..Intent::patient()
    };
    let caller = company.call(CLIENT, intent);
    speak(&caller, &phone, (&client, &agent));
    client.wait_for(200, 150);
    caller.leave();
    let (client, agent) = (client.close(), agent.close());
    assert_heard("the agent", &speech("agent-ru"), &client.samples());
    assert_heard("the client", &speech("caller-ru"), &agent.samples());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_party_hears_music_and_then_the_agent_again(#[values(1, 2)] media_threads: usize) {
    let company = Company::found(1, &with_threads(media_threads)).await;
    let phone = company.phone(0, 0);
    let hold = Talking::Hold {
        after: Duration::from_secs(2),
        length: Duration::from_secs(2),
        rest: Duration::from_secs(10),
    };
    answers(&phone, hold);
    let (client, agent) = voices(&company, Law::A);
    let events = company.events(0).await;
    let caller = company.call(CLIENT, Intent::patient());
    speak(&caller, &phone, (&client, &agent));
    let (held_at, _) = events
        .frame("call.updated", |frame| frame["held"] == true)
        .await;
    let (back_at, _) = events
        .frame("call.updated", |frame| frame["held"] == false)
        .await;
    client.wait_for(50, 50);
    caller.leave();
    let (client, _) = (client.close(), agent.close());
    let margin = Duration::from_millis(200);
    let during: Vec<_> = client
        .packets
        .iter()
        .filter(|packet| packet.at > held_at + margin && packet.at + margin < back_at)
        .collect();
    let expected = (back_at - held_at - 2 * margin).as_millis() / 20;
    assert!(
        during.len() as u128 + 5 >= expected,
        "{} of {expected} packets while held",
        during.len()
    );
    // The music has risen 0.3 s after its beginning, and then it is ours, frame after frame.
    let whole = media::music::music();
    let mut frames = whole.samples().chunks(160);
    let is_code_of = |(&code, &sample): (&u8, &i16)| {
        let off = Law::A.decode(code).abs_diff(sample);
        off <= 8 + sample.unsigned_abs() / 32
    };
    let risen = |packet: &&&Packet| packet.at > held_at + Duration::from_millis(500);
    for packet in during.iter().filter(risen) {
        assert!(
            frames.any(|frame| packet.payload.iter().zip(frame).all(is_code_of)),
            "the held party hears music in order"
        );
    }
    let after = client
        .packets
        .iter()
        .filter(|packet| packet.at > back_at + margin);
    assert!(
        after
            .flat_map(|packet| &packet.payload)
            .any(|byte| *byte != 0xD5),
        "and the agent again"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baresip_as_the_agent_hears_the_client_and_is_heard(#[values(1, 2)] media_threads: usize) {
    let company = Company::found(1, &with_threads(media_threads)).await;
    let (user, secret) = company.agents[0].devices[0].clone();
    let mut phone = Baresip::start(
        company.daemon.sip(),
        (&user, &secret),
        &speech("agent-ru"),
        AnswerMode::Manual,
    );
    let client = Voice::open(
        company.daemon.address(2, 30_000),
        Law::A,
        speech("caller-ru"),
    );
    let caller = company.call(CLIENT, Intent::patient());
    phone.wait_for("CALL_INCOMING");
    caller.wait("it rings", |caller| caller.provisional.contains(&180));
    phone.order("accept");
    phone.wait_for("CALL_ESTABLISHED");
    caller.wait_for_answer();
    client
        .speak_to(caller.with(|caller, _| caller.talk.as_ref().and_then(|talk| talk.remote_media)));
    client.wait_for(250, 250);
    caller.leave();
    phone.wait_for("CALL_CLOSED");
    let client = client.close();
    assert_heard("the agent", &speech("agent-ru"), &client.samples());
    let call = company.ended_call(CLIENT).await;
    assert_eq!(call["missed"], false);
    let file = company
        .daemon
        .recordings()
        .join(call["recording"]["file"].as_str().unwrap());
    let (left, right) = recording(&file);
    assert_heard("the client on the left", &speech("caller-ru"), &left);
    assert_heard("the agent on the right", &speech("agent-ru"), &right);
    drop(caller);
    assert_heard(
        "the client at the telephone",
        &speech("caller-ru"),
        &phone.heard(),
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baresip_holds_resumes_and_hangs_up(#[values(1, 2)] media_threads: usize) {
    let company = Company::found(1, &with_threads(media_threads)).await;
    let (user, secret) = company.agents[0].devices[0].clone();
    let mut phone = Baresip::start(
        company.daemon.sip(),
        (&user, &secret),
        &speech("agent-ru"),
        AnswerMode::Auto,
    );
    let events = company.events(0).await;
    let caller = company.call(CLIENT, Intent::patient());
    phone.wait_for("CALL_ESTABLISHED");
    caller.wait_for_answer();
    phone.order("hold");
    events
        .frame("call.updated", |frame| frame["held"] == true)
        .await;
    phone.order("resume");
    events
        .frame("call.updated", |frame| frame["held"] == false)
        .await;
    phone.order("hangup");
    caller.wait_for_end();
    let call = company.ended_call(CLIENT).await;
    assert_eq!(
        (&call["missed"], &call["ended_by"]),
        (&false.into(), &"agent".into())
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baresip_transfers_and_the_client_hears_the_colleague_in_one_recording(
    #[values(1, 2)] media_threads: usize,
) {
    let company = Company::found(2, &with_threads(media_threads)).await;
    let (user, secret) = company.agents[0].devices[0].clone();
    let mut desk = Baresip::start(
        company.daemon.sip(),
        (&user, &secret),
        &speech("agent-ru"),
        AnswerMode::Auto,
    );
    let colleague = company.phone(1, 0);
    answers(&colleague, Talking::Stay);
    let second = Voice::open(
        company.daemon.address(30, 10_002),
        Law::A,
        speech("colleague-ru"),
    );
    let client = Voice::open(
        company.daemon.address(2, 30_000),
        Law::A,
        speech("caller-ru"),
    );
    let events = company.events(1).await;
    let caller = company.call(CLIENT, Intent::patient());
    desk.wait_for("CALL_ESTABLISHED");
    caller.wait_for_answer();
    client
        .speak_to(caller.with(|caller, _| caller.talk.as_ref().and_then(|talk| talk.remote_media)));
    client.wait_for(250, 250);
    desk.transfer(&format!("sip:102@{}", company.daemon.sip()));
    let (_, card) = events
        .frame("call.offered", |frame| frame["attempt"] == 1)
        .await;
    assert_eq!(card["why"]["rule"], "transferred", "{card:#}");
    assert_eq!(card["why"]["colleague"]["name"], "Agent 0");
    assert_eq!(
        card["caller"]["number"], CLIENT,
        "the client's number, not the colleague's"
    );
    colleague.wait("the colleague answers", |phone| {
        phone.calls.iter().any(|call| call.answered)
    });
    let shown = colleague.message("INVITE").expect("the colleague is rung");
    assert!(shown.text("From").contains(CLIENT), "{shown:?}");
    second.speak_to(colleague.with(|phone, _| phone.calls[0].invite.media()));
    events.frame("call.transferred", |_| true).await;
    desk.wait_for("CALL_CLOSED");
    second.wait_for(300, 250);
    caller.leave();
    let (client, second) = (client.close(), second.close());
    let call = company.ended_call(CLIENT).await;
    assert_eq!(call["agent"], company.agents[1].id.as_str());
    let [caller_words, first_words, second_words] =
        ["caller-ru", "agent-ru", "colleague-ru"].map(speech);
    assert_heard("the first agent", &first_words, &client.samples());
    assert_heard("the colleague", &second_words, &client.samples());
    assert_heard("the client", &caller_words, &second.samples());
    let file = call["recording"]["file"].as_str().expect("a recording");
    let (left, right) = recording(&company.daemon.recordings().join(file));
    assert_heard("the client on the left", &caller_words, &left);
    assert_heard("the first agent on the right", &first_words, &right);
    assert_heard("the colleague on the right", &second_words, &right);
    assert_not_heard("the client on the right", &caller_words, &right);
}

/// The colleague's baresip takes the question and has the client a moment later, in the same dialog.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_hears_the_colleague_who_was_asked_and_the_question_is_not_recorded(
    #[values(1, 2)] media_threads: usize,
) {
    let company = Company::found(2, &with_threads(media_threads)).await;
    let (user, secret) = company.agents[1].devices[0].clone();
    let mut colleague = Baresip::start(
        company.daemon.sip(),
        (&user, &secret),
        &speech("colleague-ru"),
        AnswerMode::Auto,
    );
    let [client, first, question] = [
        (2, 30_000, "caller-ru"),
        (20, 10_002, "agent-ru"),
        (20, 10_004, "stranger-ru"),
    ]
    .map(|(host, port, words)| {
        let local = company.daemon.address(host, port);
        Voice::open(local, Law::A, speech(words))
    });
    let asker = company.phone(0, 0);
    let manner = Manner {
        asks: Duration::from_secs(4),
        waits: true,
        by_question: false,
        at_once: false,
        confers: None,
    };
    let after = Duration::from_secs(5);
    answers(&asker, Talking::Consult { after, manner });
    asker.with(|phone, _| phone.colleagues.push_back("102".to_owned()));
    let events = company.events(1).await;
    let caller = company.call(CLIENT, Intent::patient());
    speak(&caller, &asker, (&client, &first));
    colleague.wait_for("CALL_ESTABLISHED");
    asker.wait("the colleague answers", |phone| {
        phone.questions[0].talk.is_some()
    });
    let remote = asker.with(|phone, _| phone.questions[0].talk.as_ref()?.remote_media);
    question.speak_to(remote);
    let (_, card) = events
        .frame("call.offered", |frame| {
            frame["attempt"] == 1 && frame["caller"]["number"] == CLIENT
        })
        .await;
    assert_eq!(card["why"]["rule"], "transferred", "{card:#}");
    assert_eq!(card["why"]["colleague"]["name"], "Agent 0");
    events.frame("call.transferred", |_| true).await;
    client.wait_for(250, 250);
    asker.wait("both conversations are over", |phone| {
        phone.questions[0].over && phone.calls[0].over
    });
    let told = asker.with(|phone, _| phone.told.clone());
    assert_eq!(told, ["202", "notify 100", "notify 200"]);
    caller.leave();
    colleague.wait_for("CALL_CLOSED");
    let at_client = client.close().samples();
    drop((first, question));
    let call = company.ended_call(CLIENT).await;
    assert_eq!(call["agent"], company.agents[1].id.as_str());
    let [caller_words, first_words, second_words, asked_words] =
        ["caller-ru", "agent-ru", "colleague-ru", "stranger-ru"].map(speech);
    assert_heard("the first agent", &first_words, &at_client);
    assert_heard("the colleague", &second_words, &at_client);
    assert_not_heard("the question", &asked_words, &at_client);
    let at_colleague = colleague.heard();
    assert_heard("the question", &asked_words, &at_colleague);
    assert_heard("the client", &caller_words, &at_colleague);
    let file = call["recording"]["file"].as_str().expect("a recording");
    let (left, right) = recording(&company.daemon.recordings().join(file));
    assert_heard("the client on the left", &caller_words, &left);
    assert_heard("the first agent on the right", &first_words, &right);
    assert_heard("the colleague on the right", &second_words, &right);
    assert_not_heard("the question", &asked_words, &right);
    assert_not_heard("the client on the right", &caller_words, &right);
    for (language, words) in [("en", "transferred by Agent 0"), ("ru", "перевёл Agent 0")] {
        let told = company
            .daemon
            .run(&["trace", CLIENT, "--language", language]);
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(text.contains(words), "no \"{words}\" in\n{text}");
    }
}

/// The database is a server's, so that the limit concerns recordings alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_both_hear_each_other_and_the_gap_is_marked_and_counted() {
    let options = Options {
        store: Some(postgres().database()),
        most_file_bytes: Some(32 * 1024),
        ..Options::default()
    };
    let company = Company::found(1, &options).await;
    let phone = company.phone(0, 0);
    answers(&phone, Talking::Stay);
    let (client, agent) = voices(&company, Law::A);
    let (client_words, agent_words) = (speech("caller-ru"), speech("agent-ru"));
    let caller = company.call(CLIENT, Intent::patient());
    speak(&caller, &phone, (&client, &agent));
    // Four seconds are twice what the disk takes.
    client.wait_for(200, 150);
    caller.leave();
    let (at_client, at_agent) = (client.close().samples(), agent.close().samples());
    assert_continuous("the agent", &agent_words, &at_client);
    assert_continuous("the client", &client_words, &at_agent);

    let call = company.ended_call(CLIENT).await;
    assert_eq!(call["cause"], "hung_up", "{call:#}");
    let recording = &call["recording"];
    assert_eq!(recording["bytes"], 32 * 1024, "{recording:#}");
    let error = recording["error"].as_str().unwrap_or_default();
    assert!(error.contains("cannot be written"), "{recording:#}");
    let gaps = recording["gaps"].as_array().expect("gaps are marked");
    assert_eq!(gaps.len(), 1, "{recording:#}");
    assert_eq!(recording["gaps_ms"], gaps[0]["length_ms"], "{recording:#}");
    assert!(recording["gaps_ms"].as_u64() > Some(1_000), "{recording:#}");
    assert_eq!(gaps[0]["reason"], "disk_full");
    company
        .daemon
        .wait_for_log("a recording cannot be written: the call goes on");
    let metrics = company.metrics().await;
    assert!(
        metrics["ringbook_recording_parts_failed_total"] > 0,
        "{metrics:?}"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_recording_is_silent_in_its_place_and_says_who_paused(
    #[values(1, 2)] media_threads: usize,
) {
    let company = Company::found(1, &with_threads(media_threads)).await;
    let phone = company.phone(0, 0);
    answers(&phone, Talking::Stay);
    let (client, agent) = voices(&company, Law::A);
    let events = company.events(0).await;
    let anna = company.log_in(0).await;
    let caller = company.call(CLIENT, Intent::patient());
    speak(&caller, &phone, (&client, &agent));
    client.wait_for(150, 100);
    let (_, started) = events.frame("conversation.started", |_| true).await;
    let call = started["call"].as_str().expect("an id");
    let order = async |what: &str| {
        let path = format!("calls/{call}/recording/{what}");
        assert_eq!(anna.ask("POST", &path, None).await.0, 204);
    };
    order("pause").await;
    order("pause").await;
    let (_, paused) = events.frame("recording.paused", |_| true).await;
    let running = anna.get(&format!("calls/{call}")).await;
    assert_eq!(
        running["recording"]["pauses"][0]["length_ms"],
        serde_json::Value::Null
    );
    client.press(5);
    client.wait_for(100, 100);
    order("resume").await;
    let (_, resumed) = events.frame("recording.resumed", |_| true).await;
    client.wait_for(150, 100);
    caller.leave();
    let (client, agent) = (client.close(), agent.close());
    let ended = company.ended_call(CLIENT).await;
    let pause = &ended["recording"]["pauses"][0];
    assert_eq!(
        (&pause["at_ms"], &pause["length_ms"], &pause["paused_by"]),
        (&paused["at_ms"], &resumed["length_ms"], &paused["by"])
    );
    assert_eq!(pause["resumed_by"].as_str(), Some(anna.user.as_str()));
    assert_heard(
        "the agent all the time",
        &speech("agent-ru"),
        &client.samples(),
    );
    let file = ended["recording"]["file"].as_str().expect("a file");
    let (left, right) = recording(&company.daemon.recordings().join(file));
    let spoken = spoken_ms(&client, &agent);
    let length = i64::try_from(left.len() / 8).unwrap();
    assert!(
        (length - spoken).abs() <= 40,
        "the recording has {length} ms, spoken were {spoken} ms"
    );
    let sample = |ms: u64| usize::try_from(ms * 8).unwrap();
    let (at, long) = (
        pause["at_ms"].as_u64().unwrap(),
        pause["length_ms"].as_u64().unwrap(),
    );
    assert!(long >= 2_000, "{pause:#}");
    for channel in [&left, &right] {
        let loud = |samples: &[i16]| samples.iter().any(|sample| sample.unsigned_abs() > 500);
        let (from, to) = (sample(at), sample(at + long));
        assert!(loud(&channel[..from - 800]), "before");
        assert!(!loud(&channel[from + 800..to - 800]), "during");
        assert!(loud(&channel[to + 800..]), "after");
    }
    let told = company.daemon.run(&["trace", CLIENT, "--language", "ru"]);
    let told = String::from_utf8_lossy(&told.stdout);
    assert!(told.contains("Запись приостановлена: Agent 0"), "{told}");
}
