//! Calls that agents begin: an INVITE from a telephone, or an order of the workspace (O1).

use std::sync::Arc;

use call::{Call, Context, Internal, Notice, OrderId, OrderRefused, Origin, Outbound};
use media::SourceRule;
use model::{Agent, AgentState, AwayReason, CallId, DeviceId, Now, Reach, UserId};
use routing::plan::Dialled;
use sip::{
    Request,
    transaction::{Path, ServerKey},
};

use crate::{
    io::Output,
    leg::Side,
    refusal::Why,
    registration::{Challenged, account_in},
    screening::{Refused, check_body, forbidden, no},
    switch::Switch,
};

/// Whom the dialled number means.
enum Target {
    Colleague(UserId),
    Client(Dialled),
}

impl Switch {
    /// An INVITE that no trunk sent: from a telephone of ours, if it knows its password.
    pub(crate) fn dialled(&mut self, now: Now, from: (ServerKey, Path), invite: Request) {
        let (_, path) = from;
        let account = invite.from().as_ref().and_then(account_in);
        let user = match self.authenticate(now, path, &invite) {
            Ok(user) => user,
            Err(challenged) => {
                let first = matches!(challenged, Challenged::First);
                if first && !self.is_registered_address(path.remote) {
                    let why = Why {
                        reason: "the source is not a trunk, and no telephone registered from it",
                        remedy: "add the address to the networks of a trunk if it is your telephone company",
                    };
                    self.report(path, &invite, 401, why);
                }
                return self.not_authenticated(now, from, &invite, account.as_deref(), challenged);
            }
        };
        let Some(invite) = self.dialled_code(now, from, invite, &user) else {
            return;
        };
        match self.may_dial(&user, &invite) {
            Ok((device, origin)) => self.begin_dialled(now, from, invite, device, origin),
            Err(refused) => {
                let (response, why) = *refused;
                self.refuse(now.mono, from, &invite, response, why);
            }
        }
    }

    fn may_dial(
        &self,
        account: &str,
        invite: &Request,
    ) -> Result<(DeviceId, Origin), Box<Refused>> {
        self.admissible(invite)?;
        let device = self.directory.account(account);
        let caller = device.and_then(|device| self.agents.agent(device.user));
        let (Some(device), Some(caller)) = (device, caller) else {
            return no(
                forbidden(invite, "No short number"),
                "the telephone's user has no short number",
                "give the user a short number",
            );
        };
        self.takes_no_place(device.id, invite)?;
        let number = invite.uri.user().unwrap_or_default();
        let number = number.split(';').next().unwrap_or_default();
        let origin = match self.target(number) {
            Target::Colleague(callee) if callee == caller.user => {
                return no(
                    forbidden(invite, "Own number"),
                    "the telephone dialled its own number",
                    "none needed",
                );
            }
            Target::Colleague(callee) => Origin::Internal(Internal {
                agent: caller.user,
                from: (caller.short_number.clone(), caller.name.clone()),
                device: device.id,
                callee,
                number: number.to_owned(),
                recorded: false,
            }),
            Target::Client(dialled) => {
                self.may_call(caller, &dialled)
                    .map_err(|refused| Box::new(refusal(invite, refused)))?;
                Origin::Outbound(self.outbound(caller, &dialled, Some(device.id)))
            }
        };
        check_body(invite)?;
        Ok((device.id, origin))
    }

    fn target(&self, number: &str) -> Target {
        match self.directory.colleague(number) {
            Some(colleague) => Target::Colleague(colleague.user),
            None => Target::Client(self.plan.read(number)),
        }
    }

    fn may_call(&self, caller: &Agent, dialled: &Dialled) -> Result<(), OrderRefused> {
        self.reaches(caller.may_call, dialled)
    }

    fn reaches(&self, reach: Reach, dialled: &Dialled) -> Result<(), OrderRefused> {
        if *dialled == Dialled::Nothing {
            return Err(OrderRefused::NoSuchNumber);
        }
        if !dialled.is_allowed(reach) {
            return Err(OrderRefused::NotAllowed);
        }
        if self.directory.ways_out().is_empty() {
            return Err(OrderRefused::NoTrunk);
        }
        Ok(())
    }

