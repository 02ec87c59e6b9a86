//! Results on their way back to the switch.

use std::collections::VecDeque;

use call::{EffectEnd, EffectId};
use tokio::sync::mpsc::{self, error::TrySendError};

type End = (EffectId, EffectEnd);

/// Sends results in order and keeps those that find the queue full, so that the desk never waits
/// for the switch while the switch may wait for the desk. What is kept is bounded by the effects
/// that calls have open.
#[derive(Debug, Default)]
pub(super) struct Ends {
    out: Option<mpsc::Sender<End>>,
    kept: VecDeque<End>,
}

impl Ends {
    pub(super) fn set_out(&mut self, out: mpsc::Sender<End>) {
        self.out = Some(out);
    }

    pub(super) fn end(&mut self, id: EffectId, end: EffectEnd) {
        let Some(out) = &self.out else { return };
        if !self.kept.is_empty() {
            self.kept.push_back((id, end));
            return;
        }
        match out.try_send((id, end)) {
            Ok(()) => {}
            Err(TrySendError::Full(end)) => self.kept.push_back(end),
            // The switch is gone: nobody waits for results any more.
            Err(TrySendError::Closed(_)) => self.out = None,
        }
    }

    /// Something is kept.
    pub(super) fn wait(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Sends one of those kept once there is room.
    pub(super) async fn sent(&mut self) {
        let Some(out) = &self.out else {
            self.kept.clear();
            return;
        };
        if let Ok(place) = out.reserve().await {
            if let Some(end) = self.kept.pop_front() {
                place.send(end);
            }
            return;
        }
        self.out = None;
        self.kept.clear();
    }
}
