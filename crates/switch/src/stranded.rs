//! Telephones whose connection broke while they rang: they ring on, for nobody, until they can be told.

use std::{collections::VecDeque, time::Duration};

use model::{DeviceId, Now};
use sip::{
    Request, Uri,
    transaction::{ClientKey, Path},
};

use crate::{
    leg::{Purpose, Side},
    switch::Switch,
};

/// No telephone rings longer: then an INVITE is forgotten.
const LONGEST_RING: Duration = Duration::from_secs(200);
/// So many are kept; one more, and the oldest is forgotten.
const MOST: usize = 1_000;
/// So many dialogs that were ended in this way are remembered, so that none is ended twice.
const MOST_ENDED: usize = 10_000;

/// INVITEs that could not be withdrawn, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Stranded {
    invites: VecDeque<(Duration, DeviceId, Request)>,
}

impl Stranded {
    fn keep(&mut self, now: Duration, device: DeviceId, invite: Request) {
        if self.invites.len() >= MOST {
            self.invites.pop_front();
        }
        self.invites.push_back((now, device, invite));
    }

    /// Those of the telephone of this device that has this Contact.
    fn take(&mut self, now: Duration, device: DeviceId, contact: &Uri) -> Vec<Request> {
        let mut found = Vec::new();
        self.invites.retain(|(since, of, invite)| {
            let is_its = *of == device && invite.uri.matches(contact);
            if is_its {
                found.push(invite.clone());
            }
            !is_its && *since + LONGEST_RING > now
        });
        found
    }
}

impl Switch {
    /// A request of ours could not be carried to the other side.
    pub(crate) fn unreachable(&mut self, now: Now, client: ClientKey) {
        if let Some((key, Purpose::Refresh)) = self.legs.by_client(client) {
            // The telephone may come back by another connection.
            self.legs.forget_client(client);
            return self.refresh_failed(now, key);
        }
        if let Some((key, Purpose::Invite)) = self.legs.by_client(client) {
            if let Some(leg) = self.legs.find(key) {
                if let Side::Device(device) = leg.side {
                    self.stranded.keep(now.mono, device, leg.invite.clone());
                }
            }
        }
        self.unanswered(now, client);
    }

    /// The device has registered by this way: what it may still ring for is withdrawn.
    pub(crate) fn withdraw_stranded(&mut self, now: Now, device: DeviceId, path: Path) {
        if self.stranded.invites.is_empty() {
            return;
        }
        let bindings = self.registrar.bindings(device.0);
        let contacts: Vec<Uri> = bindings
            .filter(|binding| binding.path == path)
            .filter_map(|binding| Uri::parse(&binding.contact).ok())
            .collect();
        for contact in contacts {
            for invite in self.stranded.take(now.mono, device, &contact) {
                let client = self.transactions.resume_invite(now.mono, path, invite);
                if let Some(client) = client {
                    self.transactions.cancel(now.mono, client);
                }
            }
        }
        while self.ended_unclaimed.len() > MOST_ENDED {
            self.ended_unclaimed.pop_first();
        }
    }
}
