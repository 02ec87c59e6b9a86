//! A company in a real database, a desk at work, and what a test needs to be the switch.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use call::{
    Cause, Effect, EffectEnd, EffectId, EffectRequest, Event, EventKind, Lead, OfferEnd, Party,
};
use crm::{
    Base, DealData, DealState, Entry, Journal, Journalled, Language, LineData, NoteData, Number,
    NumberKind, OrganisationData, PersonData, Role, TaskData, TrunkData, UserData,
};
use cti::{Attachment, Closed, Deps, Desk, Hub, Settings, Viewer};
use model::{
    CallId, CallerIdentity, ClientRef, DeviceId, DialogSnapshot, EventId, Explanation, IdMaker,
    LineId, OpenCall, Rule, TrunkId, UserId, Utc,
};
use serde_json::Value;
use store::Store;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

/// Nothing that must happen takes longer.
pub const SOON: Duration = Duration::from_secs(10);

pub const ANNA_NUMBER: &str = "+74951234567";
pub const FREE_NUMBER: &str = "+74957654321";
pub const STRANGER: &str = "+79161112233";

/// A journal whose writing a test can hold back, and whose reading it can break.
pub struct GatedJournal {
    store: Store,
    open: watch::Receiver<bool>,
    asked: watch::Sender<u64>,
    broken: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl Journal<Event> for GatedJournal {
    async fn append(&self, batch: Vec<Entry<Event>>) -> crm::Result<Vec<i64>> {
        self.asked.send_modify(|times| *times += 1);
        let mut open = self.open.clone();
        let _ = open.wait_for(|open| *open).await;
        self.store.append(batch).await
    }

    async fn read_after(&self, seq: i64, limit: u32) -> crm::Result<Vec<Journalled<Event>>> {
        if self.broken.load(Ordering::Acquire) {
            return Err(crm::Error::Unavailable {
                message: "broken by the test".to_owned(),
                remedy: "end the test",
            });
        }
        self.store.read_after(seq, limit).await
    }

    fn last_seq(&self) -> i64 {
        self.store.last_seq()
    }

    fn epoch(&self) -> &str {
        self.store.epoch()
    }

    fn node(&self) -> u16 {
        self.store.node()
    }

    async fn open_calls(&self) -> crm::Result<Vec<OpenCall>> {
        self.store.open_calls().await
    }
}

/// A database whose cards a test can hold back.
pub struct GatedBase {
    store: Store,
    open: watch::Receiver<bool>,
}

#[async_trait::async_trait]
impl crm::Cards for GatedBase {
    async fn card(&self, caller: &CallerIdentity) -> crm::Result<crm::Card> {
        let mut open = self.open.clone();
        let _ = open.wait_for(|open| *open).await;
        self.store.cards().card(caller).await
    }
}

macro_rules! delegate {
    ($($name:ident: $kind:ty),* $(,)?) => {$(
        fn $name(&self) -> &$kind {
            self.store.$name()
        }
    )*};
}

impl Base for GatedBase {
    delegate! {
        users: dyn crm::Users,
        absences: dyn crm::Repository<crm::AbsenceData>,
        hand_overs: dyn crm::HandOvers,
        sessions: dyn crm::Sessions,
        devices: dyn crm::Repository<crm::DeviceData>,
        lines: dyn crm::Repository<LineData>,
        trunks: dyn crm::Repository<TrunkData>,
        offices: dyn crm::Repository<crm::OfficeData>,
        settings: dyn crm::Settings,
        organisations: dyn crm::Repository<OrganisationData>,
        persons: dyn crm::Repository<PersonData>,
        notes: dyn crm::Repository<NoteData>,
        deals: dyn crm::Repository<DealData>,
        tasks: dyn crm::Repository<TaskData>,
        obligations: dyn crm::Obligations,
        interactions: dyn crm::Interactions,
        calls: dyn crm::Calls,
        identification: dyn crm::Identification,
    }

