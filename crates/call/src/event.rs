//! The facts of a call, as the journal keeps them.

use std::sync::Arc;

use model::{
    CallId, CallerIdentity, ClientRef, Destination, DeviceId, DialogSnapshot, EventId, Explanation,
    LineId, ObligationEnd, ObligationId, Priority, RecordingGap, Rule, TrunkId, UserId, Utc,
};
use serde::{Deserialize, Serialize};

use crate::{Cause, Party};

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Made once, when the fact happened; the same when a frame is sent again.
    pub id: EventId,
    /// The conversation.
    pub call: CallId,
    /// When it happened.
    pub at: Utc,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// How long before the ring the card was on the screen (S1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lead {
    /// From `shown` (else from the sending of the card's frame) to the INVITE, in microseconds.
    pub micros: u64,
    /// A client said `shown` before the INVITE left.
    pub confirmed: bool,
    /// How many of the agent's clients were connected.
    pub clients: u32,
}

/// How an offer to an agent ended without a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfferEnd {
    /// Not answered within the ring time.
    NoAnswer,
    /// The agent's phone said busy (486, 600).
    Busy,
    /// The agent declined (603 and other refusals by a person).
    Declined,
    /// No device could be reached.
    Unreachable,
    /// The caller gave up meanwhile.
    CallerGone,
    /// Answered, but no media in common.
    MediaFailed,
    /// A colleague took it at another telephone.
    PickedUp,
}

impl OfferEnd {
    /// Every end there is.
    pub const ALL: [Self; 7] = [
        Self::NoAnswer,
        Self::Busy,
        Self::Declined,
        Self::Unreachable,
        Self::CallerGone,
        Self::MediaFailed,
        Self::PickedUp,
    ];
}

