//! Which of our addresses the other side knows us by.

use std::net::{IpAddr, SocketAddr};

use super::Path;

/// Our public address and the networks that need it not: behind a NAT that keeps ports, those outside know us by the one,
/// those inside by the address of our socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    public: Option<IpAddr>,
    local: Vec<(IpAddr, u8)>,
}

impl Addresses {
    /// `local` are networks as address and prefix length in bits; all others are outside.
    pub fn new(public: Option<IpAddr>, local: Vec<(IpAddr, u8)>) -> Self {
        Self { public, local }
    }

    /// The address and port of ours that stand in Via, Contact and SDP on this way.
    pub fn seen(&self, path: &Path) -> SocketAddr {
        let (local, remote) = (path.local, path.remote.ip().to_canonical());
        let public = self.public.filter(|public| {
            let same_kind = public.is_ipv4() == local.ip().to_canonical().is_ipv4();
            same_kind && !self.local.iter().any(|network| within(remote, *network))
        });
        public.map_or(local, |public| SocketAddr::new(public, local.port()))
    }
}

fn within(ip: IpAddr, (network, prefix): (IpAddr, u8)) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    };
    let ((ip_bits, length), (network_bits, other)) = (bits(ip), bits(network));
    let apart = u32::from(prefix).min(length);
    length == other
        && (ip_bits ^ network_bits)
            .checked_shr(128 - apart)
            .unwrap_or(0)
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_knows_the_local_address_and_outside_the_public_one() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let local = vec![(ip("10.0.0.0"), 8), (ip("fd00::"), 8)];
        let addresses = Addresses::new(Some(ip("203.0.113.9")), local);
        let seen = |ours: &str, theirs: &str| {
            let path = Path::udp(ours.parse().unwrap(), theirs.parse().unwrap());
            addresses.seen(&path).to_string()
        };
        assert_eq!(seen("10.0.0.1:5060", "10.9.8.7:5070"), "10.0.0.1:5060");
        assert_eq!(
            seen("10.0.0.1:5060", "[::ffff:10.1.1.1]:5060"),
            "10.0.0.1:5060"
        );
        assert_eq!(
            seen("10.0.0.1:5060", "198.51.100.1:5060"),
            "203.0.113.9:5060"
        );
        assert_eq!(seen("10.0.0.1:5061", "11.0.0.1:5060"), "203.0.113.9:5061");
        assert_eq!(
            seen("[fd00::1]:5060", "[2001:db8::1]:5060"),
            "[fd00::1]:5060",
            "of the other kind"
        );
        let whole = Addresses::new(Some(ip("203.0.113.9")), vec![(ip("0.0.0.0"), 0)]);
        let path = Path::udp(
            "10.0.0.1:1".parse().unwrap(),
            "198.51.100.1:1".parse().unwrap(),
        );
        assert_eq!(whole.seen(&path), path.local);
        assert_eq!(Addresses::default().seen(&path), path.local);
    }
}
