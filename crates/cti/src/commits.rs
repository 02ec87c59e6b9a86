//! Facts on their way into the journal and out to the screens, in one order.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use call::{EffectId, Event};
use crm::{Audience, Card, Entry};
use tokio::time::Instant;

use crate::{
    frame::OfferFacts,
    settings::{CARD_PATIENCE, COMMIT_PATIENCE, MOST_EVENTS_PER_BATCH, MOST_REFUSALS},
};

/// Names a commit.
pub(crate) type Ticket = u64;

/// Something that must be read from the database before the frames can be written.
#[derive(Clone, Debug)]
pub(crate) enum Needed<T> {
    /// Not asked for: no frame shows it, or nobody is connected.
    No,
    /// Asked for.
    Reading,
    /// Here.
    Is(T),
    /// Did not come in time.
    Missing,
}

impl<T> Needed<T> {
    pub(crate) fn is_no(&self) -> bool {
        matches!(self, Self::No)
    }

    pub(crate) fn here(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            _ => None,
        }
    }
}

/// One commit.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) effect: EffectId,
    pub(crate) events: Vec<Event>,
    pub(crate) facts: OfferFacts,
    /// A frame of it shows a card.
    pub(crate) shows_card: bool,
    /// The offer among the facts, by its attempt.
    pub(crate) offer: Option<u16>,
    pub(crate) audience: Needed<Audience>,
    pub(crate) card: Needed<Arc<Card>>,
    /// Its frames went out without a cursor.
    pub(crate) early: bool,
    pub(crate) began: Instant,
    /// How long it may wait for others to share its transaction.
    pub(crate) patience: Duration,
    /// When the last read that it needs was begun.
    pub(crate) reading_since: Instant,
    /// Places in the journal once it is durable.
    pub(crate) seqs: Option<Vec<i64>>,
}

impl Commit {
    /// No frame of it shows a card that was not asked for.
    pub(crate) fn card_known(&self) -> bool {
        !(self.shows_card && self.card.is_no())
    }
}

/// The commits that are not handed out yet, oldest first: durable ones that wait for a card, then
/// those that are being written, then those that wait for the journal.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    queue: VecDeque<Commit>,
    first: Ticket,
    written: usize,
    writing: usize,
    waiting_events: usize,
    /// Commits below have been looked at for a card that takes too long …
    cards_checked: Ticket,
    /// … and for a journal that takes too long.
    lateness_checked: Ticket,
    /// After a refusal that may concern a single commit: so many are written one by one.
    singly: usize,
    /// How often the oldest one was refused.
    refusals: u32,
}

