//! Names of telephone companies, and what they are said to mean.

use std::net::SocketAddr;

use model::{Carrier, Proxy, Target};
use switch::Input;

use super::Centre;

/// The names that the exchange follows.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// As asked for last.
    pub wanted: Vec<Proxy>,
}

impl Centre {
    /// Tells the exchange what a name means: places that are reached over UDP, the best first.
    pub fn tell_name(&mut self, name: &str, places: &[SocketAddr]) {
        let places = places.iter().map(|address| Target {
            carrier: Carrier::Udp,
            address: *address,
        });
        let proxy = name.parse().expect("a name");
        let places = places.collect();
        self.input(Input::Resolved { proxy, places });
    }
}
