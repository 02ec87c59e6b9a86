//! The effects of one call: each ends exactly once, by its result or by its deadline.

use std::time::Duration;

use model::CallId;

use crate::{Effect, EffectId, EffectRequest};

/// Effects that have not ended.
#[derive(Debug)]
pub(crate) struct Ledger {
    call: CallId,
    next: u32,
    open: Vec<(u32, Duration)>,
}

impl Ledger {
    pub(crate) fn new(call: CallId) -> Self {
        Self {
            call,
            next: 0,
            open: Vec::new(),
        }
    }

    /// Numbers `effect` and, if it has a result, notes its deadline.
    pub(crate) fn begin(&mut self, now: Duration, effect: Effect) -> EffectRequest {
        let number = self.next;
        self.next += 1;
        if let Some(wait) = effect.deadline() {
            self.open.push((number, now + wait));
        }
        EffectRequest {
            id: EffectId {
                call: self.call,
                number,
            },
            effect,
        }
    }

    /// Ends the effect; false if it had ended before.
    pub(crate) fn end(&mut self, number: u32) -> bool {
        let before = self.open.len();
        self.open.retain(|(open, _)| *open != number);
        self.open.len() < before
    }

    /// Ends and names one effect whose deadline has come.
    pub(crate) fn expire(&mut self, now: Duration) -> Option<u32> {
        let place = self
            .open
            .iter()
            .position(|(_, deadline)| *deadline <= now)?;
        Some(self.open.remove(place).0)
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.open.iter().map(|(_, deadline)| *deadline).min()
    }

    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }
}
