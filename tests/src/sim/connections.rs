//! Parties behind connections (TCP), which break when a case says so.

use std::{collections::BTreeMap, net::SocketAddr};

use switch::{Input, Path, Transport};

use super::{
    centre::{Centre, Happening},
    company::exchange,
};

/// Who has a connection or had one.
#[derive(Debug, Default)]
pub struct Connections {
    /// The number of the party's connection; none while it is broken.
    of_party: BTreeMap<SocketAddr, Option<u64>>,
    last: u64,
}

impl Connections {
    /// The way by which a party's messages come; none if they get nowhere.
    pub(super) fn path_from(&self, party: SocketAddr) -> Option<Path> {
        let udp = Path::udp(exchange(), party);
        match self.of_party.get(&party) {
            None => Some(udp),
            Some(flow) => flow.map(|flow| Path {
                transport: Transport::Tcp,
                flow,
                ..udp
            }),
        }
    }

    /// Whether something sent this way gets there. Nobody listens for new connections.
    pub(super) fn is_open(&self, path: &Path) -> bool {
        path.transport == Transport::Udp || self.path_from(path.remote) == Some(*path)
    }
}

impl Centre {
    /// From now on the party has a new connection instead of what it had.
    pub fn connect(&mut self, party: SocketAddr) {
        self.disconnect(party);
        self.connections.last += 1;
        let flow = Some(self.connections.last);
        self.connections.of_party.insert(party, flow);
    }

    /// The party's connection breaks; what it says gets nowhere until it has another.
    pub fn disconnect(&mut self, party: SocketAddr) {
        let path = self.connections.path_from(party);
        self.connections.of_party.insert(party, None);
        if let Some(path) = path.filter(|path| path.transport.reliable()) {
            self.input(Input::FlowClosed { path });
        }
    }

    /// Something was to be sent where no connection is.
    pub(super) fn nobody_there(&mut self, path: Path) {
        self.at(self.now, Happening::Broken(self.life, path));
    }
}
