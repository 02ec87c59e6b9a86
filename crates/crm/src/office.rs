//! Our offices, whose hours hold for lines.

use model::{Hours, OfficeId};
use serde::{Deserialize, Serialize};

use crate::{Record, Resource};

/// An office as stored.
pub type Office = Record<OfficeId, OfficeData>;

/// What an office is (T7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfficeData {
    /// What the administrator calls it; unique.
    pub name: String,
    /// When it works.
    #[serde(flatten)]
    pub hours: Hours,
}

/// Offices are few: nothing to narrow by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfficeFilter {}

impl Resource for OfficeData {
    type Id = OfficeId;
    type Filter = OfficeFilter;
    const NAME: &'static str = "office";
}
