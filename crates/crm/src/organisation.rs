//! Client organisations.

use model::{Flag, OrganisationId, UserId};
use serde::{Deserialize, Serialize};

use crate::{Number, Record, Resource};

/// An organisation as stored.
pub type Organisation = Record<OrganisationId, OrganisationData>;

/// What an organisation is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganisationData {
    /// Its name.
    pub name: String,
    /// The assigned manager, who also answers for its persons without a manager of their own.
    #[serde(default)]
    pub manager: Option<UserId>,
    /// Marks.
    #[serde(default)]
    pub flags: Vec<Flag>,
    /// Its own numbers (switchboard); at most [`crate::number::MOST_PER_CLIENT`].
    #[serde(default)]
    pub numbers: Vec<Number>,
}

/// What organisations can be narrowed by. The order is that of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganisationFilter {
    /// Part of the name.
    pub text: Option<String>,
    /// Only those assigned to this user.
    pub manager: Option<UserId>,
    /// Only those with this number, in any way of writing.
    pub number: Option<String>,
    /// Only what this agent may see: their own and unassigned ones.
    pub visible_to: Option<UserId>,
}

impl Resource for OrganisationData {
    type Id = OrganisationId;
    type Filter = OrganisationFilter;
    const NAME: &'static str = "organisation";
}
