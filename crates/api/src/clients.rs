//! What organisations and persons have in common: whose client it is, numbers, flags.

use crm::{Number, NumberKind};
use garde::Validate;
use model::{ClientRef, Flag, NumberId, OrganisationId, PersonId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;

/// A telephone number of a client.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NumberFields {
    /// Its id. Ignored when written.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>, read_only)]
    pub id: Option<NumberId>,
    /// As typed, the extension included: `8 (495) 123-45-67 доб. 12`.
    #[garde(length(chars, min = 1, max = crm::number::MOST_TYPED))]
    pub typed: String,
    /// E.164 with `+`, or the digits of a number that is not public. Ignored when written.
    #[serde(default)]
    #[garde(skip)]
    #[schema(read_only)]
    pub normal: String,
    /// The extension in it. Ignored when written.
    #[serde(default)]
    #[garde(skip)]
    #[schema(read_only)]
    pub extension: Option<String>,
    /// `mobile`, `work`, `home`, `switchboard` or `other`.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = String, example = "work")]
    pub kind: NumberKind,
}

impl From<Number> for NumberFields {
    fn from(number: Number) -> Self {
        Self {
            id: number.id,
            typed: number.typed,
            normal: number.normal,
            extension: number.extension,
            kind: number.kind,
        }
    }
}

impl From<NumberFields> for Number {
    fn from(fields: NumberFields) -> Self {
        Self {
            id: fields.id,
            ..Self::typed(fields.typed, fields.kind)
        }
    }
}

/// Adds a number to those of a client.
pub fn add_number(numbers: &mut Vec<Number>, fields: NumberFields) -> Result<(), Problem> {
    if numbers.len() >= crm::number::MOST_PER_CLIENT {
        return Err(Problem::refused(format!(
            "a client has at most {} numbers; remove one first",
            crm::number::MOST_PER_CLIENT
        )));
    }
    numbers.push(fields.into());
    Ok(())
}

/// Takes a number from those of a client.
pub fn take_number(numbers: &mut Vec<Number>, id: NumberId) -> Result<(), Problem> {
    let before = numbers.len();
    numbers.retain(|number| number.id != Some(id));
    if numbers.len() == before {
        return Err(Problem::from(crm::Error::NotFound("number")));
    }
    Ok(())
}

/// The marks of a client.
#[derive(Clone, Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Flags {
    /// `vip`, `undesirable`, `core`, `do_not_call`.
    #[garde(length(max = 8))]
    #[schema(value_type = Vec<String>)]
    pub flags: Vec<Flag>,
}

/// Flags in their order, each once.
pub fn tidy(mut flags: Vec<Flag>) -> Vec<Flag> {
    flags.sort_unstable();
    flags.dedup();
    flags
}

/// A client: a person, an organisation, or a person in an organisation.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientFields {
    /// Id of the person.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    pub person: Option<PersonId>,
    /// Id of the organisation.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    pub organisation: Option<OrganisationId>,
}

impl ClientFields {
    /// No client at all.
    pub fn is_nobody(&self) -> bool {
        self.person.is_none() && self.organisation.is_none()
    }

    /// Refuses nobody, for what is always about a client.
    pub fn required(self) -> Result<ClientRef, Problem> {
        if self.is_nobody() {
            return Err(Problem::field(
                "client",
                "must name a person, an organisation or both",
            ));
        }
        Ok(self.into())
    }
}

impl From<ClientRef> for ClientFields {
    fn from(client: ClientRef) -> Self {
        Self {
            person: client.person,
            organisation: client.organisation,
        }
    }
}

impl From<ClientFields> for ClientRef {
    fn from(fields: ClientFields) -> Self {
        Self {
            person: fields.person,
            organisation: fields.organisation,
        }
    }
}

/// A person as a client.
pub fn person(id: PersonId) -> ClientRef {
    ClientRef {
        person: Some(id),
        organisation: None,
    }
}

/// An organisation as a client.
pub fn organisation(id: OrganisationId) -> ClientRef {
    ClientRef {
        person: None,
        organisation: Some(id),
    }
}
