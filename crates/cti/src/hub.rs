//! From facts to the screens that may see them.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use call::{EffectEnd, EffectId, Event, EventKind};
use crm::{Audience, Card, Journalled};
use model::{AgentChanged, CallId, Directory, UserId};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep_until},
};

use crate::{
    Attachment,
    clients::{AttachError, ClientNo, Clients, Closed, Viewer},
    clock,
    counters::{Counters, Counts},
    cursor::Cursor,
    frame::{self, OfferFacts},
    presence::Presence,
    roster::Roster,
    screens::Screens,
    settings::{Deps, Settings},
};

/// Where clients connect and frames are handed out. Clones share one hub.
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) deps: Deps,
    pub(crate) settings: Settings,
    pub(crate) counters: Counters,
    state: Mutex<State>,
    presence_changed: Notify,
    journal_grew: Notify,
}

pub(crate) struct State {
    pub(crate) clients: Clients,
    presence: Presence,
    untold: Untold,
    roster: Arc<Roster>,
    screens: Screens,
    /// The place up to which every fact has been handed out: behind it a client is served live, up
    /// to it from the journal.
    published: i64,
    ends: Option<mpsc::Sender<(EffectId, EffectEnd)>>,
}

/// Agents whose states have changed and who is still to be told.
#[derive(Default)]
struct Untold {
    own: BTreeSet<UserId>,
    others: BTreeSet<UserId>,
}

/// Facts of one call, committed together, to be handed out.
pub(crate) struct Publication<'a> {
    pub(crate) events: &'a [Event],
    /// Their places in the journal; none while it is late.
    pub(crate) seqs: Option<&'a [i64]>,
    pub(crate) audience: &'a Audience,
    /// The audience, and what else the frames need, were asked for. If not, the facts are not handed
    /// out while somebody would receive them.
    pub(crate) audience_known: bool,
    pub(crate) card_known: bool,
    pub(crate) facts: &'a OfferFacts,
    pub(crate) card: Option<&'a Card>,
    /// The same facts went out before without a cursor.
    pub(crate) again: bool,
}

impl Hub {
    /// A hub without clients, behind the last entry of the journal.
    pub fn new(deps: Deps, settings: Settings) -> Self {
        let state = State {
            clients: Clients::default(),
            presence: Presence::default(),
            untold: Untold::default(),
            roster: Arc::default(),
            screens: Screens::default(),
            published: deps.journal.last_seq(),
            ends: None,
        };
        Self(Arc::new(Shared {
            deps,
            settings,
            counters: Counters::default(),
            state: Mutex::new(state),
            presence_changed: Notify::new(),
            journal_grew: Notify::new(),
        }))
    }

    /// Connects a client. With `after`, the cursor of the last frame it knows, it first gets every
    /// committed event behind that (or `resync` if the cursor is of another journal), then the
    /// agents' states, then `ready`, then what happens from now on: no gap, nothing twice.
    ///
    /// # Errors
    /// [`AttachError::BadCursor`] and [`AttachError::TooManyClients`].
    pub fn attach(&self, viewer: Viewer, after: Option<&str>) -> Result<Attachment, AttachError> {
        let journal = &self.0.deps.journal;
        let own = |seq| Cursor {
            epoch: journal.epoch(),
            node: journal.node(),
            seq,
        };
        let after = match after.map(Cursor::parse) {
            Some(None) => return Err(AttachError::BadCursor),
            Some(Some(cursor)) => Some(cursor),
            None => None,
        };
        let mut state = self.0.state();
        if state.clients.len() >= self.0.settings.most_clients {
            return Err(AttachError::TooManyClients);
        }
        let until = state.published;
        let resumed = after.filter(|after| *after == own(after.seq) && after.seq <= until);
        let most_waiting = self.0.settings.most_waiting_frames;
        let (no, door, live) = state.clients.add(viewer, most_waiting);
        let everybody =
            viewer.sees_all() || state.clients.len() <= self.0.settings.most_clients_for_presence;
        let states = state.presence.states();
        let states: Vec<_> = states
            .filter(|change| everybody || change.agent == viewer.user)
            .collect();
        drop(state);
        let mut opening = Vec::with_capacity(2);
        if !states.is_empty() {
            opening.push(frame::write_agents(&states));
        }
        opening.push(frame::write_mark("ready", own(until)));
        let resync =
            (after.is_some() && resumed.is_none()).then(|| frame::write_mark("resync", own(until)));
        let past = resumed.map_or(until, |after| after.seq)..until;
        Ok(Attachment::new(
            self.clone(),
            (no, viewer, door),
            resync,
            past,
            opening,
            live,
        ))
    }

