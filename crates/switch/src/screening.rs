//! An INVITE that begins a call: may it come in, from whom is it, and to which line.

use call::{Call, Context, Inbound, LegNo};
use media::{Sdp, SourceRule};
use model::{CallId, Line, Now, Trunk};
use sip::{
    Name, NameAddr, Request, Response,
    transaction::{Path, ServerKey},
};

use crate::{
    leg::{Leg, LegMedia, Phase, Side},
    media_paths::{SDP, trunk_source},
    refusal::{Why, bad_extension},
    reliable::Reliable,
    session_timer::{Session, interval_too_small},
    switch::Switch,
};

/// A refusal of an INVITE.
pub(crate) type Refused = (Response, Why);

impl Switch {
    /// Takes an INVITE without a To tag: refuses it, or begins a call.
    pub(crate) fn screen(&mut self, now: Now, from: (ServerKey, Path), invite: Request) {
        let (_, path) = from;
        let Some(trunk) = self.trunk_at(path.remote.ip()).cloned() else {
            return self.dialled(now, from, invite);
        };
        match self.admit(&trunk, &invite) {
            Ok(line) => self.begin_inbound(now, from, invite, &trunk, &line),
            Err(refused) => {
                let (response, why) = *refused;
                self.refuse(now.mono, from, &invite, response, why);
            }
        }
    }

    /// What every INVITE has to fulfil, whoever sends it.
    pub(crate) fn admissible(&self, invite: &Request) -> Result<(), Box<Refused>> {
        if invite.max_forwards() == Some(0) {
            return no(
                invite.reply(483),
                "too many hops",
                "look for a routing loop at the sender",
            );
        }
        if let Some(response) = bad_extension(invite) {
            return no(
                response,
                "it requires an extension",
                "switch the extension off at the sender",
            );
        }
        if let Some(response) = interval_too_small(invite) {
            return no(response, "its session timer is too short", "none needed");
        }
        if self.draining {
            return no(invite.reply(503), "the process is stopping", "none needed");
        }
        if self.calls.len() >= self.settings.limits.calls {
            return no(
                invite.reply(503),
                "the limit of calls is reached",
                "raise [limits] calls",
            );
        }
        Ok(())
    }

    fn admit(&self, trunk: &Trunk, invite: &Request) -> Result<Line, Box<Refused>> {
        self.admissible(invite)?;
        if self.is_full(trunk) {
            return no(
                invite.reply(503),
                "the trunk has its most calls",
                "raise most_calls of the trunk",
            );
        }
        let called = self.called(trunk, invite);
        let Some(line) = self.directory.line_called(&called) else {
            return no(
                invite.reply(404),
                "no line has the number called",
                "add the line with this number",
            );
        };
        if self.comes_back(invite) {
            return no(
                invite.reply(482),
                "an agent's telephone elsewhere is forwarded to our own line",
                "switch the forwarding off at that telephone",
            );
        }
        check_body(invite)?;
        Ok(line.clone())
    }

    /// A call of ours to an agent's telephone elsewhere that was forwarded to us: it shows our own number while that
    /// telephone rings.
    fn comes_back(&self, invite: &Request) -> bool {
        if !self.directory.has_elsewhere || !self.legs.rings_elsewhere() {
            return false;
        }
        let own = |number: &str| {
            let number = self.plan.read(number);
            let mut ways = self.directory.ways_out().into_iter();
            number.number().is_some()
                && ways
                    .any(|(_, way)| self.plan.read(&way.caller_number).number() == number.number())
        };
        // Believed or not: it only refuses.
        [true, false]
            .map(|asserted| calling_number(invite, asserted))
            .iter()
            .any(|it| own(it))
    }

    /// The trunk has its most calls.
    pub(crate) fn is_full(&self, trunk: &Trunk) -> bool {
        let most = trunk.most_calls.and_then(|most| usize::try_from(most).ok());
        most.is_some_and(|most| self.legs.by_trunk(trunk.id) >= most)
    }

