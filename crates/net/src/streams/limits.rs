//! How many connections there are, in all and with one address.

use std::{collections::HashMap, net::IpAddr};

use super::StreamSettings;

/// Counts connections by address.
#[derive(Debug, Default)]
pub(super) struct Census {
    all: usize,
    of_address: HashMap<IpAddr, usize>,
}

impl Census {
    /// Counts one more; the limit that forbids it if there is one.
    pub(super) fn enter(
        &mut self,
        address: IpAddr,
        settings: &StreamSettings,
    ) -> Result<(), &'static str> {
        if self.all >= settings.most_connections {
            return Err("sip_connections");
        }
        let here = self.of_address.entry(address).or_default();
        if *here >= settings.most_per_address {
            return Err("sip_connections_per_address");
        }
        *here += 1;
        self.all += 1;
        Ok(())
    }

    pub(super) fn leave(&mut self, address: IpAddr) {
        let Some(here) = self.of_address.get_mut(&address) else {
            return;
        };
        *here -= 1;
        self.all -= 1;
        if *here == 0 {
            self.of_address.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_places_come_back() {
        let settings = StreamSettings {
            most_connections: 3,
            most_per_address: 2,
            ..StreamSettings::default()
        };
        let mut census = Census::default();
        let [a, b] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse::<IpAddr>().unwrap());
        for (address, wanted) in [
            (a, Ok(())),
            (a, Ok(())),
            (a, Err("sip_connections_per_address")),
            (b, Ok(())),
            (b, Err("sip_connections")),
        ] {
            assert_eq!(census.enter(address, &settings), wanted);
        }
        census.leave(a);
        assert_eq!(census.enter(b, &settings), Ok(()));
        [a, b, b].iter().for_each(|address| census.leave(*address));
        assert!(census.of_address.is_empty());
    }
}
