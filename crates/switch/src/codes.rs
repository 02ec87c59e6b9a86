//! Codes that a telephone dials: `*8` takes a call that rings at a colleague, `*8` and a short number the one that rings there.

use call::{LegNo, Picker};
use media::SourceRule;
use model::{AgentState, CallId, DeviceId, Now, UserId};
use sip::{
    Request,
    transaction::{Path, ServerKey},
};

use crate::{
    leg::{Phase, Side},
    screening::{Refused, check_body, forbidden, no},
    switch::Switch,
};

/// Takes a call that rings elsewhere.
const PICK_UP: &str = "*8";

/// A call that can be picked up, and who picks it up.
struct PickUp {
    call: CallId,
    agent: UserId,
    device: DeviceId,
}

impl Switch {
    /// Does what the code says that was dialled; gives the INVITE back if it was none.
    pub(crate) fn dialled_code(
        &mut self,
        now: Now,
        from: (ServerKey, Path),
        invite: Request,
        account: &str,
    ) -> Option<Request> {
        let number = invite.uri.user().unwrap_or_default();
        let number = number.split(';').next().unwrap_or_default();
        let Some(whom) = number.strip_prefix(PICK_UP) else {
            return Some(invite);
        };
        let whom = whom.to_owned();
        match self.may_pick_up(account, &whom, &invite) {
            Ok(pick_up) => self.pick_up(now, from, invite, &pick_up),
            Err(refused) => {
                let (response, why) = *refused;
                self.refuse(now.mono, from, &invite, response, why);
            }
        }
        None
    }

    fn may_pick_up(
        &self,
        account: &str,
        whom: &str,
        invite: &Request,
    ) -> Result<PickUp, Box<Refused>> {
        self.admissible(invite)?;
        check_body(invite)?;
        let device = self.directory.account(account);
        let picker = device.and_then(|device| self.agents.agent(device.user));
        let (Some(device), Some(picker)) = (device, picker) else {
            return no(
                forbidden(invite, "No short number"),
                "the telephone's user has no short number",
                "give the user a short number",
            );
        };
        self.takes_no_place(device.id, invite)?;
        let agent = picker.user;
        let free = matches!(
            self.agents.state(agent),
            Some(AgentState::Available | AgentState::WrapUp { .. } | AgentState::Away { .. })
        );
        if !free {
            return no(
                invite.reply(486),
                "whoever picks up is in a call, or is offered one",
                "none needed",
            );
        }
        let at = match whom {
            "" => None,
            number => match self.directory.colleague(number) {
                Some(colleague) => Some(colleague.user),
                None => {
                    return no(
                        invite.reply(404),
                        "no colleague has the short number behind *8",
                        "dial *8 alone, or with a colleague's short number",
                    );
                }
            },
        };
        match self.calls.longest_ringing(at) {
            Some(call) => Ok(PickUp {
                call,
                agent,
                device: device.id,
            }),
            None => no(
                invite.reply(480),
                "no call of a client rings that could be picked up",
                "none needed",
            ),
        }
    }

    /// The leg of whoever dialled the code goes over to the call that rings.
    fn pick_up(&mut self, now: Now, from: (ServerKey, Path), invite: Request, pick_up: &PickUp) {
        // Settled by the device's setting as soon as its offer has been read.
        let source = SourceRule::Sdp;
        let side = Side::Device(pick_up.device);
        let Some(own) = self.begin_caller(now, from, invite, side, source) else {
            return;
        };
        let Some(key) = self.legs.key_of(own, LegNo::CALLER) else {
            return;
        };
        let PickUp {
            call,
            agent,
            device,
        } = *pick_up;
        let Some(leg) = self.calls.new_leg_no(call) else {
            return self.drop_leg(now, key);
        };
        self.legs.move_to(key, call, leg);
        self.agents.take_directly(now, agent, call);
        let picker = Picker {
            agent,
            leg,
            device,
            snapshot: self.snapshot(call),
        };
        self.tell_call(now, call, call::Input::PickedUp(picker));
    }

    /// 200 to somebody who picked a call up, or that they are gone.
    pub(crate) fn answer_picker(&mut self, now: Now, call: CallId, no: LegNo) -> call::Input {
        let key = self.legs.key_of(call, no);
        if let Some(key) = key {
            self.answer_leg(now, key);
        }
        let leg = key.and_then(|key| self.legs.find(key));
        match leg.map(|leg| leg.phase) {
            Some(Phase::AwaitingAck { leaving: false, .. }) => call::Input::LegAnswered {
                leg: no,
                snapshot: self.snapshot(call),
            },
            _ => call::Input::LegFailed(no, call::OfferEnd::Unreachable),
        }
    }
}
