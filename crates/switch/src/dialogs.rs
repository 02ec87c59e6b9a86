//! Requests within a dialog, and OPTIONS: all answered by us, none crosses to the other leg.

use media::{LegKey, Sdp, Terms};
use model::Now;
use sip::{
    Method, Name, Request,
    dialog::Dialog,
    transaction::{Path, ServerKey},
};

use crate::{
    caller_leg::gave_up,
    delayed_offer::crosses_offer,
    leg::Phase,
    media_paths::SDP,
    refusal::{ALLOW, EXTENSIONS, bad_extension},
    screening::warning,
    session_timer::interval_too_small,
    switch::Switch,
};

impl Switch {
    pub(crate) fn in_dialog(&mut self, now: Now, from: (ServerKey, Path), request: &Request) {
        let (server, path) = from;
        let key = Dialog::key_of_request(request);
        let Some(key) = key.as_ref().and_then(|key| self.legs.by_dialog(key)) else {
            return self.outside_dialog(now, server, request);
        };
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let Some(dialog) = &mut leg.dialog else {
            return;
        };
        if let Err(error) = dialog.receive(request) {
            let response = dialog.response(request, error.status());
            return self.respond(now.mono, server, response);
        }
        self.follow_request(key, path);
        if let Some(response) = bad_extension(request) {
            return self.respond(now.mono, server, response);
        }
        if let Some(response) = interval_too_small(request) {
            return self.respond(now.mono, server, response);
        }
        match request.method {
            Method::Bye => self.hung_up(now, server, key, request),
            Method::Refer => self.referred(now, from, key, request),
            Method::Prack => self.acknowledged_provisional(now, server, key, request),
            Method::Info => self.informed(now, server, key, request),
            Method::Invite | Method::Update => self.reoffered(now, server, key, request),
            _ => self.answer_options(now, server, request),
        }
    }

    fn outside_dialog(&mut self, now: Now, server: ServerKey, request: &Request) {
        match request.method {
            Method::Options if request.to().is_some_and(|to| to.tag().is_none()) => {
                self.answer_options(now, server, request);
            }
            // RFC 3261 §12.2.2: no such dialog.
            _ => self.respond(now.mono, server, request.reply(481)),
        }
    }

    fn answer_options(&mut self, now: Now, server: ServerKey, request: &Request) {
        let mut response = request.reply(if self.draining { 503 } else { 200 });
        response.headers.push(Name::Allow, ALLOW);
        response.headers.push(Name::Accept, SDP);
        for option in EXTENSIONS {
            response.headers.push(Name::Supported, option);
        }
        self.respond(now.mono, server, response);
    }

    /// BYE: the other leg is released and media stops on receipt; only the 200 waits for the journal.
    fn hung_up(&mut self, now: Now, server: ServerKey, key: LegKey, bye: &Request) {
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let (call, no) = (leg.call, leg.no);
        let Some(dialog) = &leg.dialog else { return };
        let answer = dialog.response(bye, 200);
        match leg.phase {
            // Our BYE and theirs crossed, or they gave up what we are about to end.
            Phase::Leaving | Phase::AwaitingAck { leaving: true, .. } => {
                self.respond(now.mono, server, answer);
                self.forget_leg(key);
            }
            Phase::Confirmed | Phase::AwaitingAck { .. } if leg.hang_up.is_none() => {
                leg.hang_up = Some((server, bye.clone()));
                self.legs.set_phase(key, Phase::Confirmed);
                self.close_media(key);
                self.tell_call(now, call, call::Input::LegHungUp(no));
                self.answer_unheard_bye(now, key);
            }
            // RFC 3261 §15.1.2 knows no BYE of the caller before an answer but allows it: it ends the call.
            Phase::Incoming(invite) => {
                let refused = dialog.response(&leg.invite, 487);
                self.respond(now.mono, server, answer);
                self.respond(now.mono, invite, refused);
                self.forget_leg(key);
                self.tell_call(now, call, gave_up(no));
            }
            _ => self.respond(now.mono, server, answer),
        }
    }

    /// A BYE whose call is gone, or ends for another reason already, has nobody to wait for.
    fn answer_unheard_bye(&mut self, now: Now, key: LegKey) {
        let Some(leg) = self.legs.find(key) else {
            return;
        };
        if leg.hang_up.is_some() && !self.calls.is_ending(leg.call) {
            let call = leg.call;
            self.confirm_hang_up(now, call);
        }
    }

    /// Re-INVITE or UPDATE: a new offer is answered here, hold and resume are told to the call.
    fn reoffered(&mut self, now: Now, server: ServerKey, key: LegKey, request: &Request) {
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let crosses = crosses_offer(leg, request);
        let Some(dialog) = &mut leg.dialog else {
            return;
        };
        let leaving = leg.hang_up.is_some() || matches!(leg.phase, Phase::Leaving);
        if leaving {
            let response = dialog.response(request, 481);
            return self.respond(now.mono, server, response);
        }
        if request.body.is_empty() && request.method == Method::Update {
            let mut response = dialog.response(request, 200);
            self.grant_timer(now, key, request, &mut response);
            return self.respond(now.mono, server, response);
        }
        if let Phase::Incoming(_) = leg.phase {
            // RFC 3261 §14.2, RFC 3311 §5.2: the first offer has no answer yet.
            let mut response = dialog.response(request, 500);
            response.headers.push(Name::RetryAfter, "2");
            return self.respond(now.mono, server, response);
        }
        if crosses {
            let response = dialog.response(request, 491);
            return self.respond(now.mono, server, response);
        }
        if request.body.is_empty() {
            return self.offer_again(now, server, key, request);
        }
        let session = &mut leg.media.session;
        let answered =
            Sdp::parse(&request.body).and_then(|offer| session.answer(&offer, Terms::default()));
        let (answer, negotiated) = match answered {
            Ok(answered) => answered,
            Err(error) => {
                let mut response = dialog.response(request, error.sip_status());
                response
                    .headers
                    .push(Name::Warning, &warning(304, &error.to_string()));
                return self.respond(now.mono, server, response);
            }
        };
        let mut response = dialog.response(request, 200);
        response.headers.push(Name::ContentType, SDP);
        response.body = answer.to_string().into_bytes();
        dialog.confirm(&response);
        self.grant_timer(now, key, request, &mut response);
        self.respond(now.mono, server, response);
        self.take_session(now, key, negotiated);
    }
}
