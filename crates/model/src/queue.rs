//! How callers wait when nobody is free (R4, R7).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::LineId;

/// The queue of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Most callers who wait; the next one hears busy.
    pub most_waiting: u32,
    /// Who has waited so long, in seconds, hears that we shall call back.
    pub most_wait_secs: u32,
    /// How often position and expected wait are spoken, in seconds.
    pub announce_secs: u32,
    /// Who presses 1 is called back instead of waiting.
    pub offers_call_back: bool,
    /// Whose agents come into question too after a while.
    pub overflow: Option<Overflow>,
}

/// Help from the agents of another line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overflow {
    /// The other line.
    pub line: LineId,
    /// After how many seconds in the queue.
    pub after_secs: u32,
}

impl Queue {
    /// How long a caller waits at most.
    pub fn most_wait(&self) -> Duration {
        Duration::from_secs(self.most_wait_secs.into())
    }

    /// The time between two announcements.
    pub fn announce_every(&self) -> Duration {
        Duration::from_secs(self.announce_secs.max(10).into())
    }
}

/// Who comes first in a queue; within a class the first come (R7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// In the register of undesirable parties.
    Last,
    /// Everybody else.
    #[default]
    Usual,
    /// Very important, or of the core of the client base.
    First,
}
