//! Who calls, as far as the contact base knows (R1).

use serde::{Deserialize, Serialize};

use crate::{OrganisationId, PersonId, UserId};

/// A client: a person, an organisation's switchboard, or a person in an organisation.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct ClientRef {
    /// The person, if the number is a person's.
    pub person: Option<PersonId>,
    /// The organisation the number belongs to, or the person's first one.
    pub organisation: Option<OrganisationId>,
}

/// A mark on a client that changes how a call is treated (R7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// Very important client.
    Vip,
    /// In the register of undesirable parties.
    Undesirable,
    /// Belongs to the core of the client base.
    Core,
    /// Does not want to be called.
    DoNotCall,
}

/// One client that the calling number may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerMatch {
    /// Which client.
    pub client: ClientRef,
    /// The name to show: the person's, else the organisation's.
    pub name: String,
    /// The organisation's name, if there is one.
    pub organisation_name: Option<String>,
    /// The manager assigned to the person, else to the organisation.
    pub manager: Option<UserId>,
    /// Marks of the person and the organisation together.
    pub flags: Vec<Flag>,
}

/// What identification found for a calling number.
///
/// `matches` stand in the order of the card: last conversation, open deal, line called. Empty means
/// that nobody in the contact base has the number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerIdentity {
    /// The number in E.164 with `+`, or as it came if it is not a public number; empty if withheld.
    pub number: String,
    /// The extension that came with it, if any.
    pub extension: Option<String>,
    /// Region or country code of the number (ISO 3166, such as `RU`), if it can be told.
    pub region: Option<String>,
    /// The clients it may be, best first; at most 16.
    pub matches: Vec<CallerMatch>,
    /// False if identification was not done in time: the call was routed as unknown.
    pub in_time: bool,
}
