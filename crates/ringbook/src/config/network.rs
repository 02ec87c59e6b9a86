//! `[network]`, and what else SIP and RTP need to know of addresses and time.

use std::ops::RangeInclusive;

use serde::Deserialize;
use toml::Spanned;

use super::{ConfigError, Source, spanned};

/// Ports for media.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Network {
    /// First and last port for RTP and RTCP; a leg needs two.
    pub rtp_ports: Spanned<String>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            rtp_ports: spanned("20000-29999".to_owned()),
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

fn parse_ports(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-')?;
    let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first >= 1_024 && last >= first.checked_add(3)?).then_some(first..=last)
}
