//! The number plan: what the digits mean that an agent dials, and how a trunk wants a number written.

use model::{NumberFormat, Reach};
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat};

/// Most characters of a number that may be dialled.
const MOST_DIALLED: usize = 32;
/// Emergency numbers of every network (3GPP TS 22.101 §10.1).
const EMERGENCY: &[&str] = &["112", "911"];
/// Emergency numbers by region (ISO 3166), as they are dialled there.
const EMERGENCY_OF: &[(&str, &[&str])] = &[
    ("RU", &["01", "02", "03", "04", "101", "102", "103", "104"]),
    ("KZ", &["101", "102", "103", "104"]),
    ("BY", &["101", "102", "103", "104"]),
    ("GB", &["999"]),
];

/// What a dialled number is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// Help: always allowed, written as dialled.
    Emergency(String),
    /// A number that the world knows.
    Public {
        /// E.164 with `+`.
        number: String,
        /// Of another country.
        foreign: bool,
    },
    /// A short number of the telephone company, such as an enquiry desk; written as dialled.
    Short(String),
    /// No number at all.
    Nothing,
}

impl Dialled {
    /// The number by which the called party is known, if there is one.
    pub fn number(&self) -> Option<&str> {
        match self {
            Self::Emergency(number) | Self::Public { number, .. } | Self::Short(number) => {
                Some(number)
            }
            Self::Nothing => None,
        }
    }

    /// Whether somebody whose calls reach this far may dial it.
    pub fn is_allowed(&self, reach: Reach) -> bool {
        match self {
            Self::Emergency(_) | Self::Short(_) => true,
            Self::Public { foreign: false, .. } => reach >= Reach::National,
            Self::Public { foreign: true, .. } => reach >= Reach::International,
            Self::Nothing => false,
        }
    }
}

/// Reads and writes numbers as they are dialled in one region.
#[derive(Clone, Debug)]
pub struct NumberPlan {
    region: String,
    country_code: i32,
}

impl NumberPlan {
    /// The plan of a region (ISO 3166, such as `RU`); none if that is not known.
    pub fn new(region: &str) -> Option<Self> {
        let region = region.to_ascii_uppercase();
        let country_code = PHONE_NUMBER_UTIL.get_country_code_for_region(&region)?;
        Some(Self {
            region,
            country_code,
        })
    }

    /// A plan that knows numbers with `+` and a country code only, all of them foreign.
    pub fn worldwide() -> Self {
        Self {
            region: "ZZ".to_owned(),
            country_code: 0,
        }
    }

