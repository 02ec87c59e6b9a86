//! One offer of the call to one agent: the legs to the agent's telephones, when each rings, and how each ended.

use std::time::Duration;

use model::{DeviceId, DialogSnapshot, Rule, TrunkId, UserId};

use crate::{LegNo, OfferEnd, Ready};

/// How far a telephone's leg has come.
#[derive(Clone, Debug)]
enum Progress {
    /// Prepared: it rings later.
    Prepared,
    /// Its INVITE was sent.
    Ringing,
    /// Somebody or something answered and is asked whether it takes the call.
    Asked {
        until: Duration,
        snapshot: DialogSnapshot,
    },
    /// Ended without taking the call.
    Ended(OfferEnd),
}

#[derive(Debug)]
struct OfferLeg {
    ready: Ready,
    progress: Progress,
    /// Its INVITE has credentials now and is sent when this effect has ended.
    again: Option<u32>,
}

impl OfferLeg {
    fn is_open(&self) -> bool {
        !matches!(self.progress, Progress::Ended(_))
    }
}

/// The offer that is running.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) agent: UserId,
    pub(crate) rule: Rule,
    pub(crate) attempt: u16,
    /// Its agent dialled for it: nothing is rung.
    pub(crate) dialled: bool,
    since: Duration,
    legs: Vec<OfferLeg>,
}

impl Offer {
    pub(crate) fn new(agent: UserId, rule: Rule, attempt: u16) -> Self {
        Self {
            agent,
            rule,
            attempt,
            dialled: false,
            since: Duration::ZERO,
            legs: Vec::new(),
        }
    }

    pub(crate) fn add_legs(&mut self, legs: Vec<Ready>) {
        self.legs.extend(legs.into_iter().map(|ready| OfferLeg {
            ready,
            progress: Progress::Prepared,
            again: None,
        }));
    }

    /// Since when its telephones ring.
    pub(crate) fn since(&self) -> Duration {
        self.since
    }

    pub(crate) fn has_legs(&self) -> bool {
        !self.legs.is_empty()
    }

    /// From now on the telephones ring, each after its delay; the greatest delay.
    pub(crate) fn begin(&mut self, now: Duration) -> Duration {
        self.since = now;
        let delays = self.legs.iter().map(|leg| leg.ready.after);
        delays.max().unwrap_or_default()
    }

    /// The legs that are to ring now: those whose time has come, or the next ones if nothing rings any more.
    pub(crate) fn ring(&mut self, now: Duration) -> Vec<LegNo> {
        let calls = |leg: &OfferLeg| leg.is_open() && !matches!(leg.progress, Progress::Prepared);
        let waited = now.saturating_sub(self.since);
        let patience = match self.legs.iter().any(calls) {
            true => waited,
            false => waited.max(self.first_delay().unwrap_or_default()),
        };
        let mut legs = Vec::new();
        for leg in &mut self.legs {
            if matches!(leg.progress, Progress::Prepared) && leg.ready.after <= patience {
                leg.progress = Progress::Ringing;
                legs.push(leg.ready.leg);
            }
        }
        legs
    }

    fn first_delay(&self) -> Option<Duration> {
        let prepared = self.legs.iter();
        let prepared = prepared.filter(|leg| matches!(leg.progress, Progress::Prepared));
        prepared.map(|leg| leg.ready.after).min()
    }

    /// When the next telephone rings, or one that was asked is given up.
    pub(crate) fn next_wake(&self) -> Option<Duration> {
        let asked = self.legs.iter().filter_map(|leg| match leg.progress {
            Progress::Asked { until, .. } => Some(until),
            _ => None,
        });
        asked
            .chain(self.first_delay().map(|delay| self.since + delay))
            .min()
    }

    fn find(&self, leg: LegNo) -> Option<&OfferLeg> {
        let mut legs = self.legs.iter();
        legs.find(|it| it.ready.leg == leg && it.is_open())
    }

    fn find_mut(&mut self, leg: LegNo) -> Option<&mut OfferLeg> {
        let mut legs = self.legs.iter_mut();
        legs.find(|it| it.ready.leg == leg && it.is_open())
    }

