//! What an agent sees when the phone rings, and before (S1–S3).

use async_trait::async_trait;
use model::{CallId, CallerIdentity, ClientRef, Flag, ObligationId, OrganisationId, UserId, Utc};
use serde::{Deserialize, Serialize};

use crate::{Deal, Interaction, Note, Result, Task};

/// An id's owner with the name to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardName<I> {
    /// Who.
    pub id: I,
    /// The name to show.
    pub name: String,
}

/// An organisation of the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardMember {
    /// Which.
    pub organisation: OrganisationId,
    /// Its name.
    pub name: String,
    /// The person's position in it.
    pub position: Option<String>,
}

/// One client that the caller may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardClient {
    /// Which.
    pub client: ClientRef,
    /// The name to show: the person's, else the organisation's.
    pub name: String,
    /// The organisations: the client itself or those of the person, the main one first.
    pub organisations: Vec<CardMember>,
    /// The manager, with the name.
    pub manager: Option<CardName<UserId>>,
    /// Marks.
    pub flags: Vec<Flag>,
}

/// A call back that is owed to the caller (H5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardObligation {
    /// Which.
    pub id: ObligationId,
    /// By when to call.
    pub due: Utc,
    /// When the first missed call ended.
    pub opened_at: Utc,
    /// How many calls were missed since.
    pub missed_calls: u32,
    /// The last of them.
    pub last_call: CallId,
    /// Who is to call.
    pub responsible: Option<UserId>,
    /// The number that called.
    pub number: String,
}

/// The card: everything known about the caller. The lists are those of the first client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Who it may be, in the order of identification; empty for an unknown caller.
    pub clients: Vec<CardClient>,
    /// The last five conversations and missed calls, newest first.
    pub interactions: Vec<Interaction>,
    /// Open deals, newest first; at most [`Card::MOST`].
    pub deals: Vec<Deal>,
    /// Open tasks, the one due first at the top; at most [`Card::MOST`].
    pub tasks: Vec<Task>,
    /// Open obligations, the one due first at the top; at most [`Card::MOST`].
    pub obligations: Vec<CardObligation>,
    /// Notes, newest first; at most [`Card::MOST`].
    pub notes: Vec<Note>,
}

impl Card {
    /// Most deals, tasks, obligations and notes on a card.
    pub const MOST: usize = 20;
    /// Most interactions on a card.
    pub const MOST_INTERACTIONS: usize = 5;
}

/// Reads cards.
#[async_trait]
pub trait Cards: Send + Sync {
    /// The card of a caller, in one round trip to the database; of one whom nobody knows, what is owed to
    /// the number.
    async fn card(&self, caller: &CallerIdentity) -> Result<Card>;
}
