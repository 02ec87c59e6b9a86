//! Connections that break (RFC 3261 §18.4): what hung on one is found another way or given up. No call ends for it.

use std::collections::BTreeSet;

use media::LegKey;
use model::{DeviceId, Now};
use sip::{Uri, transaction::Path};

use crate::{leg::Side, switch::Switch};

impl Switch {
    /// A connection broke, or could not be opened. Requests on it end at once, registrations that came by it are void
    /// (a phone behind it cannot be reached any more), and the dialogs on it wait for the phone to register again; until
    /// then their requests try a new connection to the port in the Contact.
    pub(crate) fn flow_closed(&mut self, now: Now, path: &Path) {
        self.transactions.lose_path(now.mono, path);
        self.trunk_watch.lose(now.mono, path);
        let gone = self.registrar.remove_path(path);
        let devices: BTreeSet<DeviceId> = gone
            .iter()
            .map(|binding| DeviceId(binding.device))
            .collect();
        for device in devices {
            self.bindings_changed(now, device);
        }
        for key in self.legs.on_path(path) {
            let port = self.legs.find(key).and_then(|leg| {
                let target = leg.dialog.as_ref()?.remote_target();
                Some(target.port.unwrap_or(path.transport.default_port()))
            });
            if let Some(port) = port {
                self.legs.reroute(key, path.reopened(port));
            }
        }
    }

    /// The device has registered by this way: dialogs whose connection broke go on there, if it is the same telephone:
    /// its Contact is theirs, or it stands alone at the same address.
    pub(crate) fn follow_device(&mut self, device: DeviceId, path: Path) {
        for key in self.legs.adrift() {
            let Some(leg) = self.legs.find(key) else {
                continue;
            };
            let Some(dialog) = leg.dialog.as_ref() else {
                continue;
            };
            let bindings = || self.registrar.bindings(device.0);
            let same_contact = bindings().any(|binding| {
                let contact = Uri::parse(&binding.contact);
                binding.path == path && contact.is_ok_and(|it| it.matches(dialog.remote_target()))
            });
            let same_address = dialog.target_path().remote.ip() == path.remote.ip();
            let is_its = leg.side == Side::Device(device);
            if is_its && (same_contact || same_address && bindings().count() == 1) {
                self.legs.reroute(key, path);
            }
        }
    }

    /// A request within the dialog came by this way: it goes on there if its connection broke.
    pub(crate) fn follow_request(&mut self, key: LegKey, path: Path) {
        if self.legs.is_adrift(key) {
            self.legs.reroute(key, path);
        }
    }

    /// Whether a registration or a dialog hangs on this connection. One that nothing hangs on may be closed.
    pub fn uses(&self, path: &Path) -> bool {
        self.registrar.has_path(path)
            || !self.legs.on_path(path).is_empty()
            || self.trunk_watch.uses(path)
    }
}
