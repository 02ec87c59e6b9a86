//! Session timers of the legs (RFC 4028): granted to whoever asks, asked of whomever we call, refreshed by UPDATE or re-INVITE.

use std::time::Duration;

use call::Cause;
use media::LegKey;
use model::Now;
use sip::{
    Method, Name, Request, Response,
    session_timer::{
        Due, Grant, LEAST_SECS, Refresher, SessionExpires, SessionTimer, grant, least_secs,
    },
    transaction::ClientKey,
};

use crate::{
    leg::{Phase, Purpose},
    media_paths::SDP,
    switch::Switch,
    trunk_leg::answer_to_challenge,
};

/// Why a session that nobody refreshed gets BYE (RFC 3326).
const EXPIRED: &str = "SIP;cause=408;text=\"Session expired\"";
/// While another INVITE of the dialog is open, ours waits so long.
const OPEN_INVITE_WAIT: Duration = Duration::from_secs(1);
/// No telephone wants a longer interval than a day.
const MOST_SECS: u32 = 86_400;

/// The session timer of one leg.
#[derive(Debug, Default)]
pub(crate) struct Session {
    timer: Option<SessionTimer>,
    /// They allow UPDATE.
    updates: bool,
    /// Their Min-SE, once they refused a shorter interval.
    least_secs: Option<u32>,
    /// The refresh of ours that has no final answer.
    under_way: Option<Method>,
    /// They asked for credentials and have them.
    pub(crate) challenged: bool,
}

impl Session {
    /// When the leg is to be looked at.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.timer.as_ref().map(SessionTimer::next)
    }

    /// A re-INVITE of ours has no final answer.
    pub(crate) fn invites(&self) -> bool {
        self.under_way == Some(Method::Invite)
    }

    fn note_allowed(&mut self, headers: &sip::Headers) {
        if headers.contains(&Name::Allow) {
            self.updates = headers.has_token(&Name::Allow, "UPDATE");
        }
    }

    fn is_over(phase: Phase, hung_up: bool) -> bool {
        hung_up || !matches!(phase, Phase::Confirmed | Phase::AwaitingAck { .. })
    }
}

/// 422 if the interval is shorter than we take (RFC 4028 §6).
pub(crate) fn interval_too_small(request: &Request) -> Option<Response> {
    let timed = matches!(request.method, Method::Invite | Method::Update);
    (timed && grant(request, 0, None) == Grant::TooShort).then(|| {
        let mut response = request.reply(422);
        response.headers.push(Name::MinSe, &LEAST_SECS.to_string());
        response
    })
}

impl Switch {
    /// An INVITE of ours asks for a timer (RFC 4028 §7.1), at least as long as the other side has said.
    pub(crate) fn ask_for_timer(&self, invite: &mut Request, least: Option<u32>) {
        let wanted = self.settings.session_expires_secs;
        if !invite.headers.has_token(&Name::Supported, "timer") {
            invite.headers.push(Name::Supported, "timer");
        }
        if wanted > 0 {
            let expires = SessionExpires {
                secs: wanted.max(least.unwrap_or(LEAST_SECS)),
                refresher: None,
            };
            invite
                .headers
                .set(Name::SessionExpires, &expires.to_string());
            if let Some(least) = least {
                invite.headers.set(Name::MinSe, &least.to_string());
            }
        }
    }

    /// Our 2xx to this INVITE or UPDATE says how long the session lives, and who refreshes it.
    pub(crate) fn grant_timer(
        &mut self,
        now: Now,
        key: LegKey,
        request: &Request,
        response: &mut Response,
    ) {
        let wanted = self.settings.session_expires_secs;
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let session = &mut leg.session;
        session.note_allowed(&request.headers);
        let running = session.timer.as_ref().map(SessionTimer::secs);
        let headers = &mut response.headers;
        headers.push(Name::Supported, "timer");
        match grant(request, wanted, running) {
            Grant::Timer(expires) => {
                headers.push(Name::SessionExpires, &expires.to_string());
                let ours = expires.refresher == Some(Refresher::Uas);
                // RFC 4028 §9: whoever is to refresh has to know of it.
                if !ours {
                    headers.push(Name::Require, "timer");
                }
                session.timer = Some(SessionTimer::new(now.mono, expires.secs, ours));
            }
            Grant::Endless | Grant::TooShort => session.timer = None,
        }
        self.legs.reschedule(key);
    }

