//! The simulation itself: one queue of happenings in virtual time around the exchange.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use call::{Command, EffectRequest, Notice};
use model::{AgentChanged, Directory, Now, UserId, Utc};
use switch::{Input, Output, Path, Resources, Settings, Switch};

use super::{
    caller::{Caller, Intent},
    chance::Chance,
    company::{Company, Size, caller_address, caller_number, exchange, line_number},
    message::{Message, number_of},
    network::Network,
    phone::Phone,
    plane::Plane,
    wire::Record,
    world::{Fate, Store, Troubles, World},
};

/// Wall time at the start: 2026-03-02 09:00 UTC.
const DAWN: Utc = Utc::from_secs(1_772_442_000);
/// More inputs than this at one instant mean that the exchange goes round in circles.
const MOST_AT_ONCE: u32 = 20_000;

/// What a simulation is like.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Agents, telephones, lines.
    pub size: Size,
    /// Callers who dial by themselves, and within which time.
    pub callers: (usize, Duration),
    /// The network until it is healed.
    pub network: Network,
    /// The world until it is healed.
    pub troubles: Troubles,
    /// How often the process is killed and started again before the healing.
    pub restarts: usize,
    /// Agents go away and come back, and have wrap-up times.
    pub moods: bool,
}

impl Setup {
    /// Nothing goes wrong, nobody calls by themselves.
    pub fn calm(agents: usize, devices: usize) -> Self {
        Self {
            size: Size {
                agents,
                devices: (devices, devices),
                lines: 1,
            },
            callers: (0, Duration::ZERO),
            network: Network::healthy(),
            troubles: Troubles::none(),
            restarts: 0,
            moods: false,
        }
    }

    /// Everything may go wrong.
    pub fn drawn(chance: &mut Chance) -> Self {
        let agents = 2 + usize::try_from(chance.below(6)).unwrap_or(0);
        let callers = 8 + usize::try_from(chance.below(25)).unwrap_or(0);
        let mut troubles = if chance.permille(250) {
            Troubles::none()
        } else {
            Troubles::drawn(chance)
        };
        let restarts = usize::from(chance.permille(300));
        if restarts > 0 {
            // What recovery needs is in the store before an INVITE leaves; without a store nobody could know it.
            troubles.store = Store::Fast;
        }
        Self {
            size: Size {
                agents,
                devices: (1, 2),
                lines: 2,
            },
            callers: (callers, chance.millis(20_000, 120_000)),
            network: if chance.permille(250) {
                Network::healthy()
            } else {
                Network::drawn(chance)
            },
            troubles,
            restarts,
            moods: true,
        }
    }
}

#[derive(Debug)]
enum Happening {
    ToSwitch(SocketAddr, Vec<u8>),
    ToParty(SocketAddr, Vec<u8>),
    Party(SocketAddr),
    Effect(u32, EffectRequest),
    Media(u32, media::plane::Event),
    Command(Command),
    Second,
    Kill,
    Boot,
    Heal,
}

/// A call centre in virtual time.
pub struct Centre {
    /// Virtual time.
    pub now: Duration,
    /// The telephones.
    pub phones: BTreeMap<SocketAddr, Phone>,
    /// Whose each telephone is.
    pub owners: BTreeMap<SocketAddr, UserId>,
    /// The callers.
    pub callers: BTreeMap<SocketAddr, Caller>,
    /// Contact base, ledger, store, screens.
    pub world: World,
    /// Ports and bridges.
    pub plane: Plane,
    /// Everything on the wire.
    pub wire: Vec<Record>,
    /// Which calling number's sound goes to and comes from an address, by the SDP on the wire.
    pub media_of: BTreeMap<SocketAddr, String>,
    /// The last told state of each agent.
    pub agents: BTreeMap<UserId, AgentChanged>,
    /// What was wrong at the moment it happened.
    pub wrongs: Vec<String>,
    /// Which life of the exchange, counted from 0.
    pub life: u32,
    /// The faults are over since then.
    pub healed_at: Option<Duration>,
    /// Print what happens.
    pub talkative: bool,
    directory: Arc<Directory>,
    switch: Option<Switch>,
    born: Duration,
    wake: Option<Duration>,
    queue: BTreeMap<(Duration, u64), Happening>,
    sequence: u64,
    network: Network,
    chance: Chance,
    deaf: BTreeMap<SocketAddr, u32>,
    at_once: (Duration, u32),
}

