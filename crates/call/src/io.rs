//! What goes into a call and what comes out of it.

use std::{sync::Arc, time::Duration};

use model::{
    CallerIdentity, DeviceId, DialogSnapshot, Explanation, LineId, Priority, RecordingGap, Rule,
    TrunkId, UserId,
};

use crate::{
    Cause, Choice, Conferring, EffectEnd, EffectRequest, OfferEnd, Ordered, Picker, Recipient,
    Service,
};

/// A leg of the call: 0 is the caller's, devices count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegNo(pub u16);

impl LegNo {
    /// The leg of whoever called us.
    pub const CALLER: Self = Self(0);
}

/// How a call began.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A client called a line of ours.
    Inbound(Inbound),
    /// An agent called a client (O1).
    Outbound(Outbound),
    /// An agent called a colleague (T4).
    Internal(Internal),
    /// An agent tries the telephone (T3).
    Echo(Echo),
    /// Before a restart: only its end is left.
    Recovered,
}

/// An inbound call as it came.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// By which trunk.
    pub trunk: TrunkId,
    /// To which line.
    pub line: LineId,
    /// The calling number as it came; empty if withheld.
    pub from: String,
    /// The called number as it came.
    pub to: String,
    /// How callers are received, there or at the line they were sent to.
    pub service: Service,
}

/// A call to a client.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// Who calls.
    pub agent: UserId,
    /// The agent's short number.
    pub from: String,
    /// The telephone that dialled; none if the call was ordered, and the agent's telephones are to ring first.
    pub device: Option<DeviceId>,
    /// The number called: E.164 with `+`, or as dialled if it is not a public number.
    pub number: String,
    /// The line whose number the client sees, if it is one of ours.
    pub line: Option<LineId>,
    /// The conversation is recorded.
    pub recorded: bool,
    /// The client would have to be told of that first, and nobody does: there is no recording then.
    pub notice: bool,
    /// How long the agent's telephones ring, if the call was ordered.
    pub ring_timeout: Duration,
}

/// A call to a colleague.
#[derive(Clone, Debug)]
pub struct Internal {
    /// Who calls.
    pub agent: UserId,
    /// The caller's short number and name, for the telephone that rings.
    pub from: (String, String),
    /// The telephone that dialled.
    pub device: DeviceId,
    /// Who is called.
    pub callee: UserId,
    /// The short number dialled.
    pub number: String,
    /// Conversations between colleagues are recorded.
    pub recorded: bool,
}

/// A telephone that wants to hear itself.
#[derive(Clone, Debug)]
pub struct Echo {
    /// Whose it is.
    pub agent: UserId,
    /// The agent's short number.
    pub from: String,
    /// The telephone.
    pub device: DeviceId,
    /// What it dialled.
    pub code: String,
}

/// A leg to a telephone of an agent, prepared and not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The leg.
    pub leg: LegNo,
    /// The telephone.
    pub device: DeviceId,
    /// The trunk by which a telephone elsewhere is called: whoever answers there has to press a key to take the call.
    pub trunk: Option<TrunkId>,
    /// It rings so long after the first one, or at once when no other rings any more.
    pub after: Duration,
}

/// A leg to a client by a trunk, prepared and not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The leg.
    pub leg: LegNo,
    /// By which trunk.
    pub trunk: TrunkId,
}

/// The two legs that talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// The client's, or that of the colleague who called.
    pub client: LegNo,
    /// The agent's.
    pub agent: LegNo,
}

impl Bridge {
    pub(crate) fn has(self, leg: LegNo) -> bool {
        leg == self.client || leg == self.agent
    }
}

/// The colleague whom an agent asks in a call of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consulted {
    /// The colleague's telephones are being rung, or are about to be.
    Called(UserId),
    /// They talk.
    Talks {
        /// The colleague's leg.
        leg: LegNo,
        /// The colleague.
        agent: UserId,
    },
}

/// A colleague who was consulted in another call and comes into this one with their leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joining {
    /// The colleague.
    pub agent: UserId,
    /// The leg, which belongs to this call already.
    pub leg: LegNo,
    /// The colleague's telephone.
    pub device: DeviceId,
    /// The colleague has put the other side on hold.
    pub held: bool,
    /// What recovery needs from now on.
    pub snapshot: DialogSnapshot,
}

