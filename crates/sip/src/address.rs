//! An address with a display name: From, To, Contact, Route, P-Asserted-Identity (RFC 3261 §20.10).

use std::fmt::{self, Write};
use std::str::FromStr;

use crate::bytes::{find, is_token_byte, split_before};
use crate::params;
use crate::uri::{Uri, UriError, UriRef};

/// A URI with an optional display name and the parameters of the header field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NameAddr {
    /// The display name without quotes and escapes; `None` when it is empty.
    pub display: Option<String>,
    /// The URI.
    pub uri: Uri,
    /// Parameters behind the URI, values as written, quotes included.
    pub params: Vec<(String, Option<String>)>,
}

impl NameAddr {
    /// An address without display name and parameters.
    pub fn new(uri: Uri) -> Self {
        Self {
            display: None,
            uri,
            params: Vec::new(),
        }
    }

    /// Reads a header value. The URI is what stands in the first angle brackets outside quotes; display names that
    /// should have been quoted are taken as they are.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let parts = Parts::parse(text)?;
        let display = params::unquote(parts.display);
        Ok(Self {
            display: Some(display).filter(|display| !display.is_empty()),
            uri: parts.uri.to_owned(),
            params: params::owned(parts.params),
        })
    }

    /// The dialog tag.
    pub fn tag(&self) -> Option<&str> {
        self.param("tag").flatten().filter(|tag| !tag.is_empty())
    }

    /// A parameter behind the URI, the outer quotes removed: `Some(None)` when it stands without a value.
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        let strip = |value: &'_ str| -> Option<(usize, usize)> {
            (value.len() >= 2 && value.starts_with('"') && value.ends_with('"'))
                .then(|| (1, value.len() - 1))
        };
        params::lookup(&self.params, name).map(|value| {
            value.map(|value| match strip(value) {
                Some((start, end)) => &value[start..end],
                None => value,
            })
        })
    }

    /// Adds or replaces a parameter; a value that is no token is quoted.
    pub fn set_param(&mut self, name: &str, value: Option<&str>) {
        let name: String = name
            .chars()
            .filter(|&c| c.is_ascii() && is_token_byte(c as u8))
            .collect();
        let plain = |byte: u8| is_token_byte(byte) || matches!(byte, b'[' | b']' | b':');
        let value = value.map(|value| {
            if !value.is_empty() && value.bytes().all(plain) {
                return value.to_owned();
            }
            let mut quoted = String::with_capacity(value.len() + 2);
            // Writing to a String cannot fail.
            let _ = params::write_quoted(&mut quoted, value);
            quoted
        });
        params::assign(&mut self.params, &name, value);
    }

    /// Removes a parameter.
    pub fn remove_param(&mut self, name: &str) {
        self.params
            .retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }

    /// The same address with this dialog tag.
    #[must_use]
    pub fn with_tag(mut self, tag: &str) -> Self {
        self.set_param("tag", Some(tag));
        self
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            params::write_quoted(f, display)?;
            f.write_char(' ')?;
        }
        write!(f, "<{}>", self.uri)?;
        params::write_params(f, &self.params)
    }
}

impl FromStr for NameAddr {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(text)
    }
}

impl From<Uri> for NameAddr {
    fn from(uri: Uri) -> Self {
        Self::new(uri)
    }
}

/// A checked address that still borrows its text.
pub(crate) struct Parts<'a> {
    display: &'a str,
    uri: UriRef<'a>,
    params: &'a str,
}

impl<'a> Parts<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, UriError> {
        let text = text.trim_ascii();
        let (display, uri, params) = match open_bracket(text)? {
            Some(open) => {
                let (display, rest) = (text[..open].trim_ascii(), &text[open + 1..]);
                let close = rest
                    .find(['<', '>'])
                    .filter(|&at| rest.as_bytes()[at] == b'>')
                    .ok_or(UriError::Unbalanced)?;
                (display, rest[..close].trim_ascii(), &rest[close + 1..])
            }
            None => {
                // RFC 3261 §20.10: without brackets, parameters belong to the field and not to the URI,
                // and the URI cannot hold a question mark.
                let (uri, params) = split_before(text, b';');
                if uri.contains('?') {
                    return Err(UriError::Unbalanced);
                }
                ("", uri.trim_ascii(), params)
            }
        };
        if !params::params_valid(params) {
            return Err(UriError::Params);
        }
        Ok(Self {
            display,
            uri: UriRef::parse(uri)?,
            params,
        })
    }
}

