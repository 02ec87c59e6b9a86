//! How many connections there are, in all and with one address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
};

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
        let here = self.of_address.entry(subscriber(address)).or_default();
        if *here >= settings.most_per_address {
            return Err("sip_connections_per_address");
        }
        *here += 1;
        self.all += 1;
        Ok(())
    }

    pub(super) fn leave(&mut self, address: IpAddr) {
        let address = subscriber(address);
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

/// Whoever has one IPv6 address has 2⁶⁴ of them: the whole /64 counts as one.
fn subscriber(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
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

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let [a, b, c] = ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"]
            .map(|text| subscriber(text.parse().unwrap()));
        assert_eq!(a, b);
        assert_ne!(a, c);
    }
}
