//! What an agent sees when the phone rings, and before (S1–S3).

use async_trait::async_trait;
use model::{CallerIdentity, ClientRef, Flag, OrganisationId, UserId, Utc};
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

/// Something promised to a client. None are kept yet: the list on a card is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obligation {
    /// What was promised.
    pub title: String,
    /// By when.
    pub due: Utc,
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
    /// What was promised and is not done.
    pub obligations: Vec<Obligation>,
    /// Notes, newest first; at most [`Card::MOST`].
    pub notes: Vec<Note>,
}

impl Card {
    /// Most deals, tasks and notes on a card.
    pub const MOST: usize = 20;
    /// Most interactions on a card.
    pub const MOST_INTERACTIONS: usize = 5;
}

/// Reads cards.
#[async_trait]
pub trait Cards: Send + Sync {
    /// The card for an identified caller, in one round trip to the database.
    async fn card(&self, caller: &CallerIdentity) -> Result<Card>;
}
