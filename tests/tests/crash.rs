//! kill -9 at random moments of running calls: nothing that was acknowledged is missing or doubled, every call ends
//! once, every recording can be played, nobody is stuck.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{
    audio::{Law, recording},
    company::{Agent, Company},
    daemon::Options,
    events::Events,
    live::Live,
    rest::Rest,
    sim::{Answering, Caller, Intent, Outcome, Talking, chance::Chance, phone::Phone},
    voice::Voice,
};

const MOMENTS: u64 = 20;
/// With a telephone each, and as many callers in every round.
const AGENTS: usize = 3;
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

/// One caller of a round, with a voice.
struct Guest {
    number: String,
    voice: Voice,
    caller: Live<Caller>,
}

impl Guest {
    /// Dials from an address of this place in the round.
    fn dial(company: &Company, round: u64, place: usize) -> Self {
        let number = format!("+7916{place:03}{round:04}");
        // Never the addresses of the round before.
        let host = 2 + (usize::try_from(round).unwrap() * AGENTS + place) % 7;
        let host = u8::try_from(host).unwrap();
        let voice = Voice::open(company.daemon.address(host, 30_000), Law::A, hum());
        let caller = company.call_from(host, &number, Intent::patient());
        Self {
            number,
            voice,
            caller,
        }
    }

    /// Speaks as soon as somebody has answered.
    fn speak(&self) {
        let answered = |caller: &mut Caller, _| caller.talk.as_ref()?.remote_media;
        self.voice.speak_to(self.caller.with(answered));
    }

    /// Whether a telephone has rung, and whether somebody has answered.
    fn so_far(&self) -> (bool, bool) {
        self.caller
            .with(|caller, _| (caller.provisional.contains(&180), caller.talk.is_some()))
    }

    /// What the caller who had come so far learns of the crash.
    fn is_told(&self, so_far: (bool, bool), round: u64) {
        match so_far {
            (_, true) => assert_eq!(
                self.caller.wait_for_end(),
                Outcome::Ended,
                "round {round}: a conversation gets BYE"
            ),
            (true, false) => {
                let outcome = self.caller.wait_for_end();
                let crossed = matches!(outcome, Outcome::Refused(503) | Outcome::Ended);
                assert!(crossed, "round {round}: {outcome:?}");
            }
            (false, false) => {}
        }
    }
}

/// One agent: a telephone, and a client whose connection comes back after each crash.
struct Seat {
    phone: Live<Phone>,
    rest: Rest,
    events: Option<Events>,
    acknowledged: Acknowledged,
}

impl Seat {
    async fn take(company: &Company, agent: usize) -> Self {
        let Agent {
            login, password, ..
        } = &company.agents[agent];
        let mut seat = Self {
            phone: company.phone(agent, 0),
            rest: Rest::log_in(&company.daemon.http(), login, password).await,
            events: None,
            acknowledged: Acknowledged::default(),
        };
        seat.connect().await;
        seat
    }

    async fn connect(&mut self) {
        let cursor = self.acknowledged.cursor.as_deref();
        self.events = Some(Events::open(&self.rest, cursor).await);
    }

    /// The process is gone: what came until then is what was acknowledged.
    fn disconnect(&mut self) {
        if let Some(events) = self.events.take() {
            self.acknowledged.take(&events);
        }
    }

    /// What the telephone does next. What an earlier call did not reach it for is not to be done in this one.
    fn will(&self, answering: Answering) {
        self.phone
            .with(|phone, _| phone.script = [answering].into());
    }

