//! Who serves a line, in the order in which calls are offered.

use std::{cmp::Reverse, collections::BTreeSet, time::Duration};

use model::UserId;

/// The agents of one line: the free ones ordered by level (10 first), then by how long they have
/// been free, then by id; the others by level and id.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LineIndex {
    free: BTreeSet<(Reverse<u8>, Duration, UserId)>,
    busy: BTreeSet<(Reverse<u8>, UserId)>,
}

/// One agent of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Skilled {
    pub(crate) agent: UserId,
    pub(crate) level: u8,
    /// Since when (monotonic), if free.
    pub(crate) free_since: Option<Duration>,
}

impl LineIndex {
    pub(crate) fn insert(&mut self, skilled: Skilled) {
        let level = Reverse(skilled.level);
        match skilled.free_since {
            Some(since) => self.free.insert((level, since, skilled.agent)),
            None => self.busy.insert((level, skilled.agent)),
        };
    }

    pub(crate) fn remove(&mut self, skilled: Skilled) {
        let level = Reverse(skilled.level);
        match skilled.free_since {
            Some(since) => self.free.remove(&(level, since, skilled.agent)),
            None => self.busy.remove(&(level, skilled.agent)),
        };
    }

    pub(crate) fn len(&self) -> usize {
        self.free.len() + self.busy.len()
    }

    /// The free agents, best first.
    pub(crate) fn free(&self) -> impl Iterator<Item = Skilled> + '_ {
        self.free
            .iter()
            .map(|&(Reverse(level), since, agent)| Skilled {
                agent,
                level,
                free_since: Some(since),
            })
    }

    /// All agents by level; within a level the free ones first.
    pub(crate) fn all(&self) -> impl Iterator<Item = Skilled> + '_ {
        let mut free = self.free().peekable();
        let mut busy = self
            .busy
            .iter()
            .map(|&(Reverse(level), agent)| Skilled {
                agent,
                level,
                free_since: None,
            })
            .peekable();
        std::iter::from_fn(move || match (free.peek(), busy.peek()) {
            (Some(f), Some(b)) if f.level < b.level => busy.next(),
            (Some(_), _) => free.next(),
            (None, _) => busy.next(),
        })
    }
}
