//! A company small enough for one story, and calls to it.

use std::{
    sync::Arc,
    sync::atomic::{AtomicI64, Ordering},
};

use call::{Cause, Event, EventKind, Lead, Party};
use crm::{
    Entry, Identification, Journal, Language, Line, LineData, Number, NumberKind, Person,
    PersonData, Repository, Role, User, UserData,
};
use model::{
    CallId, CallerIdentity, DeviceId, DialogSnapshot, EventId, Explanation, GapReason, LineId,
    RecordingGap, Rule, TrunkId, UserId, Utc,
};
use store::{Options, Store};

use crate::postgres;

/// In every recording.
pub(crate) const GAP: RecordingGap = RecordingGap {
    at_ms: 40,
    length_ms: 20,
    reason: GapReason::DiskFull,
};

/// On which database a story runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// A database that can be opened again.
pub(crate) struct Place {
    pub(crate) url: String,
    _folder: Option<tempfile::TempDir>,
}

impl Place {
    pub(crate) async fn new(kind: Kind) -> Self {
        match kind {
            Kind::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite:{}", folder.path().join("ringbook.db").display());
                Self {
                    url,
                    _folder: Some(folder),
                }
            }
            Kind::Postgres => Self {
                url: postgres::cluster().database().await,
                _folder: None,
            },
        }
    }

    pub(crate) async fn open(&self) -> Store {
        open(&self.url).await
    }
}

pub(crate) async fn open(url: &str) -> Store {
    Store::open(url, 1, "RU", Options::default()).await.unwrap()
}

/// An open database that goes away with the story.
pub(crate) struct Scene {
    pub(crate) store: Store,
    pub(crate) place: Place,
}

pub(crate) async fn scene(kind: Kind) -> Scene {
    let place = Place::new(kind).await;
    Scene {
        store: place.open().await,
        place,
    }
}

pub(crate) fn user_data(name: &str, short_number: Option<&str>) -> UserData {
    UserData {
        name: name.to_owned(),
        login: name.to_lowercase(),
        short_number: short_number.map(str::to_owned),
        role: Role::Agent,
        language: Language::Russian,
        away: false,
        ring_timeout_secs: 15,
        wrap_up_secs: 10,
        may_call: model::Reach::default(),
        call_waiting: false,
        deputy: None,
    }
}

pub(crate) async fn user(store: &Store, name: &str) -> User {
    store.create(user_data(name, None)).await.unwrap()
}

pub(crate) async fn line(store: &Store, number: &str) -> Line {
    let data = LineData {
        number: number.to_owned(),
        normal: String::new(),
        name: format!("line {number}"),
        channel: None,
        ring_timeout_secs: None,
        recorded: true,
        callback_minutes: 30,
        language: model::Language::Russian,
        queue: None,
        office: None,
        reception: model::Reception::default(),
        skills: Vec::new(),
    };
    store.create(data).await.unwrap()
}

pub(crate) fn person_data(name: &str, numbers: &[&str]) -> PersonData {
    PersonData {
        name: name.to_owned(),
        numbers: numbers
            .iter()
            .map(|it| Number::typed(*it, NumberKind::Mobile))
            .collect(),
        ..PersonData::default()
    }
}

pub(crate) async fn person(store: &Store, name: &str, numbers: &[&str]) -> Person {
    store.create(person_data(name, numbers)).await.unwrap()
}

/// The names that a number is known by, best first.
pub(crate) async fn who(store: &Store, number: &str, line: LineId) -> Vec<String> {
    let found = store.identify(number, Some(line)).await.unwrap();
    found.matches.into_iter().map(|it| it.name).collect()
}

/// Makes the facts of one call, a second apart.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) call: CallId,
    pub(crate) line: LineId,
    pub(crate) agent: UserId,
    pub(crate) caller: Arc<CallerIdentity>,
    at: Utc,
}