    /// A client of `user` has painted the card of this offer.
    pub fn shown(&self, user: UserId, call: CallId, attempt: u16) {
        let mut state = self.0.state();
        let ended = state.screens.shown(user, call, attempt, clock::utc());
        if let (Some(end), Some(ends)) = (ended, &state.ends) {
            // A full queue means that the call goes on by its deadline, unconfirmed.
            let _ = ends.try_send(end);
        }
    }

    /// An agent's state changed: told by [`Self::run_presence`].
    pub fn agent_changed(&self, change: AgentChanged) {
        let mut state = self.0.state();
        if state.presence.update(change) {
            state.untold.own.insert(change.agent);
            drop(state);
            self.0.presence_changed.notify_one();
        }
    }

    /// Tells what the agents do, as it changes, without a cursor. Runs until dropped.
    pub async fn run_presence(self) {
        let settings = &self.0.settings;
        let mut next_round = Instant::now();
        loop {
            let waiting = !self.0.state().untold.others.is_empty();
            tokio::select! {
                () = self.0.presence_changed.notified() => {
                    tokio::time::sleep(settings.presence_delay).await;
                    self.0.tell_own();
                }
                () = sleep_until(next_round), if waiting => {}
            }
            if next_round <= Instant::now() {
                self.0.tell_others();
                next_round = Instant::now() + settings.presence_interval;
            }
        }
    }

    /// Something that the desk did not give may stand in the journal now: a change by hand that is a fact,
    /// such as an obligation waived. The desk hands it out.
    pub fn journal_grew(&self) {
        self.0.journal_grew.notify_one();
    }

    pub(crate) async fn growth(&self) {
        self.0.journal_grew.notified().await;
    }

    /// The names of agents and lines are now these.
    pub fn set_directory(&self, directory: &Directory) {
        let roster = Arc::new(Roster::new(directory));
        let agents: BTreeSet<UserId> = directory.agents.iter().map(|agent| agent.user).collect();
        let mut state = self.0.state();
        state.roster = roster;
        state.presence.retain(|agent| agents.contains(&agent));
    }

    /// Closes the connections of a user whose sessions or rights ended.
    pub fn revoke(&self, user: UserId) {
        self.0.state().clients.close(Some(user), Closed::Revoked);
    }

    /// Closes every connection: the process stops.
    pub fn close(&self) {
        let mut state = self.0.state();
        state.ends = None;
        state.clients.close(None, Closed::Shutdown);
    }

    /// What the agents do now.
    pub fn presence(&self) -> Presence {
        self.0.state().presence.clone()
    }

    /// The counters as of now.
    pub fn counts(&self) -> Counts {
        let counters = &self.0.counters;
        Counts {
            clients: self.0.state().clients.len() as u64,
            frames: counters.frames.read(),
            late_events: counters.late_events.read(),
            lost_events: counters.lost_events.read(),
            waiting_events: counters.waiting_events.read(),
            unconfirmed_leads: counters.unconfirmed_leads.read(),
            partial_cards: counters.partial_cards.read(),
            slow_clients: counters.slow_clients.read(),
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }

    pub(crate) fn roster(&self) -> Arc<Roster> {
        Arc::clone(&self.0.state().roster)
    }

    pub(crate) fn set_ends(&self, ends: mpsc::Sender<(EffectId, EffectEnd)>) {
        self.0.state().ends = Some(ends);
    }

    pub(crate) fn detach(&self, no: ClientNo) {
        self.0.state().clients.remove(no);
    }

    /// Whether anybody connected would receive the frames of such a call.
    pub(crate) fn has_listener(&self, audience: Option<&Audience>) -> bool {
        let state = self.0.state();
        match audience {
            Some(audience) => !state.clients.audience(audience).is_empty(),
            None => state.clients.len() > 0,
        }
    }

    /// See [`Screens::announce`].
    pub(crate) fn announce(
        &self,
        effect: EffectId,
        agent: UserId,
        attempt: u16,
    ) -> Option<EffectEnd> {
        let mut state = self.0.state();
        state.screens.announce(effect, agent, attempt, clock::utc())
    }

    /// Hands out facts. Those with places must come in the order of the journal. False if somebody
    /// would receive them and not everything was asked for; then nothing was handed out.
    pub(crate) fn publish(&self, publication: &Publication<'_>) -> bool {
        let mut state = self.0.state();
        let receivers = state.clients.audience(publication.audience);
        let unknown = !publication.audience_known && state.clients.len() > 0;
        if unknown || (!publication.card_known && !receivers.is_empty()) {
            return false;
        }
        for (n, event) in publication.events.iter().enumerate() {
            let seq = publication.seqs.and_then(|seqs| seqs.get(n).copied());
            let reached = if receivers.is_empty() || !frame::is_frame(&event.kind) {
                Vec::new()
            } else {
                self.0
                    .publish_event(&mut state, event, seq, publication, &receivers)
            };
            if !publication.again {
                state.follow_offer(event, &reached);
            }
            if let Some(seq) = seq {
                state.published = state.published.max(seq);
            }
        }
        true
    }
}

impl Hub {
    /// What the journal holds up to `until` and has not been handed out: the place behind which that
    /// begins. None if there is nothing, or nobody to hand it to.
    pub(crate) fn untold(&self, until: i64) -> Option<i64> {
        let mut state = self.0.state();
        if state.published >= until {
            return None;
        }
        if state.clients.len() > 0 {
            return Some(state.published);
        }
        state.published = until;
        None
    }

