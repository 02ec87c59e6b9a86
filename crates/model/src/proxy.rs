//! Where a telephone company is reached: an address or a name, as an administrator writes it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, Serialize, de};
use thiserror::Error;

/// What carries signalling to a telephone company.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carrier {
    /// Datagrams.
    Udp,
    /// A TCP connection.
    Tcp,
    /// A TLS connection.
    Tls,
}

impl Carrier {
    /// The name after `;transport=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// The port where none is written (RFC 3261 §19.1.2).
    pub fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }
}

/// An address, or a name that is looked up (RFC 3263): `203.0.113.7:5060`, `sip.provider.example`,
/// `sip.provider.example:5080`, `[2001:db8::7]`, each with `;transport=udp`, `tcp` or `tls` if need be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Proxy {
    host: String,
    ip: Option<IpAddr>,
    /// Where a port is written, no SRV records are asked for (RFC 3263 §4.2).
    pub port: Option<u16>,
    /// Where it is written, no NAPTR records are asked for (RFC 3263 §4.1).
    pub carrier: Option<Carrier>,
}

/// A text that is no proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "not a server: expected an address or a name, such as 203.0.113.7:5060, sip.provider.example or \
     sip.provider.example;transport=tcp"
)]
pub struct NoProxy;

/// A place where requests can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// By what.
    pub carrier: Carrier,
    /// To where.
    pub address: SocketAddr,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};transport={}", self.address, self.carrier.name())
    }
}

impl Proxy {
    /// The address or name, without port; an address of IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// The one place that an address means; none for a name, which has to be looked up.
    pub fn target(&self) -> Option<Target> {
        let carrier = self.carrier.unwrap_or(Carrier::Udp);
        let port = self.port.unwrap_or(carrier.default_port());
        let address = SocketAddr::new(self.ip?, port);
        Some(Target { carrier, address })
    }
}

impl From<SocketAddr> for Proxy {
    fn from(address: SocketAddr) -> Self {
        let host = match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        Self {
            host,
            ip: Some(address.ip()),
            port: Some(address.port()),
            carrier: None,
        }
    }
}

/// RFC 1123 §2.1, and an underscore, which some name servers have; a name whose last label is a number is a mistyped
/// address.
fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        (1..=63).contains(&label.len())
            && label.bytes().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && name.split('.').all(label) && last.bytes().any(|b| !b.is_ascii_digit())
}

impl FromStr for Proxy {
    type Err = NoProxy;

    fn from_str(text: &str) -> Result<Self, NoProxy> {
        let (place, carrier) = match text.split_once(';') {
            None => (text, None),
            Some((place, parameter)) => {
                let name = parameter.strip_prefix("transport=").ok_or(NoProxy)?;
                let all = [Carrier::Udp, Carrier::Tcp, Carrier::Tls];
                let carrier = all.into_iter().find(|it| it.name() == name);
                (place, Some(carrier.ok_or(NoProxy)?))
            }
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let port: u16 = port.parse().map_err(|_| NoProxy)?;
                (
                    host,
                    Some(port).filter(|port| *port != 0).ok_or(NoProxy)?.into(),
                )
            }
            _ => (place, None),
        };
        let bracketed = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let ip = match bracketed {
            Some(ip) => Some(IpAddr::V6(ip.parse().map_err(|_| NoProxy)?)),
            None => host.parse().ok().map(IpAddr::V4),
        };
        if ip.is_none() && !is_name(host) {
            return Err(NoProxy);
        }
        Ok(Self {
            host: host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(),
            ip,
            port,
            carrier,
        })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        match self.carrier {
            Some(carrier) => write!(f, ";transport={}", carrier.name()),
            None => Ok(()),
        }
    }
}

impl Serialize for Proxy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Proxy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_read_and_written_as_they_are() {
        for text in [
            "203.0.113.7",
            "203.0.113.7:5060",
            "203.0.113.7:5061;transport=tls",
            "[2001:db8::7]",
            "[2001:db8::7]:5080",
            "sip.provider.example",
            "sip.provider.example:5080",
            "_sip-1.provider.example;transport=tcp",
            "pbx",
        ] {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!(proxy.to_string(), text);
            assert_eq!(
                serde_json::to_string(&proxy).unwrap(),
                format!("\"{text}\"")
            );
        }
        let name: Proxy = "SIP.Provider.Example.".parse().unwrap();
        assert_eq!(name.to_string(), "sip.provider.example");
    }

    #[test]
    fn rubbish_is_refused() {
        for text in [
            "",
            ":5060",
            "a b",
            "a..b",
            "-a.example",
            "203.0.113",
            "203.0.113.256",
            "2001:db8::7",
            "[2001:db8::7",
            "sip:provider.example",
            "provider.example:0",
            "provider.example:65536",
            "provider.example;transport=ws",
            "provider.example;lr",
            "provider.example/x",
            "\u{43f}\u{440}\u{43e}.example",
        ] {
            assert_eq!(text.parse::<Proxy>(), Err(NoProxy), "{text:?}");
        }
    }

    #[test]
    fn an_address_is_one_place_and_a_name_has_to_be_looked_up() {
        let target = |text: &str| text.parse::<Proxy>().unwrap().target();
        let tcp = Target {
            carrier: Carrier::Tcp,
            address: "203.0.113.7:5060".parse().unwrap(),
        };
        assert_eq!(target("203.0.113.7;transport=tcp"), Some(tcp));
        let tls = target("[2001:db8::7];transport=tls").unwrap();
        assert_eq!(tls.address, "[2001:db8::7]:5061".parse().unwrap());
        assert_eq!(target("provider.example"), None);
    }
}
