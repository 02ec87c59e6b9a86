//! A conference as sound: who hears whom, and what the recording has left and right. Each party speaks a tone of its own.
//! Runs alone and one test after the other, since it measures time.

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use tests::{
    asking::{PLAIN, answers_after},
    audio::{Law, recording},
    baresip::{AnswerMode, Baresip},
    company::Company,
    daemon::Options,
    live::Live,
    sim::{Caller, Intent, Talking, consulting::Manner, phone::Phone},
    tones::{heard, tone},
    voice::Voice,
};

const NUMBER: &str = "+79161234567";
/// What client, agent and colleague speak, and the agent on a second leg.
const CLIENT: u32 = 450;
const AGENT: u32 = 750;
const COLLEAGUE: u32 = 1_150;
const ASKING: u32 = 1_650;
const ALL: [u32; 4] = [CLIENT, AGENT, COLLEAGUE, ASKING];

/// The colleague's telephone, which takes every call at once.
fn colleague(company: &Company) -> Baresip {
    let (user, secret) = company.agents[1].devices[0].clone();
    let account = (user.as_str(), secret.as_str());
    let words = tone(COLLEAGUE);
    Baresip::start(company.daemon.sip(), account, &words, AnswerMode::Auto)
}

fn voice(company: &Company, (host, port): (u8, u16), law: Law, hertz: u32) -> Voice {
    Voice::open(company.daemon.address(host, port), law, tone(hertz))
}

/// Client and agent talk.
fn talk(company: &Company, phone: &Live<Phone>, client: &Voice, agent: &Voice) -> Live<Caller> {
    let caller = company.call(NUMBER, Intent::patient());
    phone.wait("the telephone answers", |phone| {
        phone.calls.iter().any(|call| call.answered)
    });
    agent.speak_to(phone.with(|phone, _| phone.calls[0].invite.media()));
    caller.wait_for_answer();
    client
        .speak_to(caller.with(|caller, _| caller.talk.as_ref().and_then(|talk| talk.remote_media)));
    client.wait_for(60, 60);
    caller
}

fn file(company: &Company, call: &Value) -> (Vec<i16>, Vec<i16>) {
    let file = call["recording"]["file"].as_str().expect("a recording");
    recording(&company.daemon.recordings().join(file))
}

