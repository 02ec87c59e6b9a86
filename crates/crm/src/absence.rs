//! When users are absent, and who stands in for them (R6).

use model::{AbsenceId, UserId, Utc};
use serde::{Deserialize, Serialize};

use crate::{Record, Resource};

/// Most absences of one user that are not over.
pub const MOST_PLANNED: usize = 100;
/// Most characters of a note.
pub const MOST_NOTE: usize = 500;

/// An absence as stored.
pub type Absence = Record<AbsenceId, AbsenceData>;

/// A time in which a user takes no calls. Those of one user do not overlap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbsenceData {
    /// Who is absent.
    pub user: UserId,
    /// From then on.
    pub from: Utc,
    /// Back from then on.
    pub until: Utc,
    /// Who stands in during this time, if it is not the user's usual deputy.
    pub deputy: Option<UserId>,
    /// Why, in the user's words.
    pub note: Option<String>,
}

/// What absences can be narrowed by. The newest come first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbsenceFilter {
    /// Only this user's.
    pub user: Option<UserId>,
    /// Only those that end after this time.
    pub after: Option<Utc>,
    /// Only those that begin before this time.
    pub before: Option<Utc>,
    /// Only this user's own.
    pub visible_to: Option<UserId>,
}

impl Resource for AbsenceData {
    type Id = AbsenceId;
    type Filter = AbsenceFilter;
    const NAME: &'static str = "absence";
}
