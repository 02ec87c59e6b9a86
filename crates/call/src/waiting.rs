//! A caller who waits in the queue (R4): answered with music, told the place, offered to whoever becomes free, called
//! back at a key, and sent home at last.

use std::time::Duration;

use model::{DialogSnapshot, Flag, Priority, Queue, UserId};

use crate::{
    Cause, Effect, EventKind, LegNo, OfferEnd, Output, Party, Turn, Words,
    call::{Call, Context, State},
    offer::Offer,
};

/// Whoever did not take a call that waits is not offered it again for so long.
pub(crate) const REST: Duration = Duration::from_secs(30);
/// Somebody who seemed free is not: so long until the next look.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);
/// Longest time for the last words, which the media plane reports as said.
const FAREWELL: Duration = Duration::from_secs(20);
/// No last words are shorter.
const MOMENT: Duration = Duration::from_secs(1);
/// The key that orders a call back.
const CALL_BACK: char = '1';

/// The stay in the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stay {
    since: Duration,
    /// Somebody seemed free and was asked for.
    looked: bool,
    /// When the place is told next, and how often.
    pub(crate) words_at: Duration,
    words_every: Duration,
    /// Till when at most.
    until: Duration,
}

impl Stay {
    pub(crate) fn next_wake(self) -> Duration {
        self.words_at.min(self.until)
    }
}

impl Call {
    fn queue(&self) -> Option<Queue> {
        self.service()?.queue
    }

    fn priority(&self) -> Priority {
        let flags = || self.caller.matches.iter().flat_map(|it| it.flags.iter());
        if flags().any(|flag| *flag == Flag::Undesirable) {
            Priority::Last
        } else if flags().any(|flag| matches!(flag, Flag::Vip | Flag::Core)) {
            Priority::First
        } else {
            Priority::Usual
        }
    }

    /// Nobody is free: the caller waits, or goes on waiting; false if the line has no queue.
    pub(crate) fn wait(&mut self, context: &Context<'_>) -> bool {
        let now = context.now.mono;
        if let Some(stay) = &mut self.stay {
            let looked = std::mem::take(&mut stay.looked);
            self.wait_on(context, if looked { now + PAUSE } else { now });
        } else if self.queue().is_some() {
            self.state = State::Entering;
            let turn = self.turn(now, now);
            self.outputs.push_back(Output::EnterQueue(turn));
        } else {
            return false;
        }
        true
    }

    /// Whether there is room, in which place, and what a restart needs once the line is answered.
    pub(crate) fn may_enter(
        &mut self,
        context: &mut Context<'_>,
        place: Option<u32>,
        snapshot: DialogSnapshot,
    ) {
        if self.state != State::Entering {
            return;
        }
        let Some(place) = place else {
            return self.nobody(context, Cause::NobodyFree);
        };
        let (Some(queue), now) = (self.queue(), context.now.mono) else {
            return;
        };
        self.stay = Some(Stay {
            since: now,
            looked: false,
            words_at: now + queue.announce_every(),
            words_every: queue.announce_every(),
            until: now + queue.most_wait(),
        });
        let queued = EventKind::Queued {
            place,
            priority: self.priority(),
            explanation: self.explanation.clone(),
            snapshot,
        };
        let mut facts = vec![queued];
        if !self.answered {
            facts.insert(0, EventKind::LineAnswered);
        }
        let effect = self.commit(context, facts);
        self.state = State::Queueing { effect };
    }

    /// The journal knows: the caller is answered and hears the first words.
    pub(crate) fn queued(&mut self, context: &Context<'_>) {
        if !std::mem::replace(&mut self.answered, true) {
            self.outputs.push_back(Output::AnswerCaller);
        }
        self.wait_on(context, context.now.mono);
        self.say(Words::Welcome);
    }

    /// The caller takes a place, or the old one again.
    fn wait_on(&mut self, context: &Context<'_>, not_before: Duration) {
        let Some(stay) = self.stay else { return };
        let now = context.now.mono;
        self.tried.retain(|(_, until)| *until > now);
        let turn = self.turn(stay.since, not_before);
        self.outputs.push_back(Output::Wait(turn));
        self.state = State::Waiting;
    }

    fn turn(&self, since: Duration, not_before: Duration) -> Turn {
        Turn {
            priority: self.priority(),
            since,
            managers: self.managers(),
            resting: self.tried.clone(),
            not_before,
        }
    }

    /// A number or a client to be called back is known.
    fn offers_call_back(&self) -> bool {
        let known = !self.caller.number.is_empty() || !self.caller.matches.is_empty();
        // Whoever has talked already is owed nothing, and nobody would call back.
        let waits_first = known && self.transfer.is_none();
        waits_first && self.queue().is_some_and(|queue| queue.offers_call_back)
    }

