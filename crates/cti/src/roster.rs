//! Names of agents and lines, as the directory has them, for cards.

use std::collections::HashMap;

use model::{Directory, LineId, UserId};
use serde::Serialize;

/// A line as a card shows it (R5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LineOnCard {
    pub(crate) id: LineId,
    pub(crate) number: String,
    pub(crate) name: String,
    pub(crate) channel: Option<String>,
}

/// A user as a card names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Named<'a> {
    pub(crate) id: UserId,
    /// None if the user is no agent any more.
    pub(crate) name: Option<&'a str>,
}

/// What cards need of the directory.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    agents: HashMap<UserId, String>,
    lines: HashMap<LineId, LineOnCard>,
}

impl Roster {
    pub(crate) fn new(directory: &Directory) -> Self {
        let agents = directory.agents.iter();
        let lines = directory.lines.iter();
        Self {
            agents: agents
                .map(|agent| (agent.user, agent.name.clone()))
                .collect(),
            lines: lines
                .map(|line| {
                    let shown = LineOnCard {
                        id: line.id,
                        number: line.number.clone(),
                        name: line.name.clone(),
                        channel: line.channel.clone(),
                    };
                    (line.id, shown)
                })
                .collect(),
        }
    }

    pub(crate) fn line(&self, id: LineId) -> Option<&LineOnCard> {
        self.lines.get(&id)
    }

    pub(crate) fn named(&self, id: UserId) -> Named<'_> {
        Named {
            id,
            name: self.agents.get(&id).map(String::as_str),
        }
    }
}
