//! SIP, SIPS and tel URIs (RFC 3261 §19.1, RFC 3966).

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::str::FromStr;

use thiserror::Error;

use crate::bytes::{has_uri_breaker, split_before, split_once};
use crate::escape::{escape, unescape};
pub use crate::host::Host;
use crate::host::{HostRef, host_and_port};
use crate::params;

/// Why a text is not a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UriError {
    /// No scheme, or one with bytes that a scheme cannot have.
    #[error("no valid scheme")]
    Scheme,
    /// White space, a control character, a quote or an angle bracket.
    #[error("a character that a URI cannot hold")]
    Character,
    /// An `@` without a user before it, or a tel URI without a number.
    #[error("empty user part")]
    User,
    /// Empty, or neither a name nor an address; an IPv6 address needs brackets.
    #[error("invalid host")]
    Host,
    /// Not a number of 16 bits.
    #[error("invalid port")]
    Port,
    /// A parameter without a name, or more than 64 of them.
    #[error("invalid parameters")]
    Params,
    /// A part behind a question mark, which a Request-URI cannot have (RFC 3261 §19.1.1).
    #[error("a header part where none is allowed")]
    Headers,
    /// The brackets or quotes around an address do not match.
    #[error("unbalanced brackets or quotes")]
    Unbalanced,
}

/// The scheme of a URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sip`
    Sip,
    /// `sips`
    Sips,
    /// `tel`: the number stands in `user`, the host is empty.
    Tel,
    /// Any other scheme in lower case; all that follows stands in `user` as it was written.
    Other(Box<str>),
}

impl Scheme {
    /// The scheme without the colon.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sip => "sip",
            Self::Sips => "sips",
            Self::Tel => "tel",
            Self::Other(text) => text,
        }
    }
}

/// A URI. Parts stand as written, escapes included; `user()` resolves them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Uri {
    /// The scheme.
    pub scheme: Scheme,
    /// The user part as written; of a tel URI the number.
    pub user: Option<String>,
    /// The deprecated password part as written.
    pub password: Option<String>,
    /// The host; empty where the scheme has none.
    pub host: Host,
    /// The port when one is written.
    pub port: Option<u16>,
    /// Parameters in order, as written.
    pub params: Vec<(String, Option<String>)>,
    /// What stands after the question mark, without it.
    pub headers: String,
}

impl Uri {
    /// Reads a URI without angle brackets around it.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        Ok(UriRef::parse(text)?.to_owned())
    }

    /// A `sip:` URI. The user is escaped where it must be; characters that no host may have are dropped.
    pub fn sip(user: Option<&str>, host: &str, port: Option<u16>) -> Self {
        let host = Host::parse(host)
            .or_else(|| host.parse().ok().map(Host::V6))
            .unwrap_or_else(|| {
                Host::Domain(
                    host.chars()
                        .filter(|&c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
                        .collect(),
                )
            });
        Self {
            scheme: Scheme::Sip,
            user: user
                .filter(|user| !user.is_empty())
                .map(|user| escape(user, b"-_.!~*'()&=+$,;?/")),
            password: None,
            host,
            port,
            params: Vec::new(),
            headers: String::new(),
        }
    }

    /// Adds or replaces a parameter; name and value are escaped where they must be.
    #[must_use]
    pub fn with_param(mut self, name: &str, value: Option<&str>) -> Self {
        let allowed = b"-_.!~*'()[]/:&+$";
        params::assign(
            &mut self.params,
            &escape(name, allowed),
            value.map(|value| escape(value, allowed)),
        );
        self
    }

    /// Removes a parameter.
    #[must_use]
    pub fn without_param(mut self, name: &str) -> Self {
        self.params.retain(|(key, _)| !same_name(key, name));
        self
    }

    /// The user with escapes resolved. It may hold any character, line ends and NUL included.
    pub fn user(&self) -> Option<Cow<'_, str>> {
        self.user.as_deref().map(unescape)
    }

    /// The host as text, an IPv6 address in brackets.
    pub fn host_str(&self) -> Cow<'_, str> {
        self.host.as_text()
    }

    /// A parameter: `Some(None)` when it stands without a value.
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        self.params
            .iter()
            .find(|(key, _)| same_name(key, name))
            .map(|(_, value)| value.as_deref())
    }

    /// Whether the parameter is there, with or without a value.
    pub fn has_param(&self, name: &str) -> bool {
        self.param(name).is_some()
    }

    /// Whether `;lr` marks a loose router (RFC 3261 §19.1.1).
    pub fn is_loose_router(&self) -> bool {
        self.has_param("lr")
    }

    /// Whether both name the same resource by the rules of RFC 3261 §19.1.4. Header parts are compared as text.
    pub fn matches(&self, other: &Self) -> bool {
        let same_user = |left: &Option<String>, right: &Option<String>| match (left, right) {
            (Some(left), Some(right)) => left == right || unescape(left) == unescape(right),
            (None, None) => true,
            _ => false,
        };
        // Parameters that both have must agree; these count also when only one side has them.
        let counts_alone = ["user", "ttl", "method", "maddr", "transport"];
        let covers = |left: &Self, right: &Self| {
            left.params
                .iter()
                .all(|(key, value)| match right.param(&unescape(key)) {
                    Some(theirs) => match (value.as_deref(), theirs) {
                        (Some(ours), Some(theirs)) => {
                            unescape(ours).eq_ignore_ascii_case(&unescape(theirs))
                        }
                        (None, None) => true,
                        _ => false,
                    },
                    None => !counts_alone.iter().any(|name| same_name(key, name)),
                })
        };
        self.scheme == other.scheme
            && same_user(&self.user, &other.user)
            && same_user(&self.password, &other.password)
            && self.host == other.host
            && self.port == other.port
            && self.headers == other.headers
            && covers(self, other)
            && covers(other, self)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme.as_str())?;
        f.write_char(':')?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = &self.password {
                write!(f, ":{password}")?;
            }
            if matches!(self.scheme, Scheme::Sip | Scheme::Sips) {
                f.write_char('@')?;
            }
        }
        self.host.fmt(f)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        params::write_params(f, &self.params)?;
        if !self.headers.is_empty() {
            write!(f, "?{}", self.headers)?;
        }
        Ok(())
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(text)
    }
}

