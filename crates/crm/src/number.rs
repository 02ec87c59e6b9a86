//! Telephone numbers: as typed, and in the one form by which they are compared.
//!
//! Public numbers become E.164 with `+`, an extension apart; short and emergency numbers and
//! whatever else is no public number match as typed, by their digits.

use model::NumberId;
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat};
use serde::{Deserialize, Serialize};

/// Most numbers of one person or organisation.
pub const MOST_PER_CLIENT: usize = 32;
/// Most characters of a number as typed.
pub const MOST_TYPED: usize = 64;

/// What a number is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberKind {
    /// A mobile telephone.
    Mobile,
    /// A telephone at work.
    #[default]
    Work,
    /// At home.
    Home,
    /// The switchboard of an organisation.
    Switchboard,
    /// Something else.
    Other,
}

impl NumberKind {
    /// The kind's name in the database and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::Work => "work",
            Self::Home => "home",
            Self::Switchboard => "switchboard",
            Self::Other => "other",
        }
    }
}

/// A number of a person or an organisation. The same number may stand with several of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Number {
    /// Its id; made by the store, ignored when written.
    #[serde(default)]
    pub id: Option<NumberId>,
    /// As typed, the extension included.
    pub typed: String,
    /// E.164 with `+`, or the digits of a number that is not public; computed by the store.
    #[serde(default)]
    pub normal: String,
    /// The extension in it; computed by the store.
    #[serde(default)]
    pub extension: Option<String>,
    /// What it is.
    #[serde(default)]
    pub kind: NumberKind,
}

impl Number {
    /// A number as somebody typed it; the rest is computed when it is stored.
    pub fn typed(text: impl Into<String>, kind: NumberKind) -> Self {
        Self {
            id: None,
            typed: text.into(),
            normal: String::new(),
            extension: None,
            kind,
        }
    }
}

/// A number in the form by which numbers are compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NormalNumber {
    /// E.164 with `+`, or what was typed without separators if it is no public number.
    pub normal: String,
    /// The extension, digits only.
    pub extension: Option<String>,
    /// ISO 3166 code of its country, if it is a public number of one.
    pub region: Option<String>,
    /// It is a public number: `normal` is E.164.
    pub public: bool,
}

/// Reads numbers as typed in one default region.
///
/// Reading costs tens of microseconds: callers on a hot path keep what they read.
#[derive(Clone, Debug)]
pub struct Numbering {
    region: String,
}

impl Numbering {
    /// For numbers typed without a country code in `region` (ISO 3166, such as `RU`); none if the
    /// region is not known.
    pub fn new(region: &str) -> Option<Self> {
        let region = region.to_ascii_uppercase();
        PHONE_NUMBER_UTIL.get_country_code_for_region(&region)?;
        Some(Self { region })
    }

    /// The default region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The normal form of what was typed.
    pub fn normalise(&self, typed: &str) -> NormalNumber {
        let typed: String = typed.trim().chars().take(MOST_TYPED).collect();
        let (main, extension) = split_extension(&typed);
        let Some(number) = self.public(main) else {
            return NormalNumber {
                normal: plain(main),
                extension,
                region: None,
                public: false,
            };
        };
        let region = PHONE_NUMBER_UTIL.get_region_code_for_number(&number);
        NormalNumber {
            normal: PHONE_NUMBER_UTIL
                .format(&number, PhoneNumberFormat::E164)
                .into_owned(),
            extension,
            region: (region.len() == 2 && region != "ZZ").then(|| region.to_owned()),
            public: true,
        }
    }

    /// Digits only: every way in which a telephone company may write one of our numbers, the
    /// international form first.
    pub fn aliases(&self, typed: &str) -> Vec<String> {
        let (main, _) = split_extension(typed);
        let Some(number) = self.public(main) else {
            return vec![digits(main)];
        };
        let international = digits(&PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164));
        let national = digits(&PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::National));
        let significant = PHONE_NUMBER_UTIL.get_national_significant_number(&number);
        let mut aliases = vec![international];
        if number.country_code() == 7 {
            // Russia and Kazakhstan dial 8 before every national number, also where the library's
            // national format leaves it out.
            aliases.push(format!("8{significant}"));
        }
        for alias in [national, significant] {
            if !aliases.contains(&alias) {
                aliases.push(alias);
            }
        }
        aliases
    }

    fn public(&self, main: &str) -> Option<PhoneNumber> {
        let digits = main.bytes().filter(u8::is_ascii_digit).count();
        // Nothing shorter is a public number; short and emergency numbers stay as typed.
        if digits < 7 {
            return None;
        }
        let number = PHONE_NUMBER_UTIL.parse(main, &self.region).ok()?;
        if PHONE_NUMBER_UTIL.is_possible_number(&number) && self.reachable(&number) {
            return Some(number);
        }
        None
    }

    /// Without a country code only numbers that the region really has are public: the seven digits
    /// of a town's own number are not.
    fn reachable(&self, number: &PhoneNumber) -> bool {
        PHONE_NUMBER_UTIL
            .get_national_significant_number(number)
            .len()
            >= 8
            || PHONE_NUMBER_UTIL.is_valid_number(number)
    }
}