/// What happened. Kept apart on purpose: `LineAnswered` (we sent 200 to the client),
/// `OfferAccepted` (a person took it) and `ConversationStarted`; missed, talk time and service level
/// use the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum EventKind {
    /// A call came in. The first event of every inbound call; not a frame of its own.
    #[serde(rename = "call.arrived")]
    Arrived {
        /// The trunk it came by.
        trunk: TrunkId,
        /// The line called.
        line: LineId,
        /// The calling number as it came; empty if withheld.
        from: String,
        /// The number called as it came.
        to: String,
        /// Who calls, as far as known when it was routed.
        caller: Arc<CallerIdentity>,
    },
    /// An agent calls somebody. The first event of every outbound and internal call; not a frame of its own.
    #[serde(rename = "call.dialled")]
    Dialled {
        /// Who calls.
        agent: UserId,
        /// The agent's short number.
        from: String,
        /// The number called: E.164 with `+`, or as dialled if it is not a public number.
        to: String,
        /// The line whose number the client sees, if it is one of ours.
        line: Option<LineId>,
        /// The colleague who is called; none for a client.
        callee: Option<UserId>,
        /// The client who is called, as far as known.
        client: Arc<CallerIdentity>,
    },
    /// The call goes to the client by a trunk; again when another trunk is tried.
    #[serde(rename = "call.routed")]
    Routed {
        /// The trunk.
        trunk: TrunkId,
        /// The agent's telephone that is called by it; none for the client.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        device: Option<DeviceId>,
        /// The number outside to which the conversation is being handed; none for the client.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outside: Option<String>,
        /// What recovery needs after a crash: kept beside the call while it runs, and no part of the fact.
        #[serde(skip)]
        snapshot: DialogSnapshot,
    },
    /// An agent is offered the call, or began it: the card.
    #[serde(rename = "call.offered")]
    Offered {
        /// Whom.
        agent: UserId,
        /// 0 for the first offer of the call, which is the agent's own if an agent began it.
        attempt: u16,
        /// Why this agent.
        rule: Rule,
        /// The decision that chose the agent, everybody considered included.
        explanation: Arc<Explanation>,
        /// The assigned manager of the best match, if it is not this agent: "a colleague's client".
        owner: Option<UserId>,
        /// What recovery needs after a crash: kept beside the call while it runs, and no part of the fact.
        #[serde(skip)]
        snapshot: DialogSnapshot,
    },
    /// The INVITE left for the agent's devices.
    #[serde(rename = "call.ringing")]
    Ringing {
        /// Whose devices.
        agent: UserId,
        /// How long before that the card was shown.
        lead: Option<Lead>,
    },
    /// The offer ended without a conversation.
    #[serde(rename = "offer.ended")]
    OfferEnded {
        /// Whose offer.
        agent: UserId,
        /// How.
        end: OfferEnd,
    },
    /// A person took the call.
    #[serde(rename = "offer.accepted")]
    OfferAccepted {
        /// Who.
        agent: UserId,
        /// On which telephone.
        device: DeviceId,
    },
    /// Nobody was free: the caller waits for an agent, with music.
    #[serde(rename = "call.queued")]
    Queued {
        /// The place among those who wait for this line, 1 for the first.
        place: u32,
        /// The caller's class.
        priority: Priority,
        /// The decision that found nobody free.
        explanation: Arc<Explanation>,
        /// What recovery needs after a crash: kept beside the call while it runs, and no part of the fact.
        #[serde(skip)]
        snapshot: DialogSnapshot,
    },
    /// We answered the line: 200 to the client; or the client answered ours.
    #[serde(rename = "line.answered")]
    LineAnswered,
    /// Client and agent are connected.
    #[serde(rename = "conversation.started")]
    ConversationStarted {
        /// Who talks.
        agent: UserId,
        /// On which telephone.
        device: DeviceId,
        /// Recording file, relative to the recordings folder; none if the line is not recorded.
        recording: Option<String>,
        /// What recovery needs after a crash: kept beside the call while it runs, and no part of the fact.
        #[serde(skip)]
        snapshot: DialogSnapshot,
    },
    /// A party put the other on hold or took it back.
    #[serde(rename = "call.updated")]
    Held {
        /// Who holds.
        by: Party,
        /// On hold, or back.
        held: bool,
    },
    /// The conversation is being handed to a colleague, who is offered it next, or to a number outside.
    #[serde(rename = "transfer.begun")]
    TransferBegun {
        /// By which party.
        by: Party,
        /// Who hands it over.
        from: UserId,
        /// To which colleague.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<UserId>,
        /// To which number outside.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<String>,
    },
    /// Nobody took it over: the client stays with whoever has them, or goes back to them.
    #[serde(rename = "transfer.failed")]
    TransferFailed {
        /// Who wanted to hand it over.
        from: UserId,
        /// To which colleague; none for a number outside.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<UserId>,
        /// Why not.
        cause: Cause,
    },
    /// Somebody outside took over; nobody of ours talks any more, and the conversation goes on.
    #[serde(rename = "call.transferred_out")]
    TransferredOut {
        /// Who handed it over.
        from: UserId,
        /// To which number.
        number: String,
        /// What recovery needs after a crash: kept beside the call while it runs, and no part of the fact.
        #[serde(skip)]
        snapshot: DialogSnapshot,
    },
    /// A colleague took over; the conversation goes on.
    #[serde(rename = "call.transferred")]
    Transferred {
        /// Who handed it over.
        from: UserId,
        /// Who talks now.
        agent: UserId,
        /// On which telephone.
        device: DeviceId,
        /// What recovery needs after a crash: kept beside the call while it runs, and no part of the fact.
        #[serde(skip)]
        snapshot: DialogSnapshot,
    },
    /// A colleague is asked to join client and agent, and is offered the call next.
    #[serde(rename = "conference.begun")]
    ConferenceBegun {
        /// Who talks with the client.
        from: UserId,
        /// The colleague.
        to: UserId,
    },
    /// The colleague joined: all three talk.
    #[serde(rename = "conference.joined")]
    ConferenceJoined {
        /// Who has the client.
        from: UserId,
        /// The colleague.
        agent: UserId,
        /// On which telephone.
        device: DeviceId,
        /// What recovery needs after a crash: kept beside the call while it runs, and no part of the fact.
        #[serde(skip)]
        snapshot: DialogSnapshot,
    },
    /// One of the two agents left; the conversation goes on with the other.
    #[serde(rename = "conference.left")]
    ConferenceLeft {
        /// Who left.
        agent: UserId,
        /// Who has the client from now on.
        stays: UserId,
    },
    /// Nobody took the client out of the place in time: it is free again.
    #[serde(rename = "call.unclaimed")]
    Unclaimed {
        /// The place.
        place: u8,
    },
    /// The client was put into a place, from which anybody may take them.
    #[serde(rename = "call.parked")]
    Parked {
        /// By whom.
        by: UserId,
        /// The place.
        place: u8,
        /// What recovery needs after a crash: kept beside the call while it runs, and no part of the fact.
        #[serde(skip)]
        snapshot: DialogSnapshot,
    },
    /// A line receives the caller before anybody's telephone rings.
    #[serde(rename = "call.received")]
    Received {
        /// Which line.
        line: LineId,
        /// Its office is closed.
        closed: bool,
        /// The line that takes the call instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instead: Option<LineId>,
        /// When it opens.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        opens_at: Option<Utc>,
        /// What recovery needs after a crash: kept beside the call while it runs, and no part of the fact.
        #[serde(skip)]
        snapshot: DialogSnapshot,
    },
    /// The caller chose from a menu.
    #[serde(rename = "menu.chosen")]
    MenuChosen {
        /// The keys pressed.
        keys: String,
        /// Where they lead.
        to: Destination,
    },
    /// The caller leaves a message.
    #[serde(rename = "message.started")]
    MessageStarted {
        /// File, relative to the recordings folder.
        recording: String,
    },
    /// Routing found nobody (else): the decision, for the explanation.
    #[serde(rename = "route.exhausted")]
    RouteExhausted {
        /// The last decision.
        explanation: Arc<Explanation>,
    },
    /// Identification came after its deadline; the card is updated, the route so far stands.
    #[serde(rename = "call.identified")]
    Identified {
        /// Who calls.
        caller: Arc<CallerIdentity>,
    },
    /// The call is over.
    #[serde(rename = "call.ended")]
    Ended {
        /// Why.
        cause: Cause,
        /// By whom.
        by: Party,
        /// The agent of the conversation or of the last offer.
        agent: Option<UserId>,
        /// From `conversation.started` to the end, in milliseconds; 0 without a conversation.
        talk_ms: u64,
        /// From arrival to the conversation or the end, in milliseconds.
        wait_ms: u64,
        /// No conversation took place.
        missed: bool,
    },
    /// The recording is paused: its file is silent from there on.
    #[serde(rename = "recording.paused")]
    RecordingPaused {
        /// Who wanted that.
        by: UserId,
        /// Where, in milliseconds from the start of the file.
        at_ms: u64,
    },
    /// The recording goes on.
    #[serde(rename = "recording.resumed")]
    RecordingResumed {
        /// Who wanted that.
        by: UserId,
        /// Where the pause began, in milliseconds from the start of the file.
        at_ms: u64,
        /// How long it was, in milliseconds.
        length_ms: u64,
    },
    /// The recording file is complete.
    #[serde(rename = "recording.ready")]
    RecordingReady {
        /// File, relative to the recordings folder.
        file: String,
        /// Length in milliseconds.
        length_ms: u64,
        /// Size of the file.
        bytes: u64,
        /// Sum of the marked gaps in milliseconds.
        gaps_ms: u64,
        /// Where they are, at most the first 100. A crash of the process loses these marks.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gaps: Vec<RecordingGap>,
        /// Why there is no audio or less than there should be.
        error: Option<String>,
    },
    /// The call was missed, and the client is owed a call back (H5). Made by the journal itself, as
    /// the next: it alone knows whether one is owed already.
    #[serde(rename = "obligation.opened")]
    ObligationOpened {
        /// Which.
        obligation: ObligationId,
        /// Whom to call, as far as known.
        client: ClientRef,
        /// The name to show.
        client_name: Option<String>,
        /// The number that called, in its normal form.
        number: String,
        /// The line called.
        line: Option<LineId>,
        /// Who is to call: the client's manager, else the agent offered the call last.
        responsible: Option<UserId>,
        /// By when.
        due: Utc,
    },
    /// A call back is not owed any more.
    #[serde(rename = "obligation.closed")]
    ObligationClosed {
        /// Which.
        obligation: ObligationId,
        /// To whom it was owed.
        client: ClientRef,
        /// The name to show.
        client_name: Option<String>,
        /// The number that called, in its normal form.
        number: String,
        /// Who was to call.
        responsible: Option<UserId>,
        /// By a conversation (in the call of this event), or waived.
        #[serde(flatten)]
        end: ObligationEnd,
    },
}

