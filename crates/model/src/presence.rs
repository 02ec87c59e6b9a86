//! What an agent is doing (S8). The machine that moves between these lives in `routing`.

use serde::{Deserialize, Serialize};

use crate::{CallId, UserId, Utc};

/// The one state of an agent; derived from calls, registrations and the agent's own choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum AgentState {
    /// Registered, present and free.
    Available,
    /// Chosen for a call whose devices do not ring yet.
    Reserved {
        /// The call that reserved the agent.
        call: CallId,
    },
    /// The agent's devices ring, or those of somebody whom the agent calls.
    Ringing {
        /// The call that rings.
        call: CallId,
    },
    /// In a conversation, on hold included.
    Talking {
        /// The conversation.
        call: CallId,
    },
    /// After a conversation, until the wrap-up time is over or the agent ends it.
    WrapUp {
        /// The conversation that ended.
        call: CallId,
    },
    /// Not to be offered calls.
    Away {
        /// Why.
        reason: AwayReason,
    },
}

impl AgentState {
    /// The state's name as the API and the journal write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Reserved { .. } => "reserved",
            Self::Ringing { .. } => "ringing",
            Self::Talking { .. } => "talking",
            Self::WrapUp { .. } => "wrap_up",
            Self::Away { .. } => "away",
        }
    }
}

/// Why an agent is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AwayReason {
    /// An absence that was planned has begun and not ended.
    Absent,
    /// The agent said so.
    Chosen,
    /// None of the agent's devices is registered.
    Unregistered,
}

/// A change of an agent's state (S8): a frame without a cursor, since the present state is sent to
/// every client that connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentChanged {
    /// The agent.
    pub agent: UserId,
    /// Since when.
    pub since: Utc,
    /// The new state.
    #[serde(flatten)]
    pub state: AgentState,
}
