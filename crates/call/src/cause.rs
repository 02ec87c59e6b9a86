//! Why a call or an offer ended: one table for SIP, journal and display.

use serde::{Deserialize, Serialize};

use crate::OfferEnd;

/// Who brought something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// The client.
    Client,
    /// The agent.
    Agent,
    /// Ringbook itself.
    System,
}

impl Party {
    /// Everybody there is.
    pub const ALL: [Self; 3] = [Self::Client, Self::Agent, Self::System];
}

/// Why a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A party hung up after a conversation.
    HungUp,
    /// The caller gave up before anyone answered.
    CallerCancelled,
    /// Nobody who could be offered the call was free.
    NobodyFree,
    /// Nobody is assigned to the caller or qualified for the line.
    NobodyQualified,
    /// Everybody who was offered the call declined or did not answer.
    NobodyAnswered,
    /// No media came for the configured time.
    MediaTimeout,
    /// A party did not answer our requests any more.
    SignallingLost,
    /// Media could not be set up: no port or no common codec.
    MediaFailed,
    /// The process ended while the call was running; found at the next start.
    Crash,
    /// The process was told to stop.
    Shutdown,
    /// A limit of the configuration was reached.
    Overload,
    /// Whoever was called is busy.
    Busy,
    /// Whoever was called did not answer.
    NoAnswer,
    /// Whoever was called declined.
    Declined,
    /// Nobody has the number called.
    NoSuchNumber,
    /// No trunk took the call, or no telephone of the colleague could be reached.
    Unreachable,
    /// The caller, who waited, preferred to be called back.
    CallBackWanted,
    /// The caller waited for as long as the queue allows.
    WaitedTooLong,
    /// A question to a colleague, who was then handed the client.
    Transferred,
    /// A question to a colleague, who then joined the conversation with the client.
    Conference,
    /// The office is closed.
    Closed,
    /// The caller left a message.
    MessageLeft,
    /// The client hung up while parked.
    LeftWhileParked,
}

impl Cause {
    /// Every cause there is.
    pub const ALL: [Self; 23] = [
        Self::HungUp,
        Self::CallerCancelled,
        Self::NobodyFree,
        Self::NobodyQualified,
        Self::NobodyAnswered,
        Self::MediaTimeout,
        Self::SignallingLost,
        Self::MediaFailed,
        Self::Crash,
        Self::Shutdown,
        Self::Overload,
        Self::Busy,
        Self::NoAnswer,
        Self::Declined,
        Self::NoSuchNumber,
        Self::Unreachable,
        Self::CallBackWanted,
        Self::WaitedTooLong,
        Self::Transferred,
        Self::Conference,
        Self::Closed,
        Self::MessageLeft,
        Self::LeftWhileParked,
    ];

    /// The SIP status that a caller who is not answered yet gets (RFC 3261 §21).
    pub fn sip_status(self) -> u16 {
        match self {
            Self::CallerCancelled | Self::Transferred | Self::Conference => 487,
            Self::NobodyFree | Self::Busy => 486,
            Self::NobodyQualified
            | Self::NobodyAnswered
            | Self::NoAnswer
            | Self::HungUp
            | Self::CallBackWanted
            | Self::WaitedTooLong
            | Self::Closed
            | Self::MessageLeft
            | Self::LeftWhileParked => 480,
            Self::Declined => 603,
            Self::NoSuchNumber => 404,
            Self::Unreachable => 502,
            Self::MediaFailed => 488,
            Self::MediaTimeout | Self::SignallingLost => 500,
            Self::Crash | Self::Shutdown | Self::Overload => 503,
        }
    }

    /// The name that journal and API use.
    pub fn name(self) -> &'static str {
        match self {
            Self::HungUp => "hung_up",
            Self::CallerCancelled => "caller_cancelled",
            Self::NobodyFree => "nobody_free",
            Self::NobodyQualified => "nobody_qualified",
            Self::NobodyAnswered => "nobody_answered",
            Self::MediaTimeout => "media_timeout",
            Self::SignallingLost => "signalling_lost",
            Self::MediaFailed => "media_failed",
            Self::Crash => "crash",
            Self::Shutdown => "shutdown",
            Self::Overload => "overload",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Declined => "declined",
            Self::NoSuchNumber => "no_such_number",
            Self::Unreachable => "unreachable",
            Self::CallBackWanted => "call_back_wanted",
            Self::WaitedTooLong => "waited_too_long",
            Self::Transferred => "transferred",
            Self::Conference => "conference",
            Self::Closed => "closed",
            Self::MessageLeft => "message_left",
            Self::LeftWhileParked => "left_while_parked",
        }
    }
}

/// How the offer to the one colleague who was called ended.
impl From<OfferEnd> for Cause {
    fn from(end: OfferEnd) -> Self {
        match end {
            OfferEnd::NoAnswer | OfferEnd::PickedUp => Self::NoAnswer,
            OfferEnd::Busy => Self::Busy,
            OfferEnd::Declined => Self::Declined,
            OfferEnd::Unreachable => Self::Unreachable,
            OfferEnd::CallerGone => Self::CallerCancelled,
            OfferEnd::MediaFailed => Self::MediaFailed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does not compile when a cause is added without a place here.
    fn place(cause: Cause) -> usize {
        match cause {
            Cause::HungUp => 0,
            Cause::CallerCancelled => 1,
            Cause::NobodyFree => 2,
            Cause::NobodyQualified => 3,
            Cause::NobodyAnswered => 4,
            Cause::MediaTimeout => 5,
            Cause::SignallingLost => 6,
            Cause::MediaFailed => 7,
            Cause::Crash => 8,
            Cause::Shutdown => 9,
            Cause::Overload => 10,
            Cause::Busy => 11,
            Cause::NoAnswer => 12,
            Cause::Declined => 13,
            Cause::NoSuchNumber => 14,
            Cause::Unreachable => 15,
            Cause::CallBackWanted => 16,
            Cause::WaitedTooLong => 17,
            Cause::Transferred => 18,
            Cause::Conference => 19,
            Cause::Closed => 20,
            Cause::MessageLeft => 21,
            Cause::LeftWhileParked => 22,
        }
    }

    fn seat(party: Party) -> usize {
        match party {
            Party::Client => 0,
            Party::Agent => 1,
            Party::System => 2,
        }
    }

    #[test]
    fn every_party_is_listed() {
        assert_eq!(Party::ALL.map(seat), [0, 1, 2]);
    }

    #[test]
    fn every_cause_is_listed_and_is_called_as_the_journal_writes_it() {
        let places: Vec<usize> = Cause::ALL.into_iter().map(place).collect();
        assert_eq!(places, (0..Cause::ALL.len()).collect::<Vec<_>>());
        for cause in Cause::ALL {
            let written = serde_json::to_string(&cause).unwrap();
            assert_eq!(written, format!("\"{}\"", cause.name()));
        }
    }
}
