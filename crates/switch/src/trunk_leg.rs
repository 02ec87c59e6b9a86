//! The leg to a client by a trunk: its INVITE, credentials when they are asked for, early media and refusals.

use std::net::{IpAddr, SocketAddr};

use call::{Cause, LegNo, Placed};
use media::{LegKey, Tone, plane::Command};
use model::{CallId, CallerId, Now, Trunk, TrunkId, TrunkOutbound};
use sip::{
    CSeq, Method, Name, NameAddr, Request, Response, Uri,
    digest::{self, Challenge},
    transaction::Path,
};

use crate::{
    leg::{Phase, Side},
    media_paths::{SDP, conversation, trunk_source},
    reliable::OPTION,
    switch::Switch,
};

/// So often one INVITE is made, anew for whatever reason.
pub(crate) const MOST_TIMES: u32 = 6;

impl Switch {
    /// Prepares a leg by the first trunk that has not failed and has room.
    pub(crate) fn place(
        &mut self,
        now: Now,
        call: CallId,
        number: &str,
        failed: &[TrunkId],
    ) -> call::Input {
        let placed = self
            .ways_with_room(failed)
            .into_iter()
            .find_map(|(trunk, outbound)| {
                let leg = self.leg_by(now, call, (&trunk, &outbound), (number, None))?;
                Some(Placed {
                    leg,
                    trunk: trunk.id,
                })
            });
        call::Input::Placed {
            placed,
            snapshot: self.snapshot(call),
        }
    }

    /// Trunks in the order in which they are tried.
    fn ways_with_room(&self, but: &[TrunkId]) -> Vec<(Trunk, TrunkOutbound)> {
        let ways = self.ways_out().into_iter();
        ways.filter(|(trunk, _)| !but.contains(&trunk.id) && !self.is_full(trunk))
            .map(|(trunk, outbound)| (trunk.clone(), outbound.clone()))
            .collect()
    }

    /// A leg to the agent's telephone elsewhere by the first trunk that has room; it shows who calls by name.
    pub(crate) fn prepare_elsewhere(
        &mut self,
        now: Now,
        call: CallId,
        number: &str,
        caller: &str,
    ) -> Option<(LegNo, TrunkId)> {
        let ways = self.ways_with_room(&[]).into_iter();
        let (no, trunk) = ways.into_iter().find_map(|(trunk, outbound)| {
            let no = self.leg_by(now, call, (&trunk, &outbound), (number, Some(caller)))?;
            Some((no, trunk.id))
        })?;
        let key = self.legs.key_of(call, no)?;
        self.legs.find_mut(key)?.elsewhere = true;
        Some((no, trunk))
    }

    fn leg_by(
        &mut self,
        now: Now,
        call: CallId,
        (trunk, outbound): (&Trunk, &TrunkOutbound),
        (number, shown): (&str, Option<&str>),
    ) -> Option<LegNo> {
        let path = self.way_to(now, &outbound.proxy)?;
        let local_tag = self.tokens.tag();
        let mut invite = self.trunk_invite(path, outbound, (number, shown), &local_tag);
        for route in self.trunk_watch.service_route(trunk.id) {
            invite.headers.push(Name::Route, route);
        }
        let made = (local_tag, invite);
        self.prepare_outgoing(
            now,
            call,
            Side::Trunk(trunk.id),
            path,
            made,
            trunk_source(trunk),
        )
    }

    /// The address of ours that reaches the other one.
    pub(crate) fn local_towards(&self, remote: SocketAddr) -> Option<SocketAddr> {
        let here = |ip: IpAddr| ip.to_canonical().is_loopback();
        let fits = |local: &&SocketAddr| {
            local.is_ipv4() == remote.is_ipv4() && here(local.ip()) == here(remote.ip())
        };
        self.listening.iter().find(fits).copied()
    }

