//! Why a call or an offer ended: one table for SIP, journal and display.

use serde::{Deserialize, Serialize};

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
}

impl Cause {
    /// The SIP status that a caller who is not answered yet gets (RFC 3261 §21).
    pub fn sip_status(self) -> u16 {
        match self {
            Self::CallerCancelled => 487,
            Self::NobodyFree => 486,
            Self::NobodyQualified | Self::NobodyAnswered | Self::HungUp => 480,
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
        }
    }
}