/// Words and signs that stand before an extension, longest first within a script.
const MARKS: [&str; 9] = [
    "добавочный",
    "доб.",
    "доб",
    "extension",
    "ext.",
    "ext",
    "вн.",
    "вн",
    "x",
];

/// Cuts the extension off: `доб. 12`, `ext 12`, `,12`, `;ext=12`, `#12`, `*12`.
fn split_extension(typed: &str) -> (&str, Option<String>) {
    let main_digits = |end: usize| typed[..end].bytes().filter(u8::is_ascii_digit).count();
    for (at, c) in typed.char_indices() {
        if main_digits(at) < 3 {
            continue;
        }
        let rest = &typed[at..];
        let after = match c {
            ',' | '#' | '*' => Some(rest[1..].trim_start_matches([',', ' '])),
            ';' => Some(rest[1..].trim_start_matches("ext=")),
            _ => mark_at(rest),
        };
        let Some(after) = after else { continue };
        let extension = digits(after);
        let only_digits = after
            .chars()
            .all(|c| c.is_ascii_digit() || " -.:=()".contains(c));
        if only_digits && (1..=10).contains(&extension.len()) {
            return (typed[..at].trim_end(), Some(extension));
        }
    }
    (typed, None)
}

/// What follows an extension's word at the beginning of `rest`.
fn mark_at(rest: &str) -> Option<&str> {
    let lower = |text: &str| {
        text.chars()
            .flat_map(char::to_lowercase)
            .collect::<String>()
    };
    for mark in MARKS {
        let end = rest
            .char_indices()
            .nth(mark.chars().count())
            .map_or(rest.len(), |(i, _)| i);
        if lower(&rest[..end]) == mark {
            return Some(rest[end..].trim_start_matches(['.', ':', ' ']));
        }
    }
    None
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Letters, digits, `+`, `*` and `#` of something that is no public number, lower case.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric() || "+*#".contains(*c))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("8 800 555-35-35", "+78005553535", None)]
    #[case("+7 (495) 123-45-67 доб. 12", "+74951234567", Some("12"))]
    #[case("8(495)1234567,12", "+74951234567", Some("12"))]
    #[case("8 (495) 123-45-67 ДОБ 12", "+74951234567", Some("12"))]
    #[case("+74951234567;ext=12", "+74951234567", Some("12"))]
    #[case("+7 495 123 45 67 ext. 12", "+74951234567", Some("12"))]
    #[case("8-495-123-45-67 x12", "+74951234567", Some("12"))]
    #[case("84951234567#12", "+74951234567", Some("12"))]
    #[case("74951234567", "+74951234567", None)]
    #[case("4951234567", "+74951234567", None)]
    #[case("+7 916 000-00-01", "+79160000001", None)]
    #[case("810 49 30 123456", "+4930123456", None)]
    #[case("+44 20 7946 0018", "+442079460018", None)]
    fn public_numbers_become_e164(
        #[case] typed: &str,
        #[case] normal: &str,
        #[case] extension: Option<&str>,
    ) {
        let read = Numbering::new("RU").unwrap().normalise(typed);
        assert_eq!(read.normal, normal);
        assert_eq!(read.extension.as_deref(), extension);
        assert!(read.public);
    }

    #[rstest]
    #[case("112", "112")]
    #[case("1 01", "101")]
    #[case("*21#", "*21#")]
    #[case("0890", "0890")]
    #[case("anonymous", "anonymous")]
    #[case("", "")]
    #[case("12-34", "1234")]
    fn other_numbers_stay_as_typed(#[case] typed: &str, #[case] normal: &str) {
        let read = Numbering::new("RU").unwrap().normalise(typed);
        assert_eq!(read.normal, normal);
        assert!(!read.public);
        assert_eq!(read.region, None);
    }

    #[test]
    fn the_region_is_told_and_unknown_ones_refused() {
        let numbering = Numbering::new("ru").unwrap();
        assert_eq!(
            numbering.normalise("8 495 123-45-67").region.as_deref(),
            Some("RU")
        );
        assert_eq!(
            numbering.normalise("+49 30 123456").region.as_deref(),
            Some("DE")
        );
        assert!(Numbering::new("XX").is_none());
    }

    #[test]
    fn a_line_answers_to_every_way_of_writing_its_number() {
        let numbering = Numbering::new("RU").unwrap();
        assert_eq!(
            numbering.aliases("+7 (495) 123-45-67"),
            ["74951234567", "84951234567", "4951234567"]
        );
        assert_eq!(numbering.aliases("100"), ["100"]);
    }
}
