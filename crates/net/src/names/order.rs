//! In which order the servers of a service are tried: by priority, and by chance among equals, the heavier more often first.

use hickory_resolver::proto::rr::rdata::SRV;
use rand::{Rng, RngExt as _};

/// RFC 2782, "Usage rules".
pub(super) fn by_weight(mut servers: Vec<SRV>, chance: &mut impl Rng) -> Vec<SRV> {
    // Those without weight first, so that they have a small chance.
    servers.sort_by_key(|server| (server.priority(), server.weight()));
    let mut ordered = Vec::with_capacity(servers.len());
    while let Some(first) = servers.first() {
        let priority = first.priority();
        let equals = servers.iter().take_while(|it| it.priority() == priority);
        let weights: Vec<u32> = equals.map(|it| u32::from(it.weight())).collect();
        let drawn = chance.random_range(0..=weights.iter().sum());
        let mut sum = 0;
        let place = weights.iter().position(|weight| {
            sum += weight;
            sum >= drawn
        });
        ordered.push(servers.remove(place.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::Name;
    use rand::{SeedableRng as _, rngs::StdRng};

    fn server(priority: u16, weight: u16) -> SRV {
        SRV::new(priority, weight, 5060, Name::root())
    }

    #[test]
    fn priority_goes_first_and_weight_shares_among_equals() {
        let mut chance = StdRng::seed_from_u64(1);
        let servers = vec![server(20, 0), server(10, 30), server(10, 10), server(10, 0)];
        let mut heavy_first = 0;
        for _ in 0..4_000 {
            let ordered = by_weight(servers.clone(), &mut chance);
            assert_eq!(ordered.len(), servers.len());
            assert_eq!(ordered[3].priority(), 20, "the last resort");
            heavy_first += u32::from(ordered[0].weight() == 30);
        }
        assert!((2_700..3_200).contains(&heavy_first), "{heavy_first}");
    }

    #[test]
    fn nobody_is_no_trouble() {
        assert!(by_weight(Vec::new(), &mut StdRng::seed_from_u64(1)).is_empty());
    }
}