/// A checked URI that still borrows its text.
pub(crate) struct UriRef<'a> {
    scheme: &'a str,
    user: Option<&'a str>,
    password: Option<&'a str>,
    host: HostRef<'a>,
    port: Option<u16>,
    params: &'a str,
    headers: &'a str,
}

impl<'a> UriRef<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, UriError> {
        if has_uri_breaker(text.as_bytes()) {
            return Err(UriError::Character);
        }
        let (scheme, rest) = split_once(text, b':').ok_or(UriError::Scheme)?;
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(valid) {
            return Err(UriError::Scheme);
        }
        if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") {
            return Self::parse_sip(scheme, rest);
        }
        let (user, params) = match rest.find(';') {
            Some(at) if scheme.eq_ignore_ascii_case("tel") => rest.split_at(at),
            _ => (rest, ""),
        };
        if user.is_empty() {
            return Err(UriError::User);
        }
        if !params::params_valid(params) {
            return Err(UriError::Params);
        }
        let host = HostRef::Domain("");
        Ok(Self {
            scheme,
            user: Some(user),
            password: None,
            host,
            port: None,
            params,
            headers: "",
        })
    }

    fn parse_sip(scheme: &'a str, rest: &'a str) -> Result<Self, UriError> {
        // A user may hold `;` and `?` (RFC 3261 §25.1), so the first `@` is looked for before either;
        // a second `@` ends up in the host, which refuses it.
        let (user_info, rest) = match split_once(rest, b'@') {
            Some((user_info, rest)) => (Some(user_info), rest),
            None => (None, rest),
        };
        let (user, password) = match user_info.map(|info| split_once(info, b':').ok_or(info)) {
            Some(Ok((user, password))) => (Some(user), Some(password)),
            Some(Err(user)) => (Some(user), None),
            None => (None, None),
        };
        if user == Some("") {
            return Err(UriError::User);
        }
        let (rest, headers) = split_once(rest, b'?').unwrap_or((rest, ""));
        let (host_port, params) = split_before(rest, b';');
        let (host, port) = host_and_port(host_port)?;
        if !params::params_valid(params) {
            return Err(UriError::Params);
        }
        Ok(Self {
            scheme,
            user,
            password,
            host,
            port,
            params,
            headers,
        })
    }

    pub(crate) fn to_owned(&self) -> Uri {
        let scheme = match self.scheme {
            text if text.eq_ignore_ascii_case("sip") => Scheme::Sip,
            text if text.eq_ignore_ascii_case("sips") => Scheme::Sips,
            text if text.eq_ignore_ascii_case("tel") => Scheme::Tel,
            text => Scheme::Other(text.to_ascii_lowercase().into()),
        };
        Uri {
            scheme,
            user: self.user.map(str::to_owned),
            password: self.password.map(str::to_owned),
            host: self.host.to_owned(),
            port: self.port,
            params: params::owned(self.params),
            headers: self.headers.to_owned(),
        }
    }
}

