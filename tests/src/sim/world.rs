//! What stands around the exchange: the contact base, the ledger of reservations, the store, the agents' screens.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use call::{Cause, Effect, EffectEnd, EffectId, EffectRequest, Event, EventKind, ShownBy};
use model::{
    Binding, CallId, CallerIdentity, CallerMatch, ClientRef, DeviceId, DialogSnapshot, Flag,
    OpenCall, PersonId, UserId, Utc,
};

use super::chance::Chance;

/// How long the store keeps the dialogs of a call that has ended.
const DIALOGS_KEPT_MICROS: i64 = 69_000_000;

/// How the store behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// A healthy disk.
    Fast,
    /// Takes exactly this long.
    Takes(Duration),
    /// Often past the deadline.
    Slow,
    /// Takes entries and does nothing until it is healed.
    Dead,
}

/// What goes wrong outside, per mille.
#[derive(Clone, Debug)]
pub struct Troubles {
    /// The store.
    pub store: Store,
    /// Identifications that come too late.
    pub late_identities: u64,
    /// Reservations that are not granted.
    pub denials: u64,
    /// Reservations that are granted too late.
    pub late_grants: u64,
    /// Cards that are confirmed too late or never.
    pub late_cards: u64,
    /// Agents without an open client.
    pub no_client: u64,
    /// Effects that fail.
    pub failures: u64,
    /// Results that are told twice.
    pub repeats: u64,
    /// Media ports that another program has.
    pub taken_ports: u64,
}

