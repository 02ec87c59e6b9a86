//! Who has this number, and whose client is it?

use async_trait::async_trait;
use model::{CallerIdentity, ClientRef, LineId, UserId};

use crate::Result;

/// Identification of callers (R1).
#[async_trait]
pub trait Identification: Send + Sync {
    /// Whose `number` this is, written in any way; a call with it goes over `line`. Empty means withheld. Of several
    /// matches the order is: last conversation, open deal, line called before. A change that was
    /// acknowledged counts.
    async fn identify(&self, number: &str, line: Option<LineId>) -> Result<CallerIdentity>;

    /// The manager of a client: the person's, else the organisation's, else that of the person's
    /// first organisation with a manager.
    async fn owner(&self, client: ClientRef) -> Result<Option<UserId>>;
}
