//! `make bench`: measures the release build, prints a table and writes `bench.json` beside the build's folder.
//!
//! `RINGBOOK_BENCH_AGENTS`, `_PERSONS`, `_CALLS`, `_RATE`, `_HOLD_MS`, `_BRIDGED` and `_SECONDS` change the size.
//! Ends with 1 if journal, cards or recordings do not equal the calls; targets missed are shown and change nothing.

use std::{
    net::SocketAddr,
    process::ExitCode,
    str::FromStr,
    time::{Duration, Instant},
};

use tests::{
    bench::{
        account,
        exchange::{Telephones, Trunk},
        report::{self, Line, percentile},
        rtp::{Heard, Sound},
        rtpengine::RtpEngine,
        scenery::{QUEUED_LINE, Scenery, UNRECORDED_LINE},
        usage,
        way::Way,
    },
    company::LINE,
    daemon::build_folder,
};

/// Calls before the measured ones, so that caches and allocations are in place.
const WARM_UP: usize = 40;
/// How quickly the bridged calls are set up, per second.
const RAMP: f64 = 20.0;
/// Calls whose delays are measured, and how many of them a second: few enough to leave the machine time to breathe.
const DELAYED: usize = 800;
const DELAYED_RATE: f64 = 40.0;

/// Where callers and agents hear: the agents at the address of their telephones, the only one that may speak for them.
const FAR_ENDS: [(u8, u16); 2] = [(3, 30_000), (5, 30_000)];
/// Calls by each kind of connection, how many a second, and how long they last.
const CARRIED: usize = 200;
const CARRIED_RATE: f64 = 40.0;
const CARRIED_HOLD: Duration = Duration::from_millis(1_000);
/// Callers of a queue, one after the other, as far as its agent has so many clients.
const QUEUED: usize = 100;
/// How long the daemon is watched while nothing happens.
const IDLE: Duration = Duration::from_secs(10);

/// The size of the measurement.
#[derive(Clone, Copy, Debug)]
struct Size {
    agents: usize,
    persons: usize,
    calls: usize,
    rate: f64,
    hold: Duration,
    bridged: usize,
    sound: Duration,
}

impl Size {
    fn from_environment() -> Self {
        fn set<T: FromStr>(name: &str, usual: T) -> T {
            let value = std::env::var(format!("RINGBOOK_BENCH_{name}")).ok();
            value.map_or(usual, |value| {
                let Ok(value) = value.parse() else {
                    panic!("RINGBOOK_BENCH_{name}: \"{value}\" is not a number");
                };
                value
            })
        }
        let size = Self {
            agents: set("AGENTS", 2_000),
            persons: set("PERSONS", 100_000),
            calls: set("CALLS", 3_000),
            rate: set("RATE", 200.0),
            hold: Duration::from_millis(set("HOLD_MS", 5_000)),
            bridged: set("BRIDGED", 200),
            sound: Duration::from_secs(set("SECONDS", 20)),
        };
        assert!(
            size.bridged <= size.agents,
            "every bridged call needs an agent: RINGBOOK_BENCH_BRIDGED is above RINGBOOK_BENCH_AGENTS"
        );
        assert!(
            size.total() <= size.persons,
            "every call has a caller of its own: RINGBOOK_BENCH_PERSONS is too small"
        );
        size
    }

    /// All calls of all measurements.
    fn total(self) -> usize {
        self.bridged + self.recorded() + 3 * CARRIED + self.queued() + 1
    }

    /// How often the agent of the queue becomes free for the next caller.
    fn queued(self) -> usize {
        QUEUED.min(self.persons / self.agents - 1)
    }

    /// Those that are recorded.
    fn recorded(self) -> usize {
        self.bridged + WARM_UP + DELAYED + self.calls
    }
}

