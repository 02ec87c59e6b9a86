//! The conversation and its end: hold, hang-up, and what is left to do afterwards.

use std::{sync::Arc, time::Duration};

use model::{RecordingGap, UserId};

use crate::{
    Bridge, Cause, Effect, EventKind, LegNo, OfferEnd, Origin, Output, Party, RecordingSummary,
    call::{Call, Context, State},
    transfer::Transfer,
};

/// Gaps of a recording whose places are kept; their sum counts them all.
const MOST_GAPS: usize = 100;

impl Call {
    pub(crate) fn held(&mut self, context: &mut Context<'_>, leg: LegNo, held: bool) {
        let during_transfer = self.transfer.map(|transfer| transfer.bridge);
        let legs = match self.bridge().or(during_transfer) {
            Some(bridge) => self.present(bridge),
            None if self.answered => vec![LegNo::CALLER],
            None => return,
        };
        if !legs.contains(&leg) || self.holders.contains(&leg) == held {
            return;
        }
        if held {
            self.holders.push(leg);
            self.probes.start(context.now.mono, &legs);
        } else {
            self.holders.retain(|holder| *holder != leg);
            if self.holders.is_empty() {
                self.probes.stop();
            }
        }
        let by = self.party(leg);
        self.commit(context, vec![EventKind::Held { by, held }]);
    }

    /// The legs of a bridge without one that has left.
    fn present(&self, bridge: Bridge) -> Vec<LegNo> {
        let mut legs = self.talking(bridge);
        if self.transfer.is_some() && self.transferor().is_none() {
            legs.pop();
        }
        legs
    }

    /// Other legs talk now: whoever is on hold is asked for, and nobody else.
    pub(crate) fn probe_bridge(&mut self, context: &Context<'_>, bridge: Bridge) {
        self.probes.stop();
        if !self.holders.is_empty() {
            let legs = self.talking(bridge);
            self.probes.start(context.now.mono, &legs);
        }
    }

    /// The legs that talk, a third party's included.
    fn talking(&self, bridge: Bridge) -> Vec<LegNo> {
        let two = [bridge.client, bridge.agent].into_iter();
        two.chain(self.conference.leg()).collect()
    }

    /// Who talks, or is about to.
    pub(crate) fn bridge(&self) -> Option<Bridge> {
        match self.state {
            State::Talking { bridge } | State::Answering { bridge, .. } => Some(bridge),
            _ => None,
        }
    }

    pub(crate) fn leg_hung_up(
        &mut self,
        context: &mut Context<'_>,
        leg: LegNo,
        cause: Cause,
        by: Party,
    ) {
        if self.left_during_transfer(context, leg, (cause, by))
            || self.left_conference(context, leg)
        {
            return;
        }
        if leg == LegNo::CALLER && self.answered && self.bridge().is_none() {
            let cause = self.abandoned(cause);
            return self.end(context, cause, by);
        }
        if self.bridge().is_some_and(|bridge| bridge.has(leg))
            || leg == LegNo::CALLER
            || self.placing.agent() == Some(leg)
        {
            self.end(context, cause, by);
        } else if self.placing.leg() == Some(leg) {
            self.refused(context, leg, cause, true);
        } else {
            // Whoever was asked to press a key is answered already.
            self.outputs.push_back(Output::DropLeg(leg));
            self.leg_failed(context, leg, OfferEnd::Unreachable);
        }
    }