    /// What the digits mean. Separators do not count.
    pub fn read(&self, typed: &str) -> Dialled {
        let digits: String = typed
            .chars()
            .filter(|c| c.is_ascii_digit() || matches!(c, '+' | '*' | '#'))
            .take(MOST_DIALLED)
            .collect();
        if digits.is_empty() {
            return Dialled::Nothing;
        }
        if self.is_emergency(&digits) {
            return Dialled::Emergency(digits);
        }
        match self.public(&digits) {
            Some(number) => Dialled::Public {
                foreign: self.is_foreign(&number),
                number: PHONE_NUMBER_UTIL
                    .format(&number, PhoneNumberFormat::E164)
                    .into_owned(),
            },
            // Nothing longer is a short number, and an unreadable long one must not slip past the rights.
            None if digits.len() <= 6 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                Dialled::Short(digits)
            }
            None => Dialled::Nothing,
        }
    }

    /// A number of [`NumberPlan::read`] as a trunk wants it.
    pub fn write(&self, number: &str, format: NumberFormat) -> String {
        let Some(digits) = number.strip_prefix('+') else {
            return number.to_owned();
        };
        match format {
            NumberFormat::E164 => number.to_owned(),
            NumberFormat::E164Digits => digits.to_owned(),
            NumberFormat::National => self.national(number, digits),
        }
    }

    fn national(&self, number: &str, digits: &str) -> String {
        let Some(parsed) = self.public(number) else {
            return digits.to_owned();
        };
        let significant = PHONE_NUMBER_UTIL.get_national_significant_number(&parsed);
        match (
            parsed.country_code() == self.country_code,
            self.country_code,
        ) {
            // Russia and Kazakhstan: 8 before a national number, 8 10 before a foreign one.
            (true, 7) => format!("8{significant}"),
            (false, 7) => format!("810{digits}"),
            (true, _) => {
                let national = PHONE_NUMBER_UTIL.format(&parsed, PhoneNumberFormat::National);
                national.chars().filter(char::is_ascii_digit).collect()
            }
            (false, _) => format!("00{digits}"),
        }
    }

    /// Countries share codes: Kazakhstan has Russia's.
    fn is_foreign(&self, number: &PhoneNumber) -> bool {
        match PHONE_NUMBER_UTIL.get_region_code_for_number(number) {
            region if region.len() == 2 && region != "ZZ" => region != self.region,
            _ => number.country_code() != self.country_code,
        }
    }

    fn is_emergency(&self, digits: &str) -> bool {
        let of_region = EMERGENCY_OF
            .iter()
            .find(|(region, _)| *region == self.region);
        EMERGENCY
            .iter()
            .chain(of_region.map_or(&[][..], |(_, numbers)| numbers))
            .any(|number| *number == digits)
    }

    fn public(&self, digits: &str) -> Option<PhoneNumber> {
        let number = PHONE_NUMBER_UTIL.parse(digits, &self.region).ok()?;
        let long_enough = PHONE_NUMBER_UTIL
            .get_national_significant_number(&number)
            .len()
            >= 8;
        let real = PHONE_NUMBER_UTIL.is_possible_number(&number)
            && (long_enough || PHONE_NUMBER_UTIL.is_valid_number(&number));
        real.then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> NumberPlan {
        NumberPlan::new("ru").unwrap()
    }

    #[test]
    fn what_is_dialled_is_told_apart() {
        let public = |number: &str, foreign| Dialled::Public {
            number: number.to_owned(),
            foreign,
        };
        for (typed, expected) in [
            ("8 (495) 123-45-67", public("+74951234567", false)),
            ("4951234567", public("+74951234567", false)),
            ("+7 495 1234567", public("+74951234567", false)),
            ("8 800 555 35 35", public("+78005553535", false)),
            ("810 49 30 123456", public("+4930123456", true)),
            ("+4930123456", public("+4930123456", true)),
            ("8 727 250 00 00", public("+77272500000", true)),
            ("112", Dialled::Emergency("112".to_owned())),
            ("03", Dialled::Emergency("03".to_owned())),
            ("0890", Dialled::Short("0890".to_owned())),
            ("100", Dialled::Short("100".to_owned())),
            ("", Dialled::Nothing),
            ("anna", Dialled::Nothing),
            ("*99#", Dialled::Nothing),
            ("81099999999999999999999", Dialled::Nothing),
        ] {
            assert_eq!(plan().read(typed), expected, "{typed}");
        }
    }

    #[test]
    fn help_is_always_allowed_and_foreign_numbers_by_right_only() {
        let reaches = [Reach::Internal, Reach::National, Reach::International];
        let allowed = |typed: &str| reaches.map(|reach| plan().read(typed).is_allowed(reach));
        assert_eq!(allowed("112"), [true, true, true]);
        assert_eq!(allowed("0890"), [true, true, true]);
        assert_eq!(allowed("84951234567"), [false, true, true]);
        assert_eq!(allowed("810 49 30 123456"), [false, false, true]);
        assert_eq!(allowed(""), [false, false, false]);
    }

    #[test]
    fn a_trunk_gets_the_number_as_it_wants_it() {
        let formats = [
            NumberFormat::E164,
            NumberFormat::E164Digits,
            NumberFormat::National,
        ];
        let written = |number: &str| formats.map(|format| plan().write(number, format));
        assert_eq!(
            written("+74951234567"),
            ["+74951234567", "74951234567", "84951234567"]
        );
        assert_eq!(
            written("+4930123456"),
            ["+4930123456", "4930123456", "8104930123456"]
        );
        assert_eq!(written("112"), ["112", "112", "112"]);
    }
}
