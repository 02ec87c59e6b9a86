//! `[network]`, and what else SIP and RTP need to know of addresses and time.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
};

use ipnet::IpNet;
use serde::Deserialize;
use sip::transaction::Addresses;
use toml::Spanned;

use super::{ConfigError, Source, spanned};

/// Networks that no address translation stands before, if nothing is said: private, link-local and loopback ones.
const LOCAL_NETWORKS: [&str; 8] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
];

/// Our addresses, and ports for media.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Network {
    /// First and last port for RTP and RTCP; a leg needs two.
    pub rtp_ports: Spanned<String>,
    /// The address by which those outside reach us; the ports are ours.
    pub public_address: Option<Spanned<String>>,
    /// Networks whose hosts reach us by the address that we listen on.
    pub local_networks: Vec<Spanned<String>>,
    /// Name servers for the names of trunks; none for those of the system.
    pub resolvers: Vec<Spanned<String>>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            rtp_ports: spanned("20000-29999".to_owned()),
            public_address: None,
            local_networks: LOCAL_NETWORKS.map(|it| spanned(it.to_owned())).to_vec(),
            resolvers: Vec::new(),
        }
    }
}

impl Source<'_> {
    pub(super) fn ports(self, value: &Spanned<String>) -> Result<RangeInclusive<u16>, ConfigError> {
        parse_ports(value.get_ref()).ok_or_else(|| {
            let what = format!("\"{}\" is not a range of ports", value.get_ref());
            let remedy = "write two ports of 1024 or more, at least 4 apart: \"20000-29999\"";
            self.wrong(value.span().start, what, remedy)
        })
    }

    /// What the others know us by.
    pub(super) fn addresses(self, network: &Network) -> Result<Addresses, ConfigError> {
        let public = network.public_address.as_ref().map(|value| {
            let ip: Option<IpAddr> = value.get_ref().parse().ok();
            ip.filter(|ip| !ip.is_unspecified()).ok_or_else(|| {
                let what = format!("\"{}\" is not an address", value.get_ref());
                self.wrong(
                    value.span().start,
                    what,
                    "write it as 203.0.113.9, without a port",
                )
            })
        });
        let local = network.local_networks.iter().map(|value| {
            let network: Option<IpNet> = value.get_ref().parse().ok();
            let network = network.ok_or_else(|| {
                let what = format!("\"{}\" is not a network", value.get_ref());
                self.wrong(value.span().start, what, "write it as 192.168.0.0/16")
            })?;
            Ok((network.network(), network.prefix_len()))
        });
        Ok(Addresses::new(
            public.transpose()?,
            local.collect::<Result<_, _>>()?,
        ))
    }

    /// Who is asked what a name means.
    pub(super) fn resolvers(self, network: &Network) -> Result<Vec<SocketAddr>, ConfigError> {
        let resolvers = network.resolvers.iter().map(|value| {
            let text = value.get_ref();
            let bare = || Some(SocketAddr::new(text.parse().ok()?, 53));
            let address = text.parse().ok().or_else(bare);
            address
                .filter(|it: &SocketAddr| !it.ip().is_unspecified() && it.port() != 0)
                .ok_or_else(|| {
                    let what = format!("\"{text}\" is not the address of a name server");
                    self.wrong(value.span().start, what, "write it as 192.0.2.53")
                })
        });
        resolvers.collect()
    }

    /// RFC 4028 §4: 90 s is the least that may be asked for.
    pub(super) fn session_expires(self, secs: &Spanned<u32>) -> Result<(), ConfigError> {
        self.demand(
            matches!(secs.get_ref(), 0 | 90..=86_400),
            secs,
            |secs| format!("session_expires_secs {secs} is out of range"),
            "write 90 to 86400 seconds, or 0 for sessions without end",
        )
    }
}

/// Whether an address is one of the internet.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let mut local = LOCAL_NETWORKS
        .iter()
        .filter_map(|it| it.parse::<IpNet>().ok());
    !ip.is_unspecified() && !local.any(|network| network.contains(&ip))
}

fn parse_ports(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-')?;
    let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first >= 1_024 && last >= first.checked_add(3)?).then_some(first..=last)
}
