//! Control of a running call from a screen (S6): what people may want of it, who may, and what the call does then.

use model::{CallId, UserId};

use crate::{
    Cause, EventKind, LegNo, OfferEnd, OrderId, Origin, Output, Party, Recipient,
    call::{Call, Context, State},
};

/// What somebody wants of a running call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// To be named with the answer.
    pub order: OrderId,
    /// Which call.
    pub call: CallId,
    /// Who wants it.
    pub by: UserId,
    /// A supervisor or an administrator, who need not be in the call.
    pub leads: bool,
    /// What.
    pub act: Act,
}

/// What can be wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Hand the client to the colleague with this short number, or to this number outside (T3).
    Transfer {
        /// The number as typed.
        to: String,
    },
    /// Let the colleague with this short number join client and agent (T3).
    Conference {
        /// The short number as typed.
        to: String,
    },
    /// End one's own part: hang up, decline, or end the whole call if one only leads.
    HangUp,
    /// Put the client into a place, from which anybody takes them (T3).
    Park,
    /// Take the client out of the place: one's own telephones ring.
    Retrieve,
    /// Record nothing until it is resumed, for words that are not to be kept (H4).
    PauseRecording,
    /// Record again.
    ResumeRecording,
}

/// Why it is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlRefused {
    /// The call is over.
    Over,
    /// Whoever wants it is not in the call.
    NotTheirs,
    /// There is no conversation with a client at the moment, it is being handed over, or a third party is in it already.
    NotNow,
    /// Nobody has this short number, and it is none that could be dialled.
    NoColleague,
    /// Their calls do not reach so far.
    NotAllowed,
    /// No trunk takes calls out.
    NoTrunk,
    /// It is the number of whoever talks.
    OwnNumber,
    /// The colleague is in a call, or is being offered one.
    ColleagueBusy,
    /// None of the colleague's telephones can be reached.
    ColleagueAway,
    /// Nothing is recorded.
    NotRecorded,
    /// Every place is taken.
    NoPlace,
    /// The client is not parked, or somebody is about to take them.
    NotParked,
    /// Whoever wants it is in a call, or is offered one.
    InCall,
    /// Whoever wants it has no telephone that can be rung.
    NoTelephone,
}

/// An act that may be done, as the call is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ordered {
    /// The client goes to somebody else.
    Transfer {
        /// To whom.
        to: Recipient,
    },
    /// A colleague joins client and agent.
    Conference {
        /// Who.
        to: UserId,
    },
    /// The client goes into a place.
    Park,
    /// The client comes out of it.
    Retrieve {
        /// To whom.
        by: UserId,
    },
    /// Whoever ordered it leaves the call, or ends it.
    HangUp {
        /// Who.
        by: UserId,
    },
    /// The recording pauses, or goes on.
    Record {
        /// Who wants that.
        by: UserId,
        /// Goes on.
        on: bool,
    },
}

/// How somebody takes part in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Talks, by this leg.
    Talks(LegNo),
    /// Is offered the call.
    Offered,
    /// Began the call, and nobody talks yet.
    Began,
}

impl Call {
    /// Whether this person may do anything with the call now.
    pub fn may_control(&self, by: UserId, leads: bool) -> Result<(), ControlRefused> {
        match (self.is_open(), self.part(by)) {
            (false, _) => Err(ControlRefused::Over),
            (true, None) if !leads => Err(ControlRefused::NotTheirs),
            (true, _) => Ok(()),
        }
    }

    /// The agent whose conversation with a client this person may hand to a colleague now: their own, or anybody's if
    /// they lead.
    pub fn may_hand_over(&self, by: UserId, leads: bool) -> Result<UserId, ControlRefused> {
        self.may_control(by, leads)?;
        let agent = self.bridge().map(|bridge| bridge.agent);
        let free = agent.is_some_and(|leg| self.may_transfer(leg));
        match self.talker.filter(|_| free) {
            Some(talker) if talker == by || leads => Ok(talker),
            _ => Err(ControlRefused::NotNow),
        }
    }

