//! Ids, time and the plain records that every crate of Ringbook shares.
//!
//! Invariant: data only. No decision, no protocol, no I/O and no clock stands here; what is
//! persisted for the PBX is described by [`records`], what a caller is by [`caller`], and why a
//! call went where it went by [`explain`].

pub mod caller;
pub mod explain;
pub mod id;
pub mod language;
pub mod obligation;
pub mod office;
pub mod presence;
pub mod proxy;
pub mod queue;
pub mod reception;
pub mod records;
pub mod time;
pub mod trunk_state;
pub mod trunk_terms;

pub use caller::{CallerIdentity, CallerMatch, ClientRef, Flag};
pub use explain::{Considered, Explanation, PassedOver, Rule, Verdict};
pub use id::{
    AbsenceId, CallId, DealId, DeviceId, EventId, HandOverId, IdMaker, InteractionId, LineId,
    NoteId, NumberId, ObligationId, OfficeId, OrganisationId, ParseIdError, PersonId, RecordingId,
    SessionId, TaskId, TrunkId, UserId,
};
pub use language::Language;
pub use obligation::ObligationEnd;
pub use office::{Date, Holiday, Hours, Office, Opening, TimeOfDay, Weekday};
pub use presence::{AgentChanged, AgentState, AwayReason};
pub use proxy::{Carrier, NoProxy, Proxy, Target};
pub use queue::{Overflow, Priority, Queue};
pub use reception::{Choice, Destination, Menu, Reception, Voicemail};
pub use records::{
    Absence, Agent, Binding, CallerId, Credentials, Deputy, Device, DialogSnapshot, DigestOffer,
    Directory, GapReason, Line, MediaSource, NumberFormat, OpenCall, Reach, RecordingGap, Skill,
    Trunk, TrunkOutbound,
};
pub use time::{Now, Utc};
pub use trunk_state::{TrunkCode, TrunkState};
pub use trunk_terms::{CalledIn, NoPlace, TrunkTerms, VoiceCodec};
