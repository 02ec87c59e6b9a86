//! When a thread blocks and when it ticks.

use std::time::Duration;

/// The rate is judged over so long.
const WINDOW: Duration = Duration::from_millis(100);

/// Measures how much work comes to a thread and decides how it waits for it.
#[derive(Debug)]
pub(crate) struct Load {
    /// Pieces of work per second above which one wake-up for each costs more than a tick.
    busy: u64,
    /// Below this the thread blocks again.
    calm: u64,
    pieces: u64,
    window_end: Duration,
    ticking: bool,
    next_tick: Duration,
}

impl Load {
    pub(crate) fn new(now: Duration, busy: u64, calm: u64) -> Self {
        Self {
            busy,
            calm,
            pieces: 0,
            window_end: now + WINDOW,
            ticking: false,
            next_tick: now,
        }
    }

    /// So much has come.
    pub(crate) fn note(&mut self, pieces: usize) {
        self.pieces += pieces as u64;
    }

    /// The end of the present tick; `None` when the thread shall block.
    pub(crate) fn tick_end(&mut self, now: Duration, tick: Duration) -> Option<Duration> {
        if now >= self.window_end {
            let window = WINDOW + (now - self.window_end);
            let per_second = u128::from(self.pieces) * 1000 / window.as_millis().max(1);
            let limit = if self.ticking { self.calm } else { self.busy };
            self.ticking = per_second >= u128::from(limit);
            self.pieces = 0;
            self.window_end = now + WINDOW;
        }
        if !self.ticking {
            return None;
        }
        // After a late tick the next one comes a whole tick later, not at once.
        self.next_tick = (self.next_tick + tick).max(now + tick / 4);
        if self.next_tick > now + tick {
            self.next_tick = now + tick;
        }
        Some(self.next_tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(1);

    fn at(ms: u64) -> Duration {
        Duration::from_secs(1000) + Duration::from_millis(ms)
    }

    #[test]
    fn it_ticks_under_load_and_blocks_again_when_calm() {
        let mut load = Load::new(at(0), 1_500, 800);
        assert_eq!(load.tick_end(at(50), TICK), None);
        load.note(200);
        assert!(load.tick_end(at(100), TICK).is_some());
        load.note(100);
        assert!(load.tick_end(at(200), TICK).is_some());
        load.note(50);
        assert_eq!(load.tick_end(at(300), TICK), None);
    }

    #[test]
    fn ticks_keep_their_beat_and_a_late_one_delays_the_next() {
        let mut load = Load::new(at(0), 1_500, 800);
        load.note(1000);
        let first = load.tick_end(at(100), TICK).unwrap();
        let second = load
            .tick_end(first + Duration::from_micros(300), TICK)
            .unwrap();
        assert_eq!(second, first + TICK);
        let third = load
            .tick_end(second + Duration::from_millis(5), TICK)
            .unwrap();
        assert!(third > second + Duration::from_millis(5));
        assert!(third <= second + Duration::from_millis(6));
    }
}
