//! Calls back that are owed to clients whom nobody answered (H5): one per client, with a deadline,
//! closed by a conversation alone.

use std::time::Duration;

use async_trait::async_trait;
use model::{
    CallId, ClientRef, LineId, ObligationEnd, ObligationId, OrganisationId, PersonId, UserId, Utc,
};
use serde::{Deserialize, Serialize};

use crate::{Direction, Page, PageRequest, Result};

/// A conversation of this length closes what is owed to its client.
pub const LEAST_TALK_MS: u64 = 5_000;
/// How soon a missed call is called back, if its line says nothing else, in minutes.
pub const USUAL_CALLBACK_MINUTES: u32 = 30;
/// The longest time that a line may leave for that: a week.
pub const MOST_CALLBACK_MINUTES: u32 = 7 * 24 * 60;
/// Most characters of the reason why one is waived.
pub const MOST_REASON: usize = 500;

/// One call back that is or was owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obligation {
    /// Its id.
    pub id: ObligationId,
    /// To whom; nobody for a number that was not in the contact base when it called.
    pub client: ClientRef,
    /// The client's name as of now.
    pub client_name: Option<String>,
    /// The number of the last missed call, in its normal form.
    pub number: String,
    /// The line that the first missed call came by.
    pub line: Option<LineId>,
    /// Who is to call: the client's manager when the call was missed, else the agent offered it last.
    pub responsible: Option<UserId>,
    /// That user's name.
    pub responsible_name: Option<String>,
    /// When the first missed call ended.
    pub opened_at: Utc,
    /// By when to call; later missed calls do not move it.
    pub due: Utc,
    /// How many calls of the client were missed meanwhile, the first included.
    pub missed_calls: u32,
    /// The first of them.
    pub first_call: CallId,
    /// The last of them.
    pub last_call: CallId,
    /// When that ended.
    pub last_missed_at: Utc,
    /// How it ended; none while it is open.
    pub closed: Option<ObligationClosing>,
}

/// When and how an obligation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObligationClosing {
    /// When.
    pub at: Utc,
    /// How.
    #[serde(flatten)]
    pub end: ObligationEnd,
}

/// How an obligation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObligationState {
    /// The client still waits.
    Open,
    /// Somebody talked with the client.
    Closed,
    /// Somebody let it go.
    Waived,
}

impl Obligation {
    /// How it stands.
    pub fn state(&self) -> ObligationState {
        match &self.closed {
            None => ObligationState::Open,
            Some(closing) => match closing.end {
                ObligationEnd::Conversation { .. } => ObligationState::Closed,
                ObligationEnd::Waived { .. } => ObligationState::Waived,
            },
        }
    }

    /// Whether it is open after its deadline, or ended after it.
    pub fn is_overdue(&self, now: Utc) -> bool {
        self.closed.as_ref().map_or(now, |closing| closing.at) > self.due
    }
}

/// What obligations can be narrowed by. The newest come first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObligationFilter {
    /// Only those that stand so.
    pub state: Option<ObligationState>,
    /// Only those open after their deadline or ended after it, or only all others.
    pub overdue: Option<bool>,
    /// Only those of this agent.
    pub responsible: Option<UserId>,
    /// Only those owed to this person.
    pub person: Option<PersonId>,
    /// Only those owed to this organisation, its persons included.
    pub organisation: Option<OrganisationId>,
    /// Due at this moment or later.
    pub due_after: Option<Utc>,
    /// Due before this moment.
    pub due_before: Option<Utc>,
    /// Only what this agent may see: their own, and those that nobody is responsible for.
    pub visible_to: Option<UserId>,
}

/// How many are owed now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObligationCounts {
    /// Open ones.
    pub open: u64,
    /// Those of them whose deadline has passed.
    pub overdue: u64,
}

/// The obligations. They are opened and closed by the journal; by hand they can only be waived.
#[async_trait]
pub trait Obligations: Send + Sync {
    /// Reads one.
    async fn read(&self, id: ObligationId) -> Result<Obligation>;

