//! Hands at the screens: now and then somebody hands a running call over, hangs it up, or pauses its recording.

use std::time::Duration;

use call::Act;
use model::{AgentState, CallId, UserId};

use super::{
    centre::{Centre, Happening},
    company::short_number,
    setup::Setup,
};

impl Centre {
    /// Lays out when somebody does something.
    pub(super) fn lay_hands(&mut self, setup: &Setup) {
        if !setup.moods {
            return;
        }
        let (_, span) = setup.callers;
        for _ in 0..self.chance.below(16) {
            let at = Duration::from_secs(5) + self.chance.between(Duration::ZERO, span);
            self.at(at, Happening::Hand);
        }
    }

    /// Does something to a call that somebody is in or is offered.
    pub(super) fn lay_hand(&mut self) {
        let now = self.agents.values().filter_map(|it| match it.state {
            AgentState::Ringing { call } | AgentState::Talking { call } => Some((it.agent, call)),
            _ => None,
        });
        let now: Vec<(UserId, CallId)> = now.collect();
        if now.is_empty() {
            return;
        }
        let (agent, call) = *self.chance.pick(&now);
        let colleague = self.chance.below(self.agents.len() as u64);
        let to = short_number(usize::try_from(colleague).unwrap_or(0));
        let act = match self.chance.below(10) {
            0 => Act::HangUp,
            1..4 => Act::PauseRecording,
            4..6 => Act::ResumeRecording,
            6..8 => Act::Conference { to },
            _ => Act::Transfer { to },
        };
        let leads = self.chance.permille(200);
        let agent = usize::try_from(agent.0 - 1).unwrap_or(0);
        self.control((agent, leads), call, act);
    }
}