    /// The telephone behind `leg`, if the leg belongs to this offer and is open.
    pub(crate) fn open_device(&self, leg: LegNo) -> Option<DeviceId> {
        self.find(leg).map(|leg| leg.ready.device)
    }

    pub(crate) fn open_legs(&self) -> impl Iterator<Item = LegNo> + '_ {
        let open = self.legs.iter().filter(|leg| leg.is_open());
        open.map(|leg| leg.ready.leg)
    }

    /// Ends every open leg but one; which they were.
    pub(crate) fn drop_legs(&mut self, but: Option<LegNo>) -> Vec<LegNo> {
        let mut dropped = Vec::new();
        for leg in &mut self.legs {
            if leg.is_open() && Some(leg.ready.leg) != but {
                leg.progress = Progress::Ended(OfferEnd::CallerGone);
                dropped.push(leg.ready.leg);
            }
        }
        dropped
    }

    /// The trunk by which a leg goes, if it goes by one, and the telephone.
    pub(crate) fn way(&self, leg: LegNo) -> Option<(TrunkId, DeviceId)> {
        let ready = self.find(leg)?.ready;
        Some((ready.trunk?, ready.device))
    }

    /// Whether whoever answers there has to say that it takes the call.
    pub(crate) fn confirms(&self, leg: LegNo) -> bool {
        self.way(leg).is_some()
    }

    /// The leg is answered and asked until then.
    pub(crate) fn ask(&mut self, leg: LegNo, until: Duration, snapshot: DialogSnapshot) {
        if let Some(leg) = self.find_mut(leg) {
            leg.progress = Progress::Asked { until, snapshot };
        }
    }

    /// The leg that was asked takes the call: what recovery needs of it.
    pub(crate) fn take(&mut self, leg: LegNo) -> Option<DialogSnapshot> {
        let progress = &mut self.find_mut(leg)?.progress;
        match std::mem::replace(progress, Progress::Ringing) {
            Progress::Asked { snapshot, .. } => Some(snapshot),
            other => {
                *progress = other;
                None
            }
        }
    }

    pub(crate) fn is_asked(&self, leg: LegNo) -> bool {
        let asked = |leg: &OfferLeg| matches!(leg.progress, Progress::Asked { .. });
        self.find(leg).is_some_and(asked)
    }

    /// A leg that was asked for too long.
    pub(crate) fn speechless(&self, now: Duration) -> Option<LegNo> {
        let mut legs = self.legs.iter();
        let late =
            |leg: &&OfferLeg| matches!(leg.progress, Progress::Asked { until, .. } if until <= now);
        legs.find(late).map(|leg| leg.ready.leg)
    }

    /// The leg's INVITE goes out again when this effect has ended.
    pub(crate) fn send_again(&mut self, leg: LegNo, effect: u32) {
        if let Some(leg) = self.find_mut(leg) {
            leg.again = Some(effect);
        }
    }

    /// The leg whose INVITE waited for this effect.
    pub(crate) fn waited_for(&mut self, effect: u32) -> Option<LegNo> {
        let mut legs = self.legs.iter_mut();
        let leg = legs.find(|leg| leg.is_open() && leg.again == Some(effect))?;
        leg.again = None;
        Some(leg.ready.leg)
    }

    /// Notes that `leg` ended; the end of the whole offer once no leg is open.
    pub(crate) fn end_leg(&mut self, leg: LegNo, end: OfferEnd) -> Option<OfferEnd> {
        if let Some(leg) = self.find_mut(leg) {
            leg.progress = Progress::Ended(end);
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
            OfferEnd::Unreachable | OfferEnd::CallerGone | OfferEnd::PickedUp => 0,
        };
        let ends = self.legs.iter().filter_map(|leg| match leg.progress {
            Progress::Ended(end) => Some(end),
            _ => None,
        });
        Some(ends.max_by_key(|end| weight(*end)).unwrap_or(end))
    }
}