    fn begin_inbound(
        &mut self,
        now: Now,
        from: (ServerKey, Path),
        invite: Request,
        trunk: &Trunk,
        line: &Line,
    ) {
        let inbound = Inbound {
            trunk: trunk.id,
            line: line.id,
            from: calling_number(&invite, trunk.trusted_identity),
            to: self.called(trunk, &invite),
            service: self.service(now, line),
        };
        let side = Side::Trunk(trunk.id);
        if let Some(id) = self.begin_caller(now, from, invite, side, trunk_source(trunk)) {
            let mut context = Context {
                now,
                ids: &mut self.ids,
            };
            let call = Call::inbound(id, inbound, &mut context);
            self.begin_call(now, call);
        }
    }

    /// The leg of whoever calls, with media and 100; refused if there can be none.
    pub(crate) fn begin_caller(
        &mut self,
        now: Now,
        from: (ServerKey, Path),
        invite: Request,
        side: Side,
        source: SourceRule,
    ) -> Option<CallId> {
        let (server, path) = from;
        let Some(session) = self.new_session(now, path) else {
            let why = Why {
                reason: "all RTP ports are in use",
                remedy: "widen [network] rtp_ports",
            };
            let response = invite.reply(503);
            self.refuse(now.mono, from, &invite, response, why);
            return None;
        };
        let call = CallId(self.ids.make(now.utc));
        let key = self.legs.new_key();
        let leg = Leg {
            key,
            call,
            no: LegNo::CALLER,
            side,
            path,
            phase: Phase::Incoming(server),
            local_tag: self.tokens.tag(),
            dialog: None,
            media: LegMedia::new(session, source),
            elsewhere: false,
            invite,
            reason: None,
            hang_up: None,
            held: false,
            challenged: false,
            rang: false,
            clients: Vec::new(),
            session: Session::default(),
            reliable: Reliable::default(),
            wake: None,
        };
        self.legs.insert(leg);
        if let Err(refused) = self.begin_caller_dialog(key) {
            let (response, why) = *refused;
            if let Some(leg) = self.legs.remove(key) {
                self.drop_session(now, &leg.media.session);
                self.refuse(now.mono, from, &leg.invite, response, why);
            }
            return None;
        }
        if let Some(leg) = self.legs.find(key) {
            let session = leg.media.session.clone();
            let trying = leg.invite.reply(100);
            self.transactions.respond(now.mono, server, trying);
            self.open_media(key, path, &session);
            self.settle_source(key);
            self.set_remote(key);
        }
        Some(call)
    }

    /// Our half of the caller's dialog and the answer to its offer.
    fn begin_caller_dialog(&mut self, key: media::LegKey) -> Result<(), Box<Refused>> {
        let Some(leg) = self.legs.find(key) else {
            return Ok(());
        };
        let contact = self.our_contact(leg.path);
        let dialog = match sip::dialog::Dialog::uas(&leg.invite, leg.path, &leg.local_tag, contact)
        {
            Ok(dialog) => dialog,
            Err(_) => {
                let reason = "the INVITE has no usable Contact";
                let why = Why {
                    reason,
                    remedy: "the sender must name where it can be reached",
                };
                return Err(Box::new((leg.invite.reply(400), why)));
            }
        };
        self.legs.set_dialog(key, dialog);
        match self.answer_caller_offer(key) {
            Some(refused) => Err(Box::new(refused)),
            None => Ok(()),
        }
    }

    /// Makes our answer to the caller's offer, if there is one; the refusal if there is none.
    pub(crate) fn answer_caller_offer(&mut self, key: media::LegKey) -> Option<Refused> {
        let codecs = self.codecs_for(key, None);
        let leg = self.legs.find_mut(key)?;
        if leg.invite.body.is_empty() {
            return None;
        }
        let terms = media::Terms {
            codecs: &codecs,
            ..media::Terms::default()
        };
        let answered =
            Sdp::parse(&leg.invite.body).and_then(|offer| leg.media.session.answer(&offer, terms));
        match answered {
            Ok((answer, negotiated)) => {
                leg.media.answer = answer.to_string().into_bytes();
                leg.media.negotiated = Some(negotiated);
                None
            }
            Err(error) => {
                let mut response = leg.invite.reply(error.sip_status());
                response
                    .headers
                    .push(Name::Warning, &warning(304, &error.to_string()));
                let remedy = "let the sender offer G.711 (PCMA or PCMU) over RTP/AVP";
                Some((
                    response,
                    Why {
                        reason: "no media in common",
                        remedy,
                    },
                ))
            }
        }
    }
}

