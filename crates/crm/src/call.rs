//! Calls as people look them up. They are made by the journal and never changed by hand.

use async_trait::async_trait;
use model::{
    CallId, CallerIdentity, ClientRef, Destination, DeviceId, Explanation, LineId, OrganisationId,
    PersonId, Priority, RecordingGap, RecordingId, Rule, TrunkId, UserId, Utc,
};
use serde::{Deserialize, Serialize};

use crate::{Audience, Page, PageRequest, Parking, Result};

/// Who began a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The client called us.
    Inbound,
    /// We called the client.
    Outbound,
    /// A colleague called a colleague.
    Internal,
}

impl Direction {
    /// The direction's name in the database and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Internal => "internal",
        }
    }
}

/// One conversation, or the attempt at one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its id.
    pub id: CallId,
    /// Who began it.
    pub direction: Direction,
    /// The trunk it came by.
    pub trunk: Option<TrunkId>,
    /// The line called.
    pub line: Option<LineId>,
    /// The calling number in its normal form; empty if withheld.
    pub from: String,
    /// The number called as it came.
    pub to: String,
    /// The best match, as far as the caller is known.
    pub client: ClientRef,
    /// Name of the best match.
    pub client_name: Option<String>,
    /// The agent of the conversation, else of the last offer.
    pub agent: Option<UserId>,
    /// When it arrived.
    pub arrived_at: Utc,
    /// When we answered the line.
    pub answered_at: Option<Utc>,
    /// When the caller began to wait in the queue.
    pub queued_at: Option<Utc>,
    /// When the conversation started.
    pub started_at: Option<Utc>,
    /// When it ended; none while it runs.
    pub ended_at: Option<Utc>,
    /// Why it ended: a name of the table of causes.
    pub cause: Option<String>,
    /// Who ended it: `client`, `agent` or `system`.
    pub ended_by: Option<String>,
    /// From the start of the conversation to the end, in milliseconds.
    pub talk_ms: u64,
    /// From arrival to the conversation or the end, in milliseconds.
    pub wait_ms: u64,
    /// No conversation took place; false while the call runs.
    pub missed: bool,
    /// The number outside to which an agent handed the conversation.
    pub transferred_to: Option<String>,
    /// Its recording, if one was begun.
    pub recording: Option<Recording>,
    /// Where people paused the recording, in their order.
    pub pauses: Vec<RecordingPause>,
    /// Where the client is parked at the moment.
    pub parked: Option<Parking>,
}

/// The recording of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Its id.
    pub id: RecordingId,
    /// Whose.
    pub call: CallId,
    /// File, relative to the recordings folder.
    pub file: String,
    /// When the conversation started.
    pub started_at: Utc,
    /// The file is complete.
    pub ready: bool,
    /// Length in milliseconds, once it is complete.
    pub length_ms: u64,
    /// Size of the file, once it is complete.
    pub bytes: u64,
    /// Sum of the marked gaps in milliseconds.
    pub gaps_ms: u64,
    /// Where they are, at most the first 100. A crash of the process loses these marks.
    pub gaps: Vec<RecordingGap>,
    /// Why there is no audio or less than there should be.
    pub error: Option<String>,
    /// Size of the MP3 beside the file, once it is made.
    pub mp3_bytes: Option<u64>,
    /// Why it cannot be made.
    pub mp3_error: Option<String>,
    /// When the WAV was removed because of its age.
    pub wav_removed_at: Option<Utc>,
    /// When the MP3 was removed because of its age.
    pub mp3_removed_at: Option<Utc>,
}

/// A part of a recording in which people wanted nothing recorded: the file is silent there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingPause {
    /// Where it begins, in milliseconds from the start of the file.
    pub at_ms: u64,
    /// Its length in milliseconds; none while it lasts.
    pub length_ms: Option<u64>,
    /// Who paused.
    pub paused_by: UserId,
    /// Who resumed; none if the conversation ended before.
    pub resumed_by: Option<UserId>,
}

