//! Carries out what calls ask of the world outside.

use std::{collections::HashMap, sync::Arc};

use call::{Effect, EffectEnd, EffectId, EffectRequest, Event, EventKind};
use crm::Audience;
use futures_util::{
    StreamExt,
    future::{BoxFuture, OptionFuture},
    stream::FuturesUnordered,
};
use model::{CallId, LineId, UserId};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

mod ends;
mod reads;
mod rush;

use self::{
    ends::Ends,
    reads::{Answer, Asked, Read},
    rush::Rush,
};
use crate::{
    Hub,
    commits::{Commit, Commits, Needed, Ticket},
    frame,
    hub::Publication,
    room::{Announcement, Rooms},
    settings::{Deps, JOURNAL_RETRY, Settings},
};

/// Effects taken from the queue at a time.
const MOST_AT_ONCE: usize = 64;

/// Identifies callers, keeps the ledger of reservations, commits facts and announces cards.
///
/// Effects of one call begin in the order in which they come, and its facts reach the journal in
/// that order; calls do not wait for each other. A slow database delays no reservation.
pub struct Desk {
    deps: Deps,
    hub: Hub,
    settings: Settings,
    rooms: Rooms,
    reservations: HashMap<UserId, CallId>,
    commits: Commits,
    rush: Rush,
    ends: Ends,
    reads: FuturesUnordered<BoxFuture<'static, Answer>>,
    retry_at: Option<Instant>,
    /// The journal is being read for what stands before the next frames.
    catching_up: bool,
}

type Written = crm::Result<Vec<i64>>;

impl Desk {
    /// A desk that reports to `hub`.
    pub fn start(deps: Deps, hub: Hub, settings: Settings) -> Self {
        Self {
            deps,
            hub,
            settings,
            rooms: Rooms::default(),
            reservations: HashMap::new(),
            commits: Commits::default(),
            rush: Rush::new(Instant::now()),
            ends: Ends::default(),
            reads: FuturesUnordered::new(),
            retry_at: None,
            catching_up: false,
        }
    }