impl Script {
    /// A call from `number`, identified as the switch would have it done.
    pub(crate) async fn new(store: &Store, number: &str, line: LineId, agent: UserId) -> Self {
        static NEXT: AtomicI64 = AtomicI64::new(1_000_000);
        let caller = Arc::new(store.identify(number, Some(line)).await.unwrap());
        let number = NEXT.fetch_add(100, Ordering::Relaxed);
        Self {
            call: CallId(number),
            line,
            agent,
            caller,
            at: Utc::from_secs(1_750_000_000 + number),
        }
    }

    pub(crate) fn event(&mut self, kind: EventKind) -> Entry<Event> {
        static NEXT: AtomicI64 = AtomicI64::new(1);
        let id = EventId(NEXT.fetch_add(1, Ordering::Relaxed));
        self.at = self.at + std::time::Duration::from_secs(1);
        Entry {
            event: Event {
                id,
                call: self.call,
                at: self.at,
                kind,
            },
            late: false,
        }
    }

    pub(crate) fn arrived(&mut self) -> Entry<Event> {
        let kind = EventKind::Arrived {
            trunk: TrunkId(7),
            line: self.line,
            from: self.caller.number.clone(),
            to: "84950000000".to_owned(),
            caller: Arc::clone(&self.caller),
        };
        self.event(kind)
    }

    pub(crate) fn offered(&mut self, attempt: u16) -> Entry<Event> {
        let kind = EventKind::Offered {
            agent: self.agent,
            attempt,
            rule: Rule::Skilled {
                level: 9,
                idle_ms: Some(1_500),
            },
            explanation: Arc::new(Explanation {
                considered: Vec::new(),
                more: 3,
            }),
            owner: None,
            snapshot: DialogSnapshot(format!("offered {attempt}")),
        };
        self.event(kind)
    }

    pub(crate) fn ringing(&mut self) -> Entry<Event> {
        let lead = Some(Lead {
            micros: 12_345,
            confirmed: true,
            clients: 2,
        });
        let kind = EventKind::Ringing {
            agent: self.agent,
            lead,
        };
        self.event(kind)
    }

    /// Accepted, answered, started: what is committed together.
    pub(crate) fn answered(&mut self) -> Vec<Entry<Event>> {
        let accepted = EventKind::OfferAccepted {
            agent: self.agent,
            device: DeviceId(5),
        };
        let started = EventKind::ConversationStarted {
            agent: self.agent,
            device: DeviceId(5),
            recording: Some(format!("{}.wav", self.call)),
            snapshot: DialogSnapshot("answered".to_owned()),
        };
        vec![
            self.event(accepted),
            self.event(EventKind::LineAnswered),
            self.event(started),
        ]
    }

    pub(crate) fn ended(&mut self, talk_ms: u64) -> Entry<Event> {
        let talked = talk_ms > 0;
        let kind = EventKind::Ended {
            cause: if talked {
                Cause::HungUp
            } else {
                Cause::CallerCancelled
            },
            by: Party::Client,
            agent: Some(self.agent),
            talk_ms,
            wait_ms: 2_500,
            missed: !talked,
        };
        self.event(kind)
    }

    pub(crate) fn recorded(&mut self, length_ms: u64) -> Entry<Event> {
        let kind = EventKind::RecordingReady {
            file: format!("{}.wav", self.call),
            length_ms,
            bytes: length_ms * 16,
            gaps_ms: 0,
            gaps: vec![GAP],
            error: None,
        };
        self.event(kind)
    }

    /// A whole conversation, committed as the switch does it.
    pub(crate) async fn talk(mut self, store: &Store) -> Self {
        let commits = [
            vec![self.arrived(), self.offered(0)],
            vec![self.ringing()],
            self.answered(),
            vec![self.ended(5_000)],
            vec![self.recorded(5_000)],
        ];
        for commit in commits {
            store.append(commit).await.unwrap();
        }
        self
    }

    /// A call that nobody took.
    pub(crate) async fn miss(mut self, store: &Store) -> Self {
        let facts = vec![
            self.arrived(),
            self.offered(0),
            self.ringing(),
            self.ended(0),
        ];
        store.append(facts).await.unwrap();
        self
    }
}

/// A number of the company that nobody has in the contact base.
pub(crate) const UNKNOWN: &str = "+79990000000";