    /// Whether this person may pause and resume the recording now: whoever talks, or whoever leads.
    pub fn may_pause(&self, by: UserId, leads: bool) -> Result<(), ControlRefused> {
        self.may_control(by, leads)?;
        match self.part(by) {
            Some(Part::Talks(_)) => {}
            _ if leads => {}
            _ => return Err(ControlRefused::NotTheirs),
        }
        // A message that a caller leaves is nobody's to pause.
        let talked = self.bridge().is_some() || self.transfer.is_some();
        match talked && self.recording.is_running() {
            true => Ok(()),
            false => Err(ControlRefused::NotRecorded),
        }
    }

    fn part(&self, agent: UserId) -> Option<Part> {
        let talks = self.talker == Some(agent);
        if let Some(bridge) = self.bridge() {
            let began = self.own_agent() == Some(agent);
            return match &self.origin {
                _ if talks => Some(Part::Talks(bridge.agent)),
                _ if self.conference.agent() == Some(agent) => {
                    self.conference.leg().map(Part::Talks)
                }
                Origin::Internal(_) if began => Some(Part::Talks(bridge.client)),
                _ => None,
            };
        }
        if let Some(leg) = self.transferor().filter(|_| talks) {
            return Some(Part::Talks(leg));
        }
        let offered = matches!(
            self.state,
            State::Offering { .. } | State::Announcing { .. } | State::Ringing { .. }
        );
        if offered && self.offer.as_ref().is_some_and(|it| it.agent == agent) {
            return Some(Part::Offered);
        }
        let began = self.own_agent() == Some(agent) && self.transfer.is_none();
        began.then_some(Part::Began)
    }

    pub(crate) fn ordered(&mut self, context: &mut Context<'_>, ordered: Ordered) {
        match ordered {
            Ordered::Transfer { to } => {
                let Some(bridge) = self.bridge() else { return };
                self.transfer(context, bridge.agent, to);
                if let Some(transfer) = &mut self.transfer {
                    transfer.is_ordered();
                }
            }
            Ordered::Conference { to } => self.invite(context, to),
            Ordered::Park => {
                if let Some(bridge) = self.bridge() {
                    self.park(bridge.agent, true);
                }
            }
            Ordered::Retrieve { by } => self.retrieve(by),
            Ordered::HangUp { by } => self.hang_up(context, by),
            Ordered::Record { by, on } => self.record(context, by, on),
        }
    }

    /// While it is paused the file is silent, and keeps its time.
    fn record(&mut self, context: &mut Context<'_>, by: UserId, on: bool) {
        let now = context.now.mono;
        let fact = if on {
            let pause = self.recording.resume(now);
            pause.map(|(at_ms, length_ms)| EventKind::RecordingResumed {
                by,
                at_ms,
                length_ms,
            })
        } else {
            let at = self.recording.pause(now);
            at.map(|at_ms| EventKind::RecordingPaused { by, at_ms })
        };
        if let Some(fact) = fact {
            self.outputs
                .push_back(Output::PauseRecording { paused: !on });
            self.commit(context, vec![fact]);
        }
    }

    fn hang_up(&mut self, context: &mut Context<'_>, by: UserId) {
        match self.part(by) {
            Some(Part::Talks(leg)) => self.leg_hung_up(context, leg, Cause::HungUp, Party::Agent),
            Some(Part::Offered) => self.next_candidate(context, OfferEnd::Declined),
            Some(Part::Began) | None => self.end_whole(context),
        }
    }

    /// Ends the call whoever is in it.
    fn end_whole(&mut self, context: &mut Context<'_>) {
        let talked = self.has_talk();
        let cause = match &self.origin {
            _ if talked => Cause::HungUp,
            Origin::Inbound(_) | Origin::Recovered => self.abandoned(Cause::Declined),
            Origin::Outbound(_) | Origin::Internal(_) | Origin::Echo(_) => {
                if self.bridge().is_none() {
                    // The telephone that dialled learns it at once, as if it had given up itself.
                    self.outputs.push_back(Output::RejectCaller { status: 487 });
                }
                Cause::CallerCancelled
            }
        };
        self.end(context, cause, Party::Agent);
    }
}