/// One offer of a call to an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Whom.
    pub agent: UserId,
    /// The agent's name.
    pub agent_name: Option<String>,
    /// 0 for the first offer of the call.
    pub attempt: u16,
    /// Why this agent.
    pub rule: Rule,
    /// The decision that chose the agent.
    pub explanation: Explanation,
    /// The assigned manager, if it was not this agent.
    pub owner: Option<UserId>,
    /// When the offer was made.
    pub offered_at: Utc,
    /// When the INVITE left.
    pub ringing_at: Option<Utc>,
    /// When the agent took the call.
    pub accepted_at: Option<Utc>,
    /// On which telephone.
    pub device: Option<DeviceId>,
    /// How it ended without a conversation: a name of the table of offer ends.
    pub end: Option<String>,
    /// How long before the ring the card was on the screen, in microseconds.
    pub lead_us: Option<u64>,
    /// A client of the agent confirmed that.
    pub lead_confirmed: bool,
    /// How many of the agent's clients were connected.
    pub lead_clients: u32,
}

/// How a caller came into the queue (R4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// When.
    pub at: Utc,
    /// The place among those who waited for the line, 1 for the first.
    pub place: u32,
    /// The caller's class.
    pub priority: Priority,
    /// The decision that found nobody free.
    pub explanation: Explanation,
}

/// What a caller met before anybody's telephone rang (T7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Reception {
    /// A line received the caller.
    Received {
        /// Which.
        line: LineId,
        /// Its office was closed.
        closed: bool,
        /// The line that took the call instead.
        instead: Option<LineId>,
    },
    /// The caller chose from a menu.
    Chosen {
        /// The keys.
        keys: String,
        /// Where they led.
        to: Destination,
    },
}

/// A moment of the reception.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceptionStep {
    /// When.
    pub at: Utc,
    /// What.
    pub what: Reception,
}

/// Why a call went where it went (R8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Which call.
    pub call: CallId,
    /// Who called, as far as known when the call was routed, or identified since.
    pub caller: CallerIdentity,
    /// What the caller met before anybody's telephone rang.
    pub received: Vec<ReceptionStep>,
    /// The offers, in their order.
    pub offers: Vec<Offer>,
    /// The queue, if the caller had to wait.
    pub queued: Option<Queued>,
    /// Where the client was parked, in order.
    pub parkings: Vec<Parking>,
    /// The last decision, if it found nobody (else).
    pub exhausted: Option<Explanation>,
}

/// What calls can be narrowed by. The newest come first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallFilter {
    /// Only those this agent took part in.
    pub agent: Option<UserId>,
    /// Only with this person.
    pub person: Option<PersonId>,
    /// Only with this organisation.
    pub organisation: Option<OrganisationId>,
    /// Only to this line.
    pub line: Option<LineId>,
    /// Only from this number, in any way of writing.
    pub number: Option<String>,
    /// Only missed, or only not missed ones.
    pub missed: Option<bool>,
    /// Arrived at this moment or later.
    pub since: Option<Utc>,
    /// Arrived before this moment.
    pub before: Option<Utc>,
    /// Only what this agent may see: calls they took part in, and their own and unassigned clients.
    pub visible_to: Option<UserId>,
}

/// The calls.
#[async_trait]
pub trait Calls: Send + Sync {
    /// Reads one.
    async fn read(&self, id: CallId) -> Result<Call>;

    /// A page of those that `filter` lets through, newest first.
    async fn list(&self, filter: &CallFilter, page: &PageRequest) -> Result<Page<Call>>;

    /// Why it went where it went.
    async fn route(&self, id: CallId) -> Result<Route>;

    /// Every client who is parked now, by place.
    async fn parked(&self) -> Result<Vec<Parking>>;

    /// Who may see it.
    async fn audience(&self, id: CallId) -> Result<Audience>;

    /// The newest calls from a number, in any way of writing; at most `limit`.
    async fn by_number(&self, number: &str, limit: u32) -> Result<Vec<Call>>;
}
