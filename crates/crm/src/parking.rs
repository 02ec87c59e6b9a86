//! Clients who are parked: put into a numbered place until somebody takes them out (T3).

use model::{CallId, UserId, Utc};
use serde::{Deserialize, Serialize};

/// One stay of a client in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parking {
    /// In which call.
    pub call: CallId,
    /// The place.
    pub place: u8,
    /// Who parked the client.
    pub by: UserId,
    /// Since when.
    pub at: Utc,
    /// When the client left the place; none while they are there.
    pub left_at: Option<Utc>,
}