impl Centre {
    /// A call centre of this seed where everything may go wrong.
    pub fn drawn(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let setup = Setup::drawn(&mut chance);
        Self::new(chance, &setup)
    }

    /// A call centre without faults for a named case.
    pub fn calm(agents: usize, devices: usize) -> Self {
        Self::new(Chance::new(7), &Setup::calm(agents, devices))
    }

    /// A call centre as it is set up.
    pub fn new(mut chance: Chance, setup: &Setup) -> Self {
        let company = Company::drawn(setup.size, setup.moods, &mut chance);
        let users: Vec<UserId> = company
            .directory
            .agents
            .iter()
            .map(|agent| agent.user)
            .collect();
        let mut managers = BTreeMap::new();
        for caller in 0..setup.callers.0 {
            if chance.permille(600) {
                managers.insert(caller_number(caller), *chance.pick(&users));
            }
        }
        let mut centre = Self {
            now: Duration::ZERO,
            phones: company.phones,
            owners: company.owners,
            callers: BTreeMap::new(),
            world: World::new(managers, setup.troubles.clone(), chance.split()),
            plane: Plane::default(),
            wire: Vec::new(),
            media_of: BTreeMap::new(),
            agents: BTreeMap::new(),
            wrongs: Vec::new(),
            life: 0,
            healed_at: None,
            talkative: false,
            directory: company.directory,
            switch: None,
            born: Duration::ZERO,
            wake: None,
            queue: BTreeMap::new(),
            sequence: 0,
            network: setup.network.clone(),
            chance,
            deaf: BTreeMap::new(),
            at_once: (Duration::ZERO, 0),
        };
        centre.boot();
        centre.later(Duration::from_secs(1), Happening::Second);
        let phones: Vec<SocketAddr> = centre.phones.keys().copied().collect();
        for address in phones {
            centre.at(Duration::ZERO, Happening::Party(address));
        }
        centre.plan(setup, &users);
        centre
    }

    fn plan(&mut self, setup: &Setup, users: &[UserId]) {
        let (callers, span) = setup.callers;
        let begin = Duration::from_secs(3);
        for _ in 0..callers {
            let at = begin + self.chance.between(Duration::ZERO, span);
            let line = usize::try_from(self.chance.below(setup.size.lines as u64)).unwrap_or(0);
            let intent = Intent::drawn(&mut self.chance);
            self.place(at, line, intent);
        }
        for _ in 0..setup.restarts {
            let at = begin
                + self
                    .chance
                    .between(Duration::ZERO, span + Duration::from_secs(20));
            self.at(at, Happening::Kill);
        }
        if setup.moods {
            for _ in 0..self.chance.below(8) {
                let agent = *self.chance.pick(users);
                let at = begin + self.chance.between(Duration::ZERO, span);
                let back = at + self.chance.millis(1_000, 40_000);
                self.at(
                    at,
                    Happening::Command(Command::SetAway { agent, away: true }),
                );
                self.at(
                    back,
                    Happening::Command(Command::SetAway { agent, away: false }),
                );
                self.at(back, Happening::Command(Command::EndWrapUp { agent }));
            }
        }
        if callers > 0 {
            self.at(begin + span + Duration::from_secs(25), Happening::Heal);
        }
    }

    /// Lets one more caller dial line `line` at `at`; returns the caller's address.
    pub fn place(&mut self, at: Duration, line: usize, intent: Intent) -> SocketAddr {
        let number = self.callers.len();
        let address = caller_address(number);
        let calling = format!("+{}", caller_number(number));
        let chance = self.chance.split();
        let caller = Caller::new(
            at,
            address,
            exchange(),
            (&calling, &line_number(line)),
            intent,
            chance,
        );
        self.media_of.insert(caller.media, caller_number(number));
        self.callers.insert(address, caller);
        self.at(at, Happening::Party(address));
        address
    }

