//! Logged-in sessions.

use async_trait::async_trait;
use model::{SessionId, UserId, Utc};

use crate::{Result, User};

/// SHA-256 of an opaque bearer token; the token itself is never stored.
pub type TokenHash = [u8; 32];

/// A session as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// When it began.
    pub created_at: Utc,
    /// When it ends by itself.
    pub expires_at: Utc,
}

/// The sessions. At most [`MOST_SESSIONS_PER_USER`] per user: the oldest ends when one more begins.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Begins a session.
    async fn open(&self, user: UserId, token: TokenHash, expires_at: Utc) -> Result<Session>;

    /// The session with this token and its user; none if there is none, it has expired or the user
    /// was removed.
    async fn find(&self, token: &TokenHash) -> Result<Option<(Session, User)>>;

    /// Ends a session; it is no error if it has ended already.
    async fn close(&self, session: SessionId) -> Result<()>;

    /// Ends all sessions of a user.
    async fn close_all(&self, user: UserId) -> Result<()>;
}

/// Most sessions that a user can have at a time.
pub const MOST_SESSIONS_PER_USER: u32 = 32;
