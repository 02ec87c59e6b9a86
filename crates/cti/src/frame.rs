//! What goes to clients: one JSON object per fact.

use std::sync::Arc;

use call::{Cause, Event, EventKind, Lead, OfferEnd, Party};
use crm::Card;
use model::{
    AgentChanged, AgentState, CallId, CallerIdentity, ClientRef, Destination, DeviceId, EventId,
    LineId, ObligationEnd, ObligationId, Priority, UserId,
};
use serde::Serialize;

use crate::{
    card::{CardView, PastOffer, Why},
    clock::{self, Moment},
    cursor::Cursor,
    roster::{Named, Roster},
};

/// A frame as sent: text that all its receivers share.
pub(crate) type Text = Arc<str>;

/// What a card needs besides its event.
#[derive(Clone, Debug, Default)]
pub(crate) struct OfferFacts {
    pub(crate) caller: Arc<CallerIdentity>,
    pub(crate) line: Option<LineId>,
    /// Who calls whom, in a call between colleagues.
    pub(crate) colleagues: Option<[UserId; 2]>,
    pub(crate) previous: Vec<PastOffer>,
}

#[derive(Debug, Serialize)]
struct Frame<'a> {
    id: EventId,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<Cursor<'a>>,
    at: Moment,
    #[serde(rename = "type")]
    kind: &'static str,
    call: CallId,
    #[serde(flatten)]
    body: Body<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Offered {
        agent: UserId,
        attempt: u16,
        why: Why<'a>,
        #[serde(flatten)]
        card: Box<CardView<'a>>,
    },
    Identified {
        #[serde(flatten)]
        card: Box<CardView<'a>>,
    },
    Ringing {
        agent: UserId,
        lead: Option<Lead>,
    },
    OfferEnded {
        agent: UserId,
        end: OfferEnd,
    },
    OfferAccepted {
        agent: UserId,
        device: DeviceId,
    },
    Started {
        agent: UserId,
        device: DeviceId,
        recorded: bool,
    },
    Queued {
        place: u32,
        priority: Priority,
    },
    Received {
        line: LineId,
        closed: bool,
        instead: Option<LineId>,
        opens_at: Option<Moment>,
    },
    Chosen {
        keys: &'a str,
        to: Destination,
    },
    TransferBegun {
        by: Party,
        from: UserId,
        to: Option<UserId>,
        number: Option<&'a str>,
    },
    TransferredOut {
        from: UserId,
        number: &'a str,
    },
    Transferred {
        from: UserId,
        agent: UserId,
        device: DeviceId,
    },
    ConferenceBegun {
        from: UserId,
        to: UserId,
    },
    ConferenceJoined {
        from: UserId,
        agent: UserId,
        device: DeviceId,
    },
    ConferenceLeft {
        agent: UserId,
        stays: UserId,
    },
    TransferFailed {
        from: UserId,
        to: Option<UserId>,
        cause: Cause,
    },
    Unclaimed {
        place: u8,
    },
    Parked {
        by: UserId,
        place: u8,
    },
    Held {
        by: Party,
        held: bool,
    },
    Ended {
        cause: Cause,
        by: Party,
        agent: Option<UserId>,
        talk_ms: u64,
        wait_ms: u64,
        missed: bool,
    },
    RecordingPaused {
        by: UserId,
        at_ms: u64,
    },
    RecordingResumed {
        by: UserId,
        at_ms: u64,
        length_ms: u64,
    },
    RecordingReady {
        length_ms: u64,
        bytes: u64,
        gaps_ms: u64,
        error: Option<&'a str>,
    },
    ObligationOpened {
        #[serde(flatten)]
        owed: Owed<'a>,
        line: Option<LineId>,
        due: Moment,
    },
    ObligationClosed {
        #[serde(flatten)]
        owed: Owed<'a>,
        #[serde(flatten)]
        end: &'a ObligationEnd,
    },
    Bare {},
}

