//! The conversation and its end: hold, hang-up, and what is left to do afterwards.

use std::{sync::Arc, time::Duration};

use model::RecordingGap;

use crate::{
    Cause, Effect, EventKind, LegNo, OfferEnd, Output, Party, RecordingSummary,
    call::{Call, Context, State},
};

/// Gaps of a recording whose places are kept; their sum counts them all.
const MOST_GAPS: usize = 100;

impl Call {
    pub(crate) fn held(&mut self, context: &mut Context<'_>, leg: LegNo, held: bool) {
        let (State::Talking { leg: device } | State::Answering { leg: device, .. }) = self.state
        else {
            return;
        };
        if (leg != device && leg != LegNo::CALLER) || self.holders.contains(&leg) == held {
            return;
        }
        if held {
            self.holders.push(leg);
            self.probes.start(context.now.mono, [LegNo::CALLER, device]);
        } else {
            self.holders.retain(|holder| *holder != leg);
            if self.holders.is_empty() {
                self.probes.stop();
            }
        }
        self.commit(
            context,
            vec![EventKind::Held {
                by: leg.party(),
                held,
            }],
        );
    }

    pub(crate) fn leg_hung_up(
        &mut self,
        context: &mut Context<'_>,
        leg: LegNo,
        cause: Cause,
        by: Party,
    ) {
        match self.state {
            State::Talking { leg: device } | State::Answering { leg: device, .. }
                if leg == device || leg == LegNo::CALLER =>
            {
                self.end(context, cause, by);
            }
            _ if leg == LegNo::CALLER => self.end(context, cause, by),
            _ => self.leg_failed(context, leg, OfferEnd::Unreachable),
        }
    }

    /// Ends the call: legs and media at once, the agent freed in the same step, then the commit.
    pub(crate) fn end(&mut self, context: &mut Context<'_>, cause: Cause, by: Party) {
        if !self.is_open() {
            return;
        }
        let talked = matches!(self.state, State::Talking { .. });
        let answering = matches!(self.state, State::Answering { .. });
        self.probes.stop();
        if self.recording.stop(context.now.mono) {
            self.outputs.push_back(Output::StopRecording);
        }
        let mut kinds = Vec::with_capacity(2);
        let agent = self.offer.as_ref().map(|offer| offer.agent);
        match (&self.state, agent) {
            (State::Talking { leg } | State::Answering { leg, .. }, _) => {
                self.outputs.push_back(Output::DropLeg(*leg));
            }
            (
                State::Offering { .. } | State::Announcing { .. } | State::Ringing { .. },
                Some(agent),
            ) => {
                kinds.push(EventKind::OfferEnded {
                    agent,
                    end: OfferEnd::CallerGone,
                });
            }
            _ => {}
        }
        if !talked && !answering {
            self.drop_device_legs(None);
        }
        if agent.is_none() && !self.explanation.considered.is_empty() {
            kinds.push(EventKind::RouteExhausted {
                explanation: Arc::clone(&self.explanation),
            });
        }
        if let Some(offer) = self.offer.take() {
            self.free_agent(offer.agent, talked);
            self.effect(context, Effect::Release { agent: offer.agent });
        }
        let now = context.now.utc;
        let started_at = self.started_at.filter(|_| talked);
        kinds.push(EventKind::Ended {
            cause,
            by,
            agent: self.last_offered,
            talk_ms: started_at.map_or(0, |started| millis(now.since(started))),
            wait_ms: millis(started_at.unwrap_or(now).since(self.arrived_at)),
            missed: !talked,
        });
        let reject = match (talked, cause) {
            (true, _) | (_, Cause::CallerCancelled) => None,
            (false, cause) => Some(cause.sip_status()),
        };
        if reject.is_none() {
            self.outputs.push_back(Output::DropCaller);
        }
        let effect = self.commit(context, kinds);
        self.state = State::Ending { effect, reject };
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
