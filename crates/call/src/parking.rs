//! A client is parked (T3): put into a numbered place with music until anybody takes them out. To the call that is a transfer
//! to whoever comes; if nobody does, the client goes back to whoever parked them, and then by the usual rules.

use std::time::Duration;

use model::{DialogSnapshot, Rule, UserId, Utc};

use crate::{
    Cause, EventKind, LegNo, Origin, Output, Party, Picker,
    call::{Call, Context, State},
    transfer::{Course, MOST_ATTEMPTS, Transfer},
};

/// Longest time for telling the place, which the media plane reports as told.
const WORDS: Duration = Duration::from_secs(10);
/// A telephone lets its owner hear what came a moment ago.
const ECHO: Duration = Duration::from_millis(500);

/// The stay in a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parking {
    place: u8,
    since: Utc,
    /// Till when somebody may take the client out.
    until: Duration,
    /// Whoever parked the client is being told the place.
    words_until: Option<Duration>,
}

impl Call {
    /// The place that the client has, also while somebody is about to take them out.
    pub fn parked_at(&self) -> Option<u8> {
        self.parking.map(|parking| parking.place)
    }

    /// The place where the client waits for somebody to take them out.
    pub fn waits_at(&self) -> Option<u8> {
        let waits = matches!(self.state, State::Parked { .. });
        self.parked_at().filter(|_| waits)
    }

    /// A party wants the client parked. `ordered` says that no telephone asked for it.
    pub(crate) fn park(&mut self, leg: LegNo, ordered: bool) {
        let (State::Talking { bridge }, true, Some(from)) =
            (&self.state, self.may_transfer(leg), self.talker)
        else {
            return;
        };
        let mut transfer = Transfer::to_one_who_was_asked(*bridge, from, from);
        transfer.course = Course::Fetched;
        if ordered {
            transfer.is_ordered();
        }
        self.transfer = Some(transfer);
        self.state = State::Parking;
        self.outputs.push_back(Output::Park);
    }

    /// Which place it is, for how long, and what a restart needs.
    pub(crate) fn may_park(
        &mut self,
        context: &mut Context<'_>,
        place: Option<u8>,
        keep: Duration,
        snapshot: DialogSnapshot,
    ) {
        let (State::Parking, Some(transfer)) = (&self.state, self.transfer) else {
            return;
        };
        let (bridge, by) = (transfer.bridge, transfer.from());
        let Some(place) = place else {
            self.tell_transferor(486);
            self.transfer = None;
            self.state = State::Talking { bridge };
            return;
        };
        let held = self.holders.contains(&bridge.agent);
        self.holders.retain(|holder| *holder == bridge.client);
        self.probes.stop();
        if !self.holders.is_empty() {
            self.probes.start(context.now.mono, &[bridge.client]);
        }
        (self.offer, self.last_end) = (None, None);
        self.answered = true;
        let until = context.now.mono + keep;
        // Whoever has the client on hold hears nothing.
        let told = !held && !transfer.is_told_on_a_screen();
        self.parking = Some(Parking {
            place,
            since: context.now.utc,
            until,
            words_until: told.then_some(context.now.mono + WORDS),
        });
        let parked = EventKind::Parked {
            by,
            place,
            snapshot,
        };
        let back = held.then_some(EventKind::Held {
            by: Party::Agent,
            held: false,
        });
        self.commit(
            context,
            [Some(parked), back].into_iter().flatten().collect(),
        );
        self.outputs.push_back(Output::PlayMusic(bridge.client));
        self.state = State::Parked { until };
        if told {
            let leg = bridge.agent;
            return self.outputs.push_back(Output::TellPlace { leg, place });
        }
        self.who_parked_leaves(context);
    }

    /// Whoever parked the client has nothing more to do with the call.
    fn who_parked_leaves(&mut self, context: &mut Context<'_>) {
        if let Some(parking) = &mut self.parking {
            parking.words_until = None;
        }
        self.tell_transferor(200);
        if let Some(leg) = self.transferor() {
            self.transferor_left(context, leg);
        }
    }