    /// Waits for the end of a call, unless it was acknowledged in an earlier connection.
    async fn knows_the_end(&self, call: &Value) {
        let wanted = |frame: &Value| frame["call"] == call["id"];
        let before = |frame: &Value| frame["type"] == "call.ended" && wanted(frame);
        let events = self.events.as_ref().expect("the client is connected");
        if !self.acknowledged.frames.iter().any(before) {
            events.frame("call.ended", wanted).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled_by_kill_9_at_20_random_moments() {
    let seed = seed();
    println!("moments of RINGBOOK_SEED={seed}");
    let mut chance = Chance::new(seed);
    let mut company = Company::found(AGENTS, &Options::default()).await;
    let mut seats = Vec::new();
    for agent in 0..AGENTS {
        seats.push(Seat::take(&company, agent).await);
    }
    let mut spoken = BTreeMap::new();
    let mut persons = Vec::new();
    for round in 0..MOMENTS {
        for seat in &seats {
            seat.will(Answering::Answer {
                after: chance.millis(50, 600),
                then: Talking::Stay,
            });
        }
        let begun = Instant::now();
        let dials: Vec<Duration> = (0..AGENTS).map(|_| chance.millis(0, 400)).collect();
        // The moment is the fault that this test is about.
        let moment = begun + chance.millis(0, 3_000);
        let mut guests: Vec<Guest> = Vec::new();
        while Instant::now() < moment {
            if dials
                .get(guests.len())
                .is_some_and(|at| begun.elapsed() >= *at)
            {
                guests.push(Guest::dial(&company, round, guests.len()));
            }
            guests.iter().for_each(Guest::speak);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Acknowledged at the last moment.
        let person = format!("Client {round}");
        let number = format!("+7916000{round:04}");
        persons.push(company.person(&person, &number, None).await);
        company.daemon.kill();
        seats.iter_mut().for_each(Seat::disconnect);
        let so_far: Vec<_> = guests.iter().map(Guest::so_far).collect();
        company.daemon.begin();
        for (guest, so_far) in guests.into_iter().zip(so_far) {
            guest.is_told(so_far, round);
            if let Some((first, _)) = guest.voice.close().spoke {
                spoken.insert(guest.number, moment.saturating_duration_since(first));
            }
        }
        for seat in &seats {
            seat.phone.wait("the telephone is free", |phone| {
                phone.calls.iter().all(|call| call.over)
            });
        }
        let all_ended = |calls: &Value| {
            calls["items"]
                .as_array()
                .is_some_and(|calls| calls.iter().all(is_over))
        };
        company
            .rest
            .until("calls?limit=200", "every call ends", all_ended)
            .await;
        // What recovery says goes out at the first attempt.
        let failures = company.metrics().await["ringbook_sip_send_failures_total"];
        assert_eq!(failures, 0, "round {round}");
        for seat in &mut seats {
            seat.connect().await;
        }
    }
    let calls = company.rest.get("calls?limit=200").await;
    let calls = calls["items"].as_array().unwrap();
    for call in calls {
        let agents = company.agents.iter().zip(&seats);
        let offered = agents.filter(|(agent, _)| call["agent"] == agent.id.as_str());
        for (_, seat) in offered {
            seat.knows_the_end(call).await;
        }
    }
    for seat in &mut seats {
        seat.disconnect();
        each_frame_once(&seat.acknowledged.frames);
        for frame in &seat.acknowledged.frames {
            let known = |call: &Value| call["id"] == frame["call"];
            assert!(calls.iter().any(known), "acknowledged and lost: {frame:#}");
        }
    }
    for call in calls {
        check(&company, call);
    }
    for person in persons {
        company.rest.get(&format!("persons/{person}")).await;
    }
    let conversations = spoken.len();
    println!("{} calls, {conversations} conversations", calls.len());
    assert!(
        conversations > 20,
        "{conversations} conversations prove little"
    );
    for (number, spoken) in spoken {
        let of_number = calls.iter().filter(|call| call["from"] == number.as_str());
        let kept = of_number.map(|call| hummed(&company, call)).max();
        assert!(
            kept.is_some_and(|kept| kept + LAST_SECOND >= spoken),
            "{number} spoke for {spoken:?}, kept is {kept:?}"
        );
    }
    assert!(
        calls.len() <= usize::try_from(MOMENTS).unwrap() * AGENTS * 2,
        "a call that begins anew after the crash is one more, not many"
    );
    the_agents_are_free(&company, &seats).await;
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

/// After all that, every agent takes one more call.
async fn the_agents_are_free(company: &Company, seats: &[Seat]) {
    for seat in seats {
        seat.will(Answering::Answer {
            after: Duration::from_millis(100),
            then: Talking::Stay,
        });
    }
    let number = |place: usize| format!("+7916999000{place}");
    let callers: Vec<_> = (0..AGENTS)
        .map(|place| {
            let host = u8::try_from(6 + place).unwrap();
            company.call_from(host, &number(place), Intent::patient())
        })
        .collect();
    callers.iter().for_each(Live::wait_for_answer);
    let mut agents = BTreeSet::new();
    for (place, caller) in callers.iter().enumerate() {
        caller.leave();
        assert_eq!(caller.wait_for_end(), Outcome::HungUp);
        let call = company.ended_call(&number(place)).await;
        agents.insert(call["agent"].as_str().unwrap().to_owned());
    }
    assert_eq!(agents.len(), AGENTS, "each agent takes one");
}