    fn cards(&self) -> &dyn crm::Cards {
        self
    }
}

/// The company: Anna's client Cable Ltd with Ivan, Boris, a client of nobody, and one line.
pub struct Company {
    pub folder: tempfile::TempDir,
    pub store: Store,
    pub anna: UserId,
    pub boris: UserId,
    pub clara: UserId,
    pub admin: UserId,
    pub line: LineId,
    pub trunk: TrunkId,
    pub ivan: ClientRef,
}

impl Company {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("test.db").display());
        let store = Store::open(&url, 0, "RU", store::Options::default())
            .await
            .unwrap();
        let mut users = Vec::new();
        for (name, short, role) in [
            ("Anna", Some("101"), Role::Agent),
            ("Boris", Some("102"), Role::Agent),
            ("Clara", Some("103"), Role::Agent),
            ("Root", None, Role::Administrator),
        ] {
            let user = UserData {
                name: name.to_owned(),
                login: name.to_lowercase(),
                short_number: short.map(str::to_owned),
                role,
                language: Language::English,
                away: false,
                ring_timeout_secs: 20,
                wrap_up_secs: 0,
                may_call: model::Reach::default(),
                call_waiting: false,
                deputy: None,
            };
            users.push(store.users().create(user).await.unwrap().id);
        }
        let line = LineData {
            number: "+74950000001".to_owned(),
            normal: String::new(),
            name: "Sales".to_owned(),
            channel: Some("Radio".to_owned()),
            ring_timeout_secs: None,
            recorded: true,
            callback_minutes: 30,
            language: model::Language::Russian,
            queue: None,
            office: None,
            reception: model::Reception::default(),
            skills: Vec::new(),
        };
        let trunk = TrunkData {
            name: "Telecom".to_owned(),
            networks: vec!["192.0.2.0/24".parse().unwrap()],
            media_networks: Vec::new(),
            trusted_identity: true,
            called_in: model::CalledIn::Automatic,
            most_calls: None,
            outbound: None,
        };
        let number = |text: &str| vec![Number::typed(text, NumberKind::Work)];
        let organisation = store.organisations().create(OrganisationData {
            name: "Cable Ltd".to_owned(),
            manager: Some(users[0]),
            ..OrganisationData::default()
        });
        let organisation = organisation.await.unwrap().id;
        let ivan = store.persons().create(PersonData {
            name: "Ivan Petrov".to_owned(),
            numbers: number(ANNA_NUMBER),
            memberships: vec![crm::Membership {
                organisation,
                position: Some("Buyer".to_owned()),
            }],
            ..PersonData::default()
        });
        let ivan = ivan.await.unwrap().id;
        let nobodys = store.persons().create(PersonData {
            name: "Nobody's Client".to_owned(),
            numbers: number(FREE_NUMBER),
            ..PersonData::default()
        });
        nobodys.await.unwrap();
        Self {
            anna: users[0],
            boris: users[1],
            clara: users[2],
            admin: users[3],
            line: store.lines().create(line).await.unwrap().id,
            trunk: store.trunks().create(trunk).await.unwrap().id,
            ivan: ClientRef {
                person: Some(ivan),
                organisation: Some(organisation),
            },
            folder,
            store,
        }
    }

    /// What stands on Ivan's card besides his name.
    pub async fn fill_card(&self) {
        let (client, base) = (self.ivan, &self.store);
        let deal = DealData {
            title: "Two kilometres of cable".to_owned(),
            client,
            manager: Some(self.anna),
            stage: "Offer sent".to_owned(),
            state: DealState::Open,
            amount_minor: Some(12_500_000),
            currency: "RUB".to_owned(),
        };
        base.deals().create(deal).await.unwrap();
        let task = TaskData {
            title: "Send the price list".to_owned(),
            client,
            assignee: self.anna,
            due: Some(Utc::from_secs(1_800_000_000)),
            done_at: None,
            call: None,
        };
        base.tasks().create(task).await.unwrap();
        let note = NoteData {
            client,
            author: self.anna,
            text: "ё".repeat(600),
        };
        base.notes().create(note).await.unwrap();
    }

    pub fn viewer(&self, user: UserId) -> Viewer {
        Viewer {
            user,
            role: if user == self.admin {
                Role::Administrator
            } else {
                Role::Agent
            },
            language: Language::English,
        }
    }
}

