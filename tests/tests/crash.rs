//! kill -9 at random moments of running calls: nothing that was acknowledged is missing or doubled, every call ends
//! once, every recording can be played, nobody is stuck.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{
    audio::{Law, recording},
    company::Company,
    daemon::Options,
    events::Events,
    live::Live,
    rest::Rest,
    sim::{Answering, Intent, Outcome, Talking, chance::Chance, phone::Phone},
    voice::Voice,
};

const MOMENTS: u64 = 20;
/// What a crash may cost of a recording.
const LAST_SECOND: Duration = Duration::from_secs(1);

fn seed() -> u64 {
    let given = std::env::var("RINGBOOK_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| u64::from(std::process::id()))
}

/// Everything the agent's client has acknowledged so far, over all its connections.
#[derive(Default)]
struct Acknowledged {
    frames: Vec<Value>,
    cursor: Option<String>,
}

impl Acknowledged {
    fn take(&mut self, events: &Events) {
        let resync = |frame: &Value| frame["type"] == "resync";
        assert!(
            !events.frames().iter().any(resync),
            "the journal is the same"
        );
        let with_cursor = |frame: &Value| frame["cursor"].is_string() && frame["call"].is_string();
        self.frames
            .extend(events.frames().into_iter().filter(with_cursor));
        self.cursor = events.cursor().or(self.cursor.take());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled_by_kill_9_at_20_random_moments() {
    let seed = seed();
    println!("moments of RINGBOOK_SEED={seed}");
    let mut chance = Chance::new(seed);
    let mut company = Company::found(1, &Options::default()).await;
    let agent = Rest::log_in(
        &company.daemon.http(),
        &company.agents[0].login,
        &company.agents[0].password,
    )
    .await;
    let phone = company.phone(0, 0);
    let mut acknowledged = Acknowledged::default();
    let mut events = Events::open(&agent, None).await;
    let mut numbers = Vec::new();
    let mut spoken = BTreeMap::new();
    let mut persons = Vec::new();
    for round in 0..MOMENTS {
        let answering = Answering::Answer {
            after: chance.millis(50, 600),
            then: Talking::Stay,
        };
        // What an earlier call did not reach the telephone for is not to be done in this one.
        phone.with(|phone, _| phone.script = [answering].into());
        let number = format!("+7916000{round:04}");
        let host = u8::try_from(2 + round % 7).unwrap();
        let voice = Voice::open(company.daemon.address(host, 30_000), Law::A, hum());
        let caller = company.call_from(host, &number, Intent::patient());
        // The moment is the fault that this test is about.
        let moment = Instant::now() + chance.millis(0, 3_000);
        while Instant::now() < moment {
            voice.speak_to(caller.with(|caller, _| caller.talk.as_ref()?.remote_media));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Acknowledged at the last moment.
        persons.push(
            company
                .person(&format!("Client {round}"), &number, None)
                .await,
        );
        company.daemon.kill();
        if let Some((first, _)) = voice.close().spoke {
            spoken.insert(number.clone(), moment.saturating_duration_since(first));
        }
        numbers.push(number);
        acknowledged.take(&events);
        drop(events);
        let (rang, talked) =
            caller.with(|caller, _| (caller.provisional.contains(&180), caller.talk.is_some()));
        company.daemon.begin();
        match (rang, talked) {
            (_, true) => assert_eq!(
                caller.wait_for_end(),
                Outcome::Ended,
                "round {round}: a conversation gets BYE"
            ),
            (true, false) => {
                let outcome = caller.wait_for_end();
                let crossed = matches!(outcome, Outcome::Refused(503) | Outcome::Ended);
                assert!(crossed, "round {round}: {outcome:?}");
            }
            (false, false) => {}
        }
        drop(caller);
        phone.wait("the telephone is free", |phone| {
            phone.calls.iter().all(|call| call.over)
        });
        let all_ended = |calls: &Value| {
            calls["items"]
                .as_array()
                .is_some_and(|calls| calls.iter().all(is_over))
        };
        company
            .rest
            .until("calls?limit=200", "every call ends", all_ended)
            .await;
        events = Events::open(&agent, acknowledged.cursor.as_deref()).await;
    }
    let calls = company.rest.get("calls?limit=200").await;
    let calls = calls["items"].as_array().unwrap();
    for call in calls {
        let id = call["id"].as_str().unwrap();
        let ended = |frame: &Value| frame["call"] == id;
        if !call["agent"].is_null() {
            events_or_before(&acknowledged, &events, ended).await;
        }
    }
    acknowledged.take(&events);
    each_frame_once(&acknowledged.frames);
    for frame in &acknowledged.frames {
        let known = |call: &Value| call["id"] == frame["call"];
        assert!(calls.iter().any(known), "acknowledged and lost: {frame:#}");
    }
    for call in calls {
        check(&company, call);
    }
    for person in persons {
        company.rest.get(&format!("persons/{person}")).await;
    }
    for (number, spoken) in spoken {
        let of_number = calls.iter().filter(|call| call["from"] == number.as_str());
        let kept = of_number.map(|call| hummed(&company, call)).max();
        assert!(
            kept.is_some_and(|kept| kept + LAST_SECOND >= spoken),
            "{number} spoke for {spoken:?}, kept is {kept:?}"
        );
    }
    assert!(
        calls.len() <= numbers.len() * 2,
        "a call that begins anew after the crash is one more, not many"
    );
    the_agent_is_free(&company, &phone).await;
}

/// Two seconds of a tone without a pause.
fn hum() -> Vec<i16> {
    let sample =
        |at: u32| (f64::from(at) * std::f64::consts::TAU * 440.0 / 8_000.0).sin() * 8_000.0;
    #[expect(clippy::cast_possible_truncation, reason = "it stays below 8000")]
    (0..16_000).map(|at| sample(at) as i16).collect()
}

/// Until when the client's hum stands in the recording of a call.
fn hummed(company: &Company, call: &Value) -> Duration {
    let whole = call["recording"]["error"].is_null();
    let Some(file) = call["recording"]["file"].as_str().filter(|_| whole) else {
        return Duration::ZERO;
    };
    let (left, _) = recording(&company.daemon.recordings().join(file));
    let last = left
        .iter()
        .rposition(|sample| sample.unsigned_abs() > 2_000);
    let samples = last.map_or(0, |last| last + 1);
    Duration::from_micros(u64::try_from(samples).unwrap() * 125)
}

fn is_over(call: &Value) -> bool {
    call["ended_at"].is_string()
        && (call["recording"].is_null() || call["recording"]["ready"] == true)
}

async fn events_or_before(
    acknowledged: &Acknowledged,
    events: &Events,
    wanted: impl Fn(&Value) -> bool,
) {
    let before = |frame: &&Value| frame["type"] == "call.ended" && wanted(frame);
    if acknowledged.frames.iter().find(before).is_none() {
        events.frame("call.ended", &wanted).await;
    }
}

fn each_frame_once(frames: &[Value]) {
    let mut ids = BTreeSet::new();
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for frame in frames {
        let id = frame["id"].as_str().unwrap();
        assert!(ids.insert(id), "{id} came twice: {frame:#}");
        if frame["type"] == "call.ended" {
            *ends.entry(frame["call"].as_str().unwrap()).or_default() += 1;
        }
    }
    assert!(ends.values().all(|count| *count == 1), "{ends:?}");
}

fn check(company: &Company, call: &Value) {
    if call["recording"].is_null() {
        return;
    }
    let file = company
        .daemon
        .recordings()
        .join(call["recording"]["file"].as_str().unwrap());
    if call["recording"]["error"].is_string() {
        assert!(
            !file.exists(),
            "there is a file, and it is not whole: {call:#}"
        );
        return;
    }
    let (left, right) = recording(&file);
    assert_eq!(left.len(), right.len());
    let length = i64::try_from(left.len() / 8).unwrap();
    assert_eq!(
        call["recording"]["length_ms"].as_i64(),
        Some(length),
        "{call:#}"
    );
}

/// After all that, one more call goes through.
async fn the_agent_is_free(company: &Company, phone: &Live<Phone>) {
    let then = Talking::HangUp {
        after: Duration::from_millis(200),
    };
    let answering = Answering::Answer {
        after: Duration::from_millis(100),
        then,
    };
    phone.with(|phone, _| phone.script = [answering].into());
    let caller = company.call_from(9, "+79169999999", Intent::patient());
    assert_eq!(caller.wait_for_end(), Outcome::Ended);
    assert_eq!(company.ended_call("+79169999999").await["missed"], false);
}
