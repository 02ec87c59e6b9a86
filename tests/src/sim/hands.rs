//! Hands at the screens and at the telephones: now and then somebody hands a running call over, hangs it up, pauses its
//! recording, parks it, or takes one that is parked.

use std::{collections::BTreeMap, time::Duration};

use call::{Act, EventKind};
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
        if self.chance.permille(400) && self.come_for_somebody() {
            return;
        }
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
        let act = match self.chance.below(14) {
            0 => Act::HangUp,
            1..4 => Act::PauseRecording,
            4..6 => Act::ResumeRecording,
            6..10 => Act::Park,
            10..12 => Act::Conference { to },
            _ => Act::Transfer { to },
        };
        if act == Act::Park {
            let after = self.chance.millis(500, 30_000);
            self.later(after, Happening::Hand);
        }
        let leads = self.chance.permille(200);
        let agent = usize::try_from(agent.0 - 1).unwrap_or(0);
        self.control((agent, leads), call, act);
    }

    /// Somebody takes a parked client, by the telephone or by an order; false if nobody is parked.
    fn come_for_somebody(&mut self) -> bool {
        let mut parked: BTreeMap<CallId, u8> = BTreeMap::new();
        for event in &self.world.journal {
            match event.kind {
                EventKind::Parked { place, .. } => drop(parked.insert(event.call, place)),
                EventKind::Transferred { .. } | EventKind::Ended { .. } => {
                    parked.remove(&event.call);
                }
                _ => {}
            }
        }
        let parked: Vec<(CallId, u8)> = parked.into_iter().collect();
        if parked.is_empty() {
            return false;
        }
        let (call, place) = *self.chance.pick(&parked);
        let agent = self.chance.below(self.agents.len().max(1) as u64);
        let agent = usize::try_from(agent).unwrap_or(0);
        let number = self.world.number(call).map(str::to_owned);
        let mut callers = self.callers.iter();
        let client = callers.find(|(_, caller)| {
            let known = caller.number.trim_start_matches('+');
            Some(known) == number.as_deref() && !caller.dials_code()
        });
        let client = client.map(|(address, _)| *address);
        match client.filter(|_| self.chance.permille(500)) {
            Some(client) => {
                self.pick_up(self.now, agent, &format!("*5{place}"), client);
            }
            None => drop(self.control((agent, false), call, Act::Retrieve)),
        }
        true
    }
}
