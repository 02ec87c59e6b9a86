//! Our numbers that the world dials, and who serves them.

use model::{Language, LineId, OfficeId, Queue, Reception, UserId};
use serde::{Deserialize, Serialize};

use crate::{Record, Resource};

/// A line as stored.
pub type Line = Record<LineId, LineData>;

/// What a line is (R5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineData {
    /// The number as typed; unique in its normal form.
    pub number: String,
    /// E.164 with `+`, or the digits of a number that is not public. Computed by the store.
    #[serde(default)]
    pub normal: String,
    /// What the line is for.
    pub name: String,
    /// Advertising channel that the number stands for.
    pub channel: Option<String>,
    /// How long an agent's devices ring for this line, in seconds, if it differs from the agent's.
    pub ring_timeout_secs: Option<u32>,
    /// Conversations on this line are recorded.
    pub recorded: bool,
    /// How soon a call missed on this line is to be called back, in minutes (H5).
    pub callback_minutes: u32,
    /// The language of what callers of this line are told.
    #[serde(default)]
    pub language: Language,
    /// How callers wait when nobody is free (R4); none if they hear busy.
    #[serde(default)]
    pub queue: Option<Queue>,
    /// Whose hours it keeps (T7); none if it is open day and night.
    #[serde(default)]
    pub office: Option<OfficeId>,
    /// What callers hear and may choose first.
    #[serde(default)]
    pub reception: Reception,
    /// Who serves it how well; a user stands here once.
    #[serde(default)]
    pub skills: Vec<LineSkill>,
}

/// How well a user serves a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineSkill {
    /// The user.
    pub user: UserId,
    /// 1–10, 10 is best; 0 never receives the line.
    pub level: u8,
}

/// What lines can be narrowed by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineFilter {
    /// Part of the name or the channel.
    pub text: Option<String>,
}

impl Resource for LineData {
    type Id = LineId;
    type Filter = LineFilter;
    const NAME: &'static str = "line";
}
