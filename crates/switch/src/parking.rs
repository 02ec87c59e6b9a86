//! Places where clients are parked: `*5` behind a REFER parks, `*5` and the number of a place takes out of it (T3).

use call::{ControlRefused, LegNo};
use model::{AgentState, CallId, DeviceId, Now, UserId};
use sip::{
    Request,
    transaction::{Path, ServerKey},
};

use crate::{
    screening::{Refused, no},
    switch::Switch,
};

/// What parks a client, and what the number of a place stands behind.
pub(crate) const PARK: &str = "*5";
/// The places are numbered from 1 to that.
const MOST_PLACES: u8 = 99;

/// A parked call, and who takes it.
pub(crate) struct Retrieval {
    call: CallId,
    agent: UserId,
    device: DeviceId,
}

impl Switch {
    /// The lowest place that is free.
    pub(crate) fn free_place(&self) -> Option<u8> {
        let taken = self.calls.places();
        (1..=MOST_PLACES).find(|place| !taken.contains(place))
    }

    /// A place for the client of this call.
    pub(crate) fn park(&mut self, call: CallId) -> call::Input {
        call::Input::MayPark {
            place: self.free_place(),
            keep: self.settings.parked_for,
            snapshot: self.snapshot_of_answered(call),
        }
    }

    /// Who dials for which call, or why that cannot be.
    pub(crate) fn may_retrieve(
        &self,
        account: &str,
        place: &str,
        invite: &Request,
    ) -> Result<Retrieval, Box<Refused>> {
        let (device, agent) = self.may_dial_code(account, invite)?;
        if place.is_empty() {
            return no(
                invite.reply(484),
                "*5 was dialled without the number of a place",
                "transfer a client to *5 to park them, dial *5 and the number to take them out",
            );
        }
        let number = place.parse::<u8>().ok();
        let number = number.filter(|number| (1..=MOST_PLACES).contains(number));
        let Some(number) = number.filter(|_| !place.starts_with('+')) else {
            return no(
                invite.reply(404),
                "there is no such place",
                "dial *5 and a number from 1 to 99",
            );
        };
        if !self.is_free(agent) {
            return no(
                invite.reply(486),
                "whoever takes a parked client is in a call, or is offered one",
                "none needed",
            );
        }
        match self.calls.waits_at(number) {
            Some(call) => Ok(Retrieval {
                call,
                agent,
                device,
            }),
            None => no(
                invite.reply(480),
                "nobody is parked in this place",
                "none needed",
            ),
        }
    }

    /// The leg of whoever dialled goes over to the call that is parked.
    pub(crate) fn retrieve(
        &mut self,
        now: Now,
        from: (ServerKey, Path),
        invite: Request,
        retrieval: &Retrieval,
    ) {
        let Retrieval {
            call,
            agent,
            device,
        } = *retrieval;
        if let Some(picker) = self.come_for(now, from, invite, (call, agent, device)) {
            self.tell_call(now, call, call::Input::Retrieved(picker));
        }
    }

    /// Whether a call may be parked at all, when a screen orders it.
    pub(crate) fn has_place(&self) -> Result<(), ControlRefused> {
        self.free_place().map(drop).ok_or(ControlRefused::NoPlace)
    }

    /// Whether this agent's telephones can be rung for a parked client.
    pub(crate) fn may_be_rung(&self, agent: UserId) -> Result<(), ControlRefused> {
        match self.agents.state(agent) {
            None => Err(ControlRefused::NoTelephone),
            Some(_) if !self.is_free(agent) => Err(ControlRefused::InCall),
            Some(AgentState::Away { .. }) if !self.is_reachable(agent) => {
                Err(ControlRefused::NoTelephone)
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether the agent is neither in a call nor offered one.
    pub(crate) fn is_free(&self, agent: UserId) -> bool {
        matches!(
            self.agents.state(agent),
            Some(AgentState::Available | AgentState::WrapUp { .. } | AgentState::Away { .. })
        )
    }

    /// A REFER that parks: whether there is room for it.
    pub(crate) fn may_park(&self, call: CallId, leg: LegNo) -> Result<(), (u16, &'static str)> {
        if !self.calls.may_transfer(call, leg) {
            return Err((603, "this conversation cannot be parked now"));
        }
        match self.free_place() {
            Some(_) => Ok(()),
            None => Err((486, "every place is taken")),
        }
    }
}
