//! The users' telephones.

use model::{DeviceId, DigestOffer, MediaSource, UserId};
use serde::{Deserialize, Serialize};

use crate::{Record, Resource};

/// A device as stored.
pub type Device = Record<DeviceId, DeviceData>;

/// What a telephone is. The HA1 values are secrets: the API never shows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceData {
    /// Whose it is.
    pub user: UserId,
    /// What the user calls it.
    pub name: String,
    /// User part of its address of record and user name of its digest; unique.
    pub auth_user: String,
    /// Digest HA1 with MD5, lower-case hex.
    pub ha1_md5: String,
    /// Digest HA1 with SHA-256, lower-case hex.
    pub ha1_sha256: String,
    /// Which algorithms it is offered.
    pub digest: DigestOffer,
    /// Where its media may come from.
    pub media_source: MediaSource,
    /// The number of a telephone elsewhere, such as a mobile one (T5), in its normal form; none for one that registers
    /// with us.
    #[serde(default)]
    pub number: Option<String>,
    /// How long after the others it rings, in seconds, if it is elsewhere.
    #[serde(default)]
    pub ring_after_secs: u32,
}

/// Most seconds that a telephone elsewhere waits for the others.
pub const MOST_RING_AFTER_SECS: u32 = 60;

/// What devices can be narrowed by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFilter {
    /// Only this user's.
    pub user: Option<UserId>,
}

impl Resource for DeviceData {
    type Id = DeviceId;
    type Filter = DeviceFilter;
    const NAME: &'static str = "device";
}
