//! A network that loses, repeats, delays and reorders, until it is healed.

use std::time::Duration;

use super::chance::Chance;

/// How bad the network is.
#[derive(Clone, Debug)]
pub struct Network {
    /// Datagrams lost, per mille.
    pub loss: u64,
    /// Datagrams that come twice, per mille.
    pub duplicates: u64,
    /// Datagrams that others overtake, per mille.
    pub stragglers: u64,
    /// Usual delay: least and most.
    pub delay: (Duration, Duration),
}

impl Network {
    /// Nothing is lost; 1 ms each way.
    pub fn healthy() -> Self {
        Self {
            loss: 0,
            duplicates: 0,
            stragglers: 0,
            delay: (Duration::from_millis(1), Duration::from_millis(1)),
        }
    }

    /// One of many kinds of bad, drawn from the seed.
    pub fn drawn(chance: &mut Chance) -> Self {
        let worst = *chance.pick(&[0, 20, 50, 100, 200]);
        Self {
            loss: chance.below(worst + 1),
            duplicates: chance.below(worst + 1),
            stragglers: chance.below(worst + 1),
            delay: (Duration::from_micros(200), chance.millis(1, 120)),
        }
    }

    /// When the copies of one datagram arrive; empty if it is lost.
    pub fn carry(&self, chance: &mut Chance) -> Vec<Duration> {
        let copies = match () {
            () if chance.permille(self.loss) => 0,
            () if chance.permille(self.duplicates) => 2,
            () => 1,
        };
        (0..copies)
            .map(|_| {
                let straggles = chance.permille(self.stragglers);
                let extra = if straggles {
                    chance.millis(0, 1_500)
                } else {
                    Duration::ZERO
                };
                chance.between(self.delay.0, self.delay.1) + extra
            })
            .collect()
    }
}
