//! The timer wheel of the frames that we make ourselves: one turn in 20 ms, one bucket for each millisecond.

use std::time::Duration;

/// Milliseconds between two frames of a leg.
const BUCKETS: usize = 20;
/// A thread that was late makes up for so much and skips the rest, in milliseconds.
const MOST_CATCH_UP_MS: u64 = 100;

/// Which legs get a frame in which millisecond.
#[derive(Debug)]
pub(crate) struct Wheel {
    buckets: [Vec<u32>; BUCKETS],
    /// The millisecond that is served next.
    next_ms: u64,
    members: usize,
}

impl Wheel {
    pub(crate) fn new(now: Duration) -> Self {
        Self {
            buckets: std::array::from_fn(|_| Vec::new()),
            next_ms: millis(now),
            members: 0,
        }
    }

    /// Puts a leg's slot on the wheel; its first frame is due at once. Returns the bucket, for the removal.
    pub(crate) fn insert(&mut self, slot: u32, now: Duration) -> u8 {
        if self.members == 0 {
            self.next_ms = self.next_ms.max(millis(now));
        }
        let bucket = (self.next_ms % BUCKETS as u64) as u8;
        self.buckets[usize::from(bucket)].push(slot);
        self.members += 1;
        bucket
    }

    pub(crate) fn remove(&mut self, slot: u32, bucket: u8) {
        let Some(bucket) = self.buckets.get_mut(usize::from(bucket)) else {
            return;
        };
        if let Some(position) = bucket.iter().position(|&member| member == slot) {
            bucket.swap_remove(position);
            self.members -= 1;
        }
    }

    /// The next bucket that is due, until none is: the caller serves all of its slots.
    pub(crate) fn next_due(&mut self, now: Duration) -> Option<usize> {
        let now_ms = millis(now);
        if self.members == 0 {
            self.next_ms = self.next_ms.max(now_ms);
            return None;
        }
        self.next_ms = self.next_ms.max(now_ms.saturating_sub(MOST_CATCH_UP_MS));
        while self.next_ms <= now_ms {
            let bucket = (self.next_ms % BUCKETS as u64) as usize;
            self.next_ms += 1;
            if !self.buckets[bucket].is_empty() {
                return Some(bucket);
            }
        }
        None
    }

    /// The member of a bucket, by position.
    pub(crate) fn member(&self, bucket: usize, position: usize) -> Option<u32> {
        self.buckets.get(bucket)?.get(position).copied()
    }

    /// When the next frame is due.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        if self.members == 0 {
            return None;
        }
        (self.next_ms..)
            .take(BUCKETS)
            .find(|ms| !self.buckets[(ms % BUCKETS as u64) as usize].is_empty())
            .map(Duration::from_millis)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn served(wheel: &mut Wheel, now: Duration) -> Vec<u32> {
        let mut slots = Vec::new();
        while let Some(bucket) = wheel.next_due(now) {
            let mut position = 0;
            while let Some(slot) = wheel.member(bucket, position) {
                slots.push(slot);
                position += 1;
            }
        }
        slots
    }

    #[test]
    fn each_member_is_served_at_once_and_then_every_20_ms() {
        let mut wheel = Wheel::new(at(1000));
        assert_eq!(wheel.deadline(), None);
        wheel.insert(7, at(1003));
        assert_eq!(wheel.deadline(), Some(at(1003)));
        assert_eq!(served(&mut wheel, at(1003)), [7]);
        wheel.insert(8, at(1010));
        let mut served_at = Vec::new();
        for ms in 1004..1064 {
            for slot in served(&mut wheel, at(ms)) {
                served_at.push((ms, slot));
            }
        }
        let sevens: Vec<_> = served_at.iter().filter(|s| s.1 == 7).map(|s| s.0).collect();
        assert_eq!(sevens, [1023, 1043, 1063]);
        assert_eq!(served_at.iter().filter(|s| s.1 == 8).count(), 3);
    }

    #[test]
    fn a_late_thread_makes_up_for_100_ms_at_most() {
        let mut wheel = Wheel::new(at(0));
        wheel.insert(1, at(0));
        assert_eq!(served(&mut wheel, at(59)).len(), 3);
        assert_eq!(served(&mut wheel, at(10_000)).len(), 6);
    }

    #[test]
    fn a_removed_member_is_served_no_more() {
        let mut wheel = Wheel::new(at(0));
        let bucket = wheel.insert(1, at(0));
        wheel.remove(1, bucket);
        assert_eq!(served(&mut wheel, at(100)), [0; 0]);
        assert_eq!(wheel.deadline(), None);
    }
}