    /// The caller gives up or hangs up now.
    pub fn leave(&mut self, caller: SocketAddr) {
        let now = self.now;
        if let Some(caller) = self.callers.get_mut(&caller) {
            caller.leave(now);
        }
        self.pump(caller);
    }

    /// Kills the process now and starts it again after a moment.
    pub fn kill(&mut self) {
        self.at(self.now, Happening::Kill);
    }

    /// What the exchange holds; nothing while it is down.
    pub fn resources(&self) -> Resources {
        self.switch
            .as_ref()
            .map(Switch::resources)
            .unwrap_or_default()
    }

    fn at(&mut self, at: Duration, happening: Happening) {
        self.sequence += 1;
        self.queue
            .insert((at.max(self.now), self.sequence), happening);
    }

    fn later(&mut self, after: Duration, happening: Happening) {
        self.at(self.now + after, happening);
    }

    /// Runs until `done` says so or `until` is reached; true if `done` did.
    pub fn run(&mut self, until: Duration, done: impl Fn(&Self) -> bool) -> bool {
        while !done(self) {
            let next = self.queue.first_key_value().map(|((at, _), _)| *at);
            let wake = self
                .wake
                .filter(|_| self.switch.is_some())
                .map(|wake| wake.max(self.now));
            let Some(at) = next.into_iter().chain(wake).min().filter(|at| *at <= until) else {
                self.now = until;
                return done(self);
            };
            self.now = at;
            if self.circles() {
                return false;
            }
            if wake == Some(at) {
                self.wake = None;
                self.input(Input::Timer);
            } else if let Some((_, happening)) = self.queue.pop_first() {
                self.happen(happening);
            }
        }
        true
    }

