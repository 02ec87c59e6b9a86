//! The simulation itself: one queue of happenings in virtual time around the exchange.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use call::{
    Act, Command, Control, ControlRefused, EffectEnd, EffectId, EffectRequest, OrderId,
    OrderRefused,
};
use model::{AgentChanged, CallId, Directory, Flag, TrunkId, TrunkState, UserId, Utc};
use switch::{Input, Path, Resources, Switch};

use super::{
    caller::{Caller, Intent},
    chance::Chance,
    company::{
        Company, caller_address, caller_number, client_number, dialling_address, exchange,
        is_dialling, line_number, short_number,
    },
    connections::Connections,
    message::{Message, caller_of, is_mobile, number_of, tag_of},
    names::Names,
    network::Network,
    phone::Phone,
    plane::Plane,
    setup::Setup,
    wire::Record,
    world::World,
};

/// Wall time at the start: 2026-03-02 09:00 UTC.
pub(super) const DAWN: Utc = Utc::from_secs(1_772_442_000);
/// More inputs than this at one instant mean that the exchange goes round in circles.
const MOST_AT_ONCE: u32 = 20_000;

#[derive(Debug)]
pub(super) enum Happening {
    ToSwitch(SocketAddr, Vec<u8>),
    ToParty(SocketAddr, Vec<u8>),
    Party(SocketAddr),
    Effect(u32, EffectRequest),
    ResultAgain(u32, EffectId, EffectEnd),
    Media(u32, media::plane::Event),
    Command(Command),
    Hand,
    Broken(u32, Path),
    Second,
    Kill,
    Boot,
    Heal,
}