    /// A 2xx to an INVITE or a refresh of ours came (RFC 4028 §7.2).
    pub(crate) fn take_timer(&mut self, now: Now, key: LegKey, response: &Response) {
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let session = &mut leg.session;
        session.note_allowed(&response.headers);
        let granted = SessionExpires::of(&response.headers);
        session.timer = match (granted, &session.timer) {
            (Some(granted), _) => {
                let ours = granted.refresher != Some(Refresher::Uas);
                let secs = granted.secs.min(MOST_SECS);
                Some(SessionTimer::new(now.mono, secs, ours))
            }
            // They answer and say nothing more of it: we go on asking whether they are there.
            (None, Some(running)) => Some(SessionTimer::new(now.mono, running.secs(), true)),
            (None, None) => None,
        };
        self.legs.reschedule(key);
    }

    /// Looks at every leg whose time has come.
    pub(crate) fn leg_timers(&mut self, now: Now) {
        while let Some(key) = self.legs.due(now.mono) {
            self.repeat_provisional(now, key);
            self.session_due(now, key);
        }
    }

    /// The timer of a leg is due.
    fn session_due(&mut self, now: Now, key: LegKey) {
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        if Session::is_over(leg.phase, leg.hang_up.is_some()) {
            leg.session.timer = None;
            return self.legs.reschedule(key);
        }
        let due = leg.session.timer.as_mut().and_then(|it| it.due(now.mono));
        if due == Some(Due::Expired) {
            leg.session.timer = None;
        }
        self.legs.reschedule(key);
        match due {
            Some(Due::Refresh) => self.refresh(now, key, None),
            Some(Due::Expired) => self.expire_session(now, key),
            None => {}
        }
    }

    /// RFC 4028 §10: BYE.
    fn expire_session(&mut self, now: Now, key: LegKey) {
        if let Some(leg) = self.legs.find_mut(key) {
            leg.reason = Some(EXPIRED);
            self.lose_leg(now, key, Cause::SignallingLost);
        }
    }

    /// UPDATE if they allow it, else re-INVITE with the description that they have.
    fn refresh(&mut self, now: Now, key: LegKey, answer: Option<(Name, String)>) {
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let (updates, asked) = (leg.session.updates, leg.media.unanswered.is_some());
        if !updates && (asked || leg.server().is_some()) {
            return self.refresh_later(now, key, OPEN_INVITE_WAIT);
        }
        let (Some(dialog), Some(timer)) = (&mut leg.dialog, &leg.session.timer) else {
            return;
        };
        let method = if updates {
            Method::Update
        } else {
            Method::Invite
        };
        let mut request = dialog.create_request(method.clone());
        let path = dialog.target_path();
        let expires = SessionExpires {
            secs: timer.secs(),
            refresher: Some(Refresher::Uac),
        };
        let headers = &mut request.headers;
        headers.push(Name::Supported, "timer");
        headers.push(Name::SessionExpires, &expires.to_string());
        if let Some(least) = leg.session.least_secs {
            headers.push(Name::MinSe, &least.to_string());
        }
        headers.push(Name::Allow, crate::refusal::ALLOW);
        if let Some((name, value)) = answer {
            headers.push(name, &value);
        }
        if method == Method::Invite {
            if let Some(description) = leg.media.session.last() {
                request.headers.push(Name::ContentType, SDP);
                request.body = description.to_string().into_bytes();
            }
        }
        leg.session.under_way = Some(method);
        let client = self.transactions.request(now.mono, path, request);
        self.legs.name_client(client, key, Purpose::Refresh);
    }

    fn refresh_later(&mut self, now: Now, key: LegKey, after: Duration) {
        if let Some(leg) = self.legs.find_mut(key) {
            if let Some(timer) = &mut leg.session.timer {
                timer.retry(now.mono, after);
            }
        }
        self.legs.reschedule(key);
    }

    /// An answer to a refresh of ours.
    pub(crate) fn refreshed(
        &mut self,
        now: Now,
        key: LegKey,
        client: ClientKey,
        response: &Response,
    ) {
        if !response.is_final() {
            return;
        }
        let method = response.cseq().map(|cseq| cseq.method);
        if response.is_success() && method == Some(Method::Invite) {
            self.acknowledge_refresh(now, key, client, response);
        }
        self.legs.forget_client(client);
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let by_update = leg.session.under_way.take() == Some(Method::Update);
        if Session::is_over(leg.phase, leg.hang_up.is_some()) {
            return;
        }
        match response.status {
            200..300 => {
                leg.session.challenged = false;
                if let Some(dialog) = leg.dialog.as_mut().filter(|_| by_update) {
                    dialog.confirm(response);
                }
                self.take_timer(now, key, response);
            }
            // RFC 4028 §10.
            408 | 481 => self.expire_session(now, key),
            422 => {
                let least = least_secs(&response.headers).min(MOST_SECS);
                let before = leg.session.least_secs.replace(least);
                if let Some(timer) = &mut leg.session.timer {
                    timer.lengthen(least);
                }
                match before {
                    Some(before) if before >= least => self.refresh_failed(now, key),
                    _ => self.refresh(now, key, None),
                }
            }
            491 => {
                let wait = self.wait_after_glare(key);
                self.refresh_later(now, key, wait);
            }
            401 | 407 => match self.credentials_for_refresh(key, response) {
                Some(answer) => self.refresh(now, key, Some(answer)),
                None => self.refresh_failed(now, key),
            },
            // Their Allow said otherwise.
            405 | 501 if by_update => {
                leg.session.updates = false;
                self.refresh(now, key, None);
            }
            _ => self.refresh_failed(now, key),
        }
    }

