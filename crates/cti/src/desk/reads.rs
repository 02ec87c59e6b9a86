//! What is read from the database, without holding up anything else.

use std::sync::Arc;

use call::EffectId;
use crm::{Audience, Base, Card};
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
#[derive(Debug)]
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
}

/// How long the call waits for an identification.
const IN_TIME: std::time::Duration = std::time::Duration::from_millis(100);

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
                // Nothing can be known about a caller whom nobody knows.
                let card = if caller.matches.is_empty() {
                    Ok(Card::default())
                } else {
                    base.cards().card(&caller).await
                };
                Answer::Card { ticket, card }
            }
            Self::Audience { ticket, call } => {
                let audience = base.calls().audience(call).await;
                Answer::Audience {
                    ticket,
                    audience: audience.ok(),
                }
            }
        }
    }
}
