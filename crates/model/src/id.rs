//! Identifiers: time-ordered, 63 bits, the node inside, strings in JSON.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Utc;

/// Milliseconds between the Unix epoch and 2020-01-01T00:00:00Z, where our ids begin to count.
const EPOCH_MS: i64 = 1_577_836_800_000;
const NODE_BITS: u32 = 10;
const MAKER_BITS: u32 = 1;
const SEQUENCE_BITS: u32 = 11;

/// The text is not an id: ids are positive decimal numbers of at most 63 bits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an id: expected a positive decimal number")]
pub struct ParseIdError(pub String);

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                match text.parse::<i64>() {
                    Ok(raw) if raw > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(Self(raw)),
                    _ => Err(ParseIdError(text.chars().take(40).collect())),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// One conversation, from the first INVITE to the last recording; legs hang below it.
    CallId;
    /// One entry of the journal.
    EventId;
    /// A person who works with Ringbook: agent, supervisor or administrator.
    UserId;
    /// A telephone with its own credentials; a user has any number of them.
    DeviceId;
    /// A number of ours that the world dials.
    LineId;
    /// A connection to a telephone company.
    TrunkId;
    /// A place of work with its hours.
    OfficeId;
    /// A client organisation.
    OrganisationId;
    /// A person on the client's side.
    PersonId;
    /// A telephone number in the contact base.
    NumberId;
    /// A note on a client.
    NoteId;
    /// A deal with a client.
    DealId;
    /// A task of a user.
    TaskId;
    /// An entry of a client's history.
    InteractionId;
    /// A recording of a conversation.
    RecordingId;
    /// A call back that is owed to a client.
    ObligationId;
    /// A logged-in session.
    SessionId;
    /// A time in which a user is absent.
    AbsenceId;
    /// The clients of a leaver, handed over.
    HandOverId;
}

/// Makes time-ordered ids: 41 bits of milliseconds since 2020, 10 bits of node, one bit of maker, 11 bits of
/// sequence.
///
/// Within one maker ids rise strictly, also when the clock steps back or more than 2,048 are asked
/// for in a millisecond (the maker then runs ahead of the clock). The two makers of a node never make the same id.
#[derive(Clone, Debug)]
pub struct IdMaker {
    node: i64,
    maker: i64,
    last: i64,
}

impl IdMaker {
    /// A maker for node `node` (0–1023; higher bits are ignored).
    pub fn new(node: u16) -> Self {
        Self {
            node: i64::from(node) & ((1 << NODE_BITS) - 1),
            maker: 0,
            last: 0,
        }
    }

    /// The other maker of the node: the journal's writer adds facts to those that the switch makes.
    pub fn second(node: u16) -> Self {
        Self {
            maker: 1,
            ..Self::new(node)
        }
    }

    /// The next id at the time `utc`; wrap it in the id type it is for.
    pub fn make(&mut self, utc: Utc) -> i64 {
        let ms = (utc.micros() / 1_000 - EPOCH_MS).clamp(0, (1 << 41) - 1);
        let ticks = (ms << SEQUENCE_BITS).max(self.last + 1);
        self.last = ticks;
        let sequence = ticks & ((1 << SEQUENCE_BITS) - 1);
        let (ms, low_bits) = (ticks >> SEQUENCE_BITS, MAKER_BITS + SEQUENCE_BITS);
        (ms << (NODE_BITS + low_bits))
            | (self.node << low_bits)
            | (self.maker << SEQUENCE_BITS)
            | sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_even_when_the_clock_steps_back() {
        let mut maker = IdMaker::new(3);
        let mut last = 0;
        for ms in [5, 5, 5, 4, 9] {
            for _ in 0..5_000 {
                let id = maker.make(Utc::from_micros((EPOCH_MS + ms) * 1_000));
                assert!(id > last);
                assert_eq!((id >> (MAKER_BITS + SEQUENCE_BITS)) & 1023, 3);
                last = id;
            }
        }
    }

    #[test]
    fn the_two_makers_of_a_node_never_make_the_same_id() {
        let (mut first, mut second) = (IdMaker::new(3), IdMaker::second(3));
        let mut ids = |ms: i64| {
            let utc = Utc::from_micros((EPOCH_MS + ms) * 1_000);
            [first.make(utc), second.make(utc)]
        };
        let mut made: Vec<i64> = (0..5_000).flat_map(|n| ids(n / 2_500)).collect();
        made.sort_unstable();
        made.dedup();
        assert_eq!(made.len(), 10_000);
    }

    #[test]
    fn ids_are_strings_in_json_and_reject_what_is_no_id() {
        assert_eq!(serde_json::to_string(&CallId(12)).unwrap(), "\"12\"");
        assert_eq!(
            serde_json::from_str::<CallId>("\"12\"").unwrap(),
            CallId(12)
        );
        for bad in ["", "-1", "0", "+7", "1e3", "9223372036854775808"] {
            assert!(bad.parse::<CallId>().is_err(), "{bad}");
        }
    }
}