    fn circles(&mut self) -> bool {
        if self.at_once.0 == self.now {
            self.at_once.1 += 1;
        } else {
            self.at_once = (self.now, 0);
        }
        if self.at_once.1 == MOST_AT_ONCE {
            self.wrongs.push(format!(
                "at {:?} the exchange goes round in circles",
                self.now
            ));
        }
        self.at_once.1 >= MOST_AT_ONCE
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::ToSwitch(party, bytes) => {
                if self.switch.is_some() {
                    self.record(true, party, &bytes);
                    self.input(Input::Datagram {
                        path: Path::udp(exchange(), party),
                        bytes,
                    });
                }
            }
            Happening::ToParty(party, bytes) => self.deliver(party, &bytes),
            Happening::Party(party) => {
                let now = self.now;
                if let Some(phone) = self.phones.get_mut(&party) {
                    phone.timer(now);
                } else if let Some(caller) = self.callers.get_mut(&party) {
                    caller.timer(now);
                }
                self.pump(party);
            }
            Happening::Effect(life, request) if life == self.life => {
                let utc = self.utc();
                if let Some(end) = self.world.finish(utc, &request) {
                    self.input(Input::EffectEnd {
                        id: request.id,
                        end,
                    });
                }
            }
            Happening::Media(life, event) if life == self.life => {
                if let media::plane::Event::RecordingClosed { conversation, .. } = &event {
                    self.plane.recording_told(*conversation);
                }
                self.input(Input::Media(event));
            }
            Happening::Effect(..) | Happening::Media(..) => {}
            Happening::Command(command) => self.input(Input::Command(command)),
            Happening::Second => self.second(),
            Happening::Kill => self.die(),
            Happening::Boot => self.boot(),
            Happening::Heal => self.heal(),
        }
    }

    fn deliver(&mut self, party: SocketAddr, bytes: &[u8]) {
        let Some(message) = Message::parse(bytes) else {
            return self
                .wrongs
                .push(format!("{party} got what is no SIP message"));
        };
        let now = self.now;
        if let Some(phone) = self.phones.get_mut(&party) {
            phone.receive(now, message);
        } else if let Some(caller) = self.callers.get_mut(&party) {
            caller.receive(now, message);
        } else {
            self.wrongs
                .push(format!("{party} is nobody, but got {}", message.start));
        }
        self.pump(party);
    }

    /// Puts what a party wants to send on the network, and notes when it wants to be woken.
    fn pump(&mut self, party: SocketAddr) {
        let (out, next) = if let Some(phone) = self.phones.get_mut(&party) {
            (std::mem::take(&mut phone.reliable.out), phone.next())
        } else if let Some(caller) = self.callers.get_mut(&party) {
            (std::mem::take(&mut caller.reliable.out), caller.next())
        } else {
            return;
        };
        for message in out {
            if let (Some(media), false) = (message.media(), message.is_request()) {
                self.media_of.insert(media, number_of(message.text("From")));
            }
            for delay in self.network.carry(&mut self.chance) {
                self.later(delay, Happening::ToSwitch(party, message.bytes()));
            }
        }
        if let Some(next) = next {
            self.at(next, Happening::Party(party));
        }
    }

    fn record(&mut self, incoming: bool, party: SocketAddr, bytes: &[u8]) {
        if let Some(message) = Message::parse(bytes) {
            let record = Record {
                at: self.now,
                incoming,
                party,
                life: self.life,
                message,
            };
            if self.talkative {
                println!("{record}");
            }
            self.wire.push(record);
        }
    }

    fn utc(&self) -> Utc {
        DAWN + self.now
    }

    fn input(&mut self, input: Input) {
        let now = Now {
            mono: self.now - self.born,
            utc: self.utc(),
        };
        let Some(mut switch) = self.switch.take() else {
            return;
        };
        switch.handle(now, input);
        loop {
            match switch.poll() {
                Output::Send { path, bytes } => {
                    self.record(false, path.remote, &bytes);
                    for delay in self.network.carry(&mut self.chance) {
                        self.later(delay, Happening::ToParty(path.remote, bytes.clone()));
                    }
                }
                Output::Media(command) => self.media(command),
                Output::Effect(request) => self.effect(request),
                Output::Notice(notice) => self.notice(notice),
                Output::WakeAt { at, .. } => {
                    self.wake = at.map(|at| at + self.born);
                    break;
                }
            }
        }
        self.switch = Some(switch);
    }

    fn media(&mut self, command: media::plane::Command) {
        if self.talkative {
            println!("{:>10.4} media {command:?}", self.now.as_secs_f64());
        }
        let fails = self.chance.permille(self.world.troubles.taken_ports);
        for event in self.plane.order(self.now, command, fails) {
            let delay = self.chance.millis(0, 3);
            self.later(delay, Happening::Media(self.life, event));
        }
    }

    fn effect(&mut self, request: EffectRequest) {
        let fate = self.world.begin(self.now, &request);
        if self.talkative {
            let what = match &request.effect {
                call::Effect::Commit { events } => events
                    .iter()
                    .map(|event| event.kind.name())
                    .collect::<Vec<_>>()
                    .join(", "),
                other => format!("{other:?}"),
            };
            let (at, id) = (self.now.as_secs_f64(), request.id);
            println!(
                "{at:>10.4} effect {}/{} {what}: {fate:?}",
                id.call, id.number
            );
        }
        if let Fate::DoneAt(at) = fate {
            self.at(at, Happening::Effect(self.life, request));
        }
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Agent(changed) => {
                self.agents.insert(changed.agent, changed);
            }
            Notice::Bindings { device, bindings } => {
                self.world.bindings.insert(device, bindings);
            }
            Notice::Refused(refusal) => {
                if self.talkative {
                    println!("{:>10.4} {refusal:?}", self.now.as_secs_f64());
                }
            }
            Notice::Drained => {}
        }
    }

    fn second(&mut self) {
        self.later(Duration::from_secs(1), Happening::Second);
        let (phones, callers) = (&self.phones, &self.callers);
        let sends = |media: SocketAddr| {
            callers
                .values()
                .any(|caller| caller.media == media && caller.sends())
                || phones.values().any(|phone| phone.sends_from(media))
        };
        for event in self.plane.silent(self.now, sends) {
            self.input(Input::Media(event));
        }
        if self
            .healed_at
            .is_some_and(|at| self.now > at + Duration::from_secs(2))
        {
            self.listen();
        }
    }

    /// In a conversation without faults the client hears the agent who was given the call.
    fn listen(&mut self) {
        let mut deaf = BTreeSet::new();
        for (address, caller) in &self.callers {
            let fresh = caller
                .answered_at
                .zip(self.healed_at)
                .is_some_and(|(at, healed)| at > healed && self.now > at + Duration::from_secs(1));
            let Some(talk) = caller
                .talk
                .as_ref()
                .filter(|talk| fresh && !talk.over && caller.sends())
            else {
                continue;
            };
            let heard = talk.remote_media.and_then(|ours| self.plane.heard_at(ours));
            let number = caller.number.trim_start_matches('+');
            if heard
                .and_then(|far| self.media_of.get(&far))
                .map(String::as_str)
                != Some(number)
            {
                deaf.insert(*address);
            }
        }
        self.deaf.retain(|address, _| deaf.contains(address));
        for address in deaf {
            let seconds = self.deaf.entry(address).or_default();
            *seconds += 1;
            if *seconds == 2 {
                self.wrongs.push(format!(
                    "at {:?} {address} is in a conversation and hears nobody",
                    self.now
                ));
            }
        }
    }

    fn die(&mut self) {
        if self.switch.take().is_none() {
            return;
        }
        if self.talkative {
            println!("{:>10.4} --- killed ---", self.now.as_secs_f64());
        }
        // Entries that were on their way to the disk may have reached it.
        let reach = self.chance.below(4);
        let life = self.life;
        let commits = self.queue.values().filter_map(|happening| match happening {
            Happening::Effect(of, request) if *of == life => match &request.effect {
                call::Effect::Commit { events } => Some(events.clone()),
                _ => None,
            },
            _ => None,
        });
        let reached: Vec<_> = commits
            .take(usize::try_from(reach).unwrap_or(0))
            .flatten()
            .collect();
        self.world.journal.extend(reached);
        self.world.process_died();
        self.plane.reset();
        self.wake = None;
        self.life += 1;
        let down = self.chance.millis(50, 3_000);
        self.later(down, Happening::Boot);
    }

    fn boot(&mut self) {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.chance.draw().to_le_bytes());
        self.born = self.now;
        let now = Now {
            mono: Duration::ZERO,
            utc: self.utc(),
        };
        self.switch = Some(Switch::new(Settings::default(), seed, now));
        self.input(Input::Directory(Arc::clone(&self.directory)));
        let bindings = self.world.bindings.values().flatten().cloned().collect();
        self.input(Input::Bindings(bindings));
        let open = self.world.open_calls();
        if !open.is_empty() {
            self.input(Input::Recover(open));
        }
    }

    fn heal(&mut self) {
        self.healed_at = Some(self.now);
        self.network = Network::healthy();
        for request in self.world.heal() {
            self.at(self.now, Happening::Effect(self.life, request));
        }
        if self.talkative {
            println!("{:>10.4} --- healed ---", self.now.as_secs_f64());
        }
    }

    /// Faults first, then healed until quiet.
    pub fn run_until_quiet(&mut self) {
        if self.healed_at.is_none() {
            let healed = self
                .queue
                .values()
                .any(|happening| matches!(happening, Happening::Heal));
            if healed {
                self.run(Duration::from_secs(3_600), |centre| {
                    centre.healed_at.is_some()
                });
            } else {
                self.heal();
            }
        }
        let patience = self.now + Duration::from_secs(900);
        self.run(patience, |centre| {
            centre.resources().calls == 0
                && centre
                    .callers
                    .values()
                    .all(|caller| caller.outcome.is_some())
        });
        for phone in self.phones.values_mut() {
            phone.retired = true;
        }
        // Every timer of RFC 3261, the wrap-up times and the last registrations run out.
        let end = self.now + Duration::from_secs(240);
        self.run(end, |_| false);
    }
}