    pub(crate) fn say(&mut self, words: Words) {
        let call_back = self.offers_call_back();
        self.outputs.push_back(Output::Say { words, call_back });
    }

    fn managers(&self) -> Vec<UserId> {
        let matches = self.caller.matches.iter();
        matches.filter_map(|it| it.manager).collect()
    }

    /// The last agent was asked: that one rests from this call.
    pub(crate) fn rest(&mut self, until: Duration) {
        if let Some((_, rests)) = self.tried.last_mut() {
            *rests = until;
        }
    }

    /// It is known now who waits.
    pub(crate) fn wait_as_known(&mut self, context: &Context<'_>) {
        if self.state == State::Waiting {
            self.wait_on(context, context.now.mono);
        }
    }

    /// Somebody is free for this caller.
    pub(crate) fn freed(&mut self, context: &Context<'_>) {
        if self.state == State::Waiting {
            let now = context.now.mono;
            self.tried.retain(|(_, until)| *until > now);
            if let Some(stay) = &mut self.stay {
                stay.looked = true;
            }
            self.decide();
        }
    }

    /// The next agent is looked for, unless the caller has waited too long meanwhile.
    pub(crate) fn look_on(&mut self, context: &mut Context<'_>) {
        let now = context.now.mono;
        match &mut self.stay {
            Some(stay) if stay.until <= now => self.nobody(context, Cause::WaitedTooLong),
            Some(stay) => {
                stay.looked = false;
                self.decide();
            }
            None => self.decide(),
        }
    }

    /// Time passes in the queue.
    pub(crate) fn waited(&mut self, context: &mut Context<'_>) {
        let now = context.now.mono;
        match (&self.state, &mut self.stay) {
            (State::Farewell { until, cause, by }, _) if *until <= now => {
                let (cause, by) = (*cause, *by);
                self.end(context, cause, by);
            }
            (State::Waiting, Some(stay)) if stay.until <= now => {
                self.nobody(context, Cause::WaitedTooLong);
            }
            (State::Waiting | State::Ringing { .. }, Some(stay)) if stay.words_at <= now => {
                stay.words_at = now + stay.words_every;
                self.say(Words::Place);
            }
            _ => {}
        }
    }

    /// A key: who does not want to wait is called back.
    pub(crate) fn key(&mut self, context: &mut Context<'_>, key: char) {
        let waits = matches!(
            self.state,
            State::Waiting
                | State::Reserving { .. }
                | State::Offering { .. }
                | State::Announcing { .. }
                | State::Ringing { .. }
        );
        if waits && self.stay.is_some() && key == CALL_BACK && self.offers_call_back() {
            let why = (Cause::CallBackWanted, Party::Client);
            return self.say_farewell(context, Words::CallBack, why);
        }
        self.key_at_reception(context, key);
    }

    /// The last words were said.
    pub(crate) fn said(&mut self, context: &mut Context<'_>, leg: LegNo) {
        if self.place_was_told(context, leg) {
            return;
        }
        let State::Farewell { until, cause, by } = self.state else {
            if leg == LegNo::CALLER {
                self.told(context);
            }
            return;
        };
        // What is told of within a moment is the end of what was said before.
        let begun = context.now.mono + FAREWELL >= until + MOMENT;
        if begun && leg == LegNo::CALLER {
            self.end(context, cause, by);
        }
    }

    pub(crate) fn say_farewell(
        &mut self,
        context: &mut Context<'_>,
        words: Words,
        why: (Cause, Party),
    ) {
        self.withdraw_offer(context);
        self.leave_queue();
        self.say(words);
        let (cause, by) = why;
        self.state = State::Farewell {
            until: context.now.mono + FAREWELL,
            cause,
            by,
        };
    }

    /// The telephones that ring stop, and their agent is free.
    pub(crate) fn withdraw_offer(&mut self, context: &mut Context<'_>) {
        self.drop_device_legs(None);
        let reserving = matches!(self.state, State::Reserving { .. });
        let Some(Offer { agent, .. }) = self.offer.take() else {
            return;
        };
        self.free_agent(agent, false);
        self.effect(context, Effect::Release { agent });
        if !reserving {
            let end = OfferEnd::CallerGone;
            self.commit(context, vec![EventKind::OfferEnded { agent, end }]);
        }
    }

    pub(crate) fn leave_queue(&mut self) {
        if self.stay.take().is_some() {
            self.outputs.push_back(Output::LeaveQueue);
        }
    }

    /// Why the call ends when an answered caller who talks to nobody hangs up.
    pub(crate) fn abandoned(&self, cause: Cause) -> Cause {
        match (&self.state, cause) {
            (State::Farewell { cause, .. }, _) => *cause,
            (State::Message { .. }, _) => Cause::MessageLeft,
            (_, Cause::HungUp) => Cause::CallerCancelled,
            _ => cause,
        }
    }
}