/// Whether a parameter name, escapes resolved, is the wanted one (RFC 3261 §19.1.4).
fn same_name(written: &str, wanted: &str) -> bool {
    written.eq_ignore_ascii_case(wanted)
        || (written.contains('%') && unescape(written).eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        Uri::parse(text).unwrap()
    }

    #[test]
    fn parts_are_found_and_written_back() {
        for text in [
            "sip:john.doe@h.example",
            "sips:a:pw@h.example:5061;transport=tcp;lr?Subject=x&Priority=urgent",
            "sip:[2001:db8::1]:5060;maddr=192.0.2.1",
            "tel:+74951234567;phone-context=operator.example;ext=12",
            "tel:112",
            "mailto:a@b.example?subject=x;y",
            "sip:user;par=u%40example.net@h.example",
            "sip:192.0.2.1",
        ] {
            assert_eq!(uri(text).to_string(), text);
        }
        let full = uri("SIPS:a:pw@H.Example:5061;Transport=tcp;lr?Subject=x");
        assert_eq!(
            (&full.scheme, full.user.as_deref(), full.password.as_deref()),
            (&Scheme::Sips, Some("a"), Some("pw"))
        );
        assert_eq!(
            (full.host_str().as_ref(), full.port, full.headers.as_str()),
            ("h.example", Some(5061), "Subject=x")
        );
        assert_eq!(
            (
                full.param("transport"),
                full.param("LR"),
                full.param("maddr")
            ),
            (Some(Some("tcp")), Some(None), None)
        );
        let number = uri("tel:+7495;ext=12");
        assert_eq!(
            (number.user.as_deref(), number.param("ext")),
            (Some("+7495"), Some(Some("12")))
        );
        assert_eq!(number.host_str(), "");
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        let cases = [
            ("", UriError::Scheme),
            ("h.example", UriError::Scheme),
            ("1sip:h", UriError::Scheme),
            (":h", UriError::Scheme),
            ("sip:", UriError::Host),
            ("sip:@h", UriError::User),
            ("sip:a@", UriError::Host),
            ("sip:alice@evil@bank.example", UriError::Host),
            ("sip:a b@h", UriError::Character),
            ("sip:a@h\r\nX: y", UriError::Character),
            ("sip:a@h;x=\"y\"", UriError::Character),
            ("sip:a@h:65536", UriError::Port),
            ("sip:a@h;;lr", UriError::Params),
            ("sip:a@h;=x", UriError::Params),
            ("tel:", UriError::User),
            ("tel:;ext=1", UriError::User),
        ];
        for (text, error) in cases {
            assert_eq!(Uri::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn comparison_follows_the_examples_of_rfc_3261_section_19_1_4() {
        let same = [
            (
                "sip:%61lice@atlanta.com;transport=TCP",
                "sip:alice@AtlanTa.CoM;Transport=tcp",
            ),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            (
                "sip:carol@chicago.com;security=on",
                "sip:carol@chicago.com;newparam=5",
            ),
        ];
        for (left, right) in same {
            assert!(
                uri(left).matches(&uri(right)) && uri(right).matches(&uri(left)),
                "{left} {right}"
            );
        }
        let different = [
            (
                "SIP:ALICE@AtLanTa.CoM;Transport=udp",
                "sip:alice@AtLanTa.CoM;Transport=UDP",
            ),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            (
                "sip:bob@biloxi.com",
                "sip:bob@biloxi.com:6000;transport=tcp",
            ),
            (
                "sip:carol@chicago.com",
                "sip:carol@chicago.com?Subject=next%20meeting",
            ),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            (
                "sip:carol@chicago.com;security=on",
                "sip:carol@chicago.com;security=off",
            ),
        ];
        for (left, right) in different {
            assert!(
                !uri(left).matches(&uri(right)) && !uri(right).matches(&uri(left)),
                "{left} {right}"
            );
        }
    }

    #[test]
    fn built_uris_escape_what_would_break_them() {
        let built = Uri::sip(Some("*21#@;x"), "2001:db8::1", Some(5060)).with_param("ob", None);
        assert_eq!(built.to_string(), "sip:*21%23%40;x@[2001:db8::1]:5060;ob");
        assert_eq!(uri(&built.to_string()), built);
        assert_eq!(built.clone().without_param("OB").params, []);
        assert_eq!(Uri::sip(Some(""), "h", None).to_string(), "sip:h");
        assert_eq!(
            built.with_param("ob", Some("a;b")).param("ob"),
            Some(Some("a%3Bb"))
        );
    }
}