    /// The public number to which this user may hand a conversation. Help and a company's own short numbers are for whoever
    /// dials them: mostly they are a colleague's number, mistyped.
    pub(crate) fn may_transfer_to(
        &self,
        user: UserId,
        number: &str,
    ) -> Result<Arc<str>, OrderRefused> {
        let dialled = match self.plan.read(number) {
            public @ Dialled::Public { .. } => public,
            _ => return Err(OrderRefused::NoSuchNumber),
        };
        // A supervisor who has no telephone reaches what everybody may.
        let reach = self
            .agents
            .agent(user)
            .map_or(Reach::National, |it| it.may_call);
        self.reaches(reach, &dialled)?;
        Ok(dialled.number().unwrap_or_default().into())
    }

    fn outbound(&self, caller: &Agent, dialled: &Dialled, device: Option<DeviceId>) -> Outbound {
        let ways = self.ways_out();
        let line = ways
            .first()
            .and_then(|(_, way)| self.directory.line_called(&way.caller_number));
        Outbound {
            agent: caller.user,
            from: caller.short_number.clone(),
            device,
            number: dialled.number().unwrap_or_default().to_owned(),
            line: line.map(|line| line.id),
            recorded: line.is_none_or(|line| line.recorded),
            notice: line.is_some_and(|line| line.reception.recording_notice),
            ring_timeout: self.ring_timeout(caller.user, None),
        }
    }

    pub(crate) fn begin_dialled(
        &mut self,
        now: Now,
        from: (ServerKey, Path),
        invite: Request,
        device: DeviceId,
        origin: Origin,
    ) {
        // Settled by the device's setting as soon as its offer has been read.
        let source = SourceRule::Sdp;
        let Some(id) = self.begin_caller(now, from, invite, Side::Device(device), source) else {
            return;
        };
        let mut context = Context {
            now,
            ids: &mut self.ids,
        };
        let call = match origin {
            Origin::Outbound(outbound) => Call::outbound(id, outbound, &mut context),
            Origin::Internal(internal) => Call::internal(id, internal, &mut context),
            Origin::Echo(echo) => Call::echo(id, echo, &mut context),
            Origin::Inbound(_) | Origin::Recovered => return,
        };
        self.begin_call(now, call);
    }

    /// The workspace orders a call: the agent's telephones ring first.
    pub(crate) fn order_call(&mut self, now: Now, order: OrderId, agent: UserId, number: &str) {
        match self.ordered(now, agent, number) {
            Ok(call) => {
                self.orders.insert(call, order);
            }
            Err(refused) => self.answer_order(order, Err(refused)),
        }
    }

    /// The call stands in the journal: whoever ordered it is told.
    pub(crate) fn confirm_order(&mut self, call: CallId) {
        if let Some(order) = self.orders.remove(&call) {
            self.answer_order(order, Ok(call));
        }
    }

    fn answer_order(&mut self, order: OrderId, outcome: Result<CallId, OrderRefused>) {
        self.outputs
            .push_back(Output::Notice(Notice::Ordered { order, outcome }));
    }

    fn ordered(&mut self, now: Now, agent: UserId, number: &str) -> Result<CallId, OrderRefused> {
        if self.draining || self.calls.len() >= self.settings.limits.calls {
            return Err(OrderRefused::NoRoom);
        }
        let caller = self.agents.agent(agent).ok_or(OrderRefused::NotAnAgent)?;
        match self.agents.state(agent) {
            Some(AgentState::Away {
                reason: AwayReason::Unregistered,
            }) => return Err(OrderRefused::NoTelephone),
            Some(AgentState::Available | AgentState::WrapUp { .. } | AgentState::Away { .. }) => {}
            _ => return Err(OrderRefused::InCall),
        }
        let dialled = match self.target(number) {
            Target::Client(dialled) => dialled,
            Target::Colleague(_) => return Err(OrderRefused::Colleague),
        };
        self.may_call(caller, &dialled)?;
        let outbound = self.outbound(caller, &dialled, None);
        let id = CallId(self.ids.make(now.utc));
        let mut context = Context {
            now,
            ids: &mut self.ids,
        };
        let call = Call::outbound(id, outbound, &mut context);
        self.begin_call(now, call);
        Ok(id)
    }
}

fn refusal(invite: &Request, refused: OrderRefused) -> Refused {
    let (response, reason, remedy) = match refused {
        OrderRefused::NotAllowed => (
            forbidden(invite, "Number not allowed"),
            "the user may not call this far",
            "raise may_call of the user",
        ),
        OrderRefused::NoTrunk => (
            invite.reply(502),
            "no trunk takes calls out",
            "give a trunk its outbound settings",
        ),
        _ => (
            invite.reply(404),
            "the number dialled is none",
            "dial a telephone number or a short number",
        ),
    };
    (response, Why { reason, remedy })
}