/// What happens to a call.
#[derive(Clone, Debug)]
pub enum Input {
    /// An effect ended with a result.
    EffectEnded {
        /// Its number within the call.
        number: u32,
        /// The result.
        end: EffectEnd,
    },
    /// Routing's answer to [`Output::Decide`]. The chosen agent is reserved in routing already.
    Decided {
        /// Whom to offer the call, why, and how long to ring.
        choice: Option<(UserId, Rule, Duration)>,
        /// Everybody considered.
        explanation: Arc<Explanation>,
        /// Somebody is assigned or qualified at all.
        qualified: bool,
        /// The agent is in another call, and has this one beside it.
        beside: bool,
    },
    /// The answer to [`Output::Prepare`]: one leg for each telephone that can be reached.
    Prepared {
        /// The legs.
        legs: Vec<Ready>,
        /// What recovery needs.
        snapshot: DialogSnapshot,
    },
    /// The answer to [`Output::EnterQueue`].
    MayEnter {
        /// The place, 1 for the first; none if there is no room.
        place: Option<u32>,
        /// What recovery needs once the caller is answered.
        snapshot: DialogSnapshot,
    },
    /// The answer to [`Output::AnswerLine`]: what recovery needs once the caller is answered.
    MayAnswer(DialogSnapshot),
    /// The answer to [`Output::Choose`].
    Understood {
        /// What the keys mean, if anything.
        choice: Option<Choice>,
        /// More keys may mean something else.
        more: bool,
    },
    /// The answer to [`Output::Turn`]: none if there is no such line.
    Turned(Option<Service>),
    /// Somebody is free for this caller, who waits.
    Freed,
    /// A party pressed a key.
    Key {
        /// Who.
        leg: LegNo,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        key: char,
    },
    /// What a party was to be told was said.
    Said(LegNo),
    /// The answer to [`Output::Place`]: none if no trunk is left.
    Placed {
        /// The leg.
        placed: Option<Placed>,
        /// What recovery needs.
        snapshot: DialogSnapshot,
    },
    /// The trunk wants credentials: the INVITE has them now, and is to be sent again.
    LegChallenged {
        /// The leg.
        leg: LegNo,
        /// The trunk.
        trunk: TrunkId,
        /// What recovery needs.
        snapshot: DialogSnapshot,
    },
    /// A device rings, or the client's telephone.
    LegRinging(LegNo),
    /// The client's side sends sound before it answers.
    LegProgress(LegNo),
    /// A device or the client answered; the leg has its ACK.
    LegAnswered {
        /// Which.
        leg: LegNo,
        /// What recovery needs from now on.
        snapshot: DialogSnapshot,
    },
    /// A device will not answer.
    LegFailed(LegNo, OfferEnd),
    /// The client will not answer, or the trunk does not take the call.
    LegRefused {
        /// The leg.
        leg: LegNo,
        /// Why.
        cause: Cause,
        /// Another trunk may do better.
        elsewhere: bool,
    },
    /// A party hands the conversation to somebody else; see [`Call::may_transfer`](crate::Call::may_transfer).
    Transfer {
        /// Who.
        leg: LegNo,
        /// To whom.
        to: Recipient,
    },
    /// A party parks the client; see [`Call::may_transfer`](crate::Call::may_transfer).
    Park(LegNo),
    /// The answer to [`Output::Park`].
    MayPark {
        /// The place; none if all are taken.
        place: Option<u8>,
        /// How long the client may stay there.
        keep: Duration,
        /// What recovery needs.
        snapshot: DialogSnapshot,
    },
    /// Somebody takes the parked client by dialling; see [`Call::waits_at`](crate::Call::waits_at).
    Retrieved(Picker),
    /// A party leaves the conversation to a colleague who was asked before; see [`Call::may_transfer`](crate::Call::may_transfer).
    Join {
        /// Who leaves.
        leg: LegNo,
        /// Who comes.
        joining: Joining,
    },
    /// An agent and the colleague whom they asked come into the conversation with the client; see
    /// [`Call::may_transfer`](crate::Call::may_transfer).
    Confer {
        /// The agent's leg of this call until now.
        leg: LegNo,
        /// Who comes.
        conferring: Conferring,
    },
    /// The question to a colleague is over: both legs have gone to the conversation with the client.
    QuestionJoined,
    /// Somebody at a screen ordered it; see [`Call::may_control`](crate::Call::may_control).
    Ordered(Ordered),
    /// Somebody takes the call that rings elsewhere; see [`Call::rings_at`](crate::Call::rings_at).
    PickedUp(Picker),
    /// The question to a colleague is over: the colleague is handed the client in another call, and a leg that talked
    /// has gone there; see [`Call::consulted`](crate::Call::consulted).
    Consulted,
    /// The caller gave up before an answer; the 487 is sent.
    CallerCancelled,
    /// A party hung up.
    LegHungUp(LegNo),
    /// A party cannot be reached any more, or its media cannot be set up.
    LegLost(LegNo, Cause),
    /// A party holds the other, or takes it back.
    Held {
        /// Who.
        leg: LegNo,
        /// On hold, or back.
        held: bool,
    },
    /// A party answered our question whether it is there.
    ProbeAnswered(LegNo),
    /// The recording file is closed.
    RecordingClosed(RecordingSummary),
    /// A part of the recording could not be written; the call goes on.
    RecordingGap(RecordingGap),
    /// The process stops.
    Shutdown,
    /// Time has passed.
    Timer,
}

