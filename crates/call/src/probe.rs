//! Is a held party still there? While a conversation is on hold no media proves it, so each leg is
//! asked every 30 s; 8 s without an answer and it is asked again at once; a second failure ends it.

use std::time::Duration;

use crate::LegNo;

const INTERVAL: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(8);

/// What the probe of one leg asks for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send the leg a question.
    Ask(LegNo),
    /// The leg is gone.
    Lost(LegNo),
}

#[derive(Clone, Copy, Debug)]
struct Leg {
    no: LegNo,
    wake: Duration,
    asked: bool,
    failures: u8,
}

/// The probes of a held conversation; empty while nobody holds.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    legs: Vec<Leg>,
}

impl Probes {
    /// Starts to ask `legs`, the first time in 30 s; nothing changes if that has begun.
    pub(crate) fn start(&mut self, now: Duration, legs: &[LegNo]) {
        if self.legs.is_empty() {
            let begin = |no: &LegNo| Leg {
                no: *no,
                wake: now + INTERVAL,
                asked: false,
                failures: 0,
            };
            self.legs = legs.iter().map(begin).collect();
        }
    }

    pub(crate) fn stop(&mut self) {
        self.legs.clear();
    }

    pub(crate) fn next_wake(&self) -> Option<Duration> {
        self.legs.iter().map(|leg| leg.wake).min()
    }

    /// An answer came for the last question.
    pub(crate) fn answered(&mut self, now: Duration, no: LegNo) {
        for leg in self.legs.iter_mut().filter(|leg| leg.no == no && leg.asked) {
            *leg = Leg {
                no,
                wake: now + INTERVAL,
                asked: false,
                failures: 0,
            };
        }
    }

    /// The next step that is due.
    pub(crate) fn step(&mut self, now: Duration) -> Option<Step> {
        let leg = self.legs.iter_mut().find(|leg| leg.wake <= now)?;
        if leg.asked {
            leg.failures += 1;
        }
        if leg.failures >= 2 {
            let no = leg.no;
            self.stop();
            return Some(Step::Lost(no));
        }
        leg.asked = true;
        leg.wake = now + PATIENCE;
        Some(Step::Ask(leg.no))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn a_silent_leg_is_lost_after_the_second_failure() {
        let mut probes = Probes::default();
        probes.start(AT(0), &[LegNo(0), LegNo(1)]);
        assert_eq!(probes.step(AT(29)), None);
        assert_eq!(probes.step(AT(30)), Some(Step::Ask(LegNo(0))));
        assert_eq!(probes.step(AT(30)), Some(Step::Ask(LegNo(1))));
        probes.answered(AT(31), LegNo(0));
        assert_eq!(probes.step(AT(38)), Some(Step::Ask(LegNo(1))));
        assert_eq!(probes.step(AT(46)), Some(Step::Lost(LegNo(1))));
        assert_eq!(probes.next_wake(), None);
    }

    #[test]
    fn a_late_answer_to_the_repeated_question_keeps_the_leg() {
        let mut probes = Probes::default();
        probes.start(AT(0), &[LegNo(0), LegNo(1)]);
        while probes.step(AT(30)).is_some() {}
        while probes.step(AT(38)).is_some() {}
        probes.answered(AT(40), LegNo(0));
        probes.answered(AT(40), LegNo(1));
        assert_eq!(probes.next_wake(), Some(AT(70)));
    }
}
