//! Times at the border: RFC 3339 in UTC outside, microseconds inside; and the one place where this
//! crate reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use model::Utc;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

/// A time as the API writes it: `2026-03-01T09:30:00.250000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Moment(pub Utc);

impl Moment {
    /// The day in UTC: `2026-03-01`.
    pub fn day(self) -> String {
        let timestamp = jiff::Timestamp::from_microsecond(self.0.micros());
        timestamp
            .unwrap_or_default()
            .strftime("%Y-%m-%d")
            .to_string()
    }
}

impl From<Utc> for Moment {
    fn from(utc: Utc) -> Self {
        Self(utc)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Outside of what RFC 3339 can write (year 9999) there is nothing truthful to say.
        match jiff::Timestamp::from_microsecond(self.0.micros()) {
            // Six digits always, as in frames: one time is one text.
            Ok(timestamp) => serializer.collect_str(&format_args!("{timestamp:.6}")),
            Err(_) => serializer.serialize_none(),
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse::<jiff::Timestamp>()
            .map(|timestamp| Self(Utc::from_micros(timestamp.as_microsecond())))
            .map_err(|_| {
                de::Error::custom(
                    "not a time: expected RFC 3339 with a zone, such as 2026-03-01T09:30:00Z",
                )
            })
    }
}

/// Now.
pub fn now() -> Utc {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Utc::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_and_keep_microseconds() {
        let moment = Moment(Utc::from_micros(1_772_357_400_250_001));
        let json = serde_json::to_string(&moment).unwrap();
        assert_eq!(json, "\"2026-03-01T09:30:00.250001Z\"");
        assert_eq!(moment.day(), "2026-03-01");
        let even = Moment(Utc::from_micros(1_772_357_400_250_000));
        let json_of_even = serde_json::to_string(&even).unwrap();
        assert_eq!(json_of_even, "\"2026-03-01T09:30:00.250000Z\"");
        assert_eq!(serde_json::from_str::<Moment>(&json).unwrap(), moment);
        let zoned: Moment = serde_json::from_str("\"2026-03-01T12:30:00.250001+03:00\"").unwrap();
        assert_eq!(zoned, moment);
        for bad in [
            "\"2026-03-01\"",
            "\"soon\"",
            "12",
            "\"2026-03-01T12:30:00\"",
        ] {
            assert!(serde_json::from_str::<Moment>(bad).is_err(), "{bad}");
        }
    }
}
