//! What the store keeps in memory beside the database: the number index, the calls that run, and
//! numbers read lately. The writer alone changes the first two, between a commit and its
//! acknowledgement.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
};

use crm::{NormalNumber, Numbering};
use model::{CallId, ClientRef, LineId, Utc};

use crate::index::{Entry, NumberIndex, Who};

/// Most numbers whose normal form is remembered; reading one costs tens of microseconds.
const MOST_READ: usize = 32_768;

/// What memory learns from a transaction that is durable.
#[derive(Clone, Debug)]
pub(crate) enum MemoryChange {
    Put {
        who: Who,
        entry: Entry,
        numbers: Vec<NormalNumber>,
    },
    Removed(Who),
    /// Each client has this manager now.
    HandedOver(Vec<(Who, i64)>),
    OpenDeals {
        client: ClientRef,
        more: i64,
    },
    /// The call's best match is now this client.
    Known {
        call: CallId,
        client: ClientRef,
        line: Option<LineId>,
    },
    Ended {
        call: CallId,
        at: Utc,
        talked: bool,
    },
}

/// What of a call that runs is needed at its end.
#[derive(Clone, Copy, Debug, Default)]
struct Running {
    client: ClientRef,
    line: Option<LineId>,
}

#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) index: NumberIndex,
    running: HashMap<CallId, Running>,
}

impl Memory {
    pub(crate) fn learn(&mut self, change: MemoryChange) {
        match change {
            MemoryChange::Put {
                who,
                entry,
                numbers,
            } => self.index.put(who, entry, &numbers),
            MemoryChange::Removed(who) => self.index.remove(who),
            MemoryChange::HandedOver(clients) => {
                for (who, manager) in clients {
                    self.index.hand_over(who, manager);
                }
            }
            MemoryChange::OpenDeals { client, more } => {
                if let Some(person) = client.person {
                    self.index.open_deals(Who::Person(person.0), more);
                }
                if let Some(organisation) = client.organisation {
                    self.index
                        .open_deals(Who::Organisation(organisation.0), more);
                }
            }
            MemoryChange::Known { call, client, line } => {
                let running = self.running.entry(call).or_default();
                running.client = client;
                running.line = line.or(running.line);
            }
            MemoryChange::Ended { call, at, talked } => {
                let running = self.running.remove(&call).unwrap_or_default();
                if let Some(who) = Who::of(running.client) {
                    self.index.called(who, running.line, at, talked);
                }
            }
        }
    }
}

/// Shared by the writer and everybody who identifies.
#[derive(Debug)]
pub(crate) struct Shared {
    memory: RwLock<Memory>,
    numbering: Numbering,
    read: Mutex<HashMap<Box<str>, Arc<NormalNumber>>>,
}

impl Shared {
    pub(crate) fn new(numbering: Numbering) -> Self {
        Self {
            memory: RwLock::default(),
            numbering,
            read: Mutex::default(),
        }
    }

    pub(crate) fn numbering(&self) -> &Numbering {
        &self.numbering
    }

    /// For reading; held for microseconds, never over an await.
    pub(crate) fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn learn(&self, changes: impl IntoIterator<Item = MemoryChange>) {
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            memory.learn(change);
        }
    }

    /// The normal form of a number, remembered if it was read lately.
    pub(crate) fn normal(&self, typed: &str) -> Arc<NormalNumber> {
        let lock = || self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(typed) {
            return Arc::clone(known);
        }
        let number = Arc::new(self.numbering.normalise(typed));
        let mut read = lock();
        if read.len() >= MOST_READ {
            read.clear();
        }
        if typed.len() <= crm::number::MOST_TYPED {
            read.insert(typed.into(), Arc::clone(&number));
        }
        number
    }
}
