//! Effects: what a call asks of the world outside and waits for.
//!
//! Each effect ends exactly once: by its result, by its deadline, or because the call is gone. A
//! result that comes after the end is handed to the call as late.

use std::{sync::Arc, time::Duration};

use model::{CallId, CallerIdentity, LineId, UserId, Utc};

use crate::Event;

/// An effect of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EffectId {
    /// Whose.
    pub call: CallId,
    /// Counted from 0 within the call.
    pub number: u32,
}

/// An effect to carry out. Effects of one call are carried out in the order in which they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectRequest {
    /// To be named with the result.
    pub id: EffectId,
    /// What to do.
    pub effect: Effect,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Who has this number? Ends with [`EffectEnd::Identified`]; deadline 100 ms.
    Identify {
        /// The number as it came; empty if withheld.
        number: String,
        /// The line, which decides the order of several matches.
        line: Option<LineId>,
    },
    /// Reserve the agent for this call. Ends with [`EffectEnd::Reserved`].
    Reserve {
        /// Whom.
        agent: UserId,
    },
    /// Give the reservation back. Has no result.
    Release {
        /// Whose.
        agent: UserId,
    },
    /// Make facts durable, in this order, in one transaction. Ends with [`EffectEnd::Committed`];
    /// deadline 250 ms, after which the entry is still written, marked late and counted.
    Commit {
        /// The facts.
        events: Vec<Event>,
    },
    /// Put the card of the offer that was committed last on the agent's screens. Ends with
    /// [`EffectEnd::Announced`]; deadline 150 ms.
    Announce {
        /// Whose screens.
        agent: UserId,
        /// Number of the offer within the call.
        attempt: u16,
    },
}

impl Effect {
    /// How long the call waits; none for effects without a result.
    pub fn deadline(&self) -> Option<Duration> {
        match self {
            Self::Identify { .. } => Some(Duration::from_millis(100)),
            Self::Reserve { .. } | Self::Commit { .. } => Some(Duration::from_millis(250)),
            Self::Announce { .. } => Some(Duration::from_millis(150)),
            Self::Release { .. } => None,
        }
    }
}

/// Whether the card was seen before the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownBy {
    /// A client painted it and said so.
    Client,
    /// The frame was sent, nobody has confirmed yet.
    Nobody,
}

/// How an effect ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EffectEnd {
    /// Who calls; an identity without matches if nobody has the number.
    Identified(Arc<CallerIdentity>),
    /// Whether the reservation was granted.
    Reserved {
        /// True if the agent is ours now.
        granted: bool,
    },
    /// The facts are durable.
    Committed,
    /// The card's frame was sent.
    Announced {
        /// Who confirmed it.
        shown: ShownBy,
        /// How many clients of the agent were connected; 0 ends the effect at once.
        clients: u32,
        /// When a client's `shown` came in, else when the frame was sent.
        at: Utc,
    },
    /// It could not be done; the call goes on as after the deadline. The reason is for the log.
    Failed(String),
}