/// To whom a call back is or was owed, and who is to call.
#[derive(Debug, Serialize)]
struct Owed<'a> {
    obligation: ObligationId,
    client: ClientRef,
    client_name: Option<&'a str>,
    number: &'a str,
    responsible: Option<Named<'a>>,
}

/// Whether clients are told of this fact by a frame of its own.
pub(crate) fn is_frame(kind: &EventKind) -> bool {
    !matches!(
        kind,
        EventKind::Arrived { .. } | EventKind::Dialled { .. } | EventKind::Routed { .. }
    )
}

/// Whether the frame of this fact shows a card.
pub(crate) fn shows_card(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::Offered { .. } | EventKind::Identified { .. }
    )
}

/// Writes the frame of a fact. `facts` and `card` count for those with a card only.
pub(crate) fn write(
    event: &Event,
    cursor: Option<Cursor<'_>>,
    facts: &OfferFacts,
    card: Option<&Card>,
    roster: &Roster,
) -> Text {
    let line = facts.line.and_then(|line| roster.line(line));
    let body = match &event.kind {
        EventKind::Offered {
            agent,
            attempt,
            rule,
            owner,
            ..
        } => Body::Offered {
            agent: *agent,
            attempt: *attempt,
            why: Why::new(*rule, *owner, &facts.caller, &facts.previous, roster),
            card: Box::new(
                CardView::new(&facts.caller, line, card, roster).between(facts.colleagues, roster),
            ),
        },
        EventKind::Identified { caller } => Body::Identified {
            card: Box::new(CardView::new(caller, line, card, roster)),
        },
        EventKind::Ringing { agent, lead } => Body::Ringing {
            agent: *agent,
            lead: *lead,
        },
        EventKind::OfferEnded { agent, end } => Body::OfferEnded {
            agent: *agent,
            end: *end,
        },
        EventKind::OfferAccepted { agent, device } => Body::OfferAccepted {
            agent: *agent,
            device: *device,
        },
        EventKind::ConversationStarted {
            agent,
            device,
            recording,
            ..
        } => Body::Started {
            agent: *agent,
            device: *device,
            recorded: recording.is_some(),
        },
        EventKind::Queued {
            place, priority, ..
        } => Body::Queued {
            place: *place,
            priority: *priority,
        },
        EventKind::Received {
            line,
            closed,
            instead,
            opens_at,
            ..
        } => Body::Received {
            line: *line,
            closed: *closed,
            instead: *instead,
            opens_at: opens_at.map(Moment),
        },
        EventKind::MenuChosen { keys, to } => Body::Chosen { keys, to: *to },
        EventKind::TransferBegun {
            by,
            from,
            to,
            number,
        } => Body::TransferBegun {
            by: *by,
            from: *from,
            to: *to,
            number: number.as_deref(),
        },
        EventKind::TransferredOut { from, number, .. } => Body::TransferredOut {
            from: *from,
            number,
        },
        EventKind::Transferred {
            from,
            agent,
            device,
            ..
        } => Body::Transferred {
            from: *from,
            agent: *agent,
            device: *device,
        },
        EventKind::ConferenceBegun { from, to } => Body::ConferenceBegun {
            from: *from,
            to: *to,
        },
        EventKind::ConferenceJoined {
            from,
            agent,
            device,
            ..
        } => Body::ConferenceJoined {
            from: *from,
            agent: *agent,
            device: *device,
        },
        EventKind::ConferenceLeft { agent, stays } => Body::ConferenceLeft {
            agent: *agent,
            stays: *stays,
        },
        EventKind::TransferFailed { from, to, cause } => Body::TransferFailed {
            from: *from,
            to: *to,
            cause: *cause,
        },
        EventKind::Unclaimed { place } => Body::Unclaimed { place: *place },
        EventKind::Parked { by, place, .. } => Body::Parked {
            by: *by,
            place: *place,
        },
        EventKind::Held { by, held } => Body::Held {
            by: *by,
            held: *held,
        },
        EventKind::Ended {
            cause,
            by,
            agent,
            talk_ms,
            wait_ms,
            missed,
        } => Body::Ended {
            cause: *cause,
            by: *by,
            agent: *agent,
            talk_ms: *talk_ms,
            wait_ms: *wait_ms,
            missed: *missed,
        },
        EventKind::RecordingPaused { by, at_ms } => Body::RecordingPaused {
            by: *by,
            at_ms: *at_ms,
        },
        EventKind::RecordingResumed {
            by,
            at_ms,
            length_ms,
        } => Body::RecordingResumed {
            by: *by,
            at_ms: *at_ms,
            length_ms: *length_ms,
        },
        EventKind::RecordingReady {
            length_ms,
            bytes,
            gaps_ms,
            error,
            ..
        } => Body::RecordingReady {
            length_ms: *length_ms,
            bytes: *bytes,
            gaps_ms: *gaps_ms,
            error: error.as_deref(),
        },
        EventKind::ObligationOpened { .. } | EventKind::ObligationClosed { .. } => {
            obligation(&event.kind, roster)
        }
        EventKind::Arrived { .. }
        | EventKind::Dialled { .. }
        | EventKind::Routed { .. }
        | EventKind::LineAnswered
        | EventKind::MessageStarted { .. }
        | EventKind::RouteExhausted { .. } => Body::Bare {},
    };
    // A late identification is an update of the call for everybody who shows it.
    let kind = match event.kind {
        EventKind::Identified { .. } => "call.updated",
        ref other => other.name(),
    };
    text(&Frame {
        id: event.id,
        cursor,
        at: Moment(event.at),
        kind,
        call: event.call,
        body,
    })
}

