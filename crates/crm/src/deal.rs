//! Deals with clients.

use model::{ClientRef, DealId, UserId};
use serde::{Deserialize, Serialize};

use crate::{Record, Resource};

/// A deal as stored.
pub type Deal = Record<DealId, DealData>;

/// Whether a deal still runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DealState {
    /// It runs.
    #[default]
    Open,
    /// The client bought.
    Won,
    /// The client did not buy.
    Lost,
}

impl DealState {
    /// The state's name in the database and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }
}

/// What a deal is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DealData {
    /// What it is about.
    pub title: String,
    /// With whom: a person, an organisation, or both.
    pub client: ClientRef,
    /// Who leads it.
    pub manager: Option<UserId>,
    /// How far it is, in the company's own words.
    pub stage: String,
    /// Whether it still runs.
    pub state: DealState,
    /// Its worth in hundredths of the currency.
    pub amount_minor: Option<i64>,
    /// The currency (ISO 4217).
    pub currency: String,
}

/// What deals can be narrowed by. The newest come first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DealFilter {
    /// Part of the title.
    pub text: Option<String>,
    /// Only those with this client: the parts that are given must agree.
    pub client: ClientRef,
    /// Only those that this user leads.
    pub manager: Option<UserId>,
    /// Only those in this state.
    pub state: Option<DealState>,
    /// Only what this agent may see: deals they lead, and those with clients they may see.
    pub visible_to: Option<UserId>,
}

impl Resource for DealData {
    type Id = DealId;
    type Filter = DealFilter;
    const NAME: &'static str = "deal";
}
