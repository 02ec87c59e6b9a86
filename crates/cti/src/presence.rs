//! What every agent is doing now, for clients that connect.

use std::collections::BTreeMap;

use model::{AgentChanged, UserId};

/// The present states of the agents, as the switch told them.
#[derive(Clone, Debug, Default)]
pub struct Presence {
    states: BTreeMap<UserId, AgentChanged>,
}

impl Presence {
    /// Takes a change; false if it is what was known already.
    pub fn update(&mut self, change: AgentChanged) -> bool {
        self.states.insert(change.agent, change) != Some(change)
    }

    /// Forgets agents for whom `is_agent` is false.
    pub fn retain(&mut self, is_agent: impl Fn(UserId) -> bool) {
        self.states.retain(|agent, _| is_agent(*agent));
    }

    /// One agent.
    pub fn state(&self, agent: UserId) -> Option<AgentChanged> {
        self.states.get(&agent).copied()
    }

    /// All agents by id.
    pub fn states(&self) -> impl Iterator<Item = AgentChanged> + '_ {
        self.states.values().copied()
    }
}
