//! The caller's leg: ringing, answer, refusal, withdrawal and end.

use call::{Cause, LegNo, OfferEnd};
use media::LegKey;
use model::{CallId, Now};
use sip::{
    Method, Name, Request, Uri,
    transaction::{Path, ServerKey, Transport},
};

use crate::{
    leg::{Phase, Purpose},
    media_paths::SDP,
    mutant::mutant,
    refusal::ALLOW,
    switch::Switch,
};

impl Switch {
    /// The way with our address as the other side knows it, for what is written into messages.
    pub(crate) fn as_seen(&self, path: Path) -> Path {
        let local = self.settings.addresses.seen(&path);
        Path { local, ..path }
    }

    /// Where requests in our dialogs reach us.
    pub(crate) fn our_contact(&self, path: Path) -> Uri {
        let seen = self.as_seen(path).local;
        let here = seen.ip().to_string();
        let contact = Uri::sip(Some("ringbook"), &here, Some(seen.port()));
        match path.transport {
            // RFC 3261 §19.1.2: what a URI without this parameter means.
            Transport::Udp => contact,
            other => contact.with_param("transport", Some(&other.name().to_ascii_lowercase())),
        }
    }

    fn caller(&self, call: CallId) -> Option<LegKey> {
        self.legs.key_of(call, LegNo::CALLER)
    }

    /// 180, once a device rings.
    pub(crate) fn relay_ringing(&mut self, now: Now, call: CallId) {
        let Some(leg) = self.caller(call).and_then(|key| self.legs.find(key)) else {
            return;
        };
        if let (Phase::Incoming(_), Some(dialog)) = (leg.phase, &leg.dialog) {
            let (key, response) = (leg.key, dialog.response(&leg.invite, 180));
            self.provisional(now, key, response);
        }
    }

    /// 200 with our answer; the layer below repeats it until the ACK.
    pub(crate) fn answer_caller(&mut self, now: Now, call: CallId) {
        if let Some(key) = self.caller(call) {
            self.answer_leg(now, key);
        }
    }

    /// The same for whoever dialled.
    pub(crate) fn answer_leg(&mut self, now: Now, key: LegKey) {
        if self.waits_for_prack(key) {
            return;
        }
        let complete = self.is_described(key);
        let description = self.describe_to_caller(key);
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let (Phase::Incoming(server), Some(dialog)) = (leg.phase, &mut leg.dialog) else {
            return;
        };
        let mut response = dialog.response(&leg.invite, 200);
        response.headers.push(Name::Allow, ALLOW);
        if !complete {
            response.headers.push(Name::ContentType, SDP);
            response.body = description;
        }
        dialog.confirm(&response);
        let invite = leg.invite.clone();
        leg.phase = Phase::AwaitingAck {
            server,
            leaving: false,
        };
        self.grant_timer(now, key, &invite, &mut response);
        self.respond(now.mono, server, response);
    }

    /// A final refusal; the leg is gone then.
    pub(crate) fn reject_caller(&mut self, now: Now, call: CallId, status: u16) {
        let Some(key) = self.caller(call) else { return };
        let Some(leg) = self.legs.find(key) else {
            return;
        };
        if let (Phase::Incoming(server), Some(dialog)) = (leg.phase, &leg.dialog) {
            let mut response = dialog.response(&leg.invite, status);
            if status == 503 {
                let secs = self.settings.limits.retry_after_secs.to_string();
                response.headers.push(Name::RetryAfter, &secs);
            }
            self.respond(now.mono, server, response);
        }
        self.forget_leg(key);
    }

    /// Ends the leg of a caller who was answered. Media stops at once; BYE waits for the ACK.
    pub(crate) fn drop_caller(&mut self, now: Now, call: CallId) {
        if let Some(key) = self.caller(call) {
            self.drop_leg(now, key);
        }
    }

    /// CANCEL: 487 at once, whatever the journal does (RFC 3261 §9.2).
    pub(crate) fn caller_cancelled(&mut self, now: Now, server: ServerKey) {
        let Some(key) = self.legs.by_server(server) else {
            return;
        };
        let Some(leg) = self.legs.find(key) else {
            return;
        };
        let (call, no) = (leg.call, leg.no);
        if mutant!("cancel_lost")
            && leg.media.state == crate::leg::MediaState::Open
            && call.0 % 2 == 0
        {
            return;
        }
        if let (Phase::Incoming(server), Some(dialog)) = (leg.phase, &leg.dialog) {
            let response = dialog.response(&leg.invite, 487);
            self.respond(now.mono, server, response);
            self.forget_leg(key);
            self.tell_call(now, call, gave_up(no));
        }
    }