/// What the recorder says of a finished file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingSummary {
    /// File, relative to the recordings folder.
    pub file: String,
    /// Length in milliseconds.
    pub length_ms: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Sum of the marked gaps in milliseconds.
    pub gaps_ms: u64,
    /// Why there is no audio or less than there should be.
    pub error: Option<String>,
}

/// A change of the agent's state that the call brings about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentStep {
    /// Begins this call.
    Dialling,
    /// The devices ring.
    Ringing,
    /// In conversation.
    Talking,
    /// Free again, with wrap-up time after a conversation.
    Released {
        /// There was a conversation.
        wrap_up: bool,
    },
}

/// A caller's turn in the queue. Times are monotonic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The caller's class.
    pub priority: Priority,
    /// Since when.
    pub since: Duration,
    /// Who takes the call whatever their skills are.
    pub managers: Vec<UserId>,
    /// Who is not to be asked before that moment.
    pub resting: Vec<(UserId, Duration)>,
    /// Nobody is to be asked before that moment.
    pub not_before: Duration,
}

/// What a caller is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// Everybody talks; the place in the queue.
    Welcome,
    /// The place in the queue and the expected wait.
    Place,
    /// We shall call back, as you wish.
    CallBack,
    /// Nobody can answer; we shall call back.
    AllBusy,
    /// Nobody can answer; the client may call again.
    CallAgain,
    /// The line's greeting.
    Announcement,
    /// The conversation will be recorded.
    RecordingNotice,
    /// What there is to choose from.
    Menu,
    /// There is no such choice; what there is.
    WrongChoice,
    /// We are closed.
    Closed,
    /// A message may be left after the tone.
    Message,
    /// We are closed; a message may be left after the tone.
    ClosedMessage,
    /// Whoever hears that will hear themselves.
    Echo,
}

impl Words {
    /// Whether the caller goes on waiting.
    pub fn waits(self) -> bool {
        matches!(self, Self::Welcome | Self::Place)
    }
}

