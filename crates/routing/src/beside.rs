//! Calls that an agent has beside the one that the state names: a question to a colleague, and one that waits (T3). The state
//! turns to the next of them when its own is over.

use model::{AgentState, CallId, Now, UserId};

use crate::agents::Agents;

/// One of those calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beside {
    pub(crate) call: CallId,
    /// It rings, and is not taken yet.
    rings: bool,
}

impl Beside {
    /// One of the agent's own.
    pub(crate) fn own(call: CallId) -> Self {
        Self { call, rings: false }
    }
}

impl Agents {
    /// A call to the agent's own number rings beside the conversation that the agent is in; false if there is none, if it is not
    /// the only one, or if the agent does not want that.
    pub fn call_waits(&mut self, agent: UserId, call: CallId) -> bool {
        let Some(entry) = self.entry_mut(agent) else {
            return false;
        };
        let talks = matches!(entry.state, AgentState::Talking { .. });
        let may = talks && entry.takes_second_calls() && entry.beside.is_empty();
        if may {
            entry.beside.push(Beside { call, rings: true });
        }
        may
    }

    /// The agent takes a call beside the first one.
    pub(crate) fn takes_second(&mut self, agent: UserId, call: CallId) {
        let beside = self.entry_mut(agent).map(|entry| &mut entry.beside);
        for second in beside.into_iter().flatten() {
            second.rings &= second.call != call;
        }
    }

    /// The call that the state names is over, and another one runs: one that is talked in, if there is one.
    pub(crate) fn turn_to_next(&mut self, now: Now, agent: UserId) {
        let Some(entry) = self.entry_mut(agent) else {
            return;
        };
        let talks = entry.beside.iter().position(|second| !second.rings);
        let second = entry.beside.remove(talks.unwrap_or(0));
        let call = second.call;
        entry.state = match second.rings {
            true => AgentState::Ringing { call },
            false => AgentState::Talking { call },
        };
        entry.since = now;
        let shown = entry.shown(agent);
        self.changes.push_back(shown);
    }
}
