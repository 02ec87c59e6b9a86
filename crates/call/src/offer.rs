//! One offer of the call to one agent: the legs to the agent's devices and how each ended.

use model::{DeviceId, Rule, UserId};

use crate::{LegNo, OfferEnd};

/// How far a device's leg has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Prepared or ringing.
    Open,
    /// Ended without an answer.
    Ended(OfferEnd),
}

/// The offer that is running.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) agent: UserId,
    pub(crate) rule: Rule,
    pub(crate) attempt: u16,
    legs: Vec<(LegNo, DeviceId, Progress)>,
}

impl Offer {
    pub(crate) fn new(agent: UserId, rule: Rule, attempt: u16) -> Self {
        Self {
            agent,
            rule,
            attempt,
            legs: Vec::new(),
        }
    }

    pub(crate) fn add_legs(&mut self, legs: Vec<(LegNo, DeviceId)>) {
        self.legs.extend(
            legs.into_iter()
                .map(|(leg, device)| (leg, device, Progress::Open)),
        );
    }

    pub(crate) fn has_legs(&self) -> bool {
        !self.legs.is_empty()
    }

    /// The device behind `leg`, if the leg belongs to this offer and is open.
    pub(crate) fn open_device(&self, leg: LegNo) -> Option<DeviceId> {
        self.legs
            .iter()
            .find(|(no, _, progress)| *no == leg && *progress == Progress::Open)
            .map(|(_, device, _)| *device)
    }

    pub(crate) fn open_legs(&self) -> impl Iterator<Item = LegNo> + '_ {
        self.legs
            .iter()
            .filter(|leg| leg.2 == Progress::Open)
            .map(|leg| leg.0)
    }

    /// Notes that `leg` ended; the end of the whole offer once no leg is open.
    pub(crate) fn end_leg(&mut self, leg: LegNo, end: OfferEnd) -> Option<OfferEnd> {
        for (no, _, progress) in &mut self.legs {
            if *no == leg && *progress == Progress::Open {
                *progress = Progress::Ended(end);
            }
        }
        if self.open_legs().next().is_some() {
            return None;
        }
        // What a person did says more about the agent than what a network did.
        let weight = |end: OfferEnd| match end {
            OfferEnd::Declined => 4,
            OfferEnd::Busy => 3,
            OfferEnd::NoAnswer => 2,
            OfferEnd::MediaFailed => 1,
            OfferEnd::Unreachable | OfferEnd::CallerGone => 0,
        };
        let ends = self
            .legs
            .iter()
            .filter_map(|(_, _, progress)| match progress {
                Progress::Ended(end) => Some(*end),
                Progress::Open => None,
            });
        Some(ends.max_by_key(|end| weight(*end)).unwrap_or(end))
    }
}
