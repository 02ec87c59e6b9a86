//! The legs to the devices of the offered agent: prepared before the offer is stored, sent after the card.

use std::{net::SocketAddr, time::Duration};

use call::{LegNo, OfferEnd, Origin, Ready};
use media::{SourceRule, Terms};
use model::{CallId, CallerIdentity, DeviceId, Now, UserId};
use sip::{CSeq, Method, Name, NameAddr, Request, Uri, registrar::Binding, transaction::Path};

use crate::{
    leg::{Leg, LegMedia, MediaState, Phase, Purpose, Side},
    media_paths::{SDP, device_source},
    refusal::ALLOW,
    reliable::Reliable,
    session_timer::Session,
    switch::Switch,
};

/// Who calls, as a telephone shows it.
struct Shown {
    number: String,
    display: Option<String>,
}

impl Switch {
    /// One leg for each registered device of the agent; every one of them is to ring at once.
    pub(crate) fn prepare(
        &mut self,
        now: Now,
        call: CallId,
        agent: UserId,
        caller: &CallerIdentity,
    ) -> call::Input {
        let devices: Vec<DeviceId> = self.directory.devices_of(agent).to_vec();
        let bound = devices.iter().flat_map(|device| {
            let bindings = self.registrar.bindings(device.0);
            bindings.map(move |binding| (*device, binding.clone()))
        });
        let bound: Vec<(DeviceId, Binding)> =
            bound.take(self.settings.limits.devices_per_offer).collect();
        let mut legs = Vec::with_capacity(bound.len());
        let shown = self.shown(call, caller);
        for (device, binding) in bound {
            if let Some(leg) = self.prepare_leg(now, call, device, &binding, &shown) {
                legs.push(Ready {
                    leg,
                    device,
                    trunk: None,
                    after: Duration::ZERO,
                });
            }
        }
        let elsewhere = self.elsewhere(agent);
        let room = self.settings.limits.devices_per_offer - legs.len();
        for (device, number, after) in elsewhere.into_iter().take(room) {
            let name = shown.display.as_deref().unwrap_or_default();
            let caller = format!("{} {name}", shown.number);
            let leg = self.prepare_elsewhere(now, call, &number, caller.trim());
            legs.extend(leg.map(|(leg, trunk)| Ready {
                leg,
                device,
                trunk: Some(trunk),
                after,
            }));
        }
        call::Input::Prepared {
            legs,
            snapshot: self.snapshot(call),
        }
    }

    /// The agent's telephones elsewhere that the agent may call.
    pub(crate) fn elsewhere(&self, agent: UserId) -> Vec<(DeviceId, String, Duration)> {
        let reach = self.agents.agent(agent).map(|agent| agent.may_call);
        let mut numbers = self.directory.elsewhere(agent);
        numbers.retain(|(_, number, _)| {
            reach.is_some_and(|reach| self.plan.read(number).is_allowed(reach))
        });
        numbers
    }

    /// A colleague has a name, a client the one of the best match.
    fn shown(&self, call: CallId, caller: &CallerIdentity) -> Shown {
        let display = match self.calls.origin(call) {
            Some(Origin::Internal(internal)) => Some(internal.from.1.clone()),
            _ => caller.matches.first().map(|first| first.name.clone()),
        };
        Shown {
            number: caller.number.clone(),
            display,
        }
    }

    fn prepare_leg(
        &mut self,
        now: Now,
        call: CallId,
        device: DeviceId,
        binding: &Binding,
        caller: &Shown,
    ) -> Option<LegNo> {
        let path = binding.path;
        let local_tag = self.tokens.tag();
        let invite = self.device_invite(device, binding, caller, &local_tag)?;
        let setting = self.directory.device(device)?.media_source;
        // Until the answer names their address, only the setting is known.
        let source = device_source(setting, path, SocketAddr::new(path.remote.ip(), 0));
        self.prepare_outgoing(
            now,
            call,
            Side::Device(device),
            path,
            (local_tag, invite),
            source,
        )
    }

    /// A leg whose INVITE, with its From tag, is made and not sent, and its port; none if there is no port.
    pub(crate) fn prepare_outgoing(
        &mut self,
        now: Now,
        call: CallId,
        side: Side,
        path: Path,
        (local_tag, mut invite): (String, Request),
        source: SourceRule,
    ) -> Option<LegNo> {
        let no = self.calls.new_leg_no(call)?;
        let session = self.new_session(now, path)?;
        self.transactions.prepare(&path, &mut invite);
        let key = self.legs.new_key();
        self.open_media(key, path, &session);
        self.legs.insert(Leg {
            key,
            call,
            no,
            side,
            path,
            phase: Phase::Prepared,
            local_tag,
            elsewhere: false,
            invite,
            dialog: None,
            media: LegMedia::new(session, source),
            reason: None,
            hang_up: None,
            held: false,
            challenged: false,
            rang: false,
            clients: Vec::new(),
            session: Session::default(),
            reliable: Reliable::default(),
            wake: None,
        });
        Some(no)
    }