impl Commits {
    /// Events that are not durable yet.
    pub(crate) fn waiting_events(&self) -> usize {
        self.waiting_events
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn push(&mut self, commit: Commit) -> Ticket {
        self.waiting_events += commit.events.len();
        self.queue.push_back(commit);
        self.first + self.queue.len() as u64 - 1
    }

    pub(crate) fn find(&mut self, ticket: Ticket) -> Option<&mut Commit> {
        let place = usize::try_from(ticket.checked_sub(self.first)?).ok()?;
        self.queue.get_mut(place)
    }

    /// When the next batch is to be written: as soon as the patience of one that waits ends. None if
    /// nothing waits or a batch is being written.
    pub(crate) fn next_write(&self) -> Option<Instant> {
        if self.writing > 0 {
            return None;
        }
        let waiting = self.queue.range(self.written..);
        waiting.map(|commit| commit.began + commit.patience).min()
    }

    /// What is to be written next, if its time has come: everything that waits, up to the limit of a
    /// batch.
    pub(crate) fn next_batch(&mut self, now: Instant) -> Option<Vec<Entry<Event>>> {
        self.next_write().filter(|at| *at <= now)?;
        let mut batch = Vec::new();
        for commit in self.queue.range(self.written..) {
            let fits = batch.len() + commit.events.len() <= MOST_EVENTS_PER_BATCH;
            if self.writing > 0 && (!fits || self.singly > 0) {
                break;
            }
            let late = now.duration_since(commit.began) >= COMMIT_PATIENCE;
            let entries = commit.events.iter().cloned();
            batch.extend(entries.map(|event| Entry { event, late }));
            self.writing += 1;
        }
        Some(batch)
    }

    /// The batch is durable, at these places; the effects that end by it.
    pub(crate) fn batch_written(&mut self, seqs: &[i64]) -> Vec<EffectId> {
        let batch = self.written..self.written + self.writing;
        let mut seqs = seqs.iter().copied();
        let mut ended = Vec::with_capacity(batch.len());
        for commit in self.queue.range_mut(batch) {
            let places: Vec<i64> = seqs.by_ref().take(commit.events.len()).collect();
            self.waiting_events -= commit.events.len();
            commit.seqs = Some(places);
            ended.push(commit.effect);
        }
        self.refusals = 0;
        self.written += self.writing;
        self.singly = self.singly.saturating_sub(self.writing);
        self.writing = 0;
        ended
    }

    /// The batch was not written and is to be tried again.
    pub(crate) fn batch_failed(&mut self) {
        self.writing = 0;
    }

    /// The batch was refused, perhaps for what one commit says. Several commits are tried again one
    /// by one; one that is refused again and again is given up and counts as written without places:
    /// its effect and the number of its facts.
    pub(crate) fn batch_refused(&mut self) -> Option<(EffectId, usize)> {
        let writing = std::mem::take(&mut self.writing);
        if writing > 1 {
            self.singly = writing;
            return None;
        }
        self.refusals += 1;
        if self.refusals <= MOST_REFUSALS {
            return None;
        }
        let refused = self.queue.get(self.written)?;
        let refused = (refused.effect, refused.events.len());
        self.writing = 1;
        self.batch_written(&[]);
        Some(refused)
    }

    /// The oldest commit, if it is durable and has all that its frames need.
    pub(crate) fn front(&mut self) -> Option<(Ticket, &mut Commit)> {
        let front = self.queue.front_mut()?;
        let complete = front.seqs.is_some()
            && !matches!(front.audience, Needed::Reading)
            && !matches!(front.card, Needed::Reading);
        complete.then_some((self.first, front))
    }

    /// The first place of that commit; 0 if the journal refused it.
    pub(crate) fn front_place(&mut self) -> Option<i64> {
        let (_, front) = self.front()?;
        let seqs = front.seqs.as_deref().unwrap_or_default();
        Some(seqs.first().copied().unwrap_or(0))
    }

    /// Everything that is durable has been handed out.
    pub(crate) fn nothing_written(&self) -> bool {
        self.written == 0
    }

    pub(crate) fn pop(&mut self) -> Option<Commit> {
        let commit = self.queue.pop_front()?;
        self.first += 1;
        self.written -= 1;
        Some(commit)
    }

    /// A read for this commit begins, perhaps long after the commit.
    pub(crate) fn begin_reading(&mut self, ticket: Ticket, now: Instant) {
        if let Some(commit) = self.find(ticket) {
            commit.reading_since = now;
            self.cards_checked = self.cards_checked.min(ticket);
        }
    }

    /// Gives up waiting for what was not read in time; how many cards are missing by that.
    pub(crate) fn give_up_reads(&mut self, now: Instant) -> usize {
        let mut missing = 0;
        self.cards_checked = self.cards_checked.max(self.first);
        while let Some(commit) = self.find(self.cards_checked) {
            if now.duration_since(commit.reading_since) < CARD_PATIENCE {
                break;
            }
            if matches!(commit.card, Needed::Reading) {
                commit.card = Needed::Missing;
                missing += 1;
            }
            if matches!(commit.audience, Needed::Reading) {
                commit.audience = Needed::Missing;
            }
            self.cards_checked += 1;
        }
        missing
    }

    /// The next commit that the journal has kept waiting too long, each once.
    pub(crate) fn next_late(&mut self, now: Instant) -> Option<&mut Commit> {
        self.lateness_checked = self.lateness_checked.max(self.first);
        loop {
            let commit = self.find(self.lateness_checked)?;
            if now.duration_since(commit.began) < COMMIT_PATIENCE {
                return None;
            }
            let is_late = commit.seqs.is_none();
            self.lateness_checked += 1;
            if is_late {
                // Found again: a reference may not live through a loop.
                return self.find(self.lateness_checked - 1);
            }
        }
    }

    /// When [`Commits::give_up_reads`] or [`Commits::next_late`] has something to do.
    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        let (cards, lateness) = (
            self.cards_checked.max(self.first),
            self.lateness_checked.max(self.first),
        );
        let card = self
            .find(cards)
            .map(|commit| commit.reading_since + CARD_PATIENCE);
        let late = self
            .find(lateness)
            .map(|commit| commit.began + COMMIT_PATIENCE);
        card.into_iter().chain(late).min()
    }
}

#[cfg(test)]
#[path = "commits_tests.rs"]
mod tests;
