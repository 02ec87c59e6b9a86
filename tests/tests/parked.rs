//! Parked clients and the echo test as sound, and parking through the API. Measures sound: alone and one after the other.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};
use tests::{
    asking::answers_after,
    audio::{
        Law, assert_continuous, assert_heard, assert_in_order, find, recording, samples, speech,
    },
    baresip::{AnswerMode, Baresip},
    company::Company,
    daemon::Options,
    live::remote_media,
    sim::{Intent, Outcome, Talking},
    voice::{Packet, Voice},
};

const CLIENT: &str = "+79161234567";

fn with_threads(media_threads: usize) -> Options {
    Options {
        media_threads,
        ..Options::default()
    }
}

fn voice(company: &Company, host: u8, words: &str) -> Voice {
    let local = company.daemon.address(host, 30_000);
    Voice::open(local, Law::A, speech(words))
}

/// Asserts that these packets, but for the moment in which it rises, are our music, frame after frame.
#[track_caller]
fn assert_music(packets: &[&Packet]) {
    assert!(packets.len() > 50, "{} packets", packets.len());
    let whole = media::music::music();
    let mut frames = whole.samples().chunks(160);
    let is_code_of = |(&code, &sample): (&u8, &i16)| {
        let off = Law::A.decode(code).abs_diff(sample);
        off <= 8 + sample.unsigned_abs() / 32
    };
    for packet in packets {
        assert!(
            frames.any(|frame| packet.payload.iter().zip(frame).all(is_code_of)),
            "the parked client hears music in order"
        );
    }
}

