//! The Via header field (RFC 3261 §20.42, RFC 3581).

use std::fmt::{self, Write};
use std::net::IpAddr;

use crate::bytes::{is_token, split_before, split_once, split_word};
use crate::host::{HostRef, host_and_port};
use crate::params;
use crate::uri::Host;

/// One hop of the way that an answer takes back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Via {
    /// `UDP`, `TCP`, `TLS`, `WS` or `WSS`, in upper case.
    pub transport: String,
    /// Where the sender says that it is.
    pub host: Host,
    /// The port when one is written.
    pub port: Option<u16>,
    /// Parameters in order, as written.
    pub params: Vec<(String, Option<String>)>,
}

impl Via {
    /// The hop of a request of ours. Asks for `rport` (RFC 3581 §3).
    pub fn new(transport: &str, host: Host, port: Option<u16>, branch: &str) -> Self {
        let params = vec![
            ("rport".to_owned(), None),
            ("branch".to_owned(), Some(branch.to_owned())),
        ];
        Self {
            transport: transport.to_ascii_uppercase(),
            host,
            port,
            params,
        }
    }

    /// Reads one value; `None` when it is malformed or of another version than 2.0.
    pub fn parse(text: &str) -> Option<Self> {
        let parts = Parts::parse(text)?;
        Some(Self {
            transport: parts.transport.to_ascii_uppercase(),
            host: parts.host.to_owned(),
            port: parts.port,
            params: params::owned(parts.params),
        })
    }

    /// The branch that names the transaction.
    pub fn branch(&self) -> Option<&str> {
        self.param("branch").flatten()
    }

    /// Host and port as written, which together with the branch tell transactions apart (RFC 3261 §17.2.3).
    pub fn sent_by(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        }
    }

    /// The address that the next hop saw; an IPv6 address with or without brackets (RFC 5118 §4.5).
    pub fn received(&self) -> Option<IpAddr> {
        let text = self.param("received").flatten()?;
        text.trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok()
    }

    /// The port that the next hop saw.
    pub fn rport(&self) -> Option<u16> {
        self.param("rport").flatten()?.parse().ok()
    }

    /// Whether the sender asks for `rport`, filled in or not.
    pub fn wants_rport(&self) -> bool {
        self.param("rport").is_some()
    }

    /// A parameter: `Some(None)` when it stands without a value.
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        params::lookup(&self.params, name)
    }

    /// Writes down where the request came from (RFC 3261 §18.2.1, RFC 3581 §4): `received` always, the port only when
    /// the sender asked for it.
    pub fn set_source(&mut self, address: IpAddr, port: u16) {
        params::assign(&mut self.params, "received", Some(address.to_string()));
        if self.wants_rport() {
            params::assign(&mut self.params, "rport", Some(port.to_string()));
        }
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            f.write_char(':')?;
            port.fmt(f)?;
        }
        params::write_params(f, &self.params)
    }
}

/// A checked hop that still borrows its text.
pub(crate) struct Parts<'a> {
    transport: &'a str,
    host: HostRef<'a>,
    port: Option<u16>,
    params: &'a str,
}

impl<'a> Parts<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        // White space may stand around each slash (RFC 3261 §25.1).
        let (protocol, rest) = split_once(text, b'/')?;
        let (version, rest) = split_once(rest, b'/')?;
        if !protocol.trim_ascii().eq_ignore_ascii_case("SIP") || version.trim_ascii() != "2.0" {
            return None;
        }
        let (transport, rest) = split_word(rest.trim_ascii_start())?;
        let (sent_by, params) = split_before(rest, b';');
        if !is_token(transport.as_bytes()) || !params::params_valid(params) {
            return None;
        }
        let (host, port) = host_and_port(sent_by).ok()?;
        Some(Self {
            transport,
            host,
            port,
            params,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_is_read_and_written() {
        let via =
            Via::parse("SIP / 2.0 / udp  [2001:DB8::1] : 5060 ; branch = z9hG4bK1;rport ;ttl=1")
                .unwrap();
        assert_eq!(
            (via.transport.as_str(), via.sent_by(), via.branch()),
            ("UDP", "[2001:db8::1]:5060".to_owned(), Some("z9hG4bK1"))
        );
        assert!(via.wants_rport() && via.rport().is_none());
        assert_eq!(
            via.to_string(),
            "SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bK1;rport;ttl=1"
        );
        assert_eq!(
            Via::new("tcp", Host::V4([192, 0, 2, 1].into()), None, "z9hG4bKx").to_string(),
            "SIP/2.0/TCP 192.0.2.1;rport;branch=z9hG4bKx"
        );
    }

    #[test]
    fn malformed_hops_are_refused() {
        for text in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0 h.example",
            "SIP/7.0/UDP h.example",
            "HTTP/2.0/UDP h",
            "SIP/2.0/U@P h",
            "SIP/2.0/UDP h;;x",
            "SIP/2.0/UDP h:x",
            "SIP/2.0/UDP ;branch=1",
        ] {
            assert_eq!(Via::parse(text), None, "{text}");
        }
    }

    #[test]
    fn filled_in_sources_are_read() {
        let via = Via::parse("SIP/2.0/UDP h;received=[2001:db8::2];rport=70000").unwrap();
        assert_eq!(
            (via.received(), via.rport()),
            ("2001:db8::2".parse().ok(), None)
        );
    }
}
