//! Media without sockets: SDP offer and answer, RTP, G.711, tones and sounds, DTMF events, the timeline of a recording,
//! and the contract between the one who orders media (`switch`) and the threads that move it (`net`).
//!
//! Bytes and monotonic times come in, bytes and events go out. There is no clock, socket, thread or file here,
//! and what runs per packet does not allocate.

pub mod dtmf;
pub mod g711;
pub mod in_band;
pub mod mixing;
pub mod music;
pub mod offer_answer;
pub mod plane;
pub mod ports;
pub mod rtp;
pub mod sdp;
pub mod sdp_error;
pub mod sound;
pub mod timeline;
pub mod tone;
pub mod wav;

pub use offer_answer::{LocalSession, Negotiated, Terms};
pub use plane::{
    AfterSounds, Codec, Command, ConversationKey, Event, GapReason, LegKey, LegStats,
    RecordingSummary, Remote, SourceRule,
};
pub use sdp::{Direction, Sdp};
pub use sdp_error::SdpError;
pub use sound::{Sound, SoundLibrary};
pub use tone::Tone;