/// The body of a fact about an obligation; bare for any other.
fn obligation<'a>(kind: &'a EventKind, roster: &'a Roster) -> Body<'a> {
    match kind {
        EventKind::ObligationOpened {
            obligation,
            client,
            client_name,
            number,
            line,
            responsible,
            due,
        } => Body::ObligationOpened {
            owed: Owed {
                obligation: *obligation,
                client: *client,
                client_name: client_name.as_deref(),
                number,
                responsible: responsible.map(|agent| roster.named(agent)),
            },
            line: *line,
            due: Moment(*due),
        },
        EventKind::ObligationClosed {
            obligation,
            client,
            client_name,
            number,
            responsible,
            end,
        } => Body::ObligationClosed {
            owed: Owed {
                obligation: *obligation,
                client: *client,
                client_name: client_name.as_deref(),
                number,
                responsible: responsible.map(|agent| roster.named(agent)),
            },
            end,
        },
        _ => Body::Bare {},
    }
}

#[derive(Serialize)]
struct AgentsFrame {
    at: Moment,
    #[serde(rename = "type")]
    kind: &'static str,
    agents: Vec<AgentView>,
}

#[derive(Serialize)]
struct AgentView {
    agent: UserId,
    since: Moment,
    #[serde(flatten)]
    state: AgentState,
}

/// Writes the frame of one or more agents' states.
pub(crate) fn write_agents(changes: &[AgentChanged]) -> Text {
    let agents = changes.iter().map(|change| AgentView {
        agent: change.agent,
        since: Moment(change.since),
        state: change.state,
    });
    text(&AgentsFrame {
        at: Moment(clock::utc()),
        kind: "agent.changed",
        agents: agents.collect(),
    })
}

/// Writes a frame about the connection itself: `resync` or `ready`.
pub(crate) fn write_mark(kind: &'static str, cursor: Cursor<'_>) -> Text {
    #[derive(Serialize)]
    struct Mark<'a> {
        cursor: Cursor<'a>,
        at: Moment,
        #[serde(rename = "type")]
        kind: &'static str,
    }
    text(&Mark {
        cursor,
        at: Moment(clock::utc()),
        kind,
    })
}

#[expect(
    clippy::expect_used,
    reason = "maps with string keys and no fallible Serialize: serialising them cannot fail"
)]
fn text(frame: &impl Serialize) -> Text {
    let text = serde_json::to_string(frame).expect("a frame is plain data");
    Text::from(text)
}
