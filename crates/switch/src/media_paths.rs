//! Ports, session descriptions and the orders to the media plane.

use std::{net::SocketAddr, time::Duration};

use call::{Bridge, Cause, LegNo, OfferEnd};
use media::{
    Codec, ConversationKey, LegKey, LocalSession, Negotiated, Sdp, SourceRule,
    plane::{Command, Event},
};
use model::{CallId, GapReason, MediaSource, Now, RecordingGap, Trunk};
use sip::transaction::Path;

use crate::{
    io::Output,
    leg::{LegMedia, MediaState, Phase, Side},
    switch::{Switch, our_ip},
};

/// A closed call's ports rest, so that no stray packet of the last call is heard in the next.
pub(crate) const PORT_REST: Duration = Duration::from_secs(2);

/// The content type of session descriptions.
pub(crate) const SDP: &str = "application/sdp";

impl Switch {
    /// Takes a port for a new leg on `path`; none if all are in use.
    pub(crate) fn new_session(&mut self, now: Now, path: Path) -> Option<LocalSession> {
        let port = self.ports.take(now.mono)?;
        Some(LocalSession::new(
            SocketAddr::new(our_ip(path), port),
            self.tokens.number(),
        ))
    }

    /// Gives back the port of a session that never came to the media plane.
    pub(crate) fn drop_session(&mut self, now: Now, session: &LocalSession) {
        self.ports.give_back(now.mono, session.rtp().port());
    }

    pub(crate) fn open_media(&mut self, leg: LegKey, session: &LocalSession) {
        let rtp = session.rtp();
        self.order(Command::Open {
            leg,
            local_ip: rtp.ip(),
            port: rtp.port(),
        });
    }

    /// Tells the media plane where the far end is, as far as that is known.
    pub(crate) fn set_remote(&mut self, leg: LegKey) {
        let Some(found) = self.legs.find(leg) else {
            return;
        };
        let Some(negotiated) = &found.media.negotiated else {
            return;
        };
        let remote = negotiated.remote(found.media.source.clone());
        if found.media.state == MediaState::Open {
            self.order(Command::SetRemote { leg, remote });
        }
    }

    /// Stops the media of a leg at once; the port comes back when the plane has closed it.
    pub(crate) fn close_media(&mut self, leg: LegKey) {
        let Some(found) = self.legs.find_mut(leg) else {
            return;
        };
        if std::mem::replace(&mut found.media.state, MediaState::Closed) == MediaState::Open {
            let port = found.media.session.rtp().port();
            self.closing_ports.insert(leg, port);
            self.order(Command::Close { leg });
        }
    }

    /// Joins the media of two legs, and records.
    pub(crate) fn connect(&mut self, call: CallId, bridge: Bridge, recording: Option<String>) {
        let client = self.legs.key_of(call, bridge.client);
        let (Some(a), Some(b)) = (client, self.legs.key_of(call, bridge.agent)) else {
            return;
        };
        let conversation = conversation(call);
        self.order(Command::Join { a, b, conversation });
        let codec_of = |leg| {
            self.legs
                .find(leg)
                .and_then(|leg| leg.media.negotiated.as_ref())
                .map(|n| n.codec)
        };
        // The file is A-law unless both legs are µ-law.
        let ulaw = [a, b]
            .into_iter()
            .all(|leg| codec_of(leg) == Some(Codec::Pcmu));
        let law = if ulaw { Codec::Pcmu } else { Codec::Pcma };
        if let Some(file) = recording {
            self.order(Command::StartRecording {
                conversation,
                client: a,
                agent: Some(b),
                file,
                law,
            });
        }
    }

    /// Records what the caller alone says.
    pub(crate) fn record_message(&mut self, call: CallId, file: String) {
        let Some(client) = self.legs.key_of(call, LegNo::CALLER) else {
            return;
        };
        let negotiated = self
            .legs
            .find(client)
            .and_then(|leg| leg.media.negotiated.as_ref());
        self.order(Command::StartRecording {
            conversation: conversation(call),
            client,
            agent: None,
            law: negotiated.map_or(Codec::Pcma, |negotiated| negotiated.codec),
            file,
        });
    }

    /// Joins the client with another agent; the recording, if there is one, goes on with that agent.
    pub(crate) fn reconnect(&mut self, call: CallId, bridge: Bridge) {
        self.connect(call, bridge, None);
        if let Some(agent) = self.legs.key_of(call, bridge.agent) {
            self.order(Command::PassRecording {
                conversation: conversation(call),
                agent,
            });
        }
    }

    pub(crate) fn pause_recording(&mut self, call: CallId, paused: bool) {
        self.order(Command::PauseRecording {
            conversation: conversation(call),
            paused,
        });
    }

    pub(crate) fn stop_recording(&mut self, call: CallId) {
        self.order(Command::StopRecording {
            conversation: conversation(call),
        });
    }

    pub(crate) fn order(&mut self, command: Command) {
        self.outputs.push_back(Output::Media(command));
    }

