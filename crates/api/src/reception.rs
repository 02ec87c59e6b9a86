//! What callers of a line hear and may choose first, as clients write it.

use garde::Validate;
use model::{Choice, Destination, LineId, Menu, Reception, UserId, Voicemail};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;

/// What callers hear and may choose before anybody's telephone rings.
#[derive(Clone, Debug, Default, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceptionFields {
    /// Name of the prompt that greets every caller, without folder and ending.
    #[serde(default)]
    #[garde(length(min = 1, max = 64))]
    pub announcement: Option<String>,
    /// Callers are told that they will be recorded, and are not if they could not be told.
    #[serde(default)]
    #[garde(skip)]
    pub recording_notice: bool,
    /// Keys and short numbers from which callers choose.
    #[serde(default)]
    #[garde(dive)]
    pub menu: Option<MenuFields>,
    /// Callers whom nobody can answer may leave a message.
    #[serde(default)]
    #[garde(dive)]
    pub voicemail: Option<VoicemailFields>,
    /// Id of the line that takes the calls outside the office's hours.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    pub closed_line: Option<LineId>,
}

/// An auto-attendant.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MenuFields {
    /// Name of the prompt that tells the choices; ours asks for an extension.
    #[serde(default)]
    #[garde(length(min = 1, max = 64))]
    pub prompt: Option<String>,
    /// What the keys mean.
    #[serde(default)]
    #[garde(length(max = 12), dive)]
    pub choices: Vec<ChoiceFields>,
    /// Short numbers of colleagues may be dialled; yes unless said otherwise.
    #[serde(default = "yes")]
    #[garde(skip)]
    pub extensions: bool,
    /// Clients with a manager go to that manager without being asked; yes unless said otherwise.
    #[serde(default = "yes")]
    #[garde(skip)]
    pub known_pass: bool,
}

/// A key, and where it leads: exactly one of `line`, `user` and `voicemail`.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChoiceFields {
    /// `0`–`9`, `*` or `#`.
    #[garde(skip)]
    #[schema(value_type = String, example = "1")]
    pub key: char,
    /// Id of a line, whose agents then answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    pub line: Option<LineId>,
    /// Id of a colleague.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    pub user: Option<UserId>,
    /// To the voicemail of this line.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[garde(skip)]
    pub voicemail: bool,
}

/// Messages that callers leave.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VoicemailFields {
    /// The longest message in seconds (5–600); 120 unless said otherwise.
    #[serde(default = "usual_message")]
    #[garde(range(min = 5, max = 600))]
    pub most_secs: u32,
}

fn yes() -> bool {
    true
}

fn usual_message() -> u32 {
    120
}

impl From<Reception> for ReceptionFields {
    fn from(reception: Reception) -> Self {
        Self {
            announcement: reception.announcement,
            recording_notice: reception.recording_notice,
            menu: reception.menu.map(|menu| MenuFields {
                prompt: menu.prompt,
                choices: menu.choices.into_iter().map(Into::into).collect(),
                extensions: menu.extensions,
                known_pass: menu.known_pass,
            }),
            voicemail: reception.voicemail.map(|voicemail| VoicemailFields {
                most_secs: voicemail.most_secs,
            }),
            closed_line: reception.closed_line,
        }
    }
}

impl From<Choice> for ChoiceFields {
    fn from(choice: Choice) -> Self {
        let (line, user, voicemail) = match choice.to {
            Destination::Line(line) => (Some(line), None, false),
            Destination::Agent(user) => (None, Some(user), false),
            Destination::Voicemail => (None, None, true),
        };
        Self {
            key: choice.key,
            line,
            user,
            voicemail,
        }
    }
}

impl TryFrom<ReceptionFields> for Reception {
    type Error = Problem;

    fn try_from(fields: ReceptionFields) -> Result<Self, Problem> {
        let menu = fields.menu.map(|menu| {
            let choices = menu.choices.iter().enumerate().map(choice);
            Ok::<_, Problem>(Menu {
                prompt: menu.prompt.clone(),
                choices: choices.collect::<Result<_, _>>()?,
                extensions: menu.extensions,
                known_pass: menu.known_pass,
            })
        });
        Ok(Self {
            announcement: fields.announcement,
            recording_notice: fields.recording_notice,
            menu: menu.transpose()?,
            voicemail: fields.voicemail.map(|voicemail| Voicemail {
                most_secs: voicemail.most_secs,
            }),
            closed_line: fields.closed_line,
        })
    }
}

fn choice((place, fields): (usize, &ChoiceFields)) -> Result<Choice, Problem> {
    let to = match (fields.line, fields.user, fields.voicemail) {
        (Some(line), None, false) => Destination::Line(line),
        (None, Some(user), false) => Destination::Agent(user),
        (None, None, true) => Destination::Voicemail,
        _ => {
            return Err(Problem::field(
                format!("reception.menu.choices[{place}]"),
                "must lead to exactly one of line, user and voicemail",
            ));
        }
    };
    Ok(Choice {
        key: fields.key,
        to,
    })
}
