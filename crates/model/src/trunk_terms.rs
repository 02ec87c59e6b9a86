//! What telephone companies do differently: where the called number stands, who we say we are, what may be heard.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de};
use thiserror::Error;

/// Where a trunk's INVITE says which of our numbers is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CalledIn {
    /// In the request URI; where we register, in To first, since the request URI is then our Contact whatever was dialled.
    #[default]
    Automatic,
    /// In the request URI.
    RequestUri,
    /// In To.
    To,
    /// In this field, as an address or as the bare number; in the request URI where it is missing.
    Header(String),
}

/// A text that says no such place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "not a place of the called number: expected automatic, request_uri, to, or header: and the name of a field, such as \
     header:P-Called-Party-ID"
)]
pub struct NoPlace;

impl FromStr for CalledIn {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        match (text, text.strip_prefix("header:")) {
            ("automatic", _) => Ok(Self::Automatic),
            ("request_uri", _) => Ok(Self::RequestUri),
            ("to", _) => Ok(Self::To),
            (_, Some(name)) => {
                // RFC 3261 §25.1: token.
                let token = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
                let good = (1..=64).contains(&name.len()) && name.bytes().all(token);
                good.then(|| Self::Header(name.to_owned())).ok_or(NoPlace)
            }
            _ => Err(NoPlace),
        }
    }
}

impl fmt::Display for CalledIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Automatic => f.write_str("automatic"),
            Self::RequestUri => f.write_str("request_uri"),
            Self::To => f.write_str("to"),
            Self::Header(name) => write!(f, "header:{name}"),
        }
    }
}

impl Serialize for CalledIn {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CalledIn {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A codec of the voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoiceCodec {
    /// G.711 A-law.
    Pcma,
    /// G.711 µ-law.
    Pcmu,
}

/// How we speak to one telephone company, where the usual does not do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrunkTerms {
    /// The user name in answers to challenges, if it is not that of the credentials.
    pub auth_user: Option<String>,
    /// The user of From in calls that leave; none for our number, or as the caller ID says.
    pub from_user: Option<String>,
    /// The host of From; none for the domain.
    pub from_domain: Option<String>,
    /// What is heard before the answer passes through; otherwise our own ringing is heard.
    pub early_media: bool,
    /// Codecs that may be used, the preferred one first; none for all.
    pub codecs: Vec<VoiceCodec>,
}

impl Default for TrunkTerms {
    fn default() -> Self {
        Self {
            auth_user: None,
            from_user: None,
            from_domain: None,
            early_media: true,
            codecs: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_of_the_called_number_is_read_and_written_as_it_is() {
        for text in ["automatic", "request_uri", "to", "header:P-Called-Party-ID"] {
            assert_eq!(text.parse::<CalledIn>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "from",
            "header:",
            "header:a b",
            "header:X:",
            "header:X\r\nY",
        ] {
            assert_eq!(text.parse::<CalledIn>(), Err(NoPlace), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        let terms: TrunkTerms = serde_json::from_str("{}").unwrap();
        assert_eq!(terms, TrunkTerms::default());
        assert!(terms.early_media);
    }
}
