//! Codes that a telephone dials: `*8` takes a call that rings at a colleague, `*8` and a short number the one that rings there;
//! `*43` is the echo test; `*5` and a number takes a client out of that place.

use call::{Echo, LegNo, Origin, Picker};
use media::SourceRule;
use model::{CallId, DeviceId, Now, UserId};
use sip::{
    Request,
    transaction::{Path, ServerKey},
};

use crate::{
    leg::{Phase, Side},
    parking::PARK,
    screening::{Refused, check_body, forbidden, no},
    switch::Switch,
};

/// Takes a call that rings elsewhere.
const PICK_UP: &str = "*8";
/// Lets a telephone hear itself.
const ECHO: &str = "*43";

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
        let refused = if number == ECHO {
            match self.may_dial_code(account, &invite) {
                Ok(who) => return self.begin_echo(now, from, invite, who),
                Err(refused) => refused,
            }
        } else if let Some(whom) = number.strip_prefix(PICK_UP) {
            match self.may_pick_up(account, whom, &invite) {
                Ok(pick_up) => {
                    self.pick_up(now, from, invite, &pick_up);
                    return None;
                }
                Err(refused) => refused,
            }
        } else if let Some(place) = number.strip_prefix(PARK) {
            match self.may_retrieve(account, place, &invite) {
                Ok(retrieval) => {
                    self.retrieve(now, from, invite, &retrieval);
                    return None;
                }
                Err(refused) => refused,
            }
        } else {
            return Some(invite);
        };
        let (response, why) = *refused;
        self.refuse(now.mono, from, &invite, response, why);
        None
    }

    /// Whose telephone it is, if it may begin a call at all.
    pub(crate) fn may_dial_code(
        &self,
        account: &str,
        invite: &Request,
    ) -> Result<(DeviceId, UserId), Box<Refused>> {
        self.admissible(invite)?;
        check_body(invite)?;
        let device = self.directory.account(account);
        let agent = device.and_then(|device| self.agents.agent(device.user));
        let (Some(device), Some(agent)) = (device, agent) else {
            return no(
                forbidden(invite, "No short number"),
                "the telephone's user has no short number",
                "give the user a short number",
            );
        };
        self.takes_no_place(device.id, invite)?;
        Ok((device.id, agent.user))
    }

    fn begin_echo(
        &mut self,
        now: Now,
        from: (ServerKey, Path),
        invite: Request,
        (device, agent): (DeviceId, UserId),
    ) -> Option<Request> {
        let caller = self.agents.agent(agent);
        let echo = Echo {
            agent,
            from: caller.map(|it| it.short_number.clone()).unwrap_or_default(),
            device,
            code: ECHO.to_owned(),
        };
        self.begin_dialled(now, from, invite, device, Origin::Echo(echo));
        None
    }

    fn may_pick_up(
        &self,
        account: &str,
        whom: &str,
        invite: &Request,
    ) -> Result<PickUp, Box<Refused>> {
        let (device, agent) = self.may_dial_code(account, invite)?;
        if !self.is_free(agent) {
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
                device,
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
        let PickUp {
            call,
            agent,
            device,
        } = *pick_up;
        if let Some(picker) = self.come_for(now, from, invite, (call, agent, device)) {
            self.tell_call(now, call, call::Input::PickedUp(picker));
        }
    }

    /// The leg of somebody who dialled for a call goes over to it, and they are taken for it.
    pub(crate) fn come_for(
        &mut self,
        now: Now,
        from: (ServerKey, Path),
        invite: Request,
        (call, agent, device): (CallId, UserId, DeviceId),
    ) -> Option<Picker> {
        // Settled by the device's setting as soon as its offer has been read.
        let source = SourceRule::Sdp;
        let own = self.begin_caller(now, from, invite, Side::Device(device), source)?;
        let key = self.legs.key_of(own, LegNo::CALLER)?;
        let Some(leg) = self.calls.new_leg_no(call) else {
            self.drop_leg(now, key);
            return None;
        };
        self.legs.move_to(key, call, leg);
        self.agents.take_directly(now, agent, call);
        Some(Picker {
            agent,
            leg,
            device,
            snapshot: self.snapshot(call),
        })
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