    /// The place was told to whoever parked the client; false if it was not that.
    pub(crate) fn place_was_told(&mut self, context: &Context<'_>, leg: LegNo) -> bool {
        let tells = self.parking.is_some_and(|it| it.words_until.is_some());
        let theirs = tells && self.transferor() == Some(leg);
        if let Some(parking) = self.parking.as_mut().filter(|_| theirs) {
            let soon = context.now.mono + ECHO;
            parking.words_until = parking.words_until.map(|until| until.min(soon));
        }
        theirs
    }

    /// When time matters to a parked call.
    pub(crate) fn parking_wake(&self) -> Option<Duration> {
        let parking = self.parking?;
        let waits = matches!(self.state, State::Parked { .. });
        let until = waits.then_some(parking.until);
        until.into_iter().chain(parking.words_until).min()
    }

    /// Time passes in the place.
    pub(crate) fn stayed(&mut self, context: &mut Context<'_>) {
        let now = context.now.mono;
        let words = self.parking.and_then(|parking| parking.words_until);
        if words.is_some_and(|until| until <= now) {
            self.who_parked_leaves(context);
        }
        match self.state {
            State::Parked { until } if until <= now => self.unclaimed(context),
            _ => {}
        }
    }

    /// Nobody has come: back to whoever parked the client.
    fn unclaimed(&mut self, context: &mut Context<'_>) {
        self.who_parked_leaves(context);
        if let Some(parking) = self.parking.take() {
            let place = parking.place;
            self.commit(context, vec![EventKind::Unclaimed { place }]);
        }
        self.last_end = None;
        if let Some(transfer) = &mut self.transfer {
            transfer.course = Course::Unclaimed;
        }
        self.decide();
    }

    /// Somebody dialled the place.
    pub(crate) fn retrieved(&mut self, context: &mut Context<'_>, picker: Picker) {
        let Some(by) = self.begin_retrieval(picker.agent) else {
            self.free_agent(picker.agent, false);
            return self.outputs.push_back(Output::DropLeg(picker.leg));
        };
        self.offer_to_dialler(context, picker, Rule::Retrieved { by }, Vec::new());
    }

    /// Somebody at a screen wants the client: their own telephones ring.
    pub(crate) fn retrieve(&mut self, agent: UserId) {
        if self.begin_retrieval(agent).is_some() {
            self.decide();
        }
    }

    /// Who parked the client, if somebody may come for them.
    fn begin_retrieval(&mut self, agent: UserId) -> Option<UserId> {
        self.waits_at()?;
        if self.attempts >= MOST_ATTEMPTS {
            return None;
        }
        let transfer = self.transfer.as_mut()?;
        transfer.goes_to(agent);
        self.last_end = None;
        Some(transfer.from())
    }

    /// Whoever came for the client did not take them: they wait on, go to somebody else, or nowhere; false if this is no
    /// matter of parking.
    pub(crate) fn stays_parked(&mut self, context: &mut Context<'_>) -> bool {
        if let Some(parking) = self.parking {
            self.last_end = None;
            self.state = State::Parked {
                until: parking.until,
            };
            return true;
        }
        let Some(transfer) = &mut self.transfer else {
            return false;
        };
        match (transfer.course, &self.origin) {
            (Course::HandedOver, _) => return false,
            (Course::Anybody, _) => self.look_on(context),
            (_, Origin::Inbound(_)) => {
                transfer.course = Course::Anybody;
                self.decide();
            }
            // A line's agents answer only for those who called it.
            _ => self.end(context, Cause::NobodyAnswered, Party::System),
        }
        true
    }

    /// Whoever is qualified comes into question.
    pub(crate) fn seeks_anybody(&self) -> bool {
        let anybody = |transfer: Transfer| transfer.course == Course::Anybody;
        self.transfer.is_none_or(anybody)
    }

    /// Why the call ends when a client hangs up who is parked.
    pub(crate) fn left_place(&self, cause: Cause) -> Cause {
        match (self.parking, cause) {
            (Some(_), Cause::HungUp) => Cause::LeftWhileParked,
            _ => cause,
        }
    }

    /// The moment up to which the conversation counts as one.
    pub(crate) fn talked_until(&self, now: Utc) -> Utc {
        self.parking.map_or(now, |parking| parking.since)
    }
}
