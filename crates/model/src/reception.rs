//! How a line receives its callers before anybody's telephone rings (T7).

use serde::{Deserialize, Serialize};

use crate::{LineId, UserId};

/// What callers of a line hear and may choose; without anything telephones ring at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reception {
    /// Name of the prompt that greets every caller.
    pub announcement: Option<String>,
    /// Callers are told that they will be recorded; whoever could not be told is not (H4).
    pub recording_notice: bool,
    /// What callers may choose from.
    pub menu: Option<Menu>,
    /// Callers whom nobody can answer may leave a message.
    pub voicemail: Option<Voicemail>,
    /// The line that takes the calls outside the office's hours.
    pub closed_line: Option<LineId>,
}

/// An auto-attendant: keys, and short numbers of colleagues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Menu {
    /// Name of the prompt that tells the choices; none for ours, which asks for an extension.
    pub prompt: Option<String>,
    /// What the keys mean.
    pub choices: Vec<Choice>,
    /// Short numbers of colleagues may be dialled.
    pub extensions: bool,
    /// Clients with a manager go to that manager without being asked.
    pub known_pass: bool,
}

/// A key of a menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// `0`–`9`, `*` or `#`.
    pub key: char,
    /// Where it leads.
    #[serde(flatten)]
    pub to: Destination,
}

/// Where a choice leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// To the agents of a line, received as that line receives its callers.
    Line(LineId),
    /// To a colleague.
    Agent(UserId),
    /// To the voicemail of the line.
    Voicemail,
}

/// Messages that callers leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voicemail {
    /// The longest message, in seconds.
    pub most_secs: u32,
}
