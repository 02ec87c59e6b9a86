//! Running calls as people at a screen control them (S6). Whoever orders something is told once it stands in the journal.

use std::collections::BTreeMap;

use call::{
    Act, Control, ControlRefused, Effect, EffectId, Notice, OrderId, OrderRefused, Ordered,
    Recipient,
};
use model::{AgentState, CallId, Now, UserId};

use crate::{io::Output, switch::Switch};

/// Orders that are carried out and wait for the journal, by the commit they wait for.
#[derive(Debug, Default)]
pub(crate) struct Controls(BTreeMap<EffectId, OrderId>);

impl Controls {
    /// The call is gone: whoever still waits for the journal is told nothing.
    pub(crate) fn forget(&mut self, call: CallId) {
        let all = |number| EffectId { call, number };
        let open: Vec<EffectId> = self
            .0
            .range(all(0)..=all(u32::MAX))
            .map(|(id, _)| *id)
            .collect();
        for id in open {
            self.0.remove(&id);
        }
    }
}

impl Switch {
    /// Does what is wanted of a call, or says why not.
    pub(crate) fn control(&mut self, now: Now, control: &Control) {
        match self.wanted(control) {
            Ok(ordered) => {
                let before = self.outputs.len();
                self.tell_call(now, control.call, call::Input::Ordered(ordered));
                match self.first_commit(before, control.call) {
                    Some(effect) => {
                        self.controls.0.insert(effect, control.order);
                    }
                    // It is no fact of its own.
                    None => self.answer_control(control.order, Ok(())),
                }
            }
            Err(refused) => self.answer_control(control.order, Err(refused)),
        }
    }

    /// These facts stand in the journal: whoever ordered what led to them is told.
    pub(crate) fn confirm_control(&mut self, effect: EffectId) {
        if let Some(order) = self.controls.0.remove(&effect) {
            self.answer_control(order, Ok(()));
        }
    }

    fn answer_control(&mut self, order: OrderId, outcome: Result<(), ControlRefused>) {
        let answer = Notice::Controlled { order, outcome };
        self.outputs.push_back(Output::Notice(answer));
    }

    fn first_commit(&self, since: usize, call: CallId) -> Option<EffectId> {
        self.outputs.iter().skip(since).find_map(|output| {
            let Output::Effect(request) = output else {
                return None;
            };
            let is_commit = matches!(request.effect, Effect::Commit { .. });
            (is_commit && request.id.call == call).then_some(request.id)
        })
    }

    fn wanted(&self, control: &Control) -> Result<Ordered, ControlRefused> {
        let call = self.calls.find(control.call).ok_or(ControlRefused::Over)?;
        let (by, leads) = (control.by, control.leads);
        match &control.act {
            Act::HangUp => {
                call.may_control(by, leads)?;
                Ok(Ordered::HangUp { by })
            }
            Act::PauseRecording | Act::ResumeRecording => {
                call.may_pause(by, leads)?;
                let on = control.act == Act::ResumeRecording;
                Ok(Ordered::Record { by, on })
            }
            Act::Conference { to } => {
                let from = call.may_hand_over(by, leads)?;
                let to = self.directory.colleague(to.trim());
                let to = to.ok_or(ControlRefused::NoColleague)?.user;
                let to = self.free_colleague(from, to)?;
                Ok(Ordered::Conference { to })
            }
            Act::Park => {
                call.may_hand_over(by, leads)?;
                self.has_place()?;
                Ok(Ordered::Park)
            }
            Act::Retrieve => {
                call.waits_at().ok_or(ControlRefused::NotParked)?;
                self.may_be_rung(by)?;
                Ok(Ordered::Retrieve { by })
            }
            Act::Transfer { to } => {
                let from = call.may_hand_over(by, leads)?;
                let to = match self.directory.colleague(to.trim()) {
                    Some(colleague) => {
                        Recipient::Colleague(self.free_colleague(from, colleague.user)?)
                    }
                    None => self.outside(by, to)?,
                };
                Ok(Ordered::Transfer { to })
            }
        }
    }

    /// A number outside, as far as the calls of whoever hands over reach.
    fn outside(&self, by: UserId, number: &str) -> Result<Recipient, ControlRefused> {
        match self.may_transfer_to(by, number) {
            Ok(number) => Ok(Recipient::Outside(number)),
            Err(OrderRefused::NotAllowed) => Err(ControlRefused::NotAllowed),
            Err(OrderRefused::NoTrunk) => Err(ControlRefused::NoTrunk),
            Err(_) => Err(ControlRefused::NoColleague),
        }
    }

    /// Whom a conversation may go to: somebody else who can be rung now.
    fn free_colleague(&self, from: UserId, colleague: UserId) -> Result<UserId, ControlRefused> {
        if colleague == from {
            return Err(ControlRefused::OwnNumber);
        }
        match self.agents.state(colleague) {
            Some(AgentState::Away { .. }) if !self.is_reachable(colleague) => {
                Err(ControlRefused::ColleagueAway)
            }
            Some(AgentState::Available | AgentState::WrapUp { .. } | AgentState::Away { .. }) => {
                Ok(colleague)
            }
            Some(_) => Err(ControlRefused::ColleagueBusy),
            None => Err(ControlRefused::NoColleague),
        }
    }
}