    /// Hands out entries read from the journal, which are all there are up to `until`.
    pub(crate) fn publish_entries(&self, entries: &[Journalled<Event>], until: i64) {
        for entry in entries.iter().filter(|entry| entry.seq <= until) {
            self.publish(&Publication {
                events: std::slice::from_ref(&entry.event),
                seqs: Some(&[entry.seq]),
                audience: &entry.audience,
                audience_known: true,
                card_known: true,
                facts: &OfferFacts::default(),
                card: None,
                again: false,
            });
        }
        let mut state = self.0.state();
        state.published = state.published.max(until);
    }

    /// What stands in the journal up to `until` cannot be read: every client is to come back with its
    /// cursor and read it then.
    pub(crate) fn give_up(&self, until: i64) {
        let mut state = self.0.state();
        state.clients.close(None, Closed::Unavailable);
        state.published = state.published.max(until);
    }
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells agents what they do themselves.
    fn tell_own(&self) {
        let mut state = self.state();
        for agent in std::mem::take(&mut state.untold.own) {
            let own = state.clients.of(agent).to_vec();
            if let Some(change) = state.presence.state(agent).filter(|_| !own.is_empty()) {
                let frame = frame::write_agents(&[change]);
                self.hand_out(&mut state, &own, &frame);
            }
            state.untold.others.insert(agent);
        }
    }

    /// One frame with all states that changed since the last one.
    fn tell_others(&self) {
        let mut state = self.state();
        let untold = std::mem::take(&mut state.untold.others);
        let changes: Vec<_> = untold
            .iter()
            .filter_map(|agent| state.presence.state(*agent))
            .collect();
        // Whoever is the only one to have changed was told already.
        let known_to = match changes[..] {
            [] => return,
            [only] => Some(only.agent),
            _ => None,
        };
        let most = self.settings.most_clients_for_presence;
        let receivers = state.clients.presence(most, known_to);
        if !receivers.is_empty() {
            let frame = frame::write_agents(&changes);
            self.hand_out(&mut state, &receivers, &frame);
        }
    }

    /// Writes and hands out one frame; the users it reached.
    fn publish_event(
        &self,
        state: &mut State,
        event: &Event,
        seq: Option<i64>,
        publication: &Publication<'_>,
        receivers: &[ClientNo],
    ) -> Vec<UserId> {
        let journal = &self.deps.journal;
        let cursor = seq.map(|seq| Cursor {
            epoch: journal.epoch(),
            node: journal.node(),
            seq,
        });
        let (facts, card) = (publication.facts, publication.card);
        let text = frame::write(event, cursor, facts, card, &state.roster);
        self.hand_out(state, receivers, &text)
    }

    fn hand_out(
        &self,
        state: &mut State,
        receivers: &[ClientNo],
        text: &frame::Text,
    ) -> Vec<UserId> {
        let mut reached = Vec::with_capacity(receivers.len());
        for no in receivers {
            let Some(user) = state.clients.user(*no) else {
                continue;
            };
            if state.clients.send(*no, text) {
                reached.push(user);
            } else {
                self.counters.slow_clients.add(1);
                tracing::warn!(%user, "client closed: too many frames wait for it");
            }
        }
        self.counters.frames.add(reached.len());
        reached
    }
}

impl State {
    /// Keeps track of the card that is on its way to a screen.
    fn follow_offer(&mut self, event: &Event, reached: &[UserId]) {
        match event.kind {
            EventKind::Offered { agent, attempt, .. } => {
                let clients = reached.iter().filter(|user| **user == agent).count();
                let clients = u32::try_from(clients).unwrap_or(u32::MAX);
                let offer = (agent, attempt);
                self.screens.sent(event.call, offer, clients, clock::utc());
            }
            EventKind::Ringing { .. } | EventKind::OfferEnded { .. } | EventKind::Ended { .. } => {
                self.screens.close(event.call);
            }
            _ => {}
        }
    }
}
