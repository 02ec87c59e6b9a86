//! Connections that break: requests of ours end at once, answers of ours try a new connection.

use std::collections::BTreeSet;
use std::time::Duration;

use super::machine::Input;
use super::timers::Owner;
use super::{ClientKey, Path, Transactions};

/// Which transactions use a reliable transport, by the number of the connection.
#[derive(Debug, Default)]
pub(super) struct Flows {
    users: BTreeSet<(u64, Owner)>,
}

impl Flows {
    pub(super) fn insert(&mut self, path: &Path, owner: Owner) {
        if path.transport.reliable() {
            self.users.insert((path.flow, owner));
        }
    }

    pub(super) fn remove(&mut self, path: &Path, owner: Owner) {
        if path.transport.reliable() {
            self.users.remove(&(path.flow, owner));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    fn of(&self, flow: u64) -> Vec<Owner> {
        let first = (flow, Owner::Client(ClientKey(0)));
        let users = self.users.range(first..);
        let users = users.take_while(|(other, _)| *other == flow);
        users.map(|(_, owner)| *owner).collect()
    }
}

impl Transactions {
    /// A connection broke, or could not be opened, as `path` names it. Requests of ours that went this way end with
    /// [`Event::Unreachable`](super::Event::Unreachable). Answers of ours go by a new connection to the address in the Via
    /// (RFC 3261 §18.2.2) and, when it was that one which could not be opened, nowhere.
    pub fn lose_path(&mut self, now: Duration, path: &Path) {
        for owner in self.flows.of(path.flow) {
            match owner {
                Owner::Client(key) => {
                    if self.clients.get(&key).is_some_and(|it| it.path == *path) {
                        self.step_client(now, key, Input::TransportError, None);
                    }
                }
                Owner::Server(key) => self.lose_reply_path(now, key, path),
            }
        }
    }
}
