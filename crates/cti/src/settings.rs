//! What the rooms of this crate work with, and their limits.

use std::{sync::Arc, time::Duration};

use call::Event;
use crm::{Base, Journal};

/// The database behind its traits.
#[derive(Clone)]
pub struct Deps {
    /// Where facts become durable.
    pub journal: Arc<dyn Journal<Event>>,
    /// Who calls, and what is known about them.
    pub base: Arc<dyn Base>,
}

/// Limits; what happens at each stands beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Frames that wait for one client; one more, and the client is closed as too slow.
    pub most_waiting_frames: usize,
    /// Clients connected at a time; one more is refused.
    pub most_clients: usize,
    /// Up to so many connected clients, agents are told the states of all agents; beyond that only
    /// their own, since every frame goes to everybody. Administrators and supervisors are always
    /// told all.
    pub most_clients_for_presence: usize,
    /// An agent's own state is told so long after it changed, together with what else changed until then.
    pub presence_delay: Duration,
    /// The states of other agents are told at most this often, all changes in one frame.
    pub presence_interval: Duration,
    /// Facts that wait for a slow journal; what comes on top is lost to the journal, counted and
    /// logged, and the call goes on.
    pub most_waiting_events: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            most_waiting_frames: 1_000,
            most_clients: 10_000,
            most_clients_for_presence: 200,
            presence_delay: Duration::from_millis(50),
            presence_interval: Duration::from_secs(1),
            most_waiting_events: 100_000,
        }
    }
}

/// How long a commit's frames wait for the journal before they go out without a cursor.
pub(crate) const COMMIT_PATIENCE: Duration = Duration::from_millis(250);
/// How long a card's frame waits for what the database knows about the caller.
pub(crate) const CARD_PATIENCE: Duration = Duration::from_millis(100);
/// How long after a failure the journal is tried again.
pub(crate) const JOURNAL_RETRY: Duration = Duration::from_millis(200);
/// How often a single commit is tried again before its facts are given up as refused, so that it
/// does not block those behind it for ever.
pub(crate) const MOST_REFUSALS: u32 = 5;
/// Most facts in one transaction; bounds the parameters of its statements, too.
pub(crate) const MOST_EVENTS_PER_BATCH: usize = 256;