    pub(crate) fn media_event(&mut self, now: Now, event: Event) {
        match event {
            Event::OpenFailed { leg, .. } => self.media_failed(now, leg),
            Event::RtpTimeout { leg } => {
                // Before the answer nobody need send anything, even if sound of the other side is heard already.
                let answered = self.legs.find(leg).filter(|leg| is_answered(leg.phase));
                if let Some((call, no)) = answered.map(|leg| (leg.call, leg.no)) {
                    self.tell_call(now, call, call::Input::LegLost(no, Cause::MediaTimeout));
                }
            }
            Event::RecordingClosed {
                conversation,
                summary,
            } => {
                let Ok(call) = i64::try_from(conversation.0).map(CallId) else {
                    return;
                };
                let summary = call::RecordingSummary {
                    file: summary.file,
                    length_ms: summary.length_ms,
                    bytes: summary.bytes,
                    gaps_ms: summary.gaps_ms,
                    error: summary.error,
                };
                self.tell_call(now, call, call::Input::RecordingClosed(summary));
            }
            Event::RecordingGap {
                conversation,
                at_ms,
                length_ms,
                reason,
            } => {
                let gap = RecordingGap {
                    at_ms,
                    length_ms,
                    reason: match reason {
                        media::GapReason::QueueFull => GapReason::QueueFull,
                        media::GapReason::DiskFull => GapReason::DiskFull,
                        media::GapReason::WriteFailed => GapReason::WriteFailed,
                    },
                };
                if let Ok(call) = i64::try_from(conversation.0).map(CallId) {
                    self.tell_call(now, call, call::Input::RecordingGap(gap));
                }
            }
            Event::Closed { leg, .. } => {
                if let Some(port) = self.closing_ports.remove(&leg) {
                    self.ports.give_back(now.mono, port);
                }
            }
            Event::Dtmf { leg, digit, .. } => {
                if let Some((call, leg)) = self.legs.find(leg).map(|leg| (leg.call, leg.no)) {
                    self.tell_call(now, call, call::Input::Key { leg, key: digit });
                }
            }
            Event::Played { leg } => {
                if let Some((call, leg)) = self.legs.find(leg).map(|leg| (leg.call, leg.no)) {
                    self.tell_call(now, call, call::Input::Said(leg));
                }
            }
            Event::Opened { .. } | Event::Confirmed { .. } | Event::RecordingStarted { .. } => {}
        }
    }

    /// The plane could not bind the port, most likely because another program has it: that port
    /// rests, and a leg that has told nobody of it takes another one.
    fn media_failed(&mut self, now: Now, key: LegKey) {
        // Given up meanwhile, perhaps forgotten: there is nothing to close.
        if let Some(port) = self.closing_ports.remove(&key) {
            self.ports.give_back(now.mono, port);
            return;
        }
        let Some(leg) = self.legs.find(key) else {
            return;
        };
        let (call, no, phase, path, side) = (leg.call, leg.no, leg.phase, leg.path, leg.side);
        let old = leg.media.session.clone();
        let session = match phase {
            Phase::Prepared => self.new_session(now, path),
            Phase::Incoming(_) => self.new_session(now, path),
            _ => None,
        };
        self.drop_session(now, &old);
        let Some(session) = session else {
            if let Some(leg) = self.legs.find_mut(key) {
                leg.media.state = MediaState::Closed;
            }
            let input = match (no, phase) {
                (LegNo::CALLER, _) | (_, Phase::Confirmed) => {
                    call::Input::LegLost(no, Cause::MediaFailed)
                }
                // The device may be ringing already.
                _ => {
                    self.drop_leg(now, key);
                    match side {
                        Side::Device(_) => call::Input::LegFailed(no, OfferEnd::MediaFailed),
                        Side::Trunk(_) => call::Input::LegLost(no, Cause::MediaFailed),
                    }
                }
            };
            return self.tell_call(now, call, input);
        };
        self.open_media(key, &session);
        if let Some(leg) = self.legs.find_mut(key) {
            leg.media.session = session;
        }
        if let Phase::Incoming(_) = phase {
            self.answer_caller_offer(key);
            self.set_remote(key);
        }
    }
}

fn is_answered(phase: Phase) -> bool {
    matches!(phase, Phase::Confirmed | Phase::AwaitingAck { .. })
}

impl LegMedia {
    pub(crate) fn new(session: LocalSession, source: SourceRule) -> Self {
        Self {
            session,
            source,
            negotiated: None,
            answer: Vec::new(),
            unanswered: None,
            state: MediaState::Open,
        }
    }

    /// Takes the answer to our offer.
    pub(crate) fn accept(&mut self, body: &[u8]) -> Result<&Negotiated, media::SdpError> {
        let negotiated = self.read_answer(body)?;
        Ok(self.negotiated.insert(negotiated))
    }

    /// What the answer to our offer agrees on.
    pub(crate) fn read_answer(&self, body: &[u8]) -> Result<Negotiated, media::SdpError> {
        self.session.accept_answer(&Sdp::parse(body)?)
    }
}

/// The media plane's name of a call's conversation.
pub(crate) fn conversation(call: CallId) -> ConversationKey {
    ConversationKey(call.0.unsigned_abs())
}

/// Where media of a caller may come from: the SDP's address or the trunk's networks.
pub(crate) fn trunk_source(trunk: &Trunk) -> SourceRule {
    SourceRule::Networks(
        trunk
            .media_networks
            .iter()
            .map(|net| (net.addr(), net.prefix_len()))
            .collect(),
    )
}

/// Where media of a device may come from, by its setting, the address of its signalling and its SDP.
pub(crate) fn device_source(setting: MediaSource, path: Path, sdp: SocketAddr) -> SourceRule {
    let signalling = path.remote.ip();
    match setting {
        MediaSource::Sdp => SourceRule::Sdp,
        MediaSource::SignallingIp => SourceRule::SignallingIp(signalling),
        // A phone behind NAT names an address of its own network.
        MediaSource::Automatic if sdp.ip().to_canonical() == signalling.to_canonical() => {
            SourceRule::Sdp
        }
        MediaSource::Automatic => SourceRule::SignallingIp(signalling),
    }
}

/// Whether the leg is a device's, and which.
pub(crate) fn device_of(side: Side) -> Option<model::DeviceId> {
    match side {
        Side::Device(device) => Some(device),
        Side::Trunk(_) => None,
    }
}
