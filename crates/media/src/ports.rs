//! The pool of RTP ports of one local address.

use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Even ports for RTP, each with the odd one above it for RTCP (RFC 3550 §11).
///
/// A port that comes back rests before it is given out again, so that no stray packet of the last call reaches
/// the next one; and it goes to the end of the line, so that it is the last one to be used again.
#[derive(Clone, Debug)]
pub struct PortPool {
    rest: Duration,
    free: VecDeque<u16>,
    /// Ports that rest, with the moment from which on they are free, in order of that moment.
    resting: VecDeque<(Duration, u16)>,
    taken: BTreeSet<u16>,
}

impl PortPool {
    /// A pool of the even ports in `range` whose odd neighbour is in it too. Port 0 is none. `rest` is 2 s
    /// in the product.
    #[must_use]
    pub fn new(range: RangeInclusive<u16>, rest: Duration) -> Self {
        let (first, last) = (*range.start(), *range.end());
        let free = (first..last)
            .filter(|port| port % 2 == 0 && *port != 0)
            .collect();
        Self {
            rest,
            free,
            resting: VecDeque::new(),
            taken: BTreeSet::new(),
        }
    }

    /// Takes a port at the monotonic time `now`; `None` when all are in use or resting.
    pub fn take(&mut self, now: Duration) -> Option<u16> {
        self.end_rests(now);
        let port = self.free.pop_front()?;
        self.taken.insert(port);
        Some(port)
    }

    /// Gives a port back; it rests from `now` on. A port that was not taken is ignored, and `false` says so.
    pub fn give_back(&mut self, now: Duration, port: u16) -> bool {
        let known = self.taken.remove(&port);
        if known {
            // A clock that stood still or went back must not break the order of the line.
            let until = now.saturating_add(self.rest);
            let until = self
                .resting
                .back()
                .map_or(until, |&(last, _)| last.max(until));
            self.resting.push_back((until, port));
        }
        known
    }

    /// Ports taken now; resting ones are not counted.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.taken.len()
    }

    /// Ports that `take` could give out at `now`.
    #[must_use]
    pub fn available(&self, now: Duration) -> usize {
        self.free.len()
            + self
                .resting
                .iter()
                .take_while(|(until, _)| *until <= now)
                .count()
    }

    fn end_rests(&mut self, now: Duration) {
        while let Some(&(until, port)) = self.resting.front() {
            if until > now {
                break;
            }
            self.resting.pop_front();
            self.free.push_back(port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REST: Duration = Duration::from_secs(2);

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn only_even_ports_with_their_neighbour_are_given_out() {
        let mut pool = PortPool::new(20001..=20006, REST);
        assert_eq!(pool.take(at(0)), Some(20002));
        assert_eq!(pool.take(at(0)), Some(20004));
        assert_eq!(pool.take(at(0)), None);
        let mut edge = PortPool::new(65530..=65535, REST);
        assert_eq!(
            std::iter::from_fn(|| edge.take(at(0))).collect::<Vec<_>>(),
            [65530, 65532, 65534]
        );
        assert_eq!(PortPool::new(0..=1, REST).take(at(0)), None);
    }

    #[test]
    fn a_port_rests_two_seconds() {
        let mut pool = PortPool::new(20000..=20001, REST);
        assert_eq!(pool.take(at(0)), Some(20000));
        assert_eq!(pool.in_use(), 1);
        assert!(pool.give_back(at(500), 20000));
        assert_eq!(pool.in_use(), 0);
        assert_eq!(pool.take(at(2499)), None);
        assert_eq!(pool.available(at(2500)), 1);
        assert_eq!(pool.take(at(2500)), Some(20000));
    }

    #[test]
    fn a_port_that_was_not_taken_cannot_be_given_back() {
        let mut pool = PortPool::new(20000..=20001, REST);
        assert!(!pool.give_back(at(0), 20000));
        assert!(!pool.give_back(at(0), 5060));
        pool.take(at(0));
        assert!(pool.give_back(at(0), 20000));
        assert!(!pool.give_back(at(0), 20000));
        assert_eq!(pool.available(at(9999)), 1);
    }

    proptest! {
        #[test]
        fn no_port_is_held_twice_and_none_is_given_out_before_its_rest(
            steps in proptest::collection::vec((any::<bool>(), 0..8_usize, 0..900_u64), 1..200),
        ) {
            let mut pool = PortPool::new(10000..=10011, REST);
            let (mut now, mut held, mut returned) = (0, Vec::new(), std::collections::BTreeMap::new());
            for (take, index, pause) in steps {
                now += pause;
                if take {
                    if let Some(port) = pool.take(at(now)) {
                        prop_assert!(!held.contains(&port));
                        let back: u64 = returned.get(&port).copied().unwrap_or(0);
                        prop_assert!(back == 0 || now >= back + 2000);
                        held.push(port);
                    }
                } else if index < held.len() {
                    let port = held.swap_remove(index);
                    prop_assert!(pool.give_back(at(now), port));
                    returned.insert(port, now);
                }
                prop_assert_eq!(pool.in_use(), held.len());
            }
            for port in held.drain(..) {
                pool.give_back(at(now), port);
            }
            prop_assert_eq!(pool.available(at(now + 2000)), 6);
        }
    }
}
