//! What is read from the database, without holding up anything else.

use std::sync::Arc;

use call::{EffectId, Event};
use crm::{Audience, Base, Card, Journal, Journalled};
use model::{CallId, CallerIdentity, LineId};
use tokio::time::Instant;

use crate::commits::Ticket;

/// Who asked for an identification, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) id: EffectId,
    pub(super) at: Instant,
}

/// A question to the database.
pub(super) enum Read {
    Identify {
        asked: Asked,
        number: String,
        line: Option<LineId>,
    },
    Card {
        ticket: Ticket,
        caller: Arc<CallerIdentity>,
    },
    Audience {
        ticket: Ticket,
        call: CallId,
    },
    /// What others than the desk have written, behind a place and up to another.
    Entries {
        journal: Arc<dyn Journal<Event>>,
        after: i64,
        until: i64,
    },
}

/// Its answer.
#[derive(Debug)]
pub(super) enum Answer {
    Identified {
        asked: Asked,
        caller: crm::Result<CallerIdentity>,
    },
    Card {
        ticket: Ticket,
        card: crm::Result<Card>,
    },
    Audience {
        ticket: Ticket,
        audience: Option<Audience>,
    },
    Entries {
        until: i64,
        /// None if they could not be read in time.
        entries: Option<Vec<Journalled<Event>>>,
    },
}

/// How long the call waits for an identification.
const IN_TIME: std::time::Duration = std::time::Duration::from_millis(100);

/// How long frames wait for what stands in the journal before them.
const ENTRIES_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);
/// So many entries are read at a time.
const ENTRIES_PER_READ: u32 = 200;

impl Read {
    pub(super) async fn carry_out(self, base: Arc<dyn Base>) -> Answer {
        match self {
            Self::Identify {
                asked,
                number,
                line,
            } => {
                let mut caller = base.identification().identify(&number, line).await;
                if let Ok(caller) = &mut caller {
                    caller.in_time = asked.at.elapsed() < IN_TIME;
                }
                Answer::Identified { asked, caller }
            }
            Self::Card { ticket, caller } => {
                let card = base.cards().card(&caller).await;
                Answer::Card { ticket, card }
            }
            Self::Audience { ticket, call } => {
                let audience = base.calls().audience(call).await;
                Answer::Audience {
                    ticket,
                    audience: audience.ok(),
                }
            }
            Self::Entries {
                journal,
                after,
                until,
            } => {
                let read = entries(journal.as_ref(), after, until);
                let read = tokio::time::timeout(ENTRIES_PATIENCE, read).await;
                let entries = read.ok().and_then(|read| {
                    let warn = |error: &crm::Error| tracing::warn!(%error, "journal not read");
                    read.inspect_err(warn).ok()
                });
                Answer::Entries { until, entries }
            }
        }
    }
}

async fn entries(
    journal: &dyn Journal<Event>,
    mut after: i64,
    until: i64,
) -> crm::Result<Vec<Journalled<Event>>> {
    let mut entries = Vec::new();
    while after < until {
        let page = journal.read_after(after, ENTRIES_PER_READ).await?;
        after = page.last().map_or(until, |last| last.seq);
        entries.extend(page.into_iter().filter(|entry| entry.seq <= until));
    }
    Ok(entries)
}
