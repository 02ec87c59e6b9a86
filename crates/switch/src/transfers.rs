//! REFER: a telephone hands its conversation to a colleague or to a number outside, and is told how that goes (RFC 3515).

use call::{LegNo, OrderRefused, Recipient};
use media::LegKey;
use model::{CallId, Now, UserId};
use sip::{
    Method, Name, NameAddr, Replaces, Request, Response,
    transaction::{Path, ServerKey},
};

use crate::{
    consultations::Consultation,
    leg::{Phase, Purpose, Side},
    parking::PARK,
    screening::warning,
    switch::Switch,
};

/// The content type of NOTIFY (RFC 3420).
const SIPFRAG: &str = "message/sipfrag;version=2.0";
/// How long the telephone may wait for the end: longer than any telephone rings.
const SUBSCRIPTION: &str = "active;expires=600";

/// To whom a conversation is to go.
enum Target {
    /// To a colleague, whose telephones are to ring, or to a number outside.
    Recipient(Recipient),
    /// To a colleague whom the telephone has asked.
    Asked(Consultation),
    /// Into a place, from which anybody takes the client.
    Place,
    /// To somebody who has hung up, or never was there.
    Nobody,
}

impl Switch {
    /// Takes a REFER in a conversation: refuses it, or begins a transfer.
    pub(crate) fn referred(
        &mut self,
        now: Now,
        (server, path): (ServerKey, Path),
        key: LegKey,
        request: &Request,
    ) {
        let target = self.transfer_target(path, key, request);
        let Some(leg) = self.legs.find(key) else {
            return;
        };
        let Some(dialog) = &leg.dialog else { return };
        let (call, no) = (leg.call, leg.no);
        match target {
            Ok(target) => {
                let accepted = dialog.response(request, 202);
                self.respond(now.mono, server, accepted);
                self.transfer_progress(now, call, no, 100);
                match target {
                    Target::Recipient(to) => {
                        self.tell_call(now, call, call::Input::Transfer { leg: no, to });
                    }
                    Target::Place => self.tell_call(now, call, call::Input::Park(no)),
                    Target::Asked(consultation) => {
                        self.join_consulted(now, (call, no), consultation);
                    }
                    // RFC 3891 §3: what whoever is named would answer.
                    Target::Nobody => self.transfer_progress(now, call, no, 481),
                }
            }
            Err((status, why)) => {
                let mut refusal = dialog.response(request, status);
                refusal.headers.push(Name::Warning, &warning(399, why));
                self.respond(now.mono, server, refusal);
            }
        }
    }

    fn transfer_target(
        &self,
        path: Path,
        key: LegKey,
        request: &Request,
    ) -> Result<Target, (u16, &'static str)> {
        let leg = self
            .legs
            .find(key)
            .ok_or((481, "the conversation is over"))?;
        // Only the telephone that has the conversation hands it over, whatever somebody else puts into a REFER.
        let is_telephone = matches!(leg.side, Side::Device(_)) && leg.path.remote == path.remote;
        if !is_telephone || leg.phase != Phase::Confirmed || leg.hang_up.is_some() {
            return Err((403, "only a telephone in a conversation may transfer"));
        }
        let refer_to = request.headers.first(&Name::ReferTo);
        let refer_to = refer_to.and_then(|value| NameAddr::parse(value).ok());
        let uri = refer_to
            .ok_or((400, "Refer-To is missing or malformed"))?
            .uri;
        if let Some(replaces) =
            Replaces::in_uri(&uri).map_err(|_| (400, "Replaces is malformed"))?
        {
            let consultation = self.consultation(key, &replaces)?;
            return Ok(consultation.map_or(Target::Nobody, Target::Asked));
        }
        if !uri.headers.is_empty() {
            return Err((603, "a Refer-To may carry no header but Replaces"));
        }
        let number = uri.user().unwrap_or_default();
        if number == PARK {
            self.may_park(leg.call, leg.no)?;
            return Ok(Target::Place);
        }
        let device = match leg.side {
            Side::Device(device) => self.directory.device(device),
            Side::Trunk(_) => None,
        };
        let user = device.map(|device| device.user);
        let recipient = match self.directory.colleague(&number) {
            Some(colleague) if Some(colleague.user) == user => {
                return Err((403, "a conversation cannot be transferred to oneself"));
            }
            Some(colleague) => Recipient::Colleague(colleague.user),
            None => self.transfer_out(user, &number)?,
        };
        if !self.calls.may_transfer(leg.call, leg.no) {
            return Err((603, "this conversation cannot be transferred now"));
        }
        Ok(Target::Recipient(recipient))
    }

    /// A number outside, as far as the calls of the telephone's user reach.
    fn transfer_out(
        &self,
        user: Option<UserId>,
        number: &str,
    ) -> Result<Recipient, (u16, &'static str)> {
        let user = user.ok_or((403, "the telephone is nobody's"))?;
        match self.may_transfer_to(user, number) {
            Ok(number) => Ok(Recipient::Outside(number)),
            Err(OrderRefused::NotAllowed) => Err((403, "the user's calls do not reach so far")),
            Err(OrderRefused::NoTrunk) => Err((503, "no trunk takes calls out")),
            Err(_) => Err((404, "this is no colleague's short number and none outside")),
        }
    }

    /// NOTIFY with the status as a fragment of an answer (RFC 3515 §2.4.4).
    pub(crate) fn transfer_progress(&mut self, now: Now, call: CallId, no: LegNo, status: u16) {
        let Some(key) = self.legs.key_of(call, no) else {
            return;
        };
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        if leg.phase != Phase::Confirmed || leg.hang_up.is_some() {
            return;
        }
        let Some(dialog) = &mut leg.dialog else {
            return;
        };
        let mut notify = dialog.create_request(Method::Notify);
        let state = match status {
            200.. => "terminated;reason=noresource",
            _ => SUBSCRIPTION,
        };
        let reason = Response::new(status).reason;
        notify.headers.push(Name::Event, "refer");
        notify.headers.push(Name::SubscriptionState, state);
        notify.headers.push(Name::ContentType, SIPFRAG);
        notify.body = format!("SIP/2.0 {status} {reason}\r\n").into_bytes();
        let path = dialog.target_path();
        let client = self.transactions.request(now.mono, path, notify);
        self.legs.name_client(client, key, Purpose::Notify);
    }
}
