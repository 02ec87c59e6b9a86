//! Why a call went where it went (R8): codes with facts, never sentences.

use serde::{Deserialize, Serialize};

use crate::{AgentState, UserId, Utc};

/// What put an agent among those considered for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Rule {
    /// The manager assigned to the caller (R2).
    Assigned {
        /// Place of the matched client among several matches, 0 for the first.
        match_index: u8,
    },
    /// Stands in for somebody who cannot take the call now: the assigned manager, or the manager's own deputy (R6).
    Deputy {
        /// For whom.
        of: UserId,
        /// Place of the matched client whose manager that is about.
        match_index: u8,
    },
    /// Qualified for the line called (R3).
    Skilled {
        /// 1–10, 10 is best.
        level: u8,
        /// How long the agent has been idle, in milliseconds, if available.
        idle_ms: Option<u64>,
    },
    /// The agent's own short number was dialled (T4).
    Dialled,
    /// The agent began the call (O1).
    Caller,
    /// A colleague hands the conversation over (T3).
    Transferred {
        /// Who.
        by: UserId,
    },
    /// A colleague who talks with the client brings the agent into the conversation (T3).
    Conference {
        /// Who.
        by: UserId,
    },
    /// The agent took a call that rang at a colleague (T3).
    PickedUp {
        /// At whom it rang.
        by: UserId,
    },
    /// The agent took the client out of the place where a colleague had parked them (T3).
    Retrieved {
        /// Who parked them.
        by: UserId,
    },
    /// The agent parked the client, and nobody took them out.
    NotRetrieved,
    /// The colleague did not take it: the conversation comes back.
    Returned {
        /// Who did not; none if a number outside was called.
        by: Option<UserId>,
    },
}

/// Why an agent who was considered did not get this offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum PassedOver {
    /// Not available; the state of that moment.
    NotAvailable {
        /// What the agent was doing.
        state: AgentState,
    },
    /// Absent, as planned.
    Absent {
        /// Until then, in microseconds UTC.
        until_us: Utc,
    },
    /// Was already tried in this call.
    AlreadyTried,
    /// Another call reserved the agent in that moment.
    ReservedElsewhere,
    /// The user does not exist any more or is not an agent.
    NotAnAgent,
}

/// What became of a considered agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// May be offered the call, in this place (0 is the first).
    Candidate {
        /// Place in the order.
        place: u16,
    },
    /// Was passed over.
    PassedOver(PassedOver),
}

/// One agent who was considered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Considered {
    /// The agent.
    pub agent: UserId,
    /// Why the agent came into question.
    #[serde(flatten)]
    pub rule: Rule,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// One decision of routing: everybody who was considered at that moment, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Assigned managers and their deputies first, then by skill; at most [`Explanation::MOST`] entries.
    pub considered: Vec<Considered>,
    /// How many more qualified agents there were beyond those listed.
    pub more: u32,
}

impl Explanation {
    /// Most entries that one explanation lists.
    pub const MOST: usize = 32;

    /// Nobody else came into question.
    pub fn of_one(agent: UserId, rule: Rule) -> Self {
        let considered = Considered {
            agent,
            rule,
            verdict: Verdict::Candidate { place: 0 },
        };
        Self {
            considered: vec![considered],
            more: 0,
        }
    }
}