/// What a call wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Carry out an effect.
    Effect(EffectRequest),
    /// Ask routing; answered by [`Input::Decided`] before anything else.
    Decide {
        /// Who was tried.
        tried: Vec<UserId>,
        /// Nobody else comes into question.
        wanted: Option<(UserId, Rule)>,
        /// Who calls.
        caller: Arc<CallerIdentity>,
    },
    /// Prepare legs to the agent's devices; answered by [`Input::Prepared`] before anything else.
    Prepare {
        /// Whose devices.
        agent: UserId,
        /// Who calls, for the display of the phone.
        caller: Arc<CallerIdentity>,
    },
    /// The agent's state changes.
    Agent {
        /// Whose.
        agent: UserId,
        /// How.
        step: AgentStep,
    },
    /// The caller is to be answered; answered by [`Input::MayAnswer`] before anything else.
    AnswerLine,
    /// Ask what keys mean that the caller pressed; answered by [`Input::Understood`] before anything else.
    Choose {
        /// All of them so far.
        keys: String,
    },
    /// Send the caller to another line; answered by [`Input::Turned`] before anything else.
    Turn {
        /// Which.
        line: LineId,
    },
    /// Say no more to the caller; nothing is reported.
    Hush,
    /// Record what the caller says into the file; ends with [`Output::StopRecording`].
    RecordMessage {
        /// File, relative to the recordings folder.
        file: String,
    },
    /// Ask for a place in the queue; answered by [`Input::MayEnter`] before anything else.
    EnterQueue(Turn),
    /// The caller waits for an agent; answered by [`Input::Freed`] when there is one.
    Wait(Turn),
    /// The caller waits no more.
    LeaveQueue,
    /// Tell the caller something; [`Input::Said`] follows. Music goes on afterwards for those who wait.
    Say {
        /// What.
        words: Words,
        /// The caller may be called back at a key, and is told so.
        call_back: bool,
    },
    /// Prepare a leg to a number outside by the next trunk; answered by [`Input::Placed`] before anything else.
    Place {
        /// Which number.
        number: String,
        /// Trunks that failed.
        failed: Vec<TrunkId>,
    },
    /// Ask whoever answered a telephone elsewhere to press a key; the call gives up by itself.
    AskToTake(LegNo),
    /// Send the INVITE to a prepared leg.
    Ring(LegNo),
    /// Send 200 to whoever picked the call up; answered by [`Input::LegAnswered`] before anything else, or
    /// [`Input::LegFailed`].
    AnswerLeg(LegNo),
    /// Ask for a place to park the client in; answered by [`Input::MayPark`] before anything else.
    Park,
    /// Let a party hear music.
    PlayMusic(LegNo),
    /// Tell whoever parked the client in which place; [`Input::Said`] follows. What they say is not recorded any more.
    TellPlace {
        /// Who.
        leg: LegNo,
        /// The place.
        place: u8,
    },
    /// Let a party hear itself.
    Echo(LegNo),
    /// Send 180 to the caller.
    RelayRinging,
    /// Let an agent whose telephone is answered hear that the client's rings.
    PlayRingback(LegNo),
    /// Let the agent hear what the client's side sends before it answers.
    RelayEarlyMedia {
        /// The client's leg.
        client: LegNo,
        /// The agent's.
        agent: LegNo,
    },
    /// Give up a device's leg, whatever its state.
    DropLeg(LegNo),
    /// Join the media of two legs and record into the file, if one is named.
    Connect {
        /// Between whom.
        bridge: Bridge,
        /// File, relative to the recordings folder.
        recording: Option<String>,
    },
    /// Join the client with another agent; a recording that runs goes on with the new one.
    Reconnect {
        /// Between whom.
        bridge: Bridge,
    },
    /// Let client, agent and guest hear one another; a recording that runs goes on with both of the agents.
    Confer {
        /// Client and agent.
        bridge: Bridge,
        /// The third party.
        guest: LegNo,
    },
    /// Whoever has this leg wants the client, whom they have on hold in another call, to join; [`Input::QuestionJoined`]
    /// follows if that is possible.
    BringIn(LegNo),
    /// Tell a party that hands its conversation over how far that is (RFC 3515 §2.4.4).
    TransferProgress {
        /// Who.
        leg: LegNo,
        /// SIP status; 200 and more is the end.
        status: u16,
    },
    /// Put silence into the file from now on, or what is heard again.
    PauseRecording {
        /// Silence.
        paused: bool,
    },
    /// Stop the recording; answered by [`Input::RecordingClosed`] later.
    StopRecording,
    /// Send 200 to the caller.
    AnswerCaller,
    /// Send a final refusal to the caller.
    RejectCaller {
        /// SIP status.
        status: u16,
    },
    /// End the caller's leg: BYE, or nothing if the caller ended it.
    DropCaller,
    /// Send the 200 to the BYE that waited for the commit.
    ConfirmHangUp,
    /// Ask a party whether it is there.
    Probe(LegNo),
    /// Nothing is left of the call.
    Over,
}