    fn trunk_invite(
        &mut self,
        path: Path,
        outbound: &TrunkOutbound,
        (number, shown): (&str, Option<&str>),
        local_tag: &str,
    ) -> Request {
        let written = self.plan.write(number, outbound.number_format);
        let own = self.plan.read(&outbound.caller_number);
        let own = own.number().unwrap_or(&outbound.caller_number);
        let own = self.plan.write(own, outbound.number_format);
        let (host, port) = match &outbound.domain {
            Some(domain) => (domain.as_str(), None),
            None => (outbound.proxy.host(), outbound.proxy.port),
        };
        let here = self.as_seen(path).local.ip().to_string();
        let terms = &outbound.terms;
        let from_host = terms.from_domain.as_ref().or(outbound.domain.as_ref());
        let from_host = from_host.unwrap_or(&here);
        let user = match (outbound.caller_id, &outbound.credentials) {
            (CallerId::AssertedIdentity, Some(credentials)) => credentials.user.as_str(),
            _ => own.as_str(),
        };
        let user = terms.from_user.as_deref().unwrap_or(user);
        let mut from = NameAddr::new(Uri::sip(Some(user), from_host, None)).with_tag(local_tag);
        from.display = shown.map(str::to_owned);
        let to = NameAddr::new(Uri::sip(Some(&written), host, None));
        let target = Uri::sip(Some(&written), host, port);
        let mut invite = self.new_invite(path, target, (&from, &to));
        invite.headers.push(Name::Supported, OPTION);
        if outbound.caller_id == CallerId::AssertedIdentity {
            let identity = NameAddr::new(Uri::sip(Some(&own), from_host, None));
            invite
                .headers
                .push(Name::PAssertedIdentity, &identity.to_string());
        }
        invite
    }

    /// 18x of the client's side: it rings, or sends sound already.
    pub(crate) fn trunk_progress(&mut self, now: Now, key: LegKey, response: &Response) {
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let (call, no) = (leg.call, leg.no);
        let Phase::Calling(_) = leg.phase else { return };
        leg.rang |= response.status > 100;
        let described = !response.body.is_empty() && leg.media.accept(&response.body).is_ok();
        if described && self.passes_early_media(key) {
            self.set_remote(key);
            self.tell_call(now, call, call::Input::LegProgress(no));
        } else if described || response.status == 180 {
            self.tell_call(now, call, call::Input::LegRinging(no));
        }
    }

    /// A final refusal of the trunk or the client.
    pub(crate) fn trunk_refused(&mut self, now: Now, key: LegKey, response: &Response) {
        if matches!(response.status, 401 | 407) && self.give_credentials(now, key, response) {
            return;
        }
        if response.status == 422 && self.ring_again(now, key, response) {
            return;
        }
        // RFC 3261 §21.5.4: to another server of the same company first.
        if response.status == 503 && self.invite_elsewhere(now, key, Some(response)) {
            return;
        }
        let (cause, elsewhere) = cause_of(response.status);
        self.trunk_failed(now, key, cause, elsewhere);
    }

    pub(crate) fn trunk_failed(&mut self, now: Now, key: LegKey, cause: Cause, elsewhere: bool) {
        let Some(leg) = self.legs.find(key) else {
            return;
        };
        let (call, leg, phase) = (leg.call, leg.no, leg.phase);
        self.forget_leg(key);
        if let Phase::Calling(_) = phase {
            let input = call::Input::LegRefused {
                leg,
                cause,
                elsewhere,
            };
            self.tell_call(now, call, input);
        }
    }

    /// Makes the INVITE anew with credentials; false if the trunk has none, or refused them.
    fn give_credentials(&mut self, now: Now, key: LegKey, response: &Response) -> bool {
        let Some(leg) = self.legs.find(key) else {
            return false;
        };
        let Some(credentials) = self.credentials_for(leg) else {
            return false;
        };
        let mut invite = leg.invite.clone();
        let times = invite.cseq().map_or(0, |cseq| cseq.number);
        // RFC 7616 §3.3: a nonce may have aged since it was given, which says nothing of the password.
        let aged = is_stale(response) && times < MOST_TIMES;
        if leg.challenged && !aged {
            return false;
        }
        let of = (Method::Invite, invite.uri.to_string());
        let cnonce = self.tokens.tag();
        let answer = answer_to_challenge(response, &credentials, (of.0, &of.1), &cnonce);
        let Some((name, value)) = answer else {
            return false;
        };
        invite.headers.remove_first(&name);
        invite.headers.push(name, &value);
        if let Some(leg) = self.legs.find_mut(key) {
            leg.challenged = true;
        }
        self.invite_anew(now, key, invite)
    }