    /// Works until `effects` is closed and everything taken from it is durable. `ends` may be as
    /// small as one; results wait here while it is full.
    pub async fn run(
        mut self,
        mut effects: mpsc::Receiver<EffectRequest>,
        ends: mpsc::Sender<(EffectId, EffectEnd)>,
    ) {
        self.hub.set_ends(ends.clone());
        self.ends.set_out(ends);
        let mut requests = Vec::with_capacity(MOST_AT_ONCE);
        let mut writing: Option<BoxFuture<'static, Written>> = None;
        let mut open = true;
        while open || !self.commits.is_empty() {
            let wake = self.next_wake();
            tokio::select! {
                biased;
                Some(answer) = self.reads.next(), if !self.reads.is_empty() => self.answered(answer),
                Some(written) = OptionFuture::from(writing.as_mut()), if writing.is_some() => {
                    writing = None;
                    self.written(written);
                }
                taken = effects.recv_many(&mut requests, MOST_AT_ONCE), if open => {
                    open = taken > 0;
                    for request in requests.drain(..) {
                        self.carry_out(request);
                    }
                }
                () = self.ends.sent(), if self.ends.wait() => {}
                () = self.hub.growth() => {}
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    self.handle_deadlines();
                }
            }
            self.publish_ready();
            if writing.is_none() && self.commits.nothing_written() {
                // Behind the last facts of ours; before others their places say what is missing.
                self.catch_up(self.deps.journal.last_seq());
            }
            if writing.is_none() && self.retry_at.is_none() {
                writing = self.write();
            }
        }
        self.hub.close();
    }

    fn carry_out(&mut self, request: EffectRequest) {
        let EffectRequest { id, effect } = request;
        match effect {
            Effect::Identify { number, line } => self.identify(id, number, line),
            Effect::Reserve { agent } => {
                let holder = *self.reservations.entry(agent).or_insert(id.call);
                let granted = holder == id.call;
                if granted {
                    self.rooms.room(id.call).reserved.push(agent);
                }
                self.ends.end(id, EffectEnd::Reserved { granted });
            }
            Effect::Release { agent } => {
                if let Some(room) = self.rooms.existing(id.call) {
                    room.reserved.retain(|reserved| *reserved != agent);
                }
                self.release(id.call, agent);
            }
            Effect::Commit { events } => self.commit(id, events),
            Effect::Announce { agent, attempt } => {
                let announcement = Announcement {
                    effect: id,
                    agent,
                    attempt,
                };
                self.announce(announcement);
            }
        }
    }

    fn identify(&mut self, id: EffectId, number: String, line: Option<LineId>) {
        let asked = Asked {
            id,
            at: Instant::now(),
        };
        self.read(Read::Identify {
            asked,
            number,
            line,
        });
    }

    fn read(&self, read: Read) {
        let base = Arc::clone(&self.deps.base);
        self.reads.push(Box::pin(read.carry_out(base)));
    }

    fn release(&mut self, call: CallId, agent: UserId) {
        if self.reservations.get(&agent) == Some(&call) {
            self.reservations.remove(&agent);
        }
    }

    fn commit(&mut self, id: EffectId, events: Vec<Event>) {
        // A call to a colleague begins with two: that of the caller, who has nothing to wait for, and the colleague's.
        let offer = events.iter().rev().find_map(|event| match event.kind {
            EventKind::Offered { attempt, .. } => Some(attempt),
            _ => None,
        });
        let room = self.rooms.room(id.call);
        room.unsent_offer = offer.or(room.unsent_offer);
        let (facts, course) = room.take(&events);
        let audience = room.audience();
        for agent in self.rooms.close(id.call, course) {
            self.release(id.call, agent);
        }
        self.count_lead(&events);
        let now = Instant::now();
        let patience = self.rush.patience(&events, now);
        let commit = Commit {
            effect: id,
            shows_card: events.iter().any(|event| frame::shows_card(&event.kind)),
            offer,
            events,
            facts,
            audience: audience.map_or(Needed::No, Needed::Is),
            card: Needed::No,
            early: false,
            began: now,
            patience,
            reading_since: now,
            seqs: None,
        };
        let waiting = self.commits.waiting_events() + commit.events.len();
        if waiting > self.settings.most_waiting_events {
            return self.lose(commit);
        }
        let wanted = self.hub.has_listener(commit.audience.here());
        let ticket = self.commits.push(commit);
        if wanted {
            self.read_needed(ticket);
        }
        self.count_waiting();
    }

    /// Begins to read what the frames of a commit need and is not known.
    fn read_needed(&mut self, ticket: Ticket) {
        let Some(commit) = self.commits.find(ticket) else {
            return;
        };
        let mut reads = Vec::new();
        if commit.audience.is_no() {
            commit.audience = Needed::Reading;
            let call = commit.effect.call;
            reads.push(Read::Audience { ticket, call });
        }
        if commit.shows_card && commit.card.is_no() {
            commit.card = Needed::Reading;
            let caller = Arc::clone(&commit.facts.caller);
            reads.push(Read::Card { ticket, caller });
        }
        if !reads.is_empty() {
            self.commits.begin_reading(ticket, Instant::now());
        }
        for read in reads {
            self.read(read);
        }
    }

    /// The journal is too far behind to take these facts: the call goes on without it.
    fn lose(&mut self, mut commit: Commit) {
        let counters = &self.hub.shared().counters;
        counters.lost_events.add(commit.events.len());
        tracing::error!(call = %commit.effect.call, "facts lost: the journal's queue is full; check the database");
        let full = EffectEnd::Failed("the journal's queue is full".to_owned());
        self.ends.end(commit.effect, full);
        publish(&self.hub, &mut commit, true);
        self.frames_sent(commit.effect.call, commit.offer);
    }

    fn announce(&mut self, announcement: Announcement) {
        let Announcement {
            effect,
            agent,
            attempt,
        } = announcement;
        // Its frame waits for the journal or for the card: the effect waits for the frame.
        let room = self.rooms.existing(effect.call);
        if let Some(room) = room.filter(|room| room.unsent_offer == Some(attempt)) {
            room.announce = Some(announcement);
            return;
        }
        if let Some(end) = self.hub.announce(effect, agent, attempt) {
            self.ends.end(effect, end);
        }
    }

    /// The frames of a commit were handed out; an announcement may have waited for that.
    fn frames_sent(&mut self, call: CallId, offer: Option<u16>) {
        let room = self.rooms.existing(call);
        let Some(room) = room.filter(|room| offer.is_some() && room.unsent_offer == offer) else {
            return;
        };
        room.unsent_offer = None;
        if let Some(announcement) = room.announce.take() {
            self.announce(announcement);
        }
    }

    fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Identified { asked, caller } => {
                let end = match caller {
                    Ok(caller) => EffectEnd::Identified(Arc::new(caller)),
                    Err(error) => {
                        tracing::warn!(call = %asked.id.call, %error, "caller not identified");
                        EffectEnd::Failed(error.to_string())
                    }
                };
                self.ends.end(asked.id, end);
            }
            Answer::Card { ticket, card } => {
                let Some(commit) = self.commits.find(ticket) else {
                    return;
                };
                commit.card = match card {
                    Ok(card) => Needed::Is(Arc::new(card)),
                    Err(error) => {
                        tracing::warn!(call = %commit.effect.call, %error, "card not read");
                        self.hub.shared().counters.partial_cards.add(1);
                        Needed::Missing
                    }
                };
            }
            Answer::Entries { until, entries } => {
                self.catching_up = false;
                match entries {
                    Some(entries) => self.hub.publish_entries(&entries, until),
                    None => self.hub.give_up(until),
                }
            }
            Answer::Audience { ticket, audience } => {
                if let Some(commit) = self.commits.find(ticket) {
                    commit.audience = audience.map_or(Needed::Missing, Needed::Is);
                }
            }
        }
    }

    /// Hands the next batch to the journal.
    fn write(&mut self) -> Option<BoxFuture<'static, Written>> {
        let batch = self.commits.next_batch(Instant::now())?;
        let journal = Arc::clone(&self.deps.journal);
        Some(Box::pin(async move { journal.append(batch).await }))
    }

    fn written(&mut self, written: Written) {
        match written {
            Ok(seqs) => {
                for effect in self.commits.batch_written(&seqs) {
                    self.ends.end(effect, EffectEnd::Committed);
                }
            }
            Err(error @ crm::Error::Full) => {
                tracing::warn!(%error, "the journal does not take facts; trying again");
                self.commits.batch_failed();
                self.retry_at = Some(Instant::now() + JOURNAL_RETRY);
            }
            Err(error) => self.refused(&error),
        }
        self.count_waiting();
    }

    fn refused(&mut self, error: &crm::Error) {
        self.retry_at = Some(Instant::now() + JOURNAL_RETRY);
        let Some((effect, lost)) = self.commits.batch_refused() else {
            tracing::warn!(%error, "the journal refused facts; trying again");
            return;
        };
        tracing::error!(call = %effect.call, %error, "facts lost: the journal refused them");
        self.hub.shared().counters.lost_events.add(lost);
        self.ends.end(effect, EffectEnd::Failed(error.to_string()));
    }

    /// Hands out what is durable, in the order of the journal.
    fn publish_ready(&mut self) {
        while let Some(place) = self.commits.front_place() {
            if !self.catch_up(place - 1) {
                return;
            }
            let Some((ticket, front)) = self.commits.front() else {
                return;
            };
            let (call, offer) = (front.effect.call, front.offer);
            if !publish(&self.hub, front, false) {
                // Somebody has connected since the commit began.
                return self.read_needed(ticket);
            }
            self.commits.pop();
            self.frames_sent(call, offer);
        }
    }

    /// Whether everything up to `until` has been handed out. What the desk did not give itself (the
    /// consequences that the journal draws, and changes by hand) is read from the journal first.
    fn catch_up(&mut self, until: i64) -> bool {
        if self.catching_up {
            return false;
        }
        let Some(after) = self.hub.untold(until) else {
            return true;
        };
        self.catching_up = true;
        let journal = Arc::clone(&self.deps.journal);
        self.read(Read::Entries {
            journal,
            after,
            until,
        });
        false
    }

    fn handle_deadlines(&mut self) {
        let now = Instant::now();
        self.retry_at = self.retry_at.filter(|at| *at > now);
        let missing = self.commits.give_up_reads(now);
        self.hub.shared().counters.partial_cards.add(missing);
        let mut sent = Vec::new();
        while let Some(commit) = self.commits.next_late(now) {
            let (call, offer) = (commit.effect.call, commit.offer);
            self.hub
                .shared()
                .counters
                .late_events
                .add(commit.events.len());
            tracing::warn!(%call, "the journal is late: frames go out without a cursor");
            publish(&self.hub, commit, true);
            sent.push((call, offer));
        }
        for (call, offer) in sent {
            self.frames_sent(call, offer);
        }
    }

    fn next_wake(&mut self) -> Option<Instant> {
        let deadline = self.commits.next_deadline();
        let write = self.retry_at.or_else(|| self.commits.next_write());
        write.into_iter().chain(deadline).min()
    }

    fn count_waiting(&self) {
        let waiting = self.commits.waiting_events();
        self.hub.shared().counters.waiting_events.set(waiting);
    }

    fn count_lead(&self, events: &[Event]) {
        let unconfirmed = events.iter().filter(|event| {
            matches!(event.kind, EventKind::Ringing { lead: Some(lead), .. }
                if !lead.confirmed && lead.clients > 0)
        });
        let counters = &self.hub.shared().counters;
        counters.unconfirmed_leads.add(unconfirmed.count());
    }
}

