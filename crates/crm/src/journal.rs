//! The journal: append-only, the truth from which calls, history and recordings are made.

use async_trait::async_trait;
use model::{ClientRef, OpenCall, UserId};

use crate::Result;

/// A fact to be written. `E` is the event type of the crate that makes the facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<E> {
    /// What happened.
    pub event: E,
    /// The call went on before this was durable.
    pub late: bool,
}

/// A fact as it stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journalled<E> {
    /// Its place: rises by one with each entry of a node.
    pub seq: i64,
    /// What happened.
    pub event: E,
    /// The call went on before this was durable.
    pub late: bool,
    /// Who may see it.
    pub audience: Audience,
}

/// What decides who may see a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// Everybody who was offered the call, in that order.
    pub participants: Vec<UserId>,
    /// The best match.
    pub client: ClientRef,
    /// The client's manager as of now; none: unassigned or unknown.
    pub owner: Option<UserId>,
}

impl Audience {
    /// Whether an agent may see it: took part, is the manager, or nobody is.
    pub fn admits(&self, agent: UserId) -> bool {
        self.participants.contains(&agent) || self.owner.is_none_or(|owner| owner == agent)
    }
}

/// The journal of one node.
#[async_trait]
pub trait Journal<E>: Send + Sync {
    /// Writes the entries in their order in one transaction, with everything that is made from
    /// them, and returns their places. Facts that follow from them (an obligation opened or closed) get the
    /// places behind; [`Journal::read_after`] has them. An event that is there already keeps its place and changes
    /// nothing. Waits while the database is busy; [`crate::Error::Full`] if too many wait already,
    /// and then nothing was taken.
    async fn append(&self, batch: Vec<Entry<E>>) -> Result<Vec<i64>>;

    /// The entries behind `seq`, oldest first, at most `limit` (held at 1,000).
    async fn read_after(&self, seq: i64, limit: u32) -> Result<Vec<Journalled<E>>>;

    /// The place of the last durable entry; 0 in an empty journal.
    fn last_seq(&self) -> i64;

    /// Made at random with the database; changes only when the journal is restored or migrated.
    fn epoch(&self) -> &str;

    /// The node that writes.
    fn node(&self) -> u16;

    /// What a crash left, oldest first: the calls of this node without an end, those that ended so lately that
    /// not every party may have heard of it, and those whose recording is not complete.
    async fn open_calls(&self) -> Result<Vec<OpenCall>>;
}