/// Whom an agent dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// The n-th client.
    Client(usize),
    /// The n-th agent's short number.
    Colleague(usize),
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
    /// When a telephone wanted two joined, and where it heard them.
    pub joins: Vec<(Duration, SocketAddr, SocketAddr)>,
    /// When somebody at a screen wanted a call handed to which number.
    pub handed_out: Vec<(Duration, CallId, String)>,
    /// Every change of an agent's state, in order.
    pub states: Vec<AgentChanged>,
    /// Every reservation is granted in time, before the healing too.
    pub grants_all: bool,
    /// What became of ordered calls.
    pub ordered: BTreeMap<OrderId, Result<CallId, OrderRefused>>,
    /// What became of orders to running calls.
    pub controlled: BTreeMap<OrderId, Result<(), ControlRefused>>,
    /// What was told of each trunk, and when.
    pub trunks: BTreeMap<TrunkId, Vec<(Duration, TrunkState)>>,
    /// What the exchange wants to be told of.
    pub names: Names,
    /// What was wrong at the moment it happened.
    pub wrongs: Vec<String>,
    /// Which life of the exchange, counted from 0.
    pub life: u32,
    /// The faults are over since then.
    pub healed_at: Option<Duration>,
    /// Results of effects that were told a second time.
    pub repeated_results: u32,
    /// Print what happens.
    pub talkative: bool,
    orders: u64,
    pub(super) session_expires_secs: u32,
    pub(super) parked_for: Duration,
    pub(super) directory: Arc<Directory>,
    pub(super) switch: Option<Switch>,
    pub(super) born: Duration,
    pub(super) wake: Option<Duration>,
    pub(super) queue: BTreeMap<(Duration, u64), Happening>,
    pub(super) sequence: u64,
    pub(super) network: Network,
    pub(super) connections: Connections,
    pub(super) chance: Chance,
    pub(super) deaf: BTreeMap<SocketAddr, u32>,
    pub(super) at_once: (Duration, u32),
    /// When each party is woken next, as far as it is told.
    woken_at: BTreeMap<SocketAddr, Duration>,
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
        let mut flags = BTreeMap::new();
        for number in managers.keys() {
            if setup.moods && chance.permille(300) {
                let flag = *chance.pick(&[Flag::Vip, Flag::Core, Flag::Undesirable]);
                flags.insert(number.clone(), flag);
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
            joins: Vec::new(),
            handed_out: Vec::new(),
            states: Vec::new(),
            grants_all: {
                let troubles = &setup.troubles;
                troubles.denials + troubles.late_grants + troubles.failures == 0
            },
            ordered: BTreeMap::new(),
            controlled: BTreeMap::new(),
            orders: 0,
            session_expires_secs: setup.session_expires_secs,
            parked_for: setup.parked_for,
            trunks: BTreeMap::new(),
            names: Names::default(),
            wrongs: Vec::new(),
            life: 0,
            healed_at: None,
            repeated_results: 0,
            talkative: false,
            directory: company.directory,
            switch: None,
            born: Duration::ZERO,
            wake: None,
            queue: BTreeMap::new(),
            sequence: 0,
            network: setup.network.clone(),
            connections: Connections::default(),
            chance,
            deaf: BTreeMap::new(),
            at_once: (Duration::ZERO, 0),
            woken_at: BTreeMap::new(),
        };
        centre.world.flags = flags;
        centre.boot();
        centre.later(Duration::from_secs(1), Happening::Second);
        let phones: Vec<SocketAddr> = centre.phones.keys().copied().collect();
        for address in phones {
            centre.at(Duration::ZERO, Happening::Party(address));
        }
        centre.plan(setup, &users);
        centre
    }

    /// Lets one more caller dial line `line` at `at`; returns the caller's address.
    pub fn place(&mut self, at: Duration, line: usize, intent: Intent) -> SocketAddr {
        let number = self.callers.keys().filter(|it| !is_dialling(**it)).count();
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

    /// Lets an agent dial from a telephone at `at`; returns the telephone's address.
    pub fn dial(
        &mut self,
        at: Duration,
        agent: usize,
        dialled: Dialled,
        intent: Intent,
    ) -> SocketAddr {
        match dialled {
            Dialled::Client(client) => self.dial_number(at, agent, &client_number(client), intent),
            Dialled::Colleague(colleague) => {
                let name = short_number(agent);
                self.dial_as(at, agent, (&name, &short_number(colleague)), intent)
            }
        }
    }

    /// The same for any number of a client.
    pub fn dial_number(
        &mut self,
        at: Duration,
        agent: usize,
        number: &str,
        intent: Intent,
    ) -> SocketAddr {
        self.dial_as(at, agent, (number, number), intent)
    }

    /// An agent picks up a client's call at `at` by dialling `code`; the client hears the telephone.
    pub fn pick_up(
        &mut self,
        at: Duration,
        agent: usize,
        code: &str,
        client: SocketAddr,
    ) -> SocketAddr {
        let name = self.callers[&client]
            .number
            .trim_start_matches('+')
            .to_owned();
        self.dial_as(at, agent, (&name, code), Intent::patient())
    }

    /// The call goes by `name` among the callers.
    fn dial_as(
        &mut self,
        at: Duration,
        agent: usize,
        (name, number): (&str, &str),
        intent: Intent,
    ) -> SocketAddr {
        let dials = self.callers.keys().filter(|it| is_dialling(**it)).count();
        let address = dialling_address(dials);
        let chance = self.chance.split();
        let caller = Caller::new(at, address, exchange(), (name, number), intent, chance)
            .with_account(&format!("a{agent}d0"), "secret");
        self.media_of.insert(caller.media, name.to_owned());
        self.callers.insert(address, caller);
        self.at(at, Happening::Party(address));
        address
    }

    /// The workspace orders a call of an agent to a client at `at`.
    pub fn order(&mut self, at: Duration, agent: usize, client: usize) -> OrderId {
        self.orders += 1;
        let order = OrderId(self.orders);
        let command = Command::Call {
            order,
            agent: UserId(agent as i64 + 1),
            number: client_number(client),
        };
        self.at(at, Happening::Command(command));
        order
    }

    /// An agent wants something of a call now; whoever leads need not be in it.
    pub fn control(&mut self, (agent, leads): (usize, bool), call: CallId, act: Act) -> OrderId {
        self.orders += 1;
        let order = OrderId(self.orders);
        let by = UserId(agent as i64 + 1);
        if let Act::Transfer { to } = &act {
            self.handed_out.push((self.now, call, to.clone()));
        }
        let control = Control {
            order,
            call,
            by,
            leads,
            act,
        };
        self.input(Input::Command(Command::Control(control)));
        order
    }

    /// The caller gives up or hangs up now.
    pub fn leave(&mut self, caller: SocketAddr) {
        let now = self.now;
        if let Some(caller) = self.callers.get_mut(&caller) {
            caller.leave(now);
        }
        self.pump(caller);
    }

    /// A telephone orders a transfer in one of its dialogs now.
    pub fn refer(&mut self, phone: SocketAddr, call_id: &str, to: &str) {
        let now = self.now;
        if let Some(phone) = self.phones.get_mut(&phone) {
            phone.refer(now, call_id, to);
        }
        self.pump(phone);
    }

    /// Whoever sends to this port of ours presses a key now.
    pub fn press(&mut self, ours: SocketAddr, digit: char) {
        let mut phones = self.phones.values();
        if let Some((client, question)) = phones.find_map(|phone| phone.asks_at(ours)) {
            self.joins.push((self.now, client, question));
        }
        if let Some(leg) = self.plane.leg_at(ours) {
            let key = media::plane::Event::Dtmf {
                leg,
                digit,
                duration_ms: 100,
            };
            self.later(Duration::from_millis(20), Happening::Media(self.life, key));
        }
    }

    /// A telephone hangs up whatever it talks of now.
    pub fn hang_up(&mut self, phone: SocketAddr) {
        let now = self.now;
        if let Some(phone) = self.phones.get_mut(&phone) {
            phone.hang_up_all(now);
        }
        self.pump(phone);
    }

    /// Kills the process now and starts it again after a moment.
    pub fn kill(&mut self) {
        self.at(self.now, Happening::Kill);
    }

    /// From now on the network loses everything, or nothing.
    pub fn cut(&mut self, cut: bool) {
        self.network.loss = if cut { 1_000 } else { 0 };
    }

    /// What the exchange holds; nothing while it is down.
    pub fn resources(&self) -> Resources {
        self.switch
            .as_ref()
            .map(Switch::resources)
            .unwrap_or_default()
    }

    pub(super) fn at(&mut self, at: Duration, happening: Happening) {
        self.sequence += 1;
        self.queue
            .insert((at.max(self.now), self.sequence), happening);
    }

    pub(super) fn later(&mut self, after: Duration, happening: Happening) {
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

    pub(super) fn circles(&mut self) -> bool {
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

    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::ToSwitch(party, bytes) => {
                let path = self.connections.path_from(party);
                if let Some(path) = path.filter(|_| self.switch.is_some()) {
                    self.record(true, party, &bytes);
                    self.input(Input::Datagram { path, bytes });
                }
            }
            Happening::ToParty(party, bytes) => self.deliver(party, &bytes),
            Happening::Party(party) => {
                let now = self.now;
                if self.woken_at.get(&party).is_some_and(|at| *at <= now) {
                    self.woken_at.remove(&party);
                }
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
                    let id = request.id;
                    if self.chance.permille(self.world.troubles.repeats) {
                        let after = self.chance.millis(0, 1_000);
                        self.later(after, Happening::ResultAgain(life, id, end.clone()));
                    }
                    self.input(Input::EffectEnd { id, end });
                }
            }
            Happening::ResultAgain(life, id, end) if life == self.life => {
                self.repeated_results += 1;
                self.input(Input::EffectEnd { id, end });
            }
            Happening::Media(life, event) if life == self.life => {
                if let media::plane::Event::RecordingClosed { conversation, .. } = &event {
                    self.plane.recording_told(*conversation);
                }
                self.input(Input::Media(event));
            }
            Happening::Effect(..) | Happening::ResultAgain(..) | Happening::Media(..) => {}
            Happening::Hand => self.lay_hand(),
            Happening::Command(command) => self.input(Input::Command(command)),
            Happening::Broken(life, path) if life == self.life => {
                self.input(Input::FlowClosed { path });
            }
            Happening::Broken(..) => {}
            Happening::Second => self.second(),
            Happening::Kill => self.die(),
            Happening::Boot => self.boot(),
            Happening::Heal => self.heal(),
        }
    }

    pub(super) fn deliver(&mut self, party: SocketAddr, bytes: &[u8]) {
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
    pub(super) fn pump(&mut self, party: SocketAddr) {
        // A client behind a gateway is known by the number called, a telephone's call by the number shown.
        let mut named_by = "From";
        let (mut keys, mut asker) = (Vec::new(), None);
        let (out, next) = if let Some(phone) = self.phones.get_mut(&party) {
            if phone.is_gateway {
                named_by = "To";
            }
            let pressed = std::mem::take(&mut phone.pressed).into_iter();
            keys.extend(pressed);
            let joins = std::mem::take(&mut phone.joins).into_iter();
            self.joins.extend(joins.map(|(a, b)| (self.now, a, b)));
            asker = self.owners.get(&party).copied();
            (std::mem::take(&mut phone.reliable.out), phone.next())
        } else if let Some(caller) = self.callers.get_mut(&party) {
            let ours = caller.talk.as_ref().and_then(|talk| talk.remote_media);
            keys.extend(std::mem::take(&mut caller.pressed).into_iter().zip(ours));
            (std::mem::take(&mut caller.reliable.out), caller.next())
        } else {
            return;
        };
        for message in out {
            if let (Some(media), false) = (message.media(), message.is_request()) {
                let name = match is_mobile(&message) {
                    true => caller_of(&message),
                    false => number_of(message.text(named_by)),
                };
                // A later answer may be to a request of ours, which comes from the line.
                self.media_of.entry(media).or_insert(name);
            }
            // A telephone that asks a colleague is known by its user's short number, one that calls a client by theirs.
            let begins = message.is_request() && tag_of(message.text("To")).is_none();
            if let (true, Some(media), Some(asker)) = (begins, message.media(), asker) {
                let asker = short_number(usize::try_from(asker.0 - 1).unwrap_or(0));
                let dialled = number_of(message.text("To"));
                let is_client = dialled.len() > asker.len();
                self.media_of
                    .insert(media, if is_client { dialled } else { asker });
            }
            for delay in self.network.carry(&mut self.chance) {
                self.later(delay, Happening::ToSwitch(party, message.bytes()));
            }
        }
        for (digit, ours) in keys {
            self.press(ours, digit);
        }
        let sooner = |next: &Duration| self.woken_at.get(&party).is_none_or(|at| next < at);
        if let Some(next) = next.filter(sooner) {
            self.woken_at.insert(party, next);
            self.at(next, Happening::Party(party));
        }
    }
}
