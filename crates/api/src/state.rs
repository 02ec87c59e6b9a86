//! What every route works with.

use std::{fmt, ops::Deref, path::PathBuf, sync::Arc, time::Duration};

use call::Command;
use crm::Base;
use model::SessionId;
use tokio::sync::{broadcast, mpsc};

use crate::{
    directory::DirectoryChanged, guesses::Guesses, orders::Orders, password::Hasher,
    problem::Problem, trunk_states::TrunkStates,
};

/// What the configuration says about the API.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The digest realm of the telephones; a device's HA1 is computed over it.
    pub realm: String,
    /// The recordings folder.
    pub recordings: PathBuf,
    /// Origins of web pages elsewhere that may open the WebSocket, such as `https://crm.example`.
    pub allowed_origins: Vec<String>,
    /// How long a session lasts.
    pub session_length: Duration,
    /// How often a WebSocket is pinged; one that has been silent for a whole interval is closed.
    pub ping_interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            realm: "ringbook".to_owned(),
            recordings: PathBuf::from("recordings"),
            allowed_origins: Vec::new(),
            session_length: Duration::from_secs(30 * 24 * 60 * 60),
            ping_interval: Duration::from_secs(30),
        }
    }
}

/// A number for `/metrics`, read when asked for.
pub struct Counter {
    /// Prometheus name, such as `ringbook_calls_total`.
    pub name: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// It may fall (a gauge); else it only rises (a counter).
    pub is_gauge: bool,
    /// Its present value.
    pub read: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter").field("name", &self.name).finish()
    }
}

/// What the binary hands to the API.
pub struct Parts {
    /// The repositories.
    pub base: Arc<dyn Base>,
    /// The fan-out of events.
    pub hub: cti::Hub,
    /// Orders to the PBX; when it is full the client gets 503.
    pub commands: mpsc::Sender<Command>,
    /// Calls that were ordered and not confirmed yet.
    pub orders: Orders,
    /// How the trunks stand.
    pub trunk_states: TrunkStates,
    /// Tells the PBX that its directory changed.
    pub directory: DirectoryChanged,
    /// Configuration.
    pub settings: Settings,
    /// For `/metrics`.
    pub counters: Vec<Counter>,
}

/// The state shared by all routes; cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

/// What stands in [`ApiState`].
pub struct Inner {
    /// What the binary handed in.
    pub parts: Parts,
    /// Hashes passwords, few at a time.
    pub hasher: Hasher,
    /// Counts wrong log-ins.
    pub guesses: Guesses,
    /// Sessions that were logged out, for the WebSockets that they opened.
    pub ended_sessions: broadcast::Sender<SessionId>,
}

impl ApiState {
    /// Password hashes at the same moment: they must not take the machine from the calls.
    const HASHES: usize = 2;
    /// Log-ins that may wait for a hash.
    const WAITING_LOGINS: usize = 64;

    /// The state for `parts`.
    pub fn new(parts: Parts) -> Self {
        let (ended_sessions, _) = broadcast::channel(64);
        Self(Arc::new(Inner {
            parts,
            hasher: Hasher::new(Self::HASHES, Self::WAITING_LOGINS),
            guesses: Guesses::default(),
            ended_sessions,
        }))
    }
}

impl Inner {
    /// Sends an order to the PBX; 503 if its queue is full or it is stopping.
    pub fn order(&self, command: Command) -> Result<(), Problem> {
        self.parts
            .commands
            .try_send(command)
            .map_err(|_| Problem::unavailable("the PBX takes no orders at the moment"))
    }
}

impl Deref for ApiState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Deref for Inner {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
