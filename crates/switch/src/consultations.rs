//! A conversation handed to the colleague whom the telephone has asked before: `Replaces` names the one dialog, the REFER
//! comes in the other (RFC 3891, RFC 5589 §7). It names dialogs of the same telephone only.

use call::{Consulted, Joining, LegNo};
use media::LegKey;
use model::{CallId, DeviceId, Now};
use sip::{Name, Replaces, Request, Response};

use crate::{
    device_leg::has_media,
    leg::{Leg, Phase, Side},
    screening::{Refused, no, warning},
    switch::Switch,
};

/// What a telephone asks for when it joins its two conversations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Consultation {
    /// The telephone's leg of the call with the client.
    client: (CallId, LegNo),
    /// Its leg of the call with the colleague.
    question: (CallId, LegNo),
    consulted: Consulted,
}

impl Switch {
    /// Which two conversations the telephone of this leg wants joined; none if the one that it names is over.
    pub(crate) fn consultation(
        &self,
        key: LegKey,
        replaces: &Replaces,
    ) -> Result<Option<Consultation>, (u16, &'static str)> {
        const GONE: (u16, &str) = (481, "the conversation is over");
        let here = self.legs.find(key).ok_or(GONE)?;
        let own = (here.call, here.no);
        let transferable = |(call, leg)| self.calls.may_transfer(call, leg);
        let asked = |(call, leg)| self.calls.consulted(call, leg);
        if !transferable(own) && asked(own).is_none() {
            return Err((603, "this conversation cannot be transferred now"));
        }
        let there = self.legs.by_dialog(&replaces.dialog);
        let Some(there) = there.and_then(|there| self.legs.find(there)) else {
            return Ok(None);
        };
        if there.side != here.side || there.key == here.key {
            return Err((
                603,
                "Replaces names no other conversation of this telephone",
            ));
        }
        if !is_running(there) {
            return Ok(None);
        }
        let other = (there.call, there.no);
        let (client, question) = match transferable(own) {
            true => (own, other),
            false => (other, own),
        };
        let consulted = asked(question).filter(|_| transferable(client));
        let consulted = consulted.ok_or((603, "only a client and a colleague can be joined"))?;
        if replaces.early_only && !matches!(there.phase, Phase::Incoming(_)) {
            // RFC 3891 §3
            return Err((486, "the conversation to be replaced is answered already"));
        }
        if let Consulted::Talks { leg, .. } = consulted {
            let theirs = self.legs.key_of(question.0, leg);
            let theirs = theirs.and_then(|key| self.legs.find(key));
            if !theirs.is_some_and(may_come) {
                return Err((603, "the colleague is not at a telephone of ours"));
            }
        }
        Ok(Some(Consultation {
            client,
            question,
            consulted,
        }))
    }

    /// Joins the client with the colleague, or lets the colleague's telephones ring for the client if they ring still.
    /// `told` is the party that is told how it goes.
    pub(crate) fn join_consulted(
        &mut self,
        now: Now,
        told: (CallId, LegNo),
        consultation: Consultation,
    ) {
        let Consultation {
            client: (call, leg),
            question: (question, _),
            consulted,
        } = consultation;
        match consulted {
            Consulted::Called(to) => {
                self.tell_call(now, question, call::Input::Consulted);
                self.tell_call(
                    now,
                    call,
                    call::Input::Transfer {
                        leg,
                        to: call::Recipient::Colleague(to),
                    },
                );
            }
            Consulted::Talks { leg: from, agent } => {
                let Some((leg_no, device, held)) = self.fetch(question, from, call) else {
                    return self.transfer_progress(now, told.0, told.1, 500);
                };
                self.agents.pass_on(now, agent, (question, call));
                let joining = Joining {
                    agent,
                    leg: leg_no,
                    device,
                    held,
                    snapshot: self.snapshot(call),
                };
                self.transfer_progress(now, told.0, told.1, 200);
                self.tell_call(now, question, call::Input::Consulted);
                self.tell_call(now, call, call::Input::Join { leg, joining });
            }
        }
    }

    /// Moves a colleague's leg to another call: its number there, whose it is, and whether it holds.
    pub(crate) fn fetch(
        &mut self,
        from: CallId,
        no: LegNo,
        to: CallId,
    ) -> Option<(LegNo, DeviceId, bool)> {
        let key = self.legs.key_of(from, no)?;
        let leg = self.legs.find(key)?;
        let (Side::Device(device), held) = (leg.side, leg.held) else {
            return None;
        };
        let no = self.calls.new_leg_no(to)?;
        self.legs.move_to(key, to, no);
        Some((no, device, held))
    }

    /// Refuses an INVITE with `Replaces`: no call is picked up in this way, and none is begun beside the one it names.
    pub(crate) fn takes_no_place(
        &self,
        device: DeviceId,
        invite: &Request,
    ) -> Result<(), Box<Refused>> {
        let mut values = invite.headers.all(&Name::Replaces);
        let Some(value) = values.next() else {
            return Ok(());
        };
        let (status, reason, remedy) = match (Replaces::parse(value), values.next()) {
            (Some(replaces), None) => self.why_no_place(device, &replaces),
            // RFC 3891 §3: more than one is a bad request.
            _ => (
                400,
                "Replaces is malformed",
                "update the telephone: it breaks RFC 3891",
            ),
        };
        let mut response: Response = invite.reply(status);
        response.headers.push(Name::Warning, &warning(399, reason));
        no(response, reason, remedy)
    }

    fn why_no_place(
        &self,
        device: DeviceId,
        replaces: &Replaces,
    ) -> (u16, &'static str, &'static str) {
        let named = self.legs.by_dialog(&replaces.dialog);
        let named = named.and_then(|key| self.legs.find(key));
        let Some(named) = named.filter(|leg| is_running(leg)) else {
            return (481, "Replaces names no conversation", "none needed");
        };
        let user_of = |device| self.directory.device(device).map(|device| device.user);
        let is_own = match named.side {
            Side::Device(theirs) => user_of(theirs) == user_of(device),
            Side::Trunk(_) => false,
        };
        match is_own {
            true => (
                501,
                "a conversation cannot be taken over by INVITE with Replaces",
                "transfer it, or let the first telephone hang up",
            ),
            false => (
                603,
                "Replaces names somebody else's conversation",
                "none needed",
            ),
        }
    }
}

/// The leg of a telephone of ours that may move into another call.
pub(crate) fn may_come(leg: &Leg) -> bool {
    matches!(leg.side, Side::Device(_)) && is_answered(leg) && has_media(leg)
}

/// Neither side has begun to end it.
fn is_running(leg: &Leg) -> bool {
    matches!(leg.phase, Phase::Incoming(_)) || is_answered(leg)
}

pub(crate) fn is_answered(leg: &Leg) -> bool {
    let answered = matches!(
        leg.phase,
        Phase::Confirmed | Phase::AwaitingAck { leaving: false, .. }
    );
    answered && leg.hang_up.is_none()
}