    /// ACK, and the session as their answer has it.
    fn acknowledge_refresh(
        &mut self,
        now: Now,
        key: LegKey,
        client: ClientKey,
        response: &Response,
    ) {
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let Some(dialog) = &mut leg.dialog else {
            return;
        };
        dialog.confirm(response);
        let number = response.cseq().map_or(1, |cseq| cseq.number);
        let (ack, path) = (dialog.create_ack(number), dialog.target_path());
        let negotiated = leg.media.read_answer(&response.body);
        let over = Session::is_over(leg.phase, leg.hang_up.is_some());
        self.transactions.ack(now.mono, client, path, ack);
        // An answer that we cannot read leaves the session as it was (RFC 3261 §14.1).
        if let (Ok(negotiated), false) = (negotiated, over) {
            self.take_session(now, key, negotiated);
        }
    }

    /// Refused or not carried, for whatever reason: once more while there is time.
    pub(crate) fn refresh_failed(&mut self, now: Now, key: LegKey) {
        let rest = self.legs.find_mut(key).and_then(|leg| {
            leg.session.under_way = None;
            leg.session.timer.as_ref()
        });
        if let Some(rest) = rest.map(|timer| timer.half_of_rest(now.mono)) {
            self.refresh_later(now, key, rest);
        }
    }

    /// Nobody answered a refresh (RFC 4028 §10).
    pub(crate) fn refresh_unanswered(&mut self, now: Now, key: LegKey, client: ClientKey) {
        self.legs.forget_client(client);
        if let Some(leg) = self.legs.find_mut(key) {
            leg.session.under_way = None;
            if !Session::is_over(leg.phase, leg.hang_up.is_some()) {
                self.expire_session(now, key);
            }
        }
    }

    /// RFC 3261 §14.1: who made the Call-ID waits longer, in steps of 10 ms.
    fn wait_after_glare(&mut self, key: LegKey) -> Duration {
        let ours = {
            let dialog = self.legs.find(key).and_then(|leg| leg.dialog.as_ref());
            dialog.is_some_and(sip::dialog::Dialog::is_caller)
        };
        let (least, steps) = if ours { (2_100, 190) } else { (0, 200) };
        Duration::from_millis(least + self.tokens.number() % (steps + 1) * 10)
    }

    /// What a trunk that asks again within the call wants to read.
    fn credentials_for_refresh(
        &mut self,
        key: LegKey,
        response: &Response,
    ) -> Option<(Name, String)> {
        let credentials = self.credentials_for(self.legs.find(key)?)?;
        let leg = self.legs.find_mut(key)?;
        if std::mem::replace(&mut leg.session.challenged, true) {
            return None;
        }
        let uri = leg.dialog.as_ref()?.request_uri();
        let method = response.cseq()?.method;
        let cnonce = self.tokens.tag();
        answer_to_challenge(response, &credentials, (method, &uri.to_string()), &cnonce)
    }

    /// Whoever we call finds our interval too small: the INVITE goes out anew with theirs, once (RFC 4028 §7.3).
    pub(crate) fn ring_again(&mut self, now: Now, key: LegKey, response: &Response) -> bool {
        let least = least_secs(&response.headers).min(MOST_SECS);
        let Some(leg) = self.legs.find_mut(key) else {
            return false;
        };
        let asked = leg.invite.headers.contains(&Name::SessionExpires);
        if !asked || leg.session.least_secs.replace(least).is_some() {
            return false;
        }
        // A nonce may be good for one request only.
        leg.challenged = false;
        let mut invite = leg.invite.clone();
        invite.headers.remove(&Name::Authorization);
        invite.headers.remove(&Name::ProxyAuthorization);
        self.ask_for_timer(&mut invite, Some(least));
        self.invite_anew(now, key, invite)
    }
}
