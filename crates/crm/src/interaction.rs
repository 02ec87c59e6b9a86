//! The history of clients: one entry per conversation.

use async_trait::async_trait;
use model::{CallId, ClientRef, InteractionId, LineId, OrganisationId, PersonId, UserId, Utc};
use serde::{Deserialize, Serialize};

use crate::{Direction, Page, PageRequest, Result};

/// What kind of contact it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InteractionKind {
    /// A telephone call.
    Call,
}

/// One entry of a client's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interaction {
    /// Its id.
    pub id: InteractionId,
    /// What it was.
    pub kind: InteractionKind,
    /// Who began it.
    pub direction: Direction,
    /// With whom, as far as known.
    pub client: ClientRef,
    /// The call; each has one entry.
    pub call: CallId,
    /// The line called.
    pub line: Option<LineId>,
    /// The agent of the conversation, else of the last offer.
    pub agent: Option<UserId>,
    /// The agent's name.
    pub agent_name: Option<String>,
    /// When the call arrived.
    pub at: Utc,
    /// No conversation took place.
    pub missed: bool,
    /// Length of the conversation in milliseconds.
    pub talk_ms: u64,
    /// Recording file, relative to the recordings folder, once it is complete.
    pub recording: Option<String>,
}

/// What the history can be narrowed by. The newest come first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InteractionFilter {
    /// Only this person's.
    pub person: Option<PersonId>,
    /// Only this organisation's, its persons' included.
    pub organisation: Option<OrganisationId>,
    /// Only this agent's.
    pub agent: Option<UserId>,
    /// Only what this agent may see: calls they took part in, and their own and unassigned clients.
    pub visible_to: Option<UserId>,
}

/// The history. Entries are made by the journal.
#[async_trait]
pub trait Interactions: Send + Sync {
    /// Reads one.
    async fn read(&self, id: InteractionId) -> Result<Interaction>;

    /// A page of those that `filter` lets through, newest first.
    async fn list(
        &self,
        filter: &InteractionFilter,
        page: &PageRequest,
    ) -> Result<Page<Interaction>>;
}
