//! What the PBX is fed with, and what it wants kept over a restart.

use async_trait::async_trait;
use model::{Binding, DeviceId, Directory};

use crate::Result;

/// The PBX's view of the settings.
#[async_trait]
pub trait Settings: Send + Sync {
    /// Everything an administrator set that the PBX works by. Users without a short number are no
    /// agents; lines carry every way in which a trunk may write their number.
    async fn directory(&self) -> Result<Directory>;

    /// The bindings of a device are now these.
    async fn save_bindings(&self, device: DeviceId, bindings: Vec<Binding>) -> Result<()>;

    /// All stored bindings, expired ones included.
    async fn bindings(&self) -> Result<Vec<Binding>>;
}
