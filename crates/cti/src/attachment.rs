//! One connected client's frames: first the past it asked for, then the present.

use std::{collections::VecDeque, ops::Range};

use call::{Event, EventKind, OfferEnd};
use crm::{Call, Direction, Journalled, Route};
use model::{Rule, UserId};
use tokio::sync::mpsc;

use crate::{
    Hub,
    card::PastOffer,
    clients::{ClientNo, Closed, Door, Viewer},
    cursor::Cursor,
    frame::{self, OfferFacts, Text},
};

/// How many entries of the journal are read at a time.
const PAGE: u32 = 200;

/// A connection to the [`Hub`]; dropping it disconnects.
pub struct Attachment {
    hub: Hub,
    no: ClientNo,
    viewer: Viewer,
    door: Door,
    resync: Option<Text>,
    /// Journal entries that are still to be read: behind the start, up to the end.
    past: Range<i64>,
    page: VecDeque<Journalled<Event>>,
    opening: VecDeque<Text>,
    live: mpsc::Receiver<Text>,
}

impl Attachment {
    pub(crate) fn new(
        hub: Hub,
        (no, viewer, door): (ClientNo, Viewer, Door),
        resync: Option<Text>,
        past: Range<i64>,
        opening: Vec<Text>,
        live: mpsc::Receiver<Text>,
    ) -> Self {
        Self {
            hub,
            no,
            viewer,
            door,
            resync,
            past,
            page: VecDeque::new(),
            opening: opening.into(),
            live,
        }
    }

    /// Whose connection it is.
    pub fn viewer(&self) -> Viewer {
        self.viewer
    }

    /// The next frame. May be cancelled at any await without losing one.
    ///
    /// # Errors
    /// The reason why the connection is to be closed.
    pub async fn next(&mut self) -> Result<Text, Closed> {
        if let Some(reason) = self.door.reason() {
            return Err(reason);
        }
        if let Some(frame) = self.resync.take() {
            return Ok(frame);
        }
        if let Some(frame) = self.next_past().await? {
            return Ok(frame);
        }
        if let Some(frame) = self.opening.pop_front() {
            return Ok(frame);
        }
        match self.live.recv().await {
            Some(frame) => Ok(frame),
            None => Err(self.door.reason().unwrap_or(Closed::Shutdown)),
        }
    }

    /// The next frame if one is waiting already, so that several can be written at once.
    pub fn try_next(&mut self) -> Option<Text> {
        let past_is_done = self.resync.is_none() && self.page.is_empty() && self.past.is_empty();
        if !past_is_done || self.door.reason().is_some() {
            return None;
        }
        self.opening
            .pop_front()
            .or_else(|| self.live.try_recv().ok())
    }

    async fn next_past(&mut self) -> Result<Option<Text>, Closed> {
        loop {
            while let Some(entry) = self.page.front() {
                let frame = if self.concerns(entry) {
                    Some(self.write(entry).await?)
                } else {
                    None
                };
                // Only now: if the await above is cancelled, the entry is written again.
                self.page.pop_front();
                if frame.is_some() {
                    return Ok(frame);
                }
            }
            if self.past.is_empty() {
                return Ok(None);
            }
            let journal = &self.hub.shared().deps.journal;
            let page = journal.read_after(self.past.start, PAGE).await;
            let page = page.map_err(|error| self.unavailable(&error))?;
            let end = self.past.end;
            self.past.start = page.last().map_or(end, |last| last.seq);
            self.page
                .extend(page.into_iter().filter(|entry| entry.seq <= end));
        }
    }

    fn concerns(&self, entry: &Journalled<Event>) -> bool {
        let admitted = self.viewer.sees_all() || entry.audience.admits(self.viewer.user);
        admitted && frame::is_frame(&entry.event.kind)
    }

    /// Writes the frame of a past fact; a card is as of now.
    async fn write(&self, entry: &Journalled<Event>) -> Result<Text, Closed> {
        let deps = &self.hub.shared().deps;
        let (mut facts, mut card) = (OfferFacts::default(), None);
        if frame::shows_card(&entry.event.kind) {
            facts = self.facts(&entry.event).await?;
            let read = deps.base.cards().card(&facts.caller).await;
            card = Some(read.map_err(|error| self.unavailable(&error))?);
        }
        let cursor = Cursor {
            epoch: deps.journal.epoch(),
            node: deps.journal.node(),
            seq: entry.seq,
        };
        let roster = self.hub.roster();
        let event = &entry.event;
        Ok(frame::write(
            event,
            Some(cursor),
            &facts,
            card.as_ref(),
            &roster,
        ))
    }

    /// What the card of a past offer needs: who called which line, and the offers before it.
    async fn facts(&self, event: &Event) -> Result<OfferFacts, Closed> {
        let calls = self.hub.shared().deps.base.calls();
        let route = calls.route(event.call).await;
        let route = route.map_err(|error| self.unavailable(&error))?;
        let call = calls.read(event.call).await;
        let call = call.map_err(|error| self.unavailable(&error))?;
        let before = match event.kind {
            EventKind::Offered { attempt, .. } => attempt,
            _ => 0,
        };
        let earlier = route.offers.iter().filter(|offer| offer.attempt < before);
        let previous = earlier.filter_map(|offer| {
            Some(PastOffer {
                agent: offer.agent,
                end: offer_end(offer.end.as_deref()?)?,
            })
        });
        Ok(OfferFacts {
            previous: previous.collect(),
            colleagues: colleagues(&call, &route),
            caller: route.caller.into(),
            line: call.line,
        })
    }

    fn unavailable(&self, error: &crm::Error) -> Closed {
        tracing::warn!(user = %self.viewer.user, %error, "past events cannot be read");
        Closed::Unavailable
    }
}

/// Who called whom, if both are colleagues.
fn colleagues(call: &Call, route: &Route) -> Option<[UserId; 2]> {
    let with = |rule| route.offers.iter().find(|offer| offer.rule == rule);
    let internal = call.direction == Direction::Internal;
    let (caller, callee) = (with(Rule::Caller)?, with(Rule::Dialled)?);
    internal.then_some([caller.agent, callee.agent])
}

fn offer_end(name: &str) -> Option<OfferEnd> {
    serde_json::from_value(serde_json::Value::from(name)).ok()
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.hub.detach(self.no);
    }
}