/// Everything that runs.
struct Bench {
    size: Size,
    scenery: Scenery,
    daemon: u32,
    /// Where the callers come from, and where they hear.
    callers: [SocketAddr; 2],
    telephones: Telephones,
    trunk: Trunk,
    sound: Sound,
    lines: Vec<Line>,
    notes: Vec<String>,
    wrong: Vec<String>,
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A side that loses more than one packet in a hundred has not done the work that is measured.
fn passed(heard: Heard) -> bool {
    heard.received * 100 >= heard.sent * 99
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn real(count: usize) -> f64 {
    count as f64
}

/// CPU of a process per minute of each of so many calls while they talk.
fn cpu_while(id: u32, size: Size, talk: impl FnOnce() -> Heard) -> (f64, Heard) {
    let before = usage::cpu(id);
    let heard = talk();
    let used = usage::cpu(id).saturating_sub(before);
    let minutes = size.sound.as_secs_f64() / 60.0 * real(size.bridged);
    (milliseconds(used) / minutes, heard)
}

impl Bench {
    async fn prepare(size: Size) -> Self {
        let scenery = Scenery::build(size.agents, size.persons).await;
        let daemon = usage::child_named("ringbook").expect("the daemon is our child");
        let address = |host, port| scenery.daemon.address(host, port);
        let [callers, agents] = FAR_ENDS.map(|(host, port)| address(host, port));
        let switch = scenery.daemon.sip();
        let telephones =
            Telephones::register(address(5, 5060), agents, switch, &scenery.telephones);
        let trunk = Trunk::open(address(2, 5060), callers, switch);
        let sound = Sound::open([callers, agents]);
        Self {
            size,
            daemon,
            callers: [address(2, 5060), callers],
            telephones,
            trunk,
            sound,
            scenery,
            lines: Vec::new(),
            notes: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// Memory, and CPU of calls that are bridged, with rtpengine after us.
    fn bridged(&mut self) {
        let size = self.size;
        let cpu = usage::cpu(self.daemon);
        std::thread::sleep(IDLE);
        let idle = usage::memory_mib(self.daemon);
        let used = usage::cpu(self.daemon).saturating_sub(cpu);
        self.notes.push(format!(
            "before the first call, {} agents with a screen each: {idle:.0} MB, CPU {:.1} ms per second",
            size.agents,
            milliseconds(used) / IDLE.as_secs_f64(),
        ));
        let (recorded, full) = self.conversations("recorded");
        self.mp3();
        self.trunk.line = UNRECORDED_LINE;
        let (bridged, _) = self.conversations("not recorded");
        self.trunk.line = LINE;
        let peer = self.peer().map(|value| ("rtpengine", value));
        let calls = size.bridged;
        for (what, ours, target) in [
            ("bridged G.711", bridged, 0.65),
            ("bridged G.711 and recorded", recorded, 0.75),
        ] {
            let name = format!("CPU per call-minute, {what}, {calls} calls");
            let line = Line::beside(name, "ms", ours, peer.clone(), target);
            self.lines.push(line);
        }
        let (name, fresh) = ("memory idle, freshly started", self.scenery.fresh_mib);
        self.lines.push(Line::alone(name, "MB", fresh, 40.0));
        let each = (full - idle) / real(calls) * 100.0;
        let name = format!("memory per 100 recorded calls, at {calls}");
        self.lines.push(Line::alone(name, "MB", each, 12.0));
    }

    /// So many conversations that talk at the same time: CPU per call-minute, and the memory while they stand.
    fn conversations(&mut self, what: &str) -> (f64, f64) {
        let size = self.size;
        self.trunk.forget();
        self.telephones.take_media();
        self.trunk.dial(size.bridged, RAMP, None, size.persons);
        let (callers, agents) = (self.trunk.remote_media(), self.telephones.take_media());
        let (ours, heard) = cpu_while(self.daemon, size, || {
            self.sound.talk([&callers, &agents], size.sound)
        });
        let full = usage::memory_mib(self.daemon);
        self.note_sound(&format!("ringbook, {what}"), heard);
        if !passed(heard) {
            self.wrong.push(format!(
                "the sound of the bridged calls, {what}, did not come through"
            ));
        }
        self.trunk.hang_up();
        (ours, full)
    }

    /// The MP3 files of the conversations that have just ended, while nothing else happens.
    fn mp3(&mut self) {
        let size = self.size;
        let found = account::mp3_files(&self.scenery, size.bridged);
        let minutes = size.sound.as_secs_f64() / 60.0 * real(found);
        let each = milliseconds(usage::children_cpu(self.daemon)) / minutes;
        let name = format!(
            "CPU per call-minute, MP3 after the call, {found} calls of {:.0} s",
            size.sound.as_secs_f64()
        );
        self.lines.push(Line::alone(name, "ms", each, 55.0));
        if found != size.bridged {
            self.wrong
                .push(format!("{found} MP3 files instead of {}", size.bridged));
        }
    }

    /// Calls by datagrams, TCP and TLS under the same conditions.
    fn carried(&mut self) {
        let [address, media] = self.callers;
        let switch = self.scenery.daemon.sip();
        let by_datagrams = self.burst_over(None);
        let (tcp, tls) = (Way::tcp(switch), Way::tls(self.scenery.daemon.sip_tls()));
        for (what, way) in [("TCP", tcp), ("TLS", tls)] {
            let trunk = Trunk::over(way, address, media, switch);
            let each = self.burst_over(Some(trunk));
            let name = format!("CPU per call over {what}, {CARRIED} calls at {CARRIED_RATE}/s");
            let beside = Some(("our UDP", by_datagrams));
            self.lines.push(Line::shown(name, "ms", each, beside));
        }
    }

    /// CPU per call of calls by another trunk, or the usual one.
    fn burst_over(&mut self, other: Option<Trunk>) -> f64 {
        let (daemon, persons) = (self.daemon, self.size.persons);
        let mut other = other;
        let trunk = other.as_mut().unwrap_or(&mut self.trunk);
        let usual = std::mem::replace(&mut trunk.line, UNRECORDED_LINE);
        trunk.forget();
        let before = usage::cpu(daemon);
        trunk.dial(CARRIED, CARRIED_RATE, Some(CARRIED_HOLD), persons);
        let used = usage::cpu(daemon).saturating_sub(before);
        trunk.line = usual;
        let refused = other.into_iter().flat_map(|trunk| trunk.refused);
        self.wrong.extend(refused);
        milliseconds(used) / real(CARRIED)
    }

    /// From the agent who becomes free to the card of whoever waits.
    async fn queue(&mut self) {
        let rounds = self.size.queued();
        self.trunk.forget();
        self.trunk.line = QUEUED_LINE;
        let (agents, telephones) = (self.size.agents, &self.telephones);
        let freed = tokio::task::block_in_place(|| self.trunk.queue(rounds, agents, telephones));
        self.trunk.line = LINE;
        let cards = account::card_ms(&self.scenery, &freed).await;
        for percent in [50, 99] {
            let name =
                format!("queue: agent free to the next caller's card, p{percent} of {rounds}");
            let value = percentile(&cards, percent);
            self.lines.push(Line::shown(name, "ms", value, None));
        }
        if cards.len() != rounds {
            let known = cards.len();
            self.wrong
                .push(format!("queue: cards of {known} of {rounds} callers"));
        }
    }

    fn peer(&mut self) -> Result<f64, String> {
        let size = self.size;
        let ends = FAR_ENDS.map(|(host, port)| self.scenery.daemon.address(host, port));
        let mut engine = RtpEngine::start(self.scenery.daemon.address(10, 0).ip())?;
        let (mut callers, mut agents) = (Vec::new(), Vec::new());
        for number in 0..size.bridged {
            let [caller, agent] = engine.call(&format!("bench-{number}"), ends)?;
            callers.push(caller);
            agents.push(agent);
        }
        let (value, heard) = cpu_while(engine.id(), size, || {
            self.sound.talk([&callers, &agents], size.sound)
        });
        self.note_sound("rtpengine", heard);
        for number in 0..size.bridged {
            engine.delete(&format!("bench-{number}"))?;
        }
        if !passed(heard) {
            return Err(format!(
                "rtpengine let only {} of {} packets through",
                heard.received, heard.sent
            ));
        }
        Ok(value)
    }

    fn note_sound(&mut self, who: &str, heard: Heard) {
        self.notes.push(format!(
            "sound through {who}: {} packets sent, {} received, sender late by {:.0} ms at most",
            heard.sent,
            heard.received,
            milliseconds(heard.late)
        ));
    }

    /// The delays before the ring and the card, then CPU per call.
    async fn calls(&mut self) {
        let size = self.size;
        let mut done = size.bridged;
        self.burst(WARM_UP, DELAYED_RATE, &mut done);
        self.burst(DELAYED, DELAYED_RATE, &mut done);
        self.delays().await;
        let used = self.burst(size.calls, size.rate, &mut done);
        let each = milliseconds(used) / real(size.calls);
        let name = format!(
            "CPU per call, full path, {} agents, {} persons, {}/s",
            size.agents, size.persons, size.rate
        );
        self.lines.insert(0, Line::alone(name, "ms", each, 0.7));
    }

    /// So many calls at such a rate, until the last recording is complete; the daemon's CPU time.
    fn burst(&mut self, calls: usize, rate: f64, done: &mut usize) -> Duration {
        self.trunk.forget();
        let (cpu, begun) = (usage::cpu(self.daemon), Instant::now());
        let (hold, persons) = (Some(self.size.hold), self.size.persons);
        self.trunk.dial(calls, rate, hold, persons);
        let took = begun.elapsed();
        *done += calls;
        account::recordings(&self.scenery, *done);
        let used = usage::cpu(self.daemon).saturating_sub(cpu);
        self.notes.push(format!(
            "{calls} calls in {:.1} s; {} requests repeated by the generator so far; CPU {:.2} ms per call",
            took.as_secs_f64(),
            self.trunk.repeated,
            milliseconds(used) / real(calls),
        ));
        used
    }

    async fn delays(&mut self) {
        let cards = account::card_ms(&self.scenery, &self.trunk.dialled()).await;
        let delays = [("180", self.trunk.ringing_ms()), ("card", cards)];
        for (what, values) in delays {
            for (percent, target) in [(50, 5.0), (99, 15.0)] {
                let name = format!("INVITE to {what}, p{percent} at {DELAYED_RATE} calls/s");
                let value = percentile(&values, percent);
                self.lines.push(Line::alone(name, "ms", value, target));
            }
            if values.len() != DELAYED {
                let known = values.len();
                self.wrong.push(format!(
                    "INVITE to {what}: known of {known} of {DELAYED} calls"
                ));
            }
        }
    }

    /// Prints, writes, counts and stops; true if everything that was done is accounted for.
    async fn account(mut self) -> bool {
        let size = self.size;
        let calls = size.total();
        let mut wrong = std::mem::take(&mut self.wrong);
        wrong.extend(account::differences(&self.scenery, calls, size.recorded()).await);
        wrong.extend(self.trunk.refused.iter().take(5).cloned());
        let real_time = usage::real_time(self.daemon);
        let with = if real_time { "with" } else { "without" };
        self.notes
            .push(format!("media thread {with} real-time priority"));
        println!("\n{}", report::table(&self.lines));
        for note in &self.notes {
            println!("{note}");
        }
        let folder = build_folder();
        let path = folder.parent().unwrap_or(&folder).join("bench.json");
        match report::write(&self.lines, &path) {
            Ok(()) => println!("written to {}", path.display()),
            Err(error) => wrong.push(format!("{}: {error}", path.display())),
        }
        for what in &wrong {
            eprintln!("not as it should be: {what}");
        }
        if wrong.is_empty() {
            println!("journal, history, cards and recordings equal the {calls} calls");
        }
        self.telephones.stop();
        self.sound.close();
        self.scenery.daemon.stop();
        wrong.is_empty()
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let mut bench = Bench::prepare(Size::from_environment()).await;
    tokio::task::block_in_place(|| bench.bridged());
    bench.calls().await;
    tokio::task::block_in_place(|| bench.carried());
    bench.queue().await;
    if bench.account().await {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
