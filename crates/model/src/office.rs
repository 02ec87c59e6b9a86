//! When an office works: its time zone, its week and its holidays.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::OfficeId;

/// A place of work, whose hours hold for the lines that name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Office {
    /// The office.
    pub id: OfficeId,
    /// What the administrator calls it.
    pub name: String,
    /// When it works.
    #[serde(flatten)]
    pub hours: Hours,
}

/// When calls are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// Name in the time-zone database, such as `Europe/Moscow`.
    pub time_zone: String,
    /// The usual week; several openings of a day are allowed, and a day without one is a day off.
    pub week: Vec<Opening>,
    /// Days that differ from the usual week.
    pub holidays: Vec<Holiday>,
}

/// Hours of some days of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Which days.
    pub days: Vec<Weekday>,
    /// From when.
    pub from: TimeOfDay,
    /// Till when; after `from`.
    pub to: TimeOfDay,
}

/// A day that differs: closed, or open for a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holiday {
    /// The day.
    pub date: Date,
    /// What it is called.
    pub name: String,
    /// From when it is worked all the same.
    pub from: Option<TimeOfDay>,
    /// Till when; given together with `from`.
    pub to: Option<TimeOfDay>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the days of the week")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// A minute of a day, `00:00` to `24:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// Minutes since midnight, at most 1440.
    pub fn minutes(self) -> u16 {
        self.0
    }
}

/// A day of the calendar, `2026-12-31`; that there is such a day is checked where calendars are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// 1970–9999.
    pub year: u16,
    /// 1–12.
    pub month: u8,
    /// 1–31.
    pub day: u8,
}

/// The text is no time of a day or no date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is no {wanted}")]
pub struct ParseOfficeError {
    text: String,
    wanted: &'static str,
}

fn digits<T: FromStr>(text: &str, length: usize) -> Option<T> {
    let plain = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

impl FromStr for TimeOfDay {
    type Err = ParseOfficeError;

    fn from_str(text: &str) -> Result<Self, ParseOfficeError> {
        let parsed = text.split_once(':').and_then(|(hour, minute)| {
            let (hour, minute): (u16, u16) = (digits(hour, 2)?, digits(minute, 2)?);
            (minute < 60 && hour * 60 + minute <= 24 * 60).then_some(Self(hour * 60 + minute))
        });
        parsed.ok_or_else(|| ParseOfficeError {
            text: text.chars().take(40).collect(),
            wanted: "time of a day such as 09:00 (00:00 to 24:00)",
        })
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl FromStr for Date {
    type Err = ParseOfficeError;

    fn from_str(text: &str) -> Result<Self, ParseOfficeError> {
        let mut parts = text.splitn(3, '-');
        let mut part = |length| parts.next().and_then(|it| digits::<u16>(it, length));
        let parsed = match (part(4), part(2), part(2)) {
            (Some(year @ 1970..), Some(month @ 1..=12), Some(day @ 1..=31)) => Some(Self {
                year,
                month: month as u8,
                day: day as u8,
            }),
            _ => None,
        };
        parsed.ok_or_else(|| ParseOfficeError {
            text: text.chars().take(40).collect(),
            wanted: "date such as 2026-12-31",
        })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
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

as_text! { TimeOfDay Date }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_dates_are_read_and_written_in_one_way() {
        for text in ["00:00", "09:05", "23:59", "24:00"] {
            assert_eq!(text.parse::<TimeOfDay>().unwrap().to_string(), text);
        }
        for text in [
            "", "9:00", "24:01", "12:60", "+9:00", "12:00:00", "12", "ab:cd",
        ] {
            assert!(text.parse::<TimeOfDay>().is_err(), "{text}");
        }
        assert_eq!(
            "2026-12-31".parse::<Date>().unwrap().to_string(),
            "2026-12-31"
        );
        for text in [
            "",
            "2026-13-01",
            "2026-00-01",
            "1969-12-31",
            "2026-1-1",
            "2026-12-32",
            "2026-12-31-1",
        ] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_office_is_written_as_people_write_it() {
        let office = Hours {
            time_zone: "Europe/Moscow".to_owned(),
            week: vec![Opening {
                days: vec![Weekday::Monday],
                from: "09:00".parse().unwrap(),
                to: "18:00".parse().unwrap(),
            }],
            holidays: Vec::new(),
        };
        let text = r#"{"time_zone":"Europe/Moscow","week":[{"days":["monday"],"from":"09:00","to":"18:00"}],"holidays":[]}"#;
        assert_eq!(serde_json::to_string(&office).unwrap(), text);
        assert_eq!(serde_json::from_str::<Hours>(text).unwrap(), office);
    }
}
