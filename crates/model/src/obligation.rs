//! How a call back that was owed to a client came to its end (H5).

use serde::{Deserialize, Serialize};

use crate::{CallId, UserId};

/// Why an obligation is not open any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "closed_by", rename_all = "snake_case")]
pub enum ObligationEnd {
    /// Somebody of ours talked with the client.
    Conversation {
        /// In this call.
        closed_call: CallId,
    },
    /// A supervisor or an administrator let it go.
    Waived {
        /// Who.
        waived_by: UserId,
        /// Why.
        reason: String,
    },
}