#[rstest]
#[case::one_thread(1, Law::A)]
#[case::two_threads(2, Law::A)]
#[case::two_laws(2, Law::Mu)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_three_hear_one_another_until_the_agent_leaves(
    #[case] media_threads: usize,
    #[case] law: Law,
) {
    let options = Options {
        media_threads,
        ..Options::default()
    };
    let company = Company::found(2, &options).await;
    let phone = company.phone(0, 0);
    phone.with(|phone, _| {
        phone.mu_law_only = law == Law::Mu;
        phone.script.push_back(answers_after(0, Talking::Stay));
    });
    let mut second = colleague(&company);
    let client = voice(&company, (2, 30_000), Law::A, CLIENT);
    let agent = voice(&company, (20, 10_002), law, AGENT);
    let events = company.events(1).await;
    let anna = company.log_in(0).await;
    let caller = talk(&company, &phone, &client, &agent);
    let live = |calls: &Value| calls["items"][0]["started_at"].is_string();
    let calls = company.rest.until("calls", "they talk", live).await;
    let call = calls["items"][0]["id"].as_str().expect("an id").to_owned();
    let to = json!({"to": "102"});
    let [invite, hang_up] = ["conference", "hang-up"].map(|act| format!("calls/{call}/{act}"));
    assert_eq!(anna.ask("POST", &invite, Some(&to)).await.0, 204);
    second.wait_for("CALL_ESTABLISHED");
    events.frame("conference.joined", |_| true).await;
    client.wait_for(125, 100);
    assert_eq!(anna.ask("POST", &hang_up, None).await.0, 204);
    events.frame("conference.left", |_| true).await;
    client.wait_for(75, 60);
    caller.leave();
    second.wait_for("CALL_CLOSED");
    let (client, agent) = (client.close().samples(), agent.close().samples());
    let ended = company.ended_call(NUMBER).await;
    let [one, two] = [AGENT, COLLEAGUE];
    assert_eq!(
        heard(&client, &ALL),
        [vec![one], vec![one, two], vec![two]],
        "the client"
    );
    assert_eq!(
        heard(&agent, &ALL),
        [vec![CLIENT], vec![CLIENT, two]],
        "the agent"
    );
    assert_eq!(
        heard(&second.heard(), &ALL),
        [vec![CLIENT, one], vec![CLIENT]],
        "the colleague"
    );
    let (left, right) = file(&company, &ended);
    assert_eq!(heard(&left, &ALL), [[CLIENT]], "left");
    assert_eq!(
        heard(&right, &ALL),
        [vec![one], vec![one, two], vec![two]],
        "right"
    );
    assert_eq!(ended["recording"]["gaps_ms"], 0);
    assert_eq!(ended["agent"], company.agents[1].id.as_str());
    for (language, words) in [
        ("en", "brought into the conversation by Agent 0"),
        ("ru", "позвал в разговор Agent 0"),
    ] {
        let told = company
            .daemon
            .run(&["trace", NUMBER, "--language", language]);
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(text.contains(words), "no \"{words}\" in\n{text}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_is_brought_into_the_question_by_keys_and_the_colleague_leaves(
    #[values(1, 2)] media_threads: usize,
) {
    let options = Options {
        media_threads,
        ..Options::default()
    };
    let company = Company::found(2, &options).await;
    let asker = company.phone(0, 0);
    let manner = Manner {
        asks: Duration::from_secs(1_000),
        ..PLAIN
    };
    let after = Duration::from_secs(3);
    asker.with(|phone, _| {
        let then = Talking::Consult { after, manner };
        phone.script.push_back(answers_after(0, then));
        phone.colleagues.push_back("102".to_owned());
    });
    let mut second = colleague(&company);
    let client = voice(&company, (2, 30_000), Law::A, CLIENT);
    let first = voice(&company, (20, 10_002), Law::A, AGENT);
    let question = voice(&company, (20, 10_004), Law::A, ASKING);
    let events = company.events(1).await;
    let caller = talk(&company, &asker, &client, &first);
    second.wait_for("CALL_ESTABLISHED");
    asker.wait("the colleague answers", |phone| {
        phone.questions[0].talk.is_some()
    });
    first.speak_to(None);
    let ours = asker.with(|phone, _| phone.questions[0].talk.as_ref()?.remote_media);
    question.speak_to(ours);
    question.wait_for(60, 40);
    for key in [10, 3] {
        question.press(key);
        question.wait_for(20, 0);
    }
    let (_, card) = events
        .frame("call.offered", |frame| frame["why"]["rule"] == "conference")
        .await;
    assert_eq!(card["caller"]["number"], NUMBER, "{card:#}");
    let (joined_at, _) = events.frame("conference.joined", |_| true).await;
    asker.wait("the leg that held is over", |phone| phone.calls[0].over);
    client.wait_for(75, 60);
    question.press(5);
    client.wait_for(75, 60);
    second.order("hangup");
    events.frame("conference.left", |_| true).await;
    client.wait_for(75, 60);
    caller.leave();
    asker.wait("the question is over", |phone| phone.questions[0].over);
    let (client, question) = (client.close(), question.close());
    let ended = company.ended_call(NUMBER).await;
    assert_eq!(ended["agent"], company.agents[0].id.as_str());
    let [one, two] = [ASKING, COLLEAGUE];
    let [both, alone] = [vec![two, one], vec![one]];
    assert_eq!(
        heard(&client.samples(), &ALL),
        [vec![AGENT], both.clone(), alone.clone()],
        "the client"
    );
    assert_eq!(
        heard(&question.samples(), &ALL),
        [vec![two], vec![CLIENT, two], vec![CLIENT]],
        "the agent"
    );
    assert_eq!(
        heard(&second.heard(), &ALL),
        [vec![one], vec![CLIENT, one]],
        "the colleague"
    );
    let in_conference = client.packets.iter().filter(|it| it.at > joined_at);
    let kinds: Vec<u8> = in_conference.map(|packet| packet.payload_type).collect();
    assert!(kinds.iter().all(|kind| *kind == 8), "no key is passed on");
    let (left, right) = file(&company, &ended);
    assert_eq!(heard(&left, &ALL), [[CLIENT]], "left");
    assert_eq!(
        heard(&right, &ALL),
        [vec![AGENT], both, alone],
        "right, and nothing of the question"
    );
}
