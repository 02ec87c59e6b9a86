//! How it stands between us and a telephone company.

use serde::{Deserialize, Serialize};

use crate::Utc;

/// The state of a trunk by which calls leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrunkState {
    /// What it is.
    pub code: TrunkCode,
    /// Since when.
    pub since: Utc,
    /// The status of the answer that said so; none where there was no answer.
    pub status: Option<u16>,
}

/// The state in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrunkCode {
    /// Nothing has been heard yet, or nobody asks: the trunk only brings calls.
    Unknown,
    /// We register for the first time, or with new settings.
    Registering,
    /// The provider knows where we are.
    Registered,
    /// The provider does not take our user name and password.
    PasswordRefused,
    /// No answer comes.
    Unreachable,
    /// The name of the proxy has no address, or nobody could be asked for it.
    NameNotFound,
    /// The provider answers with a refusal.
    Refused,
    /// It does not register, and answers when asked.
    Up,
    /// It does not register, and did not answer twice.
    Down,
}

impl TrunkCode {
    /// Every state, in the order of the declaration.
    pub const ALL: [Self; 9] = [
        Self::Unknown,
        Self::Registering,
        Self::Registered,
        Self::PasswordRefused,
        Self::Unreachable,
        Self::NameNotFound,
        Self::Refused,
        Self::Up,
        Self::Down,
    ];

    /// Calls hardly get through: another trunk is tried first.
    pub fn is_bad(self) -> bool {
        matches!(
            self,
            Self::PasswordRefused
                | Self::Unreachable
                | Self::NameNotFound
                | Self::Refused
                | Self::Down
        )
    }
}
