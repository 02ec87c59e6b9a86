//! Persons on the client's side.

use model::{Flag, OrganisationId, PersonId, UserId};
use serde::{Deserialize, Serialize};

use crate::{Number, Record, Resource};

/// A person as stored.
pub type Person = Record<PersonId, PersonData>;

/// What a person is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonData {
    /// The full name.
    pub name: String,
    /// The assigned manager; if none, the first organisation with a manager lends its own.
    #[serde(default)]
    pub manager: Option<UserId>,
    /// Marks.
    #[serde(default)]
    pub flags: Vec<Flag>,
    /// At most [`crate::number::MOST_PER_CLIENT`].
    #[serde(default)]
    pub numbers: Vec<Number>,
    /// Where the person works, the main one first; an organisation stands here once, at most
    /// [`crate::person::MOST_MEMBERSHIPS`].
    #[serde(default)]
    pub memberships: Vec<Membership>,
}

/// Most organisations a person can belong to.
pub const MOST_MEMBERSHIPS: usize = 32;

/// A person's place in an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Where.
    pub organisation: OrganisationId,
    /// As what.
    #[serde(default)]
    pub position: Option<String>,
}

/// What persons can be narrowed by. The order is that of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonFilter {
    /// Part of the name.
    pub text: Option<String>,
    /// Only those whose manager, their own or lent by an organisation, is this user.
    pub manager: Option<UserId>,
    /// Only those of this organisation.
    pub organisation: Option<OrganisationId>,
    /// Only those with this number, in any way of writing.
    pub number: Option<String>,
    /// Only what this agent may see: their own and unassigned ones.
    pub visible_to: Option<UserId>,
}

impl Resource for PersonData {
    type Id = PersonId;
    type Filter = PersonFilter;
    const NAME: &'static str = "person";
}
