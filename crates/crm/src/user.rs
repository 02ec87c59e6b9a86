//! The people who work with Ringbook.

use async_trait::async_trait;
use model::{Language, Reach, UserId};
use serde::{Deserialize, Serialize};

use crate::{Record, Repository, Resource, Result};

/// A user as stored.
pub type User = Record<UserId, UserData>;

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sets up the company; sees everything.
    Administrator,
    /// Leads agents; sees everything of their direction.
    Supervisor,
    /// Answers calls; sees their own and unassigned clients.
    Agent,
}

impl Role {
    /// The role's name in the database and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Supervisor => "supervisor",
            Self::Agent => "agent",
        }
    }
}

/// What a user is. The password is kept apart: [`Users::set_password`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserData {
    /// The name that colleagues see.
    pub name: String,
    /// What the user logs in with; unique, compared folded.
    pub login: String,
    /// The short number, the same in PBX and CRM (T4): 1–8 digits, unique; none for a user who
    /// answers no calls.
    pub short_number: Option<String>,
    /// What the user may do.
    pub role: Role,
    /// The language of the screen.
    pub language: Language,
    /// Does not want to be offered calls.
    pub away: bool,
    /// How long the user's devices ring before the next agent is tried, in seconds.
    pub ring_timeout_secs: u32,
    /// Time kept free after a conversation, in seconds; 0 for none.
    pub wrap_up_secs: u32,
    /// How far the user may call.
    pub may_call: Reach,
    /// Calls to the short number itself ring also while the user talks.
    pub call_waiting: bool,
    /// Who takes the user's clients' calls whenever the user cannot (R6). Deputies never form a circle.
    pub deputy: Option<UserId>,
}

/// What users can be narrowed by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserFilter {
    /// Part of the name or the login.
    pub text: Option<String>,
    /// Only this role.
    pub role: Option<Role>,
}

impl Resource for UserData {
    type Id = UserId;
    type Filter = UserFilter;
    const NAME: &'static str = "user";
}

/// The users, in the order of their names. Removing one ends their sessions and removes their devices, skills and
/// absences; one who still has clients or work in hand is not removed.
#[async_trait]
pub trait Users: Repository<UserData> {
    /// Sets the password's hash (an argon2id string, opaque here) and ends all sessions of the
    /// user.
    async fn set_password(&self, user: UserId, hash: &str) -> Result<()>;

    /// The user who logs in as `login`, with the password's hash if one is set.
    async fn by_login(&self, login: &str) -> Result<Option<(User, Option<String>)>>;

    /// The user goes away or comes back; does not change the version.
    async fn set_away(&self, user: UserId, away: bool) -> Result<()>;

    /// The user's deputy is now this; refused if that would close a circle.
    async fn set_deputy(&self, user: UserId, deputy: Option<UserId>) -> Result<()>;
}
