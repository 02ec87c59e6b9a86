//! Connections to telephone companies.

use ipnet::IpNet;
use model::{CalledIn, TrunkId, TrunkOutbound};
use serde::{Deserialize, Serialize};

use crate::{Record, Resource};

/// A trunk as stored.
pub type Trunk = Record<TrunkId, TrunkData>;

/// What a trunk is: known by its source addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrunkData {
    /// What the administrator calls it; unique.
    pub name: String,
    /// Where its signalling comes from.
    pub networks: Vec<IpNet>,
    /// Where its media may come from, besides the address in its SDP.
    pub media_networks: Vec<IpNet>,
    /// P-Asserted-Identity from it is believed (RFC 3325).
    pub trusted_identity: bool,
    /// Where it says which number is called.
    pub called_in: CalledIn,
    /// Most simultaneous calls; none for no limit of its own.
    pub most_calls: Option<u32>,
    /// How calls leave by it; none if it only brings calls.
    pub outbound: Option<TrunkOutbound>,
}

/// Trunks are few: nothing to narrow by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrunkFilter {}

impl Resource for TrunkData {
    type Id = TrunkId;
    type Filter = TrunkFilter;
    const NAME: &'static str = "trunk";
}
