//! Frames as a client reads them; what a newer daemon adds is passed over.

use model::Rule;
use serde::Deserialize;

/// One frame.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Frame {
    /// Where to go on after a broken connection; absent while the fact is not stored yet.
    pub(crate) cursor: Option<String>,
    /// The call it is about.
    pub(crate) call: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub(crate) fact: Fact,
}

/// What happened.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type")]
pub(crate) enum Fact {
    #[serde(rename = "call.offered")]
    Offered(Box<Offered>),
    #[serde(rename = "call.updated")]
    Updated(Box<Updated>),
    #[serde(rename = "call.ringing")]
    Ringing { agent: String, lead: Option<Lead> },
    #[serde(rename = "offer.ended")]
    OfferEnded { agent: String, end: String },
    #[serde(rename = "offer.accepted")]
    Accepted { agent: String },
    #[serde(rename = "conversation.started")]
    Started { agent: String, recorded: bool },
    #[serde(rename = "call.ended")]
    Ended(Ended),
    #[serde(rename = "recording.paused")]
    Paused { by: String },
    #[serde(rename = "recording.resumed")]
    Resumed { by: String, length_ms: u64 },
    #[serde(rename = "recording.ready")]
    RecordingReady(Recorded),
    #[serde(rename = "obligation.opened")]
    Owed(Owed),
    #[serde(rename = "obligation.closed")]
    Settled(Settled),
    #[serde(rename = "agent.changed")]
    AgentChanged { agents: Vec<AgentNow> },
    /// Everything from before the connection has been sent.
    #[serde(rename = "ready")]
    Ready,
    /// The cursor was of another journal: what is on the screen is to be read anew.
    #[serde(rename = "resync")]
    Resync,
    #[serde(other)]
    Other,
}

/// A call is offered to an agent; the card stands before the ring.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Offered {
    pub(crate) agent: String,
    pub(crate) attempt: u16,
    pub(crate) why: Why,
    #[serde(flatten)]
    pub(crate) card: Card,
}

/// A held or resumed call, or a caller identified late.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Updated {
    pub(crate) held: Option<bool>,
    pub(crate) by: Option<String>,
    #[serde(flatten)]
    pub(crate) card: Option<Card>,
}

/// What an agent does now.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AgentNow {
    pub(crate) agent: String,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
}

/// How long the card stood before the ring.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Lead {
    pub(crate) micros: u64,
    pub(crate) confirmed: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Ended {
    pub(crate) cause: String,
    pub(crate) by: String,
    pub(crate) talk_ms: u64,
    pub(crate) missed: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) length_ms: u64,
    pub(crate) gaps_ms: u64,
    pub(crate) error: Option<String>,
}

/// A missed client is owed a call back.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Owed {
    pub(crate) obligation: String,
    pub(crate) client_name: Option<String>,
    pub(crate) number: String,
    pub(crate) responsible: Option<Named>,
    pub(crate) due: String,
}

/// That client is owed nothing any more.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Settled {
    pub(crate) obligation: String,
    /// The conversation that closed it; none if it was waived.
    pub(crate) closed_call: Option<String>,
    pub(crate) client_name: Option<String>,
    pub(crate) number: String,
    /// Why it was waived; none after a conversation.
    pub(crate) reason: Option<String>,
}

/// Why the call came to this agent.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Why {
    /// `own`, `colleague`, `unassigned` or `unknown`.
    pub(crate) ownership: String,
    #[serde(flatten)]
    pub(crate) rule: Rule,
    /// The assigned manager, if another.
    pub(crate) owner: Option<Named>,
    /// The colleague who hands the conversation over, did not take it, or has a deputy.
    #[serde(default)]
    pub(crate) colleague: Option<Named>,
    #[serde(default)]
    pub(crate) previous: Vec<Previous>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Named {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Previous {
    pub(crate) agent: Named,
    pub(crate) end: String,
}

/// The card.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Card {
    pub(crate) caller: Caller,
    pub(crate) line: Option<Line>,
    pub(crate) clients: Vec<Client>,
    pub(crate) interactions: Vec<Interaction>,
    pub(crate) deals: Vec<Deal>,
    pub(crate) tasks: Vec<Due>,
    pub(crate) obligations: Vec<Promise>,
    pub(crate) notes: Vec<Note>,
    pub(crate) draft: Option<Draft>,
    pub(crate) partial: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Caller {
    pub(crate) number: Option<String>,
    pub(crate) extension: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) known: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Line {
    pub(crate) number: String,
    pub(crate) name: String,
    pub(crate) channel: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) organisations: Vec<Member>,
    pub(crate) manager: Option<Named>,
    pub(crate) flags: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) position: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Interaction {
    pub(crate) call: String,
    pub(crate) at: String,
    pub(crate) agent_name: Option<String>,
    pub(crate) missed: bool,
    pub(crate) talk_ms: u64,
    pub(crate) recorded: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Deal {
    pub(crate) title: String,
    pub(crate) stage: String,
    pub(crate) amount_minor: Option<i64>,
    pub(crate) currency: String,
}

/// A call back that is owed to the caller.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Promise {
    pub(crate) number: String,
    pub(crate) due: String,
    pub(crate) missed_calls: u32,
    pub(crate) responsible: Option<Named>,
}

/// A task.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Due {
    pub(crate) title: String,
    pub(crate) due: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Note {
    pub(crate) at: String,
    pub(crate) text: String,
    pub(crate) clipped: bool,
}

/// What the form of a new client begins with.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Draft {
    pub(crate) number: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) channel: Option<String>,
}
