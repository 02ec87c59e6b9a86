//! INVITE without a session description: our 2xx makes the offer, and the ACK brings the answer (RFC 3261 §13.2.1, §14.2).

use call::Cause;
use media::{Codec, LegKey, Negotiated, Terms, plane::Command};
use model::{CallId, Now};
use sip::{Method, Name, Request, transaction::ServerKey};

use crate::{
    leg::{Leg, Phase},
    media_paths::SDP,
    switch::Switch,
};

/// Why a party whose ACK has no answer that we can use gets BYE (RFC 3326).
const NO_ANSWER: &str = "SIP;cause=488;text=\"No usable answer in the ACK\"";

impl Switch {
    /// Our description for the caller: the answer to the offer in the INVITE, or else an offer of ours, made once.
    pub(crate) fn describe_to_caller(&mut self, key: LegKey) -> Vec<u8> {
        let Some(leg) = self.legs.find(key) else {
            return Vec::new();
        };
        if !leg.media.answer.is_empty() {
            return leg.media.answer.clone();
        }
        let codecs = self.codecs_for(key, self.codec_of_call(leg.call));
        let Some(leg) = self.legs.find_mut(key) else {
            return Vec::new();
        };
        let offer = leg.media.session.offer(Terms {
            codecs: &codecs,
            ..Terms::default()
        });
        leg.media.answer = offer.to_string().into_bytes();
        let offer = leg.media.answer.clone();
        if let Phase::Incoming(server) = leg.phase {
            self.legs.await_answer(key, server);
        }
        offer
    }

    /// Our codecs, the one that the others in the call speak first.
    fn codec_of_call(&self, call: CallId) -> Option<Codec> {
        let mut agreed = self
            .legs
            .of_call(call)
            .filter_map(|leg| leg.media.negotiated.as_ref());
        agreed.next().map(|negotiated| negotiated.codec)
    }

    /// A re-INVITE without description: our 200 offers the session as it could be (RFC 3261 §14.2).
    pub(crate) fn offer_again(
        &mut self,
        now: Now,
        server: ServerKey,
        key: LegKey,
        request: &Request,
    ) {
        let agreed = self.legs.find(key).map(|leg| &leg.media.negotiated);
        let agreed = agreed.and_then(|it| it.as_ref().map(|negotiated| negotiated.codec));
        let codecs = self.codecs_for(key, agreed);
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let Some(dialog) = &mut leg.dialog else {
            return;
        };
        let offer = leg.media.session.offer(Terms {
            codecs: &codecs,
            ..Terms::default()
        });
        let mut response = dialog.response(request, 200);
        response.headers.push(Name::ContentType, SDP);
        response.body = offer.to_string().into_bytes();
        dialog.confirm(&response);
        self.legs.await_answer(key, server);
        self.grant_timer(now, key, request, &mut response);
        self.respond(now.mono, server, response);
    }

    /// The ACK of a 2xx that carried an offer of ours. False: it has no answer that we can use.
    pub(crate) fn take_answer_in_ack(
        &mut self,
        now: Now,
        key: LegKey,
        server: ServerKey,
        ack: &Request,
    ) -> bool {
        if !self.legs.answer_came(key, server) {
            return true;
        }
        let Some(leg) = self.legs.find_mut(key) else {
            return true;
        };
        match leg.media.read_answer(&ack.body) {
            Ok(negotiated) => {
                self.take_session(now, key, negotiated);
                true
            }
            Err(_) => {
                leg.reason = Some(NO_ANSWER);
                false
            }
        }
    }

    /// What both sides have agreed on from now on; hold and resume are told to the call.
    pub(crate) fn take_session(&mut self, now: Now, key: LegKey, negotiated: Negotiated) {
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let held = negotiated.is_hold();
        leg.media.negotiated = Some(negotiated);
        let (call, no) = (leg.call, leg.no);
        let was_held = std::mem::replace(&mut leg.held, held);
        self.settle_source(key);
        self.set_remote(key);
        if held != was_held {
            self.order(Command::Hold { leg: key, held });
            self.tell_call(now, call, call::Input::Held { leg: no, held });
        }
    }

    /// The leg cannot go on: the call hears why, and ends it.
    pub(crate) fn lose_leg(&mut self, now: Now, key: LegKey, cause: Cause) {
        let Some(leg) = self.legs.find(key) else {
            return;
        };
        if leg.hang_up.is_none() && leg.phase != Phase::Leaving {
            let (call, no) = (leg.call, leg.no);
            self.tell_call(now, call, call::Input::LegLost(no, cause));
        }
    }
}

/// Whether this request meets an offer of ours that has no answer yet, or a re-INVITE (RFC 3261 §14.2, RFC 3311 §5.2).
pub(crate) fn crosses_offer(leg: &Leg, request: &Request) -> bool {
    let open = leg.media.unanswered.is_some() || leg.session.invites();
    open && (!request.body.is_empty() || request.method == Method::Invite)
}
