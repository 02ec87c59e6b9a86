//! How long facts wait for others to share their transaction: making one durable is the dearest part
//! of a call.

use std::time::Duration;

use call::{Event, EventKind};
use tokio::time::Instant;

/// The rate of offers is judged over so long.
const WINDOW: Duration = Duration::from_millis(100);
/// So many offers in a window make a rush.
const RUSH: u32 = 10;
/// What an offer waits for others in a rush. A transaction for each would cost the machine more than
/// it costs the callers.
const IN_A_RUSH: Duration = Duration::from_millis(10);

/// Counts the offers of late.
#[derive(Debug)]
pub(super) struct Rush {
    window: Instant,
    offers: u32,
    /// In the window before.
    before: u32,
}

impl Rush {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            window: now,
            offers: 0,
            before: 0,
        }
    }

    /// How long these facts may wait.
    pub(super) fn patience(&mut self, events: &[Event], now: Instant) -> Duration {
        let patience = |event: &Event| match event.kind {
            // A caller waits for the ring.
            EventKind::Offered { .. } => self.offer(now),
            // Both wait to hear each other.
            EventKind::ConversationStarted { .. } => Duration::from_millis(4),
            // Nobody on the telephone feels it.
            _ => Duration::from_millis(20),
        };
        events.iter().map(patience).min().unwrap_or_default()
    }

    fn offer(&mut self, now: Instant) -> Duration {
        let age = now.duration_since(self.window);
        if age >= WINDOW {
            self.before = if age < 2 * WINDOW { self.offers } else { 0 };
            self.offers = 0;
            self.window = now;
        }
        self.offers += 1;
        if self.offers.max(self.before) >= RUSH {
            IN_A_RUSH
        } else {
            Duration::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_waits_for_others_only_in_a_rush() {
        let start = Instant::now();
        let mut rush = Rush::new(start);
        let mut offer = |ms| rush.offer(start + Duration::from_millis(ms));
        for at in (0..1000).step_by(25) {
            assert_eq!(offer(at), Duration::ZERO, "40 a second, {at} ms");
        }
        let waits = (1000..1200)
            .step_by(5)
            .filter(|at| offer(*at) > Duration::ZERO);
        assert!(waits.count() >= 20, "200 a second");
        assert_eq!(offer(1600), Duration::ZERO, "calm again");
    }
}
