//! What the PBX persists, as plain records. Repository traits stand in `crm`, `store` implements
//! them, and only `switch` turns them into types of `sip` and `routing`.

use std::net::SocketAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{
    CallId, CalledIn, DeviceId, Language, LineId, Office, OfficeId, Proxy, Queue, Reception,
    TrunkId, TrunkTerms, UserId, Utc,
};

/// A user who answers calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// The user.
    pub user: UserId,
    /// The name that colleagues see.
    pub name: String,
    /// The short number, the same in PBX and CRM (T4).
    pub short_number: String,
    /// The agent chose to be away.
    pub away: bool,
    /// How long the agent's devices ring before the next one is tried, in seconds.
    pub ring_timeout_secs: u32,
    /// Time kept free after a conversation, in seconds; 0 for none.
    pub wrap_up_secs: u32,
    /// How far the agent may call.
    pub may_call: Reach,
    /// A call to the short number rings also while the agent talks.
    pub call_waiting: bool,
}

/// How far a user may call (O1). Emergency numbers are always allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Colleagues and short numbers only.
    Internal,
    /// Numbers of our own country too.
    #[default]
    National,
    /// Any number.
    International,
}

/// Which digest algorithms a device is offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DigestOffer {
    /// MD5 only, what every phone understands.
    #[default]
    Md5,
    /// SHA-256 only (RFC 8760).
    Sha256,
    /// Both, SHA-256 first.
    Both,
}

/// Where media of a device may come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaSource {
    /// From the address in the SDP; if that is not the address signalling came from, from the
    /// latter with any port (a phone behind NAT).
    #[default]
    Automatic,
    /// Only from the address and port in the SDP.
    Sdp,
    /// Only from the IP that signalling came from; the port is learnt.
    SignallingIp,
}

/// A telephone of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The device.
    pub id: DeviceId,
    /// Whose it is.
    pub user: UserId,
    /// What the user calls it.
    pub name: String,
    /// User part of its address of record and user name of its digest.
    pub auth_user: String,
    /// Digest HA1 with MD5, lower-case hex.
    pub ha1_md5: String,
    /// Digest HA1 with SHA-256, lower-case hex.
    pub ha1_sha256: String,
    /// Which algorithms it is offered.
    pub digest: DigestOffer,
    /// Where its media may come from.
    pub media_source: MediaSource,
    /// The number of a telephone elsewhere, called by a trunk (T5); none for one that registers with us.
    pub number: Option<String>,
    /// How long after the others it rings, in seconds, if it is elsewhere.
    pub ring_after_secs: u32,
}

/// A number of ours that the world dials (R5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The line.
    pub id: LineId,
    /// E.164 with `+`, or as typed if it is not a public number.
    pub number: String,
    /// Digits only: every way in which a trunk may write this number.
    pub aliases: Vec<String>,
    /// What the line is for.
    pub name: String,
    /// Advertising channel that the number stands for.
    pub channel: Option<String>,
    /// How long an agent's devices ring for this line, in seconds, if it differs from the agent's.
    pub ring_timeout_secs: Option<u32>,
    /// Conversations on this line are recorded.
    pub recorded: bool,
    /// The language of what callers of this line are told.
    pub language: Language,
    /// How callers wait when nobody is free; none if they hear busy.
    pub queue: Option<Queue>,
    /// Whose hours it keeps; none if it is open day and night.
    pub office: Option<OfficeId>,
    /// What callers hear and may choose first.
    pub reception: Reception,
}

/// A connection to a telephone company, known by its source addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trunk {
    /// The trunk.
    pub id: TrunkId,
    /// What the administrator calls it.
    pub name: String,
    /// Where its signalling comes from.
    pub networks: Vec<IpNet>,
    /// Where its media may come from, besides the address in its SDP.
    pub media_networks: Vec<IpNet>,
    /// P-Asserted-Identity from it is believed (RFC 3325).
    pub trusted_identity: bool,
    /// Where it says which number is called.
    pub called_in: CalledIn,
    /// Most simultaneous calls; none for no limit of its own.
    pub most_calls: Option<u32>,
    /// How calls leave by it; none if it only brings calls.
    pub outbound: Option<TrunkOutbound>,
}

/// How calls leave by a trunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrunkOutbound {
    /// Where its INVITEs go. Where it is a name, calls from what the name means are the trunk's own, whether or not
    /// `networks` names it.
    pub proxy: Proxy,
    /// Of several trunks the lowest is tried first, the next one when it fails.
    pub priority: u8,
    /// Our number, as the called party is to see it.
    pub caller_number: String,
    /// Host of From and of the request URI; none for the proxy's address.
    pub domain: Option<String>,
    /// Where our number stands.
    pub caller_id: CallerId,
    /// How the called number is written.
    pub number_format: NumberFormat,
    /// User name and password for its challenges; none if it knows us by our address.
    pub credentials: Option<Credentials>,
    /// We register with it (RFC 3261 §10.2), which needs credentials; calls from the proxy's address are then its own,
    /// whether or not `networks` names it.
    #[serde(default)]
    pub register: bool,
    /// For how long we ask to be registered, in seconds.
    #[serde(default = "default_register_secs")]
    pub register_secs: u32,
    /// What this company does differently.
    #[serde(default)]
    pub terms: TrunkTerms,
}