    /// Ends the call: legs and media at once, the agent freed in the same step, then the commit.
    pub(crate) fn end(&mut self, context: &mut Context<'_>, cause: Cause, by: Party) {
        if !self.is_open() {
            return;
        }
        let talked = self.has_talk();
        // Nothing is to be written down after a test of the telephone.
        let wraps_up = talked && !matches!(self.origin, Origin::Echo(_));
        self.probes.stop();
        if self.recording.stop(context.now.mono) {
            self.outputs.push_back(Output::StopRecording);
        }
        let mut kinds = Vec::with_capacity(2);
        let agent = self.offer.as_ref().map(|offer| offer.agent);
        if let (
            State::Offering { .. } | State::Announcing { .. } | State::Ringing { .. },
            Some(agent),
        ) = (&self.state, agent)
        {
            kinds.push(EventKind::OfferEnded {
                agent,
                end: OfferEnd::CallerGone,
            });
        }
        self.drop_legs();
        self.leave_queue();
        if agent.is_none() && !talked && !self.explanation.considered.is_empty() {
            kinds.push(EventKind::RouteExhausted {
                explanation: Arc::clone(&self.explanation),
            });
        }
        let talked_until = self.talked_until(context.now.utc);
        // Who talked has the conversation, whoever was offered it meanwhile.
        let from = self.transfer.map(Transfer::from);
        let talked_with = self.talker.or(from).filter(|_| talked);
        self.transfer = None;
        self.parking = None;
        let talker = self.talker.take();
        let offered = self.offer.take().map(|offer| offer.agent);
        let guest = self.conference.agent();
        let mut agents: Vec<UserId> = [offered, talker, guest, self.own_agent()]
            .into_iter()
            .flatten()
            .collect();
        agents.sort_unstable();
        agents.dedup();
        for agent in agents {
            let took_part = [talker, guest, self.own_agent()].contains(&Some(agent));
            self.free_agent(agent, wraps_up && took_part);
            self.effect(context, Effect::Release { agent });
        }
        let now = context.now.utc;
        let started_at = self.started_at.filter(|_| talked);
        kinds.push(EventKind::Ended {
            cause,
            by,
            agent: talked_with.or(self.last_offered),
            talk_ms: started_at.map_or(0, |started| millis(talked_until.since(started))),
            wait_ms: millis(started_at.unwrap_or(now).since(self.arrived_at)),
            missed: !talked,
        });
        let reject = match (talked || self.answered, cause) {
            (true, _) | (_, Cause::CallerCancelled) => None,
            (false, cause) => Some(cause.sip_status()),
        };
        if reject.is_none() {
            self.outputs.push_back(Output::DropCaller);
        }
        let effect = self.commit(context, kinds);
        self.state = State::Ending { effect, reject };
    }

    /// A conversation runs, even if somebody waits for the other party in it.
    pub(crate) fn has_talk(&self) -> bool {
        let talks = matches!(self.state, State::Talking { .. } | State::Echoing { .. });
        talks || self.transfer.is_some()
    }

    /// Lets go of every leg but the caller's.
    fn drop_legs(&mut self) {
        match self.bridge() {
            Some(bridge) => {
                let legs = self.talking(bridge).into_iter();
                let legs = legs.filter(|leg| *leg != LegNo::CALLER);
                self.outputs.extend(legs.map(Output::DropLeg));
            }
            None => {
                self.drop_device_legs(None);
                let legs = [
                    self.placing.leg(),
                    self.placing.agent(),
                    self.transferor().filter(|leg| *leg != LegNo::CALLER),
                ];
                let legs = legs.into_iter().flatten();
                self.outputs.extend(legs.map(Output::DropLeg));
                self.drop_outside();
            }
        }
    }

    /// Notes where the file is silent. A long gap is told in parts, and is one all the same.
    pub(crate) fn recording_gap(&mut self, gap: RecordingGap) {
        let room = self.gaps.len() < MOST_GAPS;
        match self.gaps.last_mut() {
            Some(last) if last.at_ms + last.length_ms == gap.at_ms && last.reason == gap.reason => {
                last.length_ms += gap.length_ms;
            }
            _ if room => self.gaps.push(gap),
            _ => {}
        }
    }

    pub(crate) fn recording_closed(
        &mut self,
        context: &mut Context<'_>,
        summary: RecordingSummary,
    ) {
        if !self.recording.close() {
            return;
        }
        let RecordingSummary {
            file,
            length_ms,
            bytes,
            gaps_ms,
            error,
        } = summary;
        let ready = EventKind::RecordingReady {
            file,
            length_ms,
            bytes,
            gaps_ms,
            gaps: std::mem::take(&mut self.gaps),
            error,
        };
        self.commit(context, vec![ready]);
    }

    /// The call is over once it has ended, its effects have, and its recording is closed.
    pub(crate) fn finish(&mut self) {
        let done = self.state == State::Ended && self.ledger.open() == 0;
        if done && self.recording.is_closed() {
            self.state = State::Over;
            self.outputs.push_back(Output::Over);
        }
    }
}

pub(crate) fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