/// A running desk, seen from the switch.
pub struct Room {
    pub company: Company,
    pub hub: Hub,
    /// Opens and closes the journal.
    pub gate: watch::Sender<bool>,
    /// How often the journal was asked to write.
    pub asked: watch::Receiver<u64>,
    /// The journal cannot be read.
    pub broken: Arc<AtomicBool>,
    /// Opens and closes the cards.
    pub cards: watch::Sender<bool>,
    pub effects: mpsc::Sender<EffectRequest>,
    pub ends: mpsc::Receiver<(EffectId, EffectEnd)>,
    pub desk: JoinHandle<()>,
    ids: IdMaker,
}

impl Room {
    pub async fn new() -> Self {
        Self::with(Company::new().await, Settings::default()).await
    }

    pub async fn with(company: Company, settings: Settings) -> Self {
        let (gate, open) = watch::channel(true);
        let (cards, cards_open) = watch::channel(true);
        let (asked, times_asked) = watch::channel(0);
        let broken = Arc::new(AtomicBool::new(false));
        let deps = Deps {
            journal: Arc::new(GatedJournal {
                store: company.store.clone(),
                open,
                asked,
                broken: Arc::clone(&broken),
            }),
            base: Arc::new(GatedBase {
                store: company.store.clone(),
                open: cards_open,
            }),
        };
        let hub = Hub::new(deps.clone(), settings.clone());
        tokio::spawn(hub.clone().run_presence());
        hub.set_directory(&company.store.settings().directory().await.unwrap());
        let (effects, requests) = mpsc::channel(100);
        let (results, ends) = mpsc::channel(100);
        let desk = Desk::start(deps, hub.clone(), settings);
        Self {
            company,
            hub,
            gate,
            asked: times_asked,
            broken,
            cards,
            effects,
            ends,
            desk: tokio::spawn(desk.run(requests, results)),
            ids: IdMaker::new(0),
        }
    }

    /// The same company after the process ended and began again.
    pub async fn restart(self) -> Self {
        let (company, settings) = (self.company, Settings::default());
        drop((self.effects, self.ends));
        timeout(SOON, self.desk).await.unwrap().unwrap();
        Self::with(company, settings).await
    }

    pub fn attach(&self, user: UserId, after: Option<&str>) -> Screen {
        let viewer = self.company.viewer(user);
        Screen(self.hub.attach(viewer, after).unwrap())
    }

    pub fn call(&mut self) -> TestCall {
        TestCall {
            id: CallId(self.ids.make(now())),
            next: 0,
        }
    }

    pub async fn send(&self, call: &mut TestCall, effect: Effect) -> EffectId {
        let id = call.effect();
        let request = EffectRequest { id, effect };
        timeout(SOON, self.effects.send(request))
            .await
            .unwrap()
            .unwrap();
        id
    }

    pub async fn end(&mut self) -> (EffectId, EffectEnd) {
        timeout(SOON, self.ends.recv()).await.unwrap().unwrap()
    }

    pub async fn end_of(&mut self, effect: EffectId) -> EffectEnd {
        let (id, end) = self.end().await;
        assert_eq!(id, effect, "{end:?}");
        end
    }

    pub async fn identify(&mut self, call: &mut TestCall, number: &str) -> Arc<CallerIdentity> {
        let identify = Effect::Identify {
            number: number.to_owned(),
            line: Some(self.company.line),
        };
        let effect = self.send(call, identify).await;
        match self.end_of(effect).await {
            EffectEnd::Identified(caller) => caller,
            other => panic!("{other:?}"),
        }
    }

    pub async fn begin_commit(&mut self, call: &mut TestCall, kinds: Vec<EventKind>) -> EffectId {
        let at = now();
        let events = kinds.into_iter().map(|kind| Event {
            id: EventId(self.ids.make(at)),
            call: call.id,
            at,
            kind,
        });
        let events = events.collect();
        self.send(call, Effect::Commit { events }).await
    }

    pub async fn commit(&mut self, call: &mut TestCall, kinds: Vec<EventKind>) {
        let effect = self.begin_commit(call, kinds).await;
        assert_eq!(self.end_of(effect).await, EffectEnd::Committed);
    }

    pub fn arrived(&self, caller: &Arc<CallerIdentity>) -> EventKind {
        EventKind::Arrived {
            trunk: self.company.trunk,
            line: self.company.line,
            from: caller.number.clone(),
            to: "+74950000001".to_owned(),
            caller: Arc::clone(caller),
        }
    }

