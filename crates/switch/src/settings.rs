//! What the process is told at start: realm, addresses, limits and times.

use std::{ops::RangeInclusive, time::Duration};

use model::Language;
use sip::transaction::{Addresses, TimerTable};

/// Settings of the exchange that do not change while it runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Number of this node, 0–1023; part of every id it makes.
    pub node: u16,
    /// Realm of the digest; the HA1 of every device was made with it.
    pub realm: String,
    /// What stands in `Server` and `User-Agent`.
    pub product: String,
    /// Where numbers without a country code are dialled (ISO 3166, such as `RU`).
    pub region: String,
    /// What those hear it in to whom no line speaks.
    pub language: Language,
    /// Ports for RTP and RTCP, two for each leg.
    pub rtp_ports: RangeInclusive<u16>,
    /// Timers of RFC 3261.
    pub timers: TimerTable,
    /// How long nonces live.
    pub nonce_lifetime: Duration,
    /// Registrations, in seconds: shortest, default and longest.
    pub register_secs: RegisterSecs,
    /// How long the sessions that we begin live without a refresh (RFC 4028), in seconds, at least 90; 0: we ask for no end.
    pub session_expires_secs: u32,
    /// What the others know us by.
    pub addresses: Addresses,
    /// How long a client stays parked before whoever parked them is rung.
    pub parked_for: Duration,
    /// What is refused beyond which number.
    pub limits: Limits,
}

/// How long a registration may last.
#[derive(Clone, Copy, Debug)]
pub struct RegisterSecs {
    /// Shorter ones get 423 (RFC 3261 §10.3).
    pub shortest: u32,
    /// Where the phone does not say.
    pub default: u32,
    /// Longer ones are cut.
    pub longest: u32,
}

/// Limits, each with an answer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls at a time; beyond that 503 with Retry-After.
    pub calls: usize,
    /// Transactions at a time; beyond that 503 with Retry-After.
    pub transactions: usize,
    /// Bindings of one device; beyond that 403.
    pub bindings: usize,
    /// Devices that ring at once for one offer; further ones do not ring.
    pub devices_per_offer: usize,
    /// Nonces whose use is remembered.
    pub nonces: usize,
    /// Retry-After of a 503, in seconds.
    pub retry_after_secs: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            node: 0,
            realm: "ringbook".to_owned(),
            product: concat!("Ringbook/", env!("CARGO_PKG_VERSION")).to_owned(),
            region: "RU".to_owned(),
            language: Language::default(),
            rtp_ports: 20_000..=29_999,
            timers: TimerTable::default(),
            nonce_lifetime: Duration::from_secs(300),
            register_secs: RegisterSecs {
                shortest: 30,
                default: 300,
                longest: 3_600,
            },
            session_expires_secs: 1_800,
            addresses: Addresses::default(),
            parked_for: Duration::from_secs(120),
            limits: Limits {
                calls: 5_000,
                transactions: 50_000,
                bindings: 8,
                devices_per_offer: 8,
                nonces: 20_000,
                retry_after_secs: 10,
            },
        }
    }
}