/// `register_secs` where nothing else is said.
pub fn default_register_secs() -> u32 {
    300
}

/// User name and password that we answer a trunk's challenge with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The user name; it also stands in From when the number stands elsewhere.
    pub user: String,
    /// The password, as it is: a challenge names its realm only when it comes.
    pub password: String,
}

/// A password is never shown, not even in a trace.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Where our number stands in an INVITE to a trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallerId {
    /// In From.
    #[default]
    From,
    /// In P-Asserted-Identity (RFC 3325); From has the user name of the credentials.
    AssertedIdentity,
}

/// How a trunk wants the called number written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberFormat {
    /// `+74951234567`.
    #[default]
    E164,
    /// `74951234567`.
    E164Digits,
    /// As dialled in our own country: `84951234567`; foreign numbers as `E164Digits` behind the international prefix.
    National,
}

/// How well a user serves a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skill {
    /// The user.
    pub user: UserId,
    /// The line.
    pub line: LineId,
    /// 1–10, 10 is best; 0 never receives the line.
    pub level: u8,
}

/// Who stands in for a user whenever the user cannot take a call (R6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deputy {
    /// The user.
    pub user: UserId,
    /// The deputy.
    pub deputy: UserId,
}

/// A time in which a user takes no calls, planned ahead (R6). Those of one user do not overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// Who is absent.
    pub user: UserId,
    /// From then on.
    pub from: Utc,
    /// Back from then on.
    pub until: Utc,
    /// Who stands in during this time, if it is not the usual deputy.
    pub deputy: Option<UserId>,
}

/// Everything an administrator sets that the PBX works by, as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// Users who answer calls.
    pub agents: Vec<Agent>,
    /// Their telephones.
    pub devices: Vec<Device>,
    /// Our numbers.
    pub lines: Vec<Line>,
    /// Our telephone companies.
    pub trunks: Vec<Trunk>,
    /// Our offices and their hours.
    pub offices: Vec<Office>,
    /// Who serves which line how well.
    pub skills: Vec<Skill>,
    /// Who stands in for whom.
    #[serde(default)]
    pub deputies: Vec<Deputy>,
    /// Absences that are not over.
    #[serde(default)]
    pub absences: Vec<Absence>,
}

/// Where a device can be reached (RFC 3261 §10), kept over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The device.
    pub device: DeviceId,
    /// The Contact URI as the phone wrote it.
    pub contact: String,
    /// `udp`, `tcp`, `tls`, `ws` or `wss`.
    pub transport: String,
    /// Our address that the registration came to.
    pub local: SocketAddr,
    /// The address that it came from: requests to the device go there.
    pub remote: SocketAddr,
    /// Path headers (RFC 3327), outermost first.
    pub path: Vec<String>,
    /// Call-ID of the registration.
    pub call_id: String,
    /// CSeq of the registration.
    pub cseq: u32,
    /// When it ends.
    pub expires: Utc,
    /// What the phone says it is.
    pub user_agent: Option<String>,
}

/// A part of a recording that could not be written: the file is silent there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingGap {
    /// Where it begins, in milliseconds from the start of the file.
    pub at_ms: u64,
    /// Its length in milliseconds.
    pub length_ms: u64,
    /// Why.
    pub reason: GapReason,
}

/// Why a part of a recording is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The disk did not keep up.
    QueueFull,
    /// No space left on the device.
    DiskFull,
    /// Any other failure of a write.
    WriteFailed,
}

/// What is needed to end a call properly after a crash: an opaque, versioned blob of `switch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DialogSnapshot(pub String);

/// A call that the journal shows as unfinished, as found at start: not ended, ended so lately that not every
/// party may have heard of it, or ended with a recording that was never reported complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCall {
    /// The call.
    pub call: CallId,
    /// When it arrived.
    pub arrived_at: Utc,
    /// When the conversation started, if it did.
    pub started_at: Option<Utc>,
    /// The end is in the journal.
    pub ended: bool,
    /// The final SIP status that a caller got who was never answered, once the call has ended.
    pub refused: Option<u16>,
    /// The agent who was offered the call last.
    pub agent: Option<UserId>,
    /// Recording file, relative to the recordings folder, if a recording was begun.
    pub recording: Option<String>,
    /// Length of that recording once the file has been repaired, in milliseconds; none from the
    /// store.
    pub recorded_ms: Option<u64>,
    /// The last snapshot that was stored; none once everybody has been told of the end.
    pub snapshot: Option<DialogSnapshot>,
}