    /// Sends an INVITE again that was refused for what is mended now (RFC 3261 §8.1.3.5). One by a trunk is stored before.
    /// False if nobody wants an answer any more.
    pub(crate) fn invite_anew(&mut self, now: Now, key: LegKey, mut invite: Request) -> bool {
        let Some(leg) = self.legs.find(key) else {
            return false;
        };
        let (Phase::Calling(client), Some(cseq)) = (leg.phase, invite.cseq()) else {
            return false;
        };
        let (call, leg, side, path) = (leg.call, leg.no, leg.side, leg.path);
        let cseq = CSeq {
            number: cseq.number + 1,
            method: Method::Invite,
        };
        invite.headers.remove_first(&Name::Via);
        invite.headers.set(Name::CSeq, &cseq.to_string());
        self.transactions.prepare(&path, &mut invite);
        self.legs.forget_client(client);
        self.legs.set_phase(key, Phase::Prepared);
        if let Some(leg) = self.legs.find_mut(key) {
            leg.invite = invite;
        }
        match side {
            Side::Trunk(trunk) => {
                let snapshot = self.snapshot(call);
                let challenged = call::Input::LegChallenged {
                    leg,
                    trunk,
                    snapshot,
                };
                self.tell_call(now, call, challenged);
            }
            Side::Device(_) => self.ring(now, call, leg),
        }
        true
    }

    /// What the client's side sends reaches the agent before the answer: 183 to a telephone that called.
    pub(crate) fn relay_early_media(
        &mut self,
        now: Now,
        call: CallId,
        client: LegNo,
        agent: LegNo,
    ) {
        let client = self.legs.key_of(call, client);
        let (Some(a), Some(b)) = (client, self.legs.key_of(call, agent)) else {
            return;
        };
        let conversation = conversation(call);
        self.order(Command::Join { a, b, conversation });
        let Some(leg) = self.legs.find(b) else { return };
        if let (Phase::Incoming(_), Some(dialog)) = (leg.phase, &leg.dialog) {
            let mut response = dialog.response(&leg.invite, 183);
            // RFC 3261 §13.2.1: whoever left the offer to us gets it with the first reliable answer, and hears from then on.
            if !leg.media.answer.is_empty() {
                response.headers.push(Name::ContentType, SDP);
                response.body.clone_from(&leg.media.answer);
            }
            self.provisional(now, b, response);
        }
    }

    /// An agent on the line hears that the client's telephone rings.
    pub(crate) fn play_ringback(&mut self, call: CallId, agent: LegNo) {
        if let Some(leg) = self.legs.key_of(call, agent) {
            let tone = Tone::Ringback;
            self.order(Command::Play { leg, tone });
        }
    }
}

fn is_stale(response: &Response) -> bool {
    let asked = [Name::WwwAuthenticate, Name::ProxyAuthenticate];
    let challenges = asked.iter().filter_map(|name| {
        let values = response.headers.all(name);
        Challenge::strongest(values)
    });
    challenges.into_iter().any(|challenge| challenge.stale)
}

/// The answer to a challenge: which field, and what stands in it (RFC 3261 §22.2).
pub(crate) fn answer_to_challenge(
    response: &Response,
    credentials: &model::Credentials,
    (method, uri): (Method, &str),
    cnonce: &str,
) -> Option<(Name, String)> {
    let (asked, given) = match response.status {
        407 => (Name::ProxyAuthenticate, Name::ProxyAuthorization),
        _ => (Name::WwwAuthenticate, Name::Authorization),
    };
    let challenge = Challenge::strongest(response.headers.all(&asked))?;
    let ha1 = digest::ha1(
        challenge.algorithm,
        &credentials.user,
        &challenge.realm,
        &credentials.password,
    );
    let user = &credentials.user;
    let value = digest::respond(&challenge, user, &ha1, method.as_str(), uri, cnonce, 1);
    Some((given, value))
}

/// What a refusal says about the client, and whether another trunk may do better (RFC 3261 §21).
fn cause_of(status: u16) -> (Cause, bool) {
    match status {
        486 | 600 => (Cause::Busy, false),
        408 | 480 | 487 => (Cause::NoAnswer, false),
        603 | 607 | 608 => (Cause::Declined, false),
        404 | 410 | 484 | 604 => (Cause::NoSuchNumber, false),
        415 | 488 | 606 => (Cause::MediaFailed, true),
        _ => (Cause::Unreachable, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_trunk_did_is_tried_elsewhere() {
        for (status, cause, elsewhere) in [
            (486, Cause::Busy, false),
            (603, Cause::Declined, false),
            (404, Cause::NoSuchNumber, false),
            (480, Cause::NoAnswer, false),
            (503, Cause::Unreachable, true),
            (403, Cause::Unreachable, true),
            (500, Cause::Unreachable, true),
        ] {
            assert_eq!(cause_of(status), (cause, elsewhere), "{status}");
        }
    }
}