    fn device_invite(
        &mut self,
        device: DeviceId,
        binding: &Binding,
        caller: &Shown,
        local_tag: &str,
    ) -> Option<Request> {
        let account = self.directory.device(device)?.auth_user.clone();
        let path = binding.path;
        let here = self.as_seen(path).local.ip().to_string();
        let number = match caller.number.as_str() {
            "" => "anonymous",
            number => number,
        };
        let mut from = NameAddr::new(Uri::sip(Some(number), &here, None));
        from.display = caller.display.clone();
        let to = NameAddr::new(Uri::sip(Some(&account), &here, None));
        let target = Uri::parse(&binding.contact).ok()?;
        let mut invite = self.new_invite(path, target, (&from.with_tag(local_tag), &to));
        for route in &binding.routes {
            invite.headers.push(Name::Route, route);
        }
        Some(invite)
    }

    /// An INVITE of ours that begins a dialog, without Via and body.
    pub(crate) fn new_invite(
        &mut self,
        path: Path,
        target: Uri,
        (from, to): (&NameAddr, &NameAddr),
    ) -> Request {
        let mut invite = Request::new(Method::Invite, target);
        let headers = &mut invite.headers;
        headers.push(Name::MaxForwards, "70");
        headers.push(Name::From, &from.to_string());
        headers.push(Name::To, &to.to_string());
        headers.push(Name::CallId, &self.tokens.call_id());
        let cseq = CSeq {
            number: 1,
            method: Method::Invite,
        };
        headers.push(Name::CSeq, &cseq.to_string());
        headers.push(Name::Contact, &format!("<{}>", self.our_contact(path)));
        headers.push(Name::Allow, ALLOW);
        headers.push(Name::UserAgent, &self.settings.product);
        self.ask_for_timer(&mut invite, None);
        invite
    }

    /// Sends the prepared INVITE with our offer, the caller's codec first.
    pub(crate) fn ring(&mut self, now: Now, call: CallId, no: LegNo) {
        let theirs = self
            .legs
            .key_of(call, LegNo::CALLER)
            .and_then(|key| self.legs.find(key));
        let theirs = theirs
            .and_then(|leg| leg.media.negotiated.as_ref())
            .map(|n| n.codec);
        let Some(key) = self.legs.key_of(call, no) else {
            return;
        };
        let codecs = self.codecs_for(key, theirs);
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let mut invite = leg.invite.clone();
        let offer = leg.media.session.offer(Terms {
            codecs: &codecs,
            ..Terms::default()
        });
        invite.headers.push(Name::ContentType, SDP);
        invite.body = offer.to_string().into_bytes();
        let path = leg.path;
        let client = self.transactions.request(now.mono, path, invite);
        self.legs.set_phase(key, Phase::Calling(client));
        self.legs.name_client(client, key, Purpose::Invite);
        self.mind_patience(now, key, client);
    }

    /// Gives up a device's leg: CANCEL, BYE, or nothing if it was never called.
    pub(crate) fn drop_device(&mut self, now: Now, call: CallId, no: LegNo) {
        if let Some(key) = self.legs.key_of(call, no) {
            self.drop_leg(now, key);
        }
    }

    /// Asks a party whether it is there: OPTIONS in the dialog.
    pub(crate) fn probe(&mut self, now: Now, call: CallId, no: LegNo) {
        let Some(key) = self.legs.key_of(call, no) else {
            return;
        };
        let Some(dialog) = self.legs.find_mut(key).and_then(|leg| leg.dialog.as_mut()) else {
            return;
        };
        let options = dialog.create_request(Method::Options);
        let path = dialog.target_path();
        let client = self.transactions.request(now.mono, path, options);
        self.legs.name_client(client, key, Purpose::Probe);
    }

    /// Where the device's media may come from, once its answer is known.
    pub(crate) fn settle_source(&mut self, key: media::LegKey) {
        let Some(leg) = self.legs.find(key) else {
            return;
        };
        let Some(device) = crate::media_paths::device_of(leg.side) else {
            return;
        };
        let Some(negotiated) = &leg.media.negotiated else {
            return;
        };
        let Some(setting) = self
            .directory
            .device(device)
            .map(|device| device.media_source)
        else {
            return;
        };
        let source = device_source(setting, leg.path, negotiated.remote);
        if let Some(leg) = self.legs.find_mut(key) {
            leg.media.source = source;
        }
    }
}

/// What a refusal of a device says about the agent (RFC 3261 §21).
pub(crate) fn offer_end(status: u16) -> OfferEnd {
    match status {
        486 | 600 => OfferEnd::Busy,
        403 | 603 | 607 | 608 => OfferEnd::Declined,
        488 | 606 | 415 => OfferEnd::MediaFailed,
        _ => OfferEnd::Unreachable,
    }
}

/// The plane has the leg's media.
pub(crate) fn has_media(leg: &Leg) -> bool {
    leg.media.state == MediaState::Open
}
