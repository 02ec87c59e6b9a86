//! Who should answer, and why, and who may call whom: the one state machine of all agents (S8) and the decision which of
//! them a call is offered to (R2, R3, R8).
//!
//! Invariant: an agent serves at most one call, and nothing keeps an agent from becoming available
//! again once the call has let go, a device is registered and the agent is back. No protocol,
//! clock, socket or sentence in a human language ever stands here.

mod absence;
pub mod agents;
mod beside;
mod decision;
pub mod hours;
mod index;
pub mod machine;
pub mod plan;
pub mod queue;

pub use absence::MOST_DEPUTIES;
pub use agents::Agents;
pub use decision::{Candidate, Decision, MOST_CANDIDATES, Question};
pub use hours::OfficeHours;
pub use queue::{Waiting, WaitingRoom};
