//! The clients of a leaver, handed over in one act (R6).

use async_trait::async_trait;
use model::{HandOverId, OrganisationId, PersonId, UserId, Utc};
use serde::{Deserialize, Serialize};

use crate::{Page, PageRequest, Result};

/// Most users among whom one leaver's clients are split.
pub const MOST_SUCCESSORS: usize = 50;
/// Most characters of the note that each client gets.
pub const MOST_NOTE: usize = 2_000;

/// What a user has in hand: what would be nobody's without them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdings {
    /// Persons assigned to the user.
    pub persons: u64,
    /// Organisations assigned to the user.
    pub organisations: u64,
    /// Open deals.
    pub deals: u64,
    /// Tasks that are not done.
    pub tasks: u64,
    /// Calls back that are owed, and that the user is responsible for.
    pub obligations: u64,
}

impl Holdings {
    /// Nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl std::ops::AddAssign for Holdings {
    fn add_assign(&mut self, more: Self) {
        self.persons += more.persons;
        self.organisations += more.organisations;
        self.deals += more.deals;
        self.tasks += more.tasks;
        self.obligations += more.obligations;
    }
}

impl std::fmt::Display for Holdings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            persons,
            organisations,
            deals,
            tasks,
            obligations,
        } = self;
        write!(
            f,
            "persons: {persons}, organisations: {organisations}, open deals: {deals}, open tasks: {tasks}, \
             calls back owed: {obligations}"
        )
    }
}

/// The order to hand over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOverOrder {
    /// Whose clients.
    pub from: UserId,
    /// To whom: one, or several among whom the clients are split evenly. Persons stay with their organisation, and
    /// deals, tasks and obligations with their client.
    pub to: Vec<UserId>,
    /// Who gives the order.
    pub by: UserId,
    /// A note that each client gets.
    pub note: Option<String>,
    /// An order of the same user with the same key is carried out once.
    pub key: Option<String>,
}

/// What one successor got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The successor.
    pub user: UserId,
    /// The successor's name as of now.
    pub name: Option<String>,
    /// How much.
    pub moved: Holdings,
}

/// A hand-over that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// Its id.
    pub id: HandOverId,
    /// When.
    pub at: Utc,
    /// Who gave the order.
    pub by: UserId,
    /// That user's name as of now.
    pub by_name: Option<String>,
    /// Whose clients they were.
    pub from: UserId,
    /// That user's name, also after the user was removed.
    pub from_name: Option<String>,
    /// The note that each client got.
    pub note: Option<String>,
    /// Who got how much, in the order of the order.
    pub to: Vec<Share>,
}

impl HandOver {
    /// Everything that moved.
    pub fn moved(&self) -> Holdings {
        let mut all = Holdings::default();
        self.to.iter().for_each(|share| all += share.moved);
        all
    }
}

/// What hand-overs can be narrowed by. The newest come first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandOverFilter {
    /// Only of this leaver.
    pub from: Option<UserId>,
    /// Only those that moved this person.
    pub person: Option<PersonId>,
    /// Only those that moved this organisation.
    pub organisation: Option<OrganisationId>,
}

/// Handing over, and what was handed over.
#[async_trait]
pub trait HandOvers: Send + Sync {
    /// Hands everything over in one transaction; the next call of each client counts for the successor.
    async fn carry_out(&self, order: &HandOverOrder) -> Result<HandOver>;

    /// One that was carried out.
    async fn read(&self, id: HandOverId) -> Result<HandOver>;

    /// Those that were carried out.
    async fn list(&self, filter: &HandOverFilter, page: &PageRequest) -> Result<Page<HandOver>>;

    /// What the user has in hand now.
    async fn holdings(&self, user: UserId) -> Result<Holdings>;
}