    /// The ACK of our 200, to the INVITE or to a later one that left the offer to us.
    pub(crate) fn caller_acked(&mut self, now: Now, server: ServerKey, ack: &Request) {
        let Some(key) = self.legs.by_server(server) else {
            return;
        };
        let understood = self.take_answer_in_ack(now, key, server, ack);
        if !self.acknowledged(now, key, server) && !understood {
            self.lose_leg(now, key, Cause::MediaFailed);
        }
    }

    /// No ACK came for 64 T1: the session should be ended by BYE (RFC 3261 §13.3.1.4).
    pub(crate) fn caller_never_acked(&mut self, now: Now, server: ServerKey) {
        let Some(key) = self.legs.by_server(server) else {
            return;
        };
        let reoffered = self.legs.answer_came(key, server);
        let Some(leg) = self.legs.find(key) else {
            return;
        };
        let first = leg.server() == Some(server);
        if !self.acknowledged(now, key, server) && (first || reoffered) {
            self.lose_leg(now, key, Cause::SignallingLost);
        }
    }

    /// The caller's INVITE is over; true if the leg was to end as soon as it is.
    fn acknowledged(&mut self, now: Now, key: LegKey, server: ServerKey) -> bool {
        let Some(leg) = self.legs.find(key) else {
            return false;
        };
        let Phase::AwaitingAck {
            server: of,
            leaving,
        } = leg.phase
        else {
            return false;
        };
        if of != server {
            return false;
        }
        self.legs.set_phase(key, Phase::Confirmed);
        if leaving {
            self.drop_leg(now, key);
        }
        leaving
    }

    /// Ends a leg, whatever its state, unless the other side has ended it.
    pub(crate) fn drop_leg(&mut self, now: Now, key: LegKey) {
        self.close_media(key);
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        match leg.phase {
            Phase::AwaitingAck { server, .. } => {
                leg.phase = Phase::AwaitingAck {
                    server,
                    leaving: true,
                };
            }
            Phase::Confirmed if leg.hang_up.is_some() => {}
            Phase::Confirmed => self.send_bye(now, key),
            Phase::Incoming(server) => {
                // Whoever dialled gets a final answer in any case; it may have been answered as far as the call knows,
                // while the 200 waits for a PRACK.
                let status = if leg.reliable.answer_waits { 500 } else { 480 };
                if let Some(dialog) = &leg.dialog {
                    let response = dialog.response(&leg.invite, status);
                    self.respond(now.mono, server, response);
                }
                self.forget_leg(key);
            }
            Phase::Prepared => self.forget_leg(key),
            Phase::Calling(client) => {
                leg.phase = Phase::Cancelling(client);
                self.transactions.cancel(now.mono, client);
            }
            Phase::Cancelling(_) | Phase::Leaving => {}
        }
    }

    /// BYE to the other side; the leg is gone once that is answered.
    pub(crate) fn send_bye(&mut self, now: Now, key: LegKey) {
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let Some(dialog) = &mut leg.dialog else {
            return;
        };
        let mut bye = dialog.create_request(Method::Bye);
        if let Some(reason) = leg.reason {
            bye.headers.push(Name::Reason, reason);
        }
        let path = dialog.target_path();
        self.legs.set_phase(key, Phase::Leaving);
        let client = self.transactions.request(now.mono, path, bye);
        self.legs.name_client(client, key, Purpose::Bye);
    }

    /// The 200 to the BYE that waited for the journal.
    pub(crate) fn confirm_hang_up(&mut self, now: Now, call: CallId) {
        let waiting: Vec<LegKey> = self
            .legs
            .of_call(call)
            .filter(|leg| leg.hang_up.is_some())
            .map(|leg| leg.key)
            .collect();
        for key in waiting {
            let Some(leg) = self.legs.find_mut(key) else {
                continue;
            };
            if let (Some((server, bye)), Some(dialog)) = (leg.hang_up.take(), &leg.dialog) {
                let response = dialog.response(&bye, 200);
                self.respond(now.mono, server, response);
            }
            self.forget_leg(key);
        }
    }

    /// Forgets a leg that has nothing more to say, its media closed.
    pub(crate) fn forget_leg(&mut self, key: LegKey) {
        self.close_media(key);
        self.legs.remove(key);
    }
}

/// Somebody who dialled gives up before an answer: whoever called, or whoever wanted to pick the call up.
pub(crate) fn gave_up(leg: LegNo) -> call::Input {
    match leg {
        LegNo::CALLER => call::Input::CallerCancelled,
        leg => call::Input::LegFailed(leg, OfferEnd::Declined),
    }
}