impl EventKind {
    /// The type as frames and the journal write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Arrived { .. } => "call.arrived",
            Self::Dialled { .. } => "call.dialled",
            Self::Routed { .. } => "call.routed",
            Self::Offered { .. } => "call.offered",
            Self::Ringing { .. } => "call.ringing",
            Self::OfferEnded { .. } => "offer.ended",
            Self::OfferAccepted { .. } => "offer.accepted",
            Self::LineAnswered => "line.answered",
            Self::Queued { .. } => "call.queued",
            Self::Received { .. } => "call.received",
            Self::MenuChosen { .. } => "menu.chosen",
            Self::MessageStarted { .. } => "message.started",
            Self::ConversationStarted { .. } => "conversation.started",
            Self::Held { .. } => "call.updated",
            Self::TransferBegun { .. } => "transfer.begun",
            Self::Transferred { .. } => "call.transferred",
            Self::ConferenceBegun { .. } => "conference.begun",
            Self::ConferenceJoined { .. } => "conference.joined",
            Self::ConferenceLeft { .. } => "conference.left",
            Self::Parked { .. } => "call.parked",
            Self::Unclaimed { .. } => "call.unclaimed",
            Self::TransferFailed { .. } => "transfer.failed",
            Self::TransferredOut { .. } => "call.transferred_out",
            Self::RouteExhausted { .. } => "route.exhausted",
            Self::Identified { .. } => "call.identified",
            Self::Ended { .. } => "call.ended",
            Self::RecordingPaused { .. } => "recording.paused",
            Self::RecordingResumed { .. } => "recording.resumed",
            Self::RecordingReady { .. } => "recording.ready",
            Self::ObligationOpened { .. } => "obligation.opened",
            Self::ObligationClosed { .. } => "obligation.closed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does not compile when an end is added without a place here.
    fn place(end: OfferEnd) -> usize {
        match end {
            OfferEnd::NoAnswer => 0,
            OfferEnd::Busy => 1,
            OfferEnd::Declined => 2,
            OfferEnd::Unreachable => 3,
            OfferEnd::CallerGone => 4,
            OfferEnd::MediaFailed => 5,
            OfferEnd::PickedUp => 6,
        }
    }

    #[test]
    fn every_end_of_an_offer_is_listed() {
        assert_eq!(OfferEnd::ALL.map(place), [0, 1, 2, 3, 4, 5, 6]);
    }
}