    /// Identifies `number`, and commits arrival and first offer to `agent`.
    pub async fn offer(&mut self, number: &str, agent: UserId) -> TestCall {
        let mut call = self.call();
        let caller = self.identify(&mut call, number).await;
        let arrived = self.arrived(&caller);
        let owner = caller.matches.first().and_then(|first| first.manager);
        self.commit(&mut call, vec![arrived, offered(agent, 0, owner)])
            .await;
        call
    }

    /// A whole conversation: offered, ringing, answered, ended.
    pub async fn conversation(&mut self, number: &str, agent: UserId) -> TestCall {
        let mut call = self.offer(number, agent).await;
        let kinds = [
            vec![ringing(agent, None)],
            started(agent),
            vec![ended(Some(agent))],
        ];
        for kinds in kinds {
            self.commit(&mut call, kinds).await;
        }
        call
    }
}

/// The effects of one call, numbered as the switch does it.
pub struct TestCall {
    pub id: CallId,
    next: u32,
}

impl TestCall {
    pub fn effect(&mut self) -> EffectId {
        self.next += 1;
        EffectId {
            call: self.id,
            number: self.next - 1,
        }
    }
}

pub fn offered(agent: UserId, attempt: u16, owner: Option<UserId>) -> EventKind {
    let rule = if owner == Some(agent) {
        Rule::Assigned { match_index: 0 }
    } else {
        Rule::Skilled {
            level: 7,
            idle_ms: Some(1_500),
        }
    };
    EventKind::Offered {
        agent,
        attempt,
        rule,
        explanation: Arc::new(Explanation::default()),
        owner: owner.filter(|owner| *owner != agent),
        snapshot: DialogSnapshot("secret of the switch".to_owned()),
    }
}

pub fn offer_ended(agent: UserId) -> EventKind {
    EventKind::OfferEnded {
        agent,
        end: OfferEnd::NoAnswer,
    }
}

pub fn ringing(agent: UserId, lead: Option<Lead>) -> EventKind {
    EventKind::Ringing { agent, lead }
}

pub fn started(agent: UserId) -> Vec<EventKind> {
    let device = DeviceId(77);
    vec![
        EventKind::OfferAccepted { agent, device },
        EventKind::LineAnswered,
        EventKind::ConversationStarted {
            agent,
            device,
            recording: None,
            snapshot: DialogSnapshot::default(),
        },
    ]
}

pub fn ended(agent: Option<UserId>) -> EventKind {
    EventKind::Ended {
        cause: Cause::HungUp,
        by: Party::Client,
        agent,
        talk_ms: 61_000,
        wait_ms: 2_000,
        missed: false,
    }
}

pub fn missed(agent: UserId) -> EventKind {
    EventKind::Ended {
        cause: Cause::CallerCancelled,
        by: Party::Client,
        agent: Some(agent),
        talk_ms: 0,
        wait_ms: 2_000,
        missed: true,
    }
}

pub fn now() -> Utc {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Utc::from_micros(i64::try_from(since.as_micros()).unwrap())
}

/// A connected client.
pub struct Screen(pub Attachment);

impl Screen {
    pub async fn frame(&mut self) -> Value {
        let frame = timeout(SOON, self.0.next()).await.unwrap().unwrap();
        serde_json::from_str(&frame).unwrap()
    }

    /// The next frame, which must be of this type.
    pub async fn expect(&mut self, kind: &str) -> Value {
        let frame = self.frame().await;
        assert_eq!(frame["type"], kind, "{frame:#}");
        frame
    }

    /// The frames before `ready`, and its cursor.
    pub async fn ready(&mut self) -> (Vec<Value>, String) {
        let mut before = Vec::new();
        loop {
            let frame = self.frame().await;
            if frame["type"] == "ready" {
                return (before, frame["cursor"].as_str().unwrap().to_owned());
            }
            before.push(frame);
        }
    }

    /// No frame waits.
    pub fn assert_quiet(&mut self) {
        assert_eq!(self.0.try_next(), None);
    }

    pub async fn closed(&mut self) -> Closed {
        loop {
            match timeout(SOON, self.0.next()).await.unwrap() {
                Ok(_) => {}
                Err(reason) => return reason,
            }
        }
    }
}

pub fn kinds(frames: &[Value]) -> Vec<&str> {
    frames
        .iter()
        .map(|frame| frame["type"].as_str().unwrap())
        .collect()
}
