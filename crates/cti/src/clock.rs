//! The wall clock, read in this one place, and times as frames write them.

use std::time::{SystemTime, UNIX_EPOCH};

use model::Utc;
use serde::{Serialize, Serializer};

/// Now.
pub(crate) fn utc() -> Utc {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since.unwrap_or_default().as_micros();
    Utc::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// A time as frames write it: RFC 3339 in UTC with microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Utc);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Outside of what RFC 3339 can write (year 9999) there is nothing truthful to say.
        match jiff::Timestamp::from_microsecond(self.0.micros()) {
            Ok(timestamp) => serializer.collect_str(&format_args!("{timestamp:.6}")),
            Err(_) => serializer.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_with_six_digits() {
        let json = |micros| serde_json::to_string(&Moment(Utc::from_micros(micros))).unwrap();
        assert_eq!(
            json(1_772_357_400_250_001),
            "\"2026-03-01T09:30:00.250001Z\""
        );
        assert_eq!(
            json(1_772_357_400_000_000),
            "\"2026-03-01T09:30:00.000000Z\""
        );
        assert_eq!(json(i64::MAX), "null");
    }
}