    /// A page of those that `filter` lets through, newest first.
    async fn list(&self, filter: &ObligationFilter, page: &PageRequest)
    -> Result<Page<Obligation>>;

    /// Lets one go. [`crate::Error::Over`] if it is not open.
    async fn waive(&self, id: ObligationId, by: UserId, reason: &str) -> Result<Obligation>;

    /// How many are owed now.
    async fn counts(&self) -> Result<ObligationCounts>;
}

/// What an ended call means for what is owed to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// The client is owed a call back.
    Opens,
    /// Nothing is owed any more.
    Closes,
}

/// Missed inbound calls open, conversations of [`LEAST_TALK_MS`] close, whoever called; calls among
/// colleagues do neither.
pub fn consequence(direction: Direction, missed: bool, talk_ms: u64) -> Option<Consequence> {
    match direction {
        Direction::Inbound if missed => Some(Consequence::Opens),
        Direction::Inbound | Direction::Outbound if talk_ms >= LEAST_TALK_MS => {
            Some(Consequence::Closes)
        }
        _ => None,
    }
}

/// By when a call that was missed at `ended_at` is called back.
pub fn due(ended_at: Utc, callback_minutes: u32) -> Utc {
    ended_at + Duration::from_secs(u64::from(callback_minutes) * 60)
}

/// To whom something is owed: at most one obligation is open for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Creditor {
    /// A person, whatever the number.
    Person(PersonId),
    /// An organisation whose caller nobody knows by name.
    Organisation(OrganisationId),
    /// A number that nobody in the contact base has, in its normal form.
    Number(String),
}

impl Creditor {
    /// The creditor of a missed call; none if nobody could be called back.
    pub fn of(client: ClientRef, number: &str) -> Option<Self> {
        let callable = number.contains(|c: char| c.is_ascii_digit());
        match client {
            ClientRef {
                person: Some(person),
                ..
            } => Some(Self::Person(person)),
            ClientRef {
                organisation: Some(organisation),
                ..
            } => Some(Self::Organisation(organisation)),
            _ => callable.then(|| Self::Number(number.to_owned())),
        }
    }

    /// The text that is unique among open obligations.
    pub fn key(&self) -> String {
        match self {
            Self::Person(id) => format!("person:{id}"),
            Self::Organisation(id) => format!("organisation:{id}"),
            Self::Number(number) => format!("number:{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missed_inbound_calls_open_and_only_conversations_close() {
        use Direction::{Inbound, Internal, Outbound};
        assert_eq!(consequence(Inbound, true, 0), Some(Consequence::Opens));
        assert_eq!(consequence(Outbound, true, 0), None);
        for direction in [Inbound, Outbound] {
            assert_eq!(consequence(direction, false, 4_999), None);
            assert_eq!(
                consequence(direction, false, 5_000),
                Some(Consequence::Closes)
            );
        }
        assert_eq!(consequence(Internal, true, 0), None);
        assert_eq!(consequence(Internal, false, 60_000), None);
    }

    #[test]
    fn the_creditor_is_the_person_else_the_organisation_else_a_number_that_can_be_called() {
        let (person, organisation) = (Some(PersonId(1)), Some(OrganisationId(2)));
        let key = |person, organisation, number| {
            let creditor = Creditor::of(
                ClientRef {
                    person,
                    organisation,
                },
                number,
            );
            creditor.map(|it| it.key())
        };
        assert_eq!(key(person, organisation, "+7").as_deref(), Some("person:1"));
        assert_eq!(
            key(None, organisation, "").as_deref(),
            Some("organisation:2")
        );
        assert_eq!(
            key(None, None, "+79160000001").as_deref(),
            Some("number:+79160000001")
        );
        assert_eq!(key(None, None, ""), None);
        assert_eq!(key(None, None, "anonymous"), None);
    }

    #[test]
    fn the_deadline_counts_from_the_end_of_the_missed_call() {
        assert_eq!(due(Utc::from_secs(100), 30), Utc::from_secs(1_900));
    }
}