/// The longest silence in a channel, in milliseconds.
fn longest_silence_ms(channel: &[i16]) -> usize {
    let silent = |samples: &&[i16]| samples.len();
    let runs = channel.split(|sample| sample.unsigned_abs() > 16);
    runs.map(|run| silent(&run)).max().unwrap_or(0) / 8
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baresip_parks_and_hears_the_place_the_client_hears_music_and_then_the_colleague(
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
    let client = voice(&company, 2, "caller-ru");
    let events = company.events(0).await;
    let caller = company.call(CLIENT, Intent::patient());
    desk.wait_for("CALL_ESTABLISHED");
    client.speak_to(remote_media(&caller));
    client.wait_for(250, 250);
    desk.transfer(&format!("sip:*5@{}", company.daemon.sip()));
    let (parked_at, parked) = events.frame("call.parked", |_| true).await;
    assert_eq!(parked["place"], 1, "{parked:#}");
    assert_eq!(parked["by"], company.agents[0].id.as_str(), "{parked:#}");
    desk.wait_for("CALL_CLOSED");
    let call = company.rest.get("calls").await["items"][0].clone();
    assert_eq!(call["parked"]["place"], 1, "{call:#}");
    client.wait_for(200, 200);

    let second = voice(&company, 40, "colleague-ru");
    let asked_at = Instant::now();
    let picker = company.dial(1, 40, "*51", Intent::patient());
    second.speak_to(remote_media(&picker));
    events.frame("call.transferred", |_| true).await;
    second.wait_for(300, 250);
    caller.leave();
    assert_eq!(picker.wait_for_end(), Outcome::Ended);
    let (client, second) = (client.close(), second.close());
    let call = company.ended_call(CLIENT).await;
    assert_eq!(call["agent"], company.agents[1].id.as_str());
    assert_eq!(call["parked"], Value::Null);

    let [caller_words, first_words, second_words] =
        ["caller-ru", "agent-ru", "colleague-ru"].map(speech);
    let risen = parked_at + Duration::from_millis(500);
    let music: Vec<&Packet> = (client.packets.iter())
        .filter(|packet| packet.at > risen && packet.at < asked_at)
        .collect();
    assert_music(&music);
    assert_heard("the first agent", &first_words, &client.samples());
    assert_heard("the colleague", &second_words, &client.samples());
    assert_heard("the client", &caller_words, &second.samples());
    assert_in_order(&["parked-place", "number-1"], &desk.heard());
    let file = call["recording"]["file"].as_str().expect("a recording");
    let (left, right) = recording(&company.daemon.recordings().join(file));
    assert_heard("the client on the left", &caller_words, &left);
    assert_continuous("the client on the left", &caller_words, &left);
    assert_heard("the first agent on the right", &first_words, &right);
    assert_heard("the colleague on the right", &second_words, &right);
    let silence = longest_silence_ms(&right);
    let parked = usize::try_from((asked_at - parked_at).as_millis()).expect("seconds");
    assert!(
        silence + 200 >= parked,
        "{silence} ms of {parked} ms are silent while the client is parked"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_tries_the_telephone_hears_what_it_is_and_then_the_own_words(
    #[values(1, 2)] media_threads: usize,
) {
    let company = Company::found(1, &with_threads(media_threads)).await;
    let own = voice(&company, 40, "agent-ru");
    let tester = company.dial(0, 40, "*43", Intent::patient());
    own.speak_to(remote_media(&tester));
    own.wait_for(500, 450);
    tester.leave();
    assert_eq!(tester.wait_for_end(), Outcome::HungUp);
    let heard = own.close().samples();
    let prompts = tests::package().join("../config/prompts");
    // The test's company speaks English where no line says otherwise.
    let prompt = samples(&prompts.join("en/echo-test.wav"));
    let prompt: Vec<i16> = prompt.into_iter().map(|frame| frame[0]).collect();
    let (at, likeness) = find(&prompt[..4_000], &heard);
    assert!(likeness > 0.8, "the prompt: {likeness}");
    let after = &heard[at + prompt.len()..];
    let words = speech("agent-ru");
    assert_heard("the own words", &words, after);
    assert_continuous("the own words", &words, after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parked_by_an_order_anybody_takes_the_client_and_sees_them_only_then() {
    let company = Company::found(2, &Options::default()).await;
    company.person("Ivan Petrov", CLIENT, Some(0)).await;
    let phones = [company.phone(0, 0), company.phone(1, 0)];
    for phone in &phones {
        phone.with(|phone, _| phone.script = [answers_after(0, Talking::Stay)].into());
    }
    let caller = company.call(CLIENT, Intent::patient());
    caller.wait_for_answer();
    let [first, second] = [company.log_in(0).await, company.log_in(1).await];
    let events = company.events(1).await;
    let call = first.get("calls").await["items"][0].clone();
    let of_call = |act: &str| format!("calls/{}/{act}", call["id"].as_str().expect("an id"));
    let (park, retrieve) = (of_call("park"), of_call("retrieve"));
    assert_eq!(second.ask("POST", &park, None).await.0, 404, "a stranger");
    assert_eq!(second.ask("POST", &retrieve, None).await.0, 404);
    assert_eq!(first.ask("POST", &retrieve, None).await.0, 409);
    assert_eq!(first.ask("POST", &park, None).await.0, 204);
    phones[0].wait("it is free", |phone| phone.calls.iter().all(|it| it.over));
    assert_eq!(
        first.ask("POST", &park, None).await.0,
        403,
        "out of the call"
    );
    let places = second.get("parked").await;
    let expected = json!([call["id"], 1, company.agents[0].id]);
    let place = &places["items"][0];
    assert_eq!(
        json!([place["call"], place["place"], place["by"]]),
        expected
    );
    let (status, _) = second.ask("GET", &of_call("route"), None).await;
    assert_eq!(status, 404, "whose client it is, is not for everybody");

    assert_eq!(second.ask("POST", &retrieve, None).await.0, 204);
    let (_, card) = events.frame("call.offered", |_| true).await;
    assert_eq!(card["why"]["rule"], "retrieved", "{card:#}");
    assert_eq!(card["why"]["colleague"]["name"], "Agent 0", "{card:#}");
    events.frame("call.transferred", |_| true).await;
    assert_eq!(second.get("parked").await["items"], json!([]));
    caller.leave();
    assert_eq!(caller.wait_for_end(), Outcome::HungUp);
    let call = company.ended_call(CLIENT).await;
    assert_eq!(call["agent"], company.agents[1].id.as_str());
    assert_eq!(first.ask("POST", &park, None).await.0, 409, "it is over");
    let route = company.route(&call).await;
    assert_eq!(route["parkings"][0]["place"], 1, "{route:#}");
    for (language, words) in [
        (
            "en",
            [
                "parked in place 1 by Agent 0",
                "took the client whom Agent 0 had parked",
            ],
        ),
        (
            "ru",
            ["место 1, оставил(а) Agent 0", "снял(а) с парковки клиента"],
        ),
    ] {
        let told = company
            .daemon
            .run(&["trace", CLIENT, "--language", language]);
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(words.iter().all(|it| text.contains(it)), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_who_hangs_up_in_the_place_is_owed_nothing() {
    let company = Company::found(1, &Options::default()).await;
    let phone = company.phone(0, 0);
    phone.with(|phone, _| phone.script = [answers_after(0, Talking::Stay)].into());
    let caller = company.call(CLIENT, Intent::patient());
    caller.wait_for_answer();
    let agent = company.log_in(0).await;
    let call = agent.get("calls").await["items"][0].clone();
    let park = format!("calls/{}/park", call["id"].as_str().expect("an id"));
    assert_eq!(agent.ask("POST", &park, None).await.0, 204);
    caller.leave();
    assert_eq!(caller.wait_for_end(), Outcome::HungUp);
    let call = company.ended_call(CLIENT).await;
    assert_eq!(
        json!([call["cause"], call["ended_by"], call["missed"]]),
        json!(["left_while_parked", "client", false])
    );
    assert_eq!(company.rest.get("obligations").await["items"], json!([]));
    assert_eq!(company.rest.get("parked").await["items"], json!([]));
}