impl Troubles {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self {
            store: Store::Fast,
            late_identities: 0,
            denials: 0,
            late_grants: 0,
            late_cards: 0,
            no_client: 0,
            failures: 0,
            repeats: 0,
            taken_ports: 0,
        }
    }

    /// Drawn from the seed.
    pub fn drawn(chance: &mut Chance) -> Self {
        let mut rare = |most: u64| {
            if chance.permille(500) {
                chance.below(most)
            } else {
                0
            }
        };
        Self {
            late_identities: rare(200),
            denials: rare(200),
            late_grants: rare(150),
            late_cards: rare(400),
            no_client: rare(400),
            failures: rare(50),
            repeats: rare(200),
            taken_ports: rare(40),
            store: *chance.pick(&[Store::Fast, Store::Fast, Store::Slow, Store::Dead]),
        }
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Fate {
    /// It is done at this moment: call [`World::finish`].
    DoneAt(Duration),
    /// Nothing, until the store is healed.
    Stuck,
}

/// Everything outside.
#[derive(Debug)]
pub struct World {
    /// What is durable, in order.
    pub journal: Vec<Event>,
    /// What is stored beside a call for its recovery.
    snapshots: BTreeMap<CallId, DialogSnapshot>,
    /// Until when the store keeps the dialogs of a call that has ended.
    kept_until: BTreeMap<CallId, Utc>,
    /// Who is reserved for which call.
    pub ledger: BTreeMap<UserId, CallId>,
    /// Stored bindings.
    pub bindings: BTreeMap<DeviceId, Vec<Binding>>,
    /// The calling number of each call, as identification was asked for it.
    pub numbers: BTreeMap<CallId, String>,
    /// Cards that were sent: call, agent.
    pub cards: BTreeSet<(CallId, UserId)>,
    /// Agents whose reservation was or will be granted too late.
    pub late: Vec<UserId>,
    /// Requests that no correct exchange makes.
    pub wrongs: Vec<String>,
    /// Reservations that were not granted, and when.
    pub denied: Vec<(CallId, Utc)>,
    /// What goes wrong now.
    pub troubles: Troubles,
    managers: BTreeMap<String, UserId>,
    /// Marks of known clients.
    pub flags: BTreeMap<String, Flag>,
    seen: BTreeSet<EffectId>,
    last: BTreeMap<CallId, u32>,
    free_at: BTreeMap<CallId, Duration>,
    store_free_at: Duration,
    reserves: BTreeMap<(CallId, Option<UserId>), Duration>,
    stuck: Vec<EffectRequest>,
    chance: Chance,
}

impl World {
    /// A world in which some callers are known clients of the managers given.
    pub fn new(managers: BTreeMap<String, UserId>, troubles: Troubles, chance: Chance) -> Self {
        Self {
            journal: Vec::new(),
            snapshots: BTreeMap::new(),
            kept_until: BTreeMap::new(),
            ledger: BTreeMap::new(),
            bindings: BTreeMap::new(),
            numbers: BTreeMap::new(),
            cards: BTreeSet::new(),
            late: Vec::new(),
            wrongs: Vec::new(),
            denied: Vec::new(),
            troubles,
            managers,
            flags: BTreeMap::new(),
            seen: BTreeSet::new(),
            last: BTreeMap::new(),
            free_at: BTreeMap::new(),
            store_free_at: Duration::ZERO,
            reserves: BTreeMap::new(),
            stuck: Vec::new(),
            chance,
        }
    }

    /// The number belongs to a client of this manager with this mark.
    pub fn know(&mut self, number: &str, manager: UserId, flag: Flag) {
        self.managers.insert(number.to_owned(), manager);
        self.flags.insert(number.to_owned(), flag);
    }

    /// The calling number of a call, digits only.
    pub fn number(&self, call: CallId) -> Option<&str> {
        self.numbers.get(&call).map(String::as_str)
    }

    /// Takes a request; effects of one call are begun in order, a late one holds up the next until its deadline.
    pub fn begin(&mut self, now: Duration, request: &EffectRequest) -> Fate {
        self.check(request);
        let late = |chance: &mut Chance, permille: u64, from: u64, to: u64| {
            chance.permille(permille).then(|| chance.millis(from, to))
        };
        let troubles = self.troubles.clone();
        let chance = &mut self.chance;
        let usual = chance.millis(0, 20);
        let length = match &request.effect {
            Effect::Identify { .. } => late(chance, troubles.late_identities, 90, 3_000),
            Effect::Reserve { agent } => {
                let length = late(chance, troubles.late_grants, 251, 2_000);
                self.late.extend(length.map(|_| *agent));
                length
            }
            Effect::Announce { .. } => late(chance, troubles.late_cards, 140, 4_000),
            Effect::Commit { .. } => match troubles.store {
                Store::Fast => None,
                Store::Takes(length) => Some(length),
                Store::Slow => Some(chance.millis(5, 900)),
                Store::Dead => {
                    self.stuck.push(request.clone());
                    return Fate::Stuck;
                }
            },
            Effect::Release { .. } => Some(Duration::ZERO),
        }
        .unwrap_or(usual);
        let call = request.id.call;
        let start = self
            .free_at
            .get(&call)
            .copied()
            .unwrap_or_default()
            .max(now);
        let mut done = start + length;
        if matches!(request.effect, Effect::Commit { .. }) {
            done = done.max(self.store_free_at);
            self.store_free_at = done;
        }
        // A release never overtakes the reservation that it gives back.
        let reservation = (call, Self::reserved_agent(request));
        match request.effect {
            Effect::Reserve { .. } => drop(self.reserves.insert(reservation, done)),
            Effect::Release { .. } => {
                done = done.max(self.reserves.get(&reservation).copied().unwrap_or_default());
            }
            _ => {}
        }
        let patience = start + request.effect.deadline().unwrap_or_default();
        self.free_at.insert(call, done.min(patience));
        Fate::DoneAt(done)
    }

    fn reserved_agent(request: &EffectRequest) -> Option<UserId> {
        match request.effect {
            Effect::Reserve { agent } | Effect::Release { agent } => Some(agent),
            _ => None,
        }
    }

    fn check(&mut self, request: &EffectRequest) {
        let id = request.id;
        if !self.seen.insert(id) {
            self.wrongs.push(format!("{id:?} is asked twice"));
        }
        if self
            .last
            .insert(id.call, id.number)
            .is_some_and(|last| last >= id.number)
        {
            self.wrongs
                .push(format!("{id:?} comes after a higher number"));
        }
        match &request.effect {
            Effect::Identify { number, .. } => {
                let digits = number.chars().filter(char::is_ascii_digit).collect();
                self.numbers.insert(id.call, digits);
            }
            Effect::Announce { agent, .. } => {
                self.cards.insert((id.call, *agent));
            }
            Effect::Commit { events }
                if (events.is_empty() || events.iter().any(|event| event.call != id.call)) =>
            {
                self.wrongs
                    .push(format!("{id:?} commits nothing, or facts of another call"));
            }
            _ => {}
        }
    }

    /// The request is done: the world changes, and this is what the exchange is told.
    pub fn finish(&mut self, utc: Utc, request: &EffectRequest) -> Option<EffectEnd> {
        let call = request.id.call;
        if !matches!(
            request.effect,
            Effect::Commit { .. } | Effect::Release { .. }
        ) && self.chance.permille(self.troubles.failures)
        {
            return Some(EffectEnd::Failed("no reason".to_owned()));
        }
        match &request.effect {
            Effect::Identify { number, .. } => {
                Some(EffectEnd::Identified(Arc::new(self.identity(number))))
            }
            Effect::Reserve { agent } => {
                let denied = self.chance.permille(self.troubles.denials);
                let free = !denied && !self.ledger.contains_key(agent);
                if free {
                    self.ledger.insert(*agent, call);
                } else {
                    self.denied.push((call, utc));
                }
                Some(EffectEnd::Reserved { granted: free })
            }
            Effect::Release { agent } => {
                if self.ledger.get(agent) == Some(&call) {
                    self.ledger.remove(agent);
                }
                None
            }
            Effect::Commit { events } => {
                self.store(utc, events);
                Some(EffectEnd::Committed)
            }
            Effect::Announce { .. } => {
                let clients = u32::from(!self.chance.permille(self.troubles.no_client));
                let shown = if clients > 0 {
                    ShownBy::Client
                } else {
                    ShownBy::Nobody
                };
                Some(EffectEnd::Announced {
                    shown,
                    clients,
                    at: utc,
                })
            }
        }
    }

    fn identity(&self, number: &str) -> CallerIdentity {
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        let known = self.managers.get(&digits).map(|manager| CallerMatch {
            client: ClientRef {
                person: Some(PersonId(1)),
                organisation: None,
            },
            name: format!("Client {digits}"),
            organisation_name: None,
            manager: Some(*manager),
            flags: self.flags.get(&digits).copied().into_iter().collect(),
        });
        CallerIdentity {
            number: format!("+{digits}"),
            extension: None,
            region: None,
            matches: known.into_iter().collect(),
            in_time: true,
        }
    }

    /// Nothing goes wrong any more; entries that waited for the store are written, and these are done.
    pub fn heal(&mut self) -> Vec<EffectRequest> {
        self.troubles = Troubles::none();
        std::mem::take(&mut self.stuck)
    }

    /// The process died: what was in its memory is gone.
    pub fn process_died(&mut self) {
        self.stuck.clear();
        self.ledger.clear();
        self.free_at.clear();
        self.reserves.clear();
        self.last.clear();
        self.seen.clear();
        self.store_free_at = Duration::ZERO;
    }

    /// A transaction is durable.
    pub fn store(&mut self, utc: Utc, events: &[Event]) {
        for event in events {
            if let EventKind::Offered { snapshot, .. }
            | EventKind::Routed { snapshot, .. }
            | EventKind::Queued { snapshot, .. }
            | EventKind::Parked { snapshot, .. }
            | EventKind::Received { snapshot, .. }
            | EventKind::Transferred { snapshot, .. }
            | EventKind::ConferenceJoined { snapshot, .. }
            | EventKind::TransferredOut { snapshot, .. }
            | EventKind::ConversationStarted { snapshot, .. } = &event.kind
            {
                if !snapshot.0.is_empty() {
                    self.snapshots.insert(event.call, snapshot.clone());
                }
            }
            if let EventKind::Ended { .. } = &event.kind {
                self.kept_until.insert(event.call, later(utc));
            }
            self.journal.push(as_stored(event));
        }
    }

    /// Calls that the journal shows as not ended, without their recording, or with dialogs that may still live.
    pub fn open_calls(&mut self, now: Utc) -> Vec<OpenCall> {
        let mut open: BTreeMap<CallId, OpenCall> = BTreeMap::new();
        for event in &self.journal {
            let call = event.call;
            match &event.kind {
                EventKind::Arrived { .. } | EventKind::Dialled { .. } => {
                    open.insert(call, fresh(call, event.at));
                }
                EventKind::Ended { cause, missed, .. } => {
                    if let Some(call) = open.get_mut(&call) {
                        let refused = *missed || *cause == Cause::Crash;
                        call.ended = true;
                        call.refused = refused.then(|| cause.sip_status());
                    }
                }
                EventKind::RecordingReady { .. } => {
                    if let Some(call) = open.get_mut(&call) {
                        call.recording = None;
                    }
                }
                EventKind::Offered { agent, .. } => {
                    if let Some(call) = open.get_mut(&call) {
                        call.agent = Some(*agent);
                    }
                }
                EventKind::MessageStarted { recording } => {
                    if let Some(call) = open.get_mut(&call) {
                        call.recording = Some(recording.clone());
                        call.recorded_ms = Some(1_000);
                    }
                }
                EventKind::ConversationStarted {
                    agent, recording, ..
                } => {
                    if let Some(call) = open.get_mut(&call) {
                        call.agent = Some(*agent);
                        (call.started_at, call.recording) = (Some(event.at), recording.clone());
                        call.recorded_ms = recording.as_ref().map(|_| 1_000);
                    }
                }
                _ => {}
            }
        }
        for (id, call) in &mut open {
            if call.ended && self.kept_until.get(id).is_some_and(|until| *until < now) {
                self.snapshots.remove(id);
            } else if call.ended {
                self.kept_until.insert(*id, later(now));
            }
            call.snapshot = self.snapshots.get(id).cloned();
        }
        open.retain(|_, call| !call.ended || call.recording.is_some() || call.snapshot.is_some());
        open.into_values().collect()
    }
}

/// The event as it comes back out of a journal.
fn as_stored(event: &Event) -> Event {
    let body = serde_json::to_string(event).expect("a fact can be written");
    serde_json::from_str(&body).expect("what was written can be read")
}

/// When a store that lives forgets the dialogs of a call that ends now.
fn later(now: Utc) -> Utc {
    Utc::from_micros(now.micros() + DIALOGS_KEPT_MICROS)
}

fn fresh(call: CallId, arrived_at: Utc) -> OpenCall {
    OpenCall {
        call,
        arrived_at,
        started_at: None,
        ended: false,
        refused: None,
        agent: None,
        recording: None,
        recorded_ms: None,
        snapshot: None,
    }
}
