//! When the dialogs of an ended call are forgotten: not before every party has been told, or given up.

use std::{collections::VecDeque, time::Duration};

use model::CallId;
use tokio::time::Instant;

use crate::{
    database::{IntoValue, Statement},
    select::placeholders,
};

/// Most calls of one transaction.
const MOST: usize = 64;

/// How long they wait for a transaction that is made for others.
const PATIENCE: Duration = Duration::from_secs(5);

/// Calls that have ended, the oldest first.
pub(crate) struct Dialogs {
    kept_for: Duration,
    ended: VecDeque<(Instant, CallId)>,
}

impl Dialogs {
    pub(crate) fn new(kept_for: Duration, ended: impl Iterator<Item = CallId>) -> Self {
        let mut dialogs = Self {
            kept_for,
            ended: VecDeque::new(),
        };
        ended.for_each(|call| dialogs.ended(call));
        dialogs
    }

    /// The end of a call is durable.
    pub(crate) fn ended(&mut self, call: CallId) {
        self.ended.push_back((Instant::now() + self.kept_for, call));
    }

    /// Returns when something has waited too long for a transaction to be forgotten with, which may be never.
    pub(crate) async fn wait(&self) {
        match self.ended.front() {
            Some((due, _)) => tokio::time::sleep_until(*due + PATIENCE).await,
            None => std::future::pending().await,
        }
    }

    /// Takes the calls whose dialogs are to be forgotten now.
    pub(crate) fn due(&mut self) -> Vec<CallId> {
        let now = Instant::now();
        let due = self.ended.iter().take(MOST);
        let count = due.take_while(|(due, _)| *due <= now).count();
        self.ended.drain(..count).map(|(_, call)| call).collect()
    }
}

/// Takes the dialogs from these calls.
pub(crate) fn forget(calls: &[CallId]) -> Statement {
    let places = placeholders(1, calls.len());
    let sql = format!("UPDATE calls SET snapshot = NULL WHERE id IN ({places})");
    Statement::new(sql, calls.iter().map(|call| call.0.value()).collect())
}