/// Only SDP is understood (RFC 3261 §21.4.13). Without a body the offer is ours to make.
pub(crate) fn check_body(invite: &Request) -> Result<(), Box<Refused>> {
    if invite.body.is_empty() {
        return Ok(());
    }
    if !invite
        .content_type()
        .is_some_and(|kind| kind.eq_ignore_ascii_case(SDP))
    {
        let mut response = invite.reply(415);
        response.headers.push(Name::Accept, SDP);
        let remedy = "let the sender send application/sdp";
        return Err(Box::new((
            response,
            Why {
                reason: "the body is not SDP",
                remedy,
            },
        )));
    }
    Ok(())
}

/// A refusal with what the administrator is told.
pub(crate) fn no<T>(
    response: Response,
    reason: &'static str,
    remedy: &'static str,
) -> Result<T, Box<Refused>> {
    Err(Box::new((response, Why { reason, remedy })))
}

pub(crate) fn forbidden(invite: &Request, reason: &str) -> Response {
    let mut response = invite.reply(403);
    response.reason = reason.to_owned();
    response
}

/// A Warning value (RFC 3261 §20.43).
pub(crate) fn warning(code: u16, text: &str) -> String {
    let text: String = text.chars().filter(|c| !matches!(c, '"' | '\\')).collect();
    format!("{code} ringbook \"{text}\"")
}

/// Who calls: P-Asserted-Identity if the trunk is trusted (RFC 3325 §9.1), else From. Empty if withheld.
fn calling_number(invite: &Request, trusted: bool) -> String {
    let asserted = invite
        .headers
        .all(&Name::PAssertedIdentity)
        .filter_map(|value| NameAddr::parse(value).ok());
    let mut asserted = asserted.filter(|_| trusted);
    // RFC 3325 §9.1: at most one sip and one tel value; a tel URI is the plainer number.
    let asserted = asserted
        .by_ref()
        .max_by_key(|value| value.uri.scheme == sip::Scheme::Tel);
    let Some(who) = asserted.or_else(|| invite.from()) else {
        return String::new();
    };
    let host = who.uri.host_str().to_ascii_lowercase();
    let user = who.uri.user().unwrap_or_default();
    // A user part may carry parameters of a telephone-subscriber (RFC 3261 §19.1.6).
    let number = user.split(';').next().unwrap_or_default().trim();
    let hidden = number.eq_ignore_ascii_case("anonymous") || host == "anonymous.invalid";
    if hidden {
        String::new()
    } else {
        number
            .chars()
            .filter(|c| !c.is_control())
            .take(64)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip::Message;

    fn invite(headers: &str) -> Request {
        let text = format!(
            "INVITE sip:74951234567@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1\r\n\
             {headers}To: <sip:74951234567@192.0.2.1>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\
             Max-Forwards: 70\r\nContact: <sip:b@192.0.2.2>\r\n\r\n"
        );
        match Message::parse(text.as_bytes()).unwrap() {
            Message::Request(request) => request,
            Message::Response(_) => unreachable!(),
        }
    }

    #[test]
    fn the_asserted_number_counts_only_from_a_trusted_trunk() {
        let request = invite(
            "From: <sip:100@x>;tag=1\r\nP-Asserted-Identity: <sip:200@x>, <tel:+79161234567>\r\n",
        );
        assert_eq!(calling_number(&request, true), "+79161234567");
        assert_eq!(calling_number(&request, false), "100");
    }

    #[test]
    fn a_display_name_that_looks_like_an_address_is_not_the_caller() {
        let request = invite("From: \"x <sip:ceo@bank>\" <sip:666@host>;tag=1\r\n");
        assert_eq!(calling_number(&request, true), "666");
    }

    #[test]
    fn a_withheld_number_is_empty() {
        for from in [
            "<sip:anonymous@anonymous.invalid>",
            "\"A\" <sip:Anonymous@x>",
            "<sip:x@anonymous.invalid>",
        ] {
            assert_eq!(
                calling_number(&invite(&format!("From: {from};tag=1\r\n")), true),
                ""
            );
        }
    }
}
