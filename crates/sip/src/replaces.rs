//! Which dialog another one takes the place of: the header field of RFC 3891, also as it stands in a Refer-To.

use thiserror::Error;

use crate::Uri;
use crate::dialog::DialogKey;
use crate::escape::unescape;
use crate::params::{find_outside_quotes, params};

/// More bytes no Call-ID with two tags needs.
const LONGEST: usize = 1_024;
/// More header fields no Refer-To needs.
const MOST_HEADERS: usize = 16;

/// The value names no dialog, or more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("Replaces is malformed")]
pub struct MalformedReplaces;

/// The dialog that is meant, from the side of whoever reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// The dialog.
    pub dialog: DialogKey,
    /// It must not be answered yet.
    pub early_only: bool,
}

impl Replaces {
    /// Reads a value of the header field: a Call-ID with exactly one `to-tag` and one `from-tag` (RFC 3891 §6.1).
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST || text.chars().any(char::is_control) {
            return None;
        }
        let end = find_outside_quotes(text, |byte| byte == b';').unwrap_or(text.len());
        let (call_id, list) = text.split_at(end);
        let call_id = call_id.trim();
        if call_id.is_empty() || call_id.contains(char::is_whitespace) {
            return None;
        }
        let (mut to_tag, mut from_tag, mut early_only) = (None, None, false);
        for param in params(list) {
            let (name, value) = param?;
            let value = value.filter(|value| !value.is_empty());
            let tag = match name.to_ascii_lowercase().as_str() {
                "to-tag" => &mut to_tag,
                "from-tag" => &mut from_tag,
                "early-only" => {
                    early_only = true;
                    continue;
                }
                _ => continue,
            };
            if tag.replace(value?.to_owned()).is_some() {
                return None;
            }
        }
        Some(Self {
            dialog: DialogKey {
                call_id: call_id.to_owned(),
                local_tag: to_tag?,
                remote_tag: from_tag?,
            },
            early_only,
        })
    }

    /// What the header part of a Refer-To says (RFC 5589 §7): `None` if nothing is to be replaced.
    pub fn in_uri(uri: &Uri) -> Result<Option<Self>, MalformedReplaces> {
        let fields = uri.headers.split('&').take(MOST_HEADERS);
        let mut values = fields.filter_map(|field| {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let is_it = unescape(name).eq_ignore_ascii_case("replaces");
            is_it.then_some(value)
        });
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() || value.len() > LONGEST * 3 {
            return Err(MalformedReplaces);
        }
        let read = Self::parse(&unescape(value));
        read.map(Some).ok_or(MalformedReplaces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, String, String, bool)> {
        let Replaces { dialog, early_only } = Replaces::parse(text)?;
        let DialogKey {
            call_id,
            local_tag,
            remote_tag,
        } = dialog;
        Some((call_id, local_tag, remote_tag, early_only))
    }

    fn found(
        call_id: &str,
        to: &str,
        from: &str,
        early: bool,
    ) -> Option<(String, String, String, bool)> {
        Some((call_id.to_owned(), to.to_owned(), from.to_owned(), early))
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        let text = "98732@sip.example.com ;from-tag=r33th4x0r ;to-tag=ff87ff";
        assert_eq!(
            read(text),
            found("98732@sip.example.com", "ff87ff", "r33th4x0r", false)
        );
        let text = "87134@171.161.34.23;to-tag=24796;from-tag=0;early-only";
        assert_eq!(read(text), found("87134@171.161.34.23", "24796", "0", true));
        let text = "a;To-Tag=1;x;FROM-TAG=2;y=3";
        assert_eq!(read(text), found("a", "1", "2", false));
    }

    #[test]
    fn what_names_no_one_dialog_is_refused() {
        let long = format!("{};to-tag=1;from-tag=2", "x".repeat(LONGEST));
        for text in [
            "",
            "a",
            ";to-tag=1;from-tag=2",
            "a;to-tag=1",
            "a;from-tag=2",
            "a;to-tag=1;from-tag",
            "a;to-tag=;from-tag=2",
            "a;to-tag=1;to-tag=1;from-tag=2",
            "a;;to-tag=1;from-tag=2",
            "a b;to-tag=1;from-tag=2",
            "a\r\nX: y;to-tag=1;from-tag=2",
            "a\0;to-tag=1;from-tag=2",
            "\"a;to-tag=1;from-tag=2",
            &long,
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn it_is_found_among_the_headers_of_a_uri() {
        let of = |headers: &str| {
            let uri = Uri::parse(&format!("sip:102@10.0.0.1?{headers}")).ok()?;
            Some(Replaces::in_uri(&uri).ok()??.dialog.call_id)
        };
        let value = "c%40h%3Bto-tag%3D1%3Bfrom-tag%3D2";
        assert_eq!(of(&format!("Replaces={value}")).as_deref(), Some("c@h"));
        let second = format!("Require=replaces&replaces={value}");
        assert_eq!(of(&second).as_deref(), Some("c@h"));
        assert_eq!(of(&format!("Replaces={value}&Replaces={value}")), None);
        assert_eq!(of("Replaces=c%0d%0aX%3Bto-tag%3D1%3Bfrom-tag%3D2"), None);
        assert_eq!(of("Replaces"), None);
        assert_eq!(of(&"%".repeat(60_000)), None);
        let nothing = Uri::parse("sip:102@10.0.0.1?Subject=x").unwrap();
        assert_eq!(Replaces::in_uri(&nothing), Ok(None));
    }
}
