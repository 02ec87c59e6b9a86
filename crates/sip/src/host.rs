//! Hosts of URIs and of Via fields.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::bytes::{is_host, split_before};
use crate::uri::UriError;

/// A host name or an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name in lower case; empty in URIs that have no host.
    Domain(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, written in brackets.
    V6(Ipv6Addr),
}

impl Host {
    /// Reads a name, an IPv4 address or an IPv6 address in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        HostRef::parse(text).map(HostRef::to_owned)
    }

    /// The address when the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Domain(_) => None,
            Self::V4(address) => Some((*address).into()),
            Self::V6(address) => Some((*address).into()),
        }
    }

    /// The host as text, an IPv6 address in brackets.
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            Self::Domain(name) => Cow::Borrowed(name),
            address => Cow::Owned(address.to_string()),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(address),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => f.write_str(name),
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// A host that still borrows its name.
#[derive(Clone, Copy)]
pub(crate) enum HostRef<'a> {
    Domain(&'a str),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl<'a> HostRef<'a> {
    pub(crate) fn to_owned(self) -> Host {
        match self {
            Self::Domain(name) => Host::Domain(name.to_ascii_lowercase()),
            Self::V4(address) => Host::V4(address),
            Self::V6(address) => Host::V6(address),
        }
    }

    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            return inner.strip_suffix(']')?.parse().ok().map(Self::V6);
        }
        let bytes = text.as_bytes();
        let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
            return None;
        };
        let dots = bytes.windows(2).any(|pair| pair == b"..");
        if !is_host(bytes) || dots || matches!(first, b'.' | b'-') {
            return None;
        }
        if first.is_ascii_digit() && last.is_ascii_digit() {
            if let Ok(address) = text.parse() {
                return Some(Self::V4(address));
            }
        }
        Some(Self::Domain(text))
    }
}

/// Splits `host[:port]`, white space around the colon allowed as in a Via (RFC 3261 §25.1).
pub(crate) fn host_and_port(text: &str) -> Result<(HostRef<'_>, Option<u16>), UriError> {
    let text = text.trim_ascii();
    let (host, rest) = match text.find(']').filter(|_| text.starts_with('[')) {
        Some(bracket) => text.split_at(bracket + 1),
        None => split_before(text, b':'),
    };
    let host = HostRef::parse(host.trim_ascii_end()).ok_or(UriError::Host)?;
    let rest = rest.trim_ascii();
    if rest.is_empty() {
        return Ok((host, None));
    }
    let digits = rest.strip_prefix(':').ok_or(UriError::Host)?.trim_ascii();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UriError::Port);
    }
    Ok((host, Some(digits.parse().map_err(|_| UriError::Port)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_told_apart() {
        for (text, written) in [
            ("PBX.Example.com", "pbx.example.com"),
            ("my_pbx.", "my_pbx."),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("1und1.example", "1und1.example"),
            ("192.0.2.256", "192.0.2.256"),
        ] {
            assert_eq!(Host::parse(text).unwrap().to_string(), written);
        }
        assert_eq!(Host::parse("[::1]").unwrap().ip(), "::1".parse().ok());
        assert_eq!(Host::parse("h.example").unwrap().ip(), None);
        for bad in [
            "",
            ".",
            "a..b",
            "-a",
            "a b",
            "a/b",
            "ü.example",
            "2001:db8::1",
            "[::1",
            "::1]",
            "[]",
            "[192.0.2.1]",
            "[fe80::1%eth0]",
            "a@b",
        ] {
            assert_eq!(Host::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_port_has_sixteen_bits_and_digits_only() {
        let port = |text| host_and_port(text).map(|(_, port)| port);
        assert_eq!(port("h.example : 5060"), Ok(Some(5060)));
        assert_eq!(port("[::1]:65535"), Ok(Some(65535)));
        assert_eq!(port("[::1]"), Ok(None));
        for bad in [
            "h:",
            "h:65536",
            "h:+1",
            "h:-1",
            "h:5060x",
            "h:99999999999999999999",
        ] {
            assert_eq!(port(bad), Err(UriError::Port), "{bad}");
        }
        for bad in [":5060", "", "[::1]5060", "[::1]x:1", "h]:1"] {
            assert_eq!(port(bad), Err(UriError::Host), "{bad}");
        }
    }
}