/// Where the bracket opens that begins the URI: the first one outside quotes.
fn open_bracket(text: &str) -> Result<Option<usize>, UriError> {
    let bytes = text.as_bytes();
    let Some(first) = find(bytes, b'<') else {
        return Ok(None);
    };
    if find(&bytes[..first], b'"').is_none() {
        return Ok(Some(first));
    }
    if let Some(open) = params::find_outside_quotes(text, |byte| byte == b'<') {
        return Ok(Some(open));
    }
    // A single quote mark in an unquoted name (`O"Brien <sip:…>`) hides the bracket. It is taken only when no
    // second bracket makes it doubtful which one is meant.
    let only = find(&bytes[first + 1..], b'<').is_none();
    if only && !text.starts_with('"') {
        Ok(Some(first))
    } else {
        Err(UriError::Unbalanced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<String>, String, Option<String>) {
        let address = NameAddr::parse(text).unwrap();
        let tag = address.tag().map(str::to_owned);
        (address.display, address.uri.to_string(), tag)
    }

    #[test]
    fn the_uri_stands_in_the_first_brackets_outside_quotes() {
        let evil = "sip:evil@host.example";
        for (text, display) in [
            (
                "\"x <sip:ceo@bank>\" <sip:evil@host.example>",
                "x <sip:ceo@bank>",
            ),
            (
                "\"x \\\" <sip:ceo@bank>\" <sip:evil@host.example>",
                "x \" <sip:ceo@bank>",
            ),
            (
                "x \"<sip:ceo@bank>\" <sip:evil@host.example>",
                "x \"<sip:ceo@bank>\"",
            ),
            ("O\"Brien <sip:evil@host.example>", "O\"Brien"),
            ("Bell, A. (home) <sip:evil@host.example>", "Bell, A. (home)"),
            ("caller<sip:evil@host.example>", "caller"),
        ] {
            assert_eq!(
                read(text),
                (Some(display.to_owned()), evil.to_owned(), None),
                "{text}"
            );
        }
    }

    #[test]
    fn doubtful_addresses_are_refused() {
        for text in [
            "\"x <sip:a@b.example>",
            "O\"x <sip:ceo@bank> <sip:evil@host.example>",
            "O\"x <sip:ceo@bank>;x=<sip:evil@host.example>",
            "<sip:a@b.example",
            "<sip:a@b.example<sip:c@d.example>>",
            "<sip:a@b.example> x",
            "<sip:a@b.example>;tag=\"x",
            "<sip:a@b.example>;;",
            "sip:a@b.example?Route=x",
            "",
            "<>",
            "*",
        ] {
            assert!(NameAddr::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn parameters_are_read_set_and_quoted_where_they_must() {
        let mut address =
            NameAddr::parse(" <sip:a@h.example;lr> ; Tag = 1 ; +sip.instance=\"<urn:x;y>\";ob;")
                .unwrap();
        assert_eq!(
            (address.tag(), address.param("ob")),
            (Some("1"), Some(None))
        );
        assert_eq!(address.param("+SIP.instance"), Some(Some("<urn:x;y>")));
        address.set_param("tag", Some("2"));
        address.set_param("text", Some("a \"b\"; c"));
        address.set_param("received", Some("[::1]:5060"));
        address.remove_param("OB");
        let text = address.to_string();
        assert_eq!(
            text,
            "<sip:a@h.example;lr>;Tag=2;+sip.instance=\"<urn:x;y>\";text=\"a \\\"b\\\"; c\";received=[::1]:5060"
        );
        assert_eq!(NameAddr::parse(&text).unwrap(), address);
    }

    #[test]
    fn empty_names_and_tags_count_as_none() {
        assert_eq!(
            read("\"\" <sip:h.example>;tag="),
            (None, "sip:h.example".to_owned(), None)
        );
        assert_eq!(
            read("sip:a@h.example;tag=1"),
            (None, "sip:a@h.example".to_owned(), Some("1".to_owned()))
        );
    }
}