/// Hands out the facts of a commit, with cursors once it is durable; `as_it_is` also if something
/// that the frames need was not asked for. False if nothing was handed out.
fn publish(hub: &Hub, commit: &mut Commit, as_it_is: bool) -> bool {
    let fallback;
    let audience = match &commit.audience {
        Needed::Is(audience) => audience,
        // Not even the database knows in time: those who see everything, and whoever is named.
        _ => {
            fallback = named_only(&commit.events);
            &fallback
        }
    };
    let published = hub.publish(&Publication {
        events: &commit.events,
        seqs: commit.seqs.as_deref(),
        audience,
        audience_known: as_it_is || !commit.audience.is_no(),
        card_known: as_it_is || commit.card_known(),
        facts: &commit.facts,
        card: commit.card.here().map(Arc::as_ref),
        again: commit.early,
    });
    commit.early |= published;
    published
}

/// The agents that the facts name, and no right for anybody else.
fn named_only(events: &[Event]) -> Audience {
    let named = events.iter().find_map(|event| match event.kind {
        EventKind::Ended { agent, .. } => agent,
        EventKind::Ringing { agent, .. } | EventKind::Offered { agent, .. } => Some(agent),
        _ => None,
    });
    // An owner whom nobody is: an absent owner would admit everybody.
    let nobody = UserId(0);
    Audience {
        owner: Some(named.unwrap_or(nobody)),
        ..Audience::default()
    }
}
