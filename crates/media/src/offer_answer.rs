//! Offer and answer (RFC 3264) for one audio stream over RTP/AVP.
//!
//! A [`LocalSession`] is our half of one dialog: it writes every description that we send in it, so that the
//! `o=` line and the order of the streams stay right from one to the next (RFC 3264 §8).

use std::net::{IpAddr, SocketAddr};

use crate::plane::{Codec, Remote, SourceRule};
use crate::sdp::{Attribute, Connection, Direction, Media, Origin, Sdp};
use crate::sdp_error::SdpError;

/// Payload type of `telephone-event` in our offers; in answers the offer's number stands.
pub const DTMF_PAYLOAD_TYPE: u8 = 101;
/// Length of our packets in milliseconds.
pub const PTIME_MS: u16 = 20;

/// What we are willing to do in one offer or answer.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Codecs that we speak; in offers the order is our preference, in answers theirs counts (RFC 3264 §6.1).
    pub codecs: &'a [Codec],
    /// Whether RFC 4733 events are offered and accepted.
    pub dtmf: bool,
    /// What we want to do; an answer never goes beyond what the offer allows.
    pub direction: Direction,
}

impl Default for Terms<'_> {
    fn default() -> Self {
        Self {
            codecs: &[Codec::Pcma, Codec::Pcmu],
            dtmf: true,
            direction: Direction::SendRecv,
        }
    }
}

/// What an offer and its answer agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The voice codec.
    pub codec: Codec,
    /// Where they want RTP; an unspecified IP (`0.0.0.0`) is the old way to say hold.
    pub remote: SocketAddr,
    /// Payload type of `telephone-event/8000`.
    pub dtmf_payload_type: Option<u8>,
    /// The direction in our description.
    pub ours: Direction,
    /// The direction in their description.
    pub theirs: Direction,
    /// The packet length that they ask for, in milliseconds; 20 if they do not.
    pub ptime_ms: u16,
}

impl Negotiated {
    /// Whether they put us on hold: they do not want to receive, or named no address
    /// (RFC 3264 §8.4, both ways of it).
    #[must_use]
    pub fn is_hold(&self) -> bool {
        !self.theirs.receives() || self.remote.ip().is_unspecified()
    }

    /// The far end for the media plane.
    #[must_use]
    pub fn remote(&self, source: SourceRule) -> Remote {
        Remote {
            rtp: self.remote,
            codec: self.codec,
            dtmf_payload_type: self.dtmf_payload_type,
            source,
            sending: self.theirs.sends(),
            receiving: !self.is_hold(),
        }
    }
}

/// Our half of the session of one dialog.
#[derive(Clone, Debug)]
pub struct LocalSession {
    rtp: SocketAddr,
    session_id: u64,
    last: Option<Sdp>,
}

impl LocalSession {
    /// A session whose media arrive at `rtp`, the address that the peer can reach. `session_id` should be unlike
    /// that of other sessions (RFC 8866 §5.2); it comes from the caller's seed and is kept below 2^62 (RFC 3264 §5).
    #[must_use]
    pub fn new(rtp: SocketAddr, session_id: u64) -> Self {
        Self {
            rtp,
            session_id: session_id & ((1 << 62) - 1),
            last: None,
        }
    }

    /// The address and port that stand in our descriptions.
    #[must_use]
    pub const fn rtp(&self) -> SocketAddr {
        self.rtp
    }

    /// The description that we sent last, for a repeated 200 or a re-INVITE without change.
    #[must_use]
    pub const fn last(&self) -> Option<&Sdp> {
        self.last.as_ref()
    }

    /// Writes an offer. Streams that were refused before keep their place with port 0 (RFC 3264 §8).
    #[must_use]
    pub fn offer(&mut self, terms: Terms<'_>) -> Sdp {
        let dtmf = terms.dtmf.then_some(DTMF_PAYLOAD_TYPE);
        let audio = self.audio("audio", terms.codecs, dtmf, terms.direction);
        let mut media = self
            .last
            .as_ref()
            .map_or_else(Vec::new, |last| last.media.clone());
        let place = media.iter().position(|m| m.kind == "audio" && m.port != 0);
        match place.and_then(|index| media.get_mut(index)) {
            Some(stream) => *stream = audio,
            None => media.push(audio),
        }
        self.write(media)
    }

    /// Answers an offer: its first audio stream over RTP/AVP that has a codec of `terms` is taken, every other
    /// stream is refused with port 0.
    ///
    /// # Errors
    /// Nothing can be taken; [`SdpError::sip_status`] is the status to answer with. Nothing changes then:
    /// a refused re-INVITE leaves the session as it was (RFC 3261 §14.2).
    pub fn answer(&mut self, offer: &Sdp, terms: Terms<'_>) -> Result<(Sdp, Negotiated), SdpError> {
        let (index, stream, codec) = choose(offer, terms.codecs)?;
        let remote = rtp_address(offer, stream)?;
        let dtmf = terms.dtmf.then(|| dtmf_payload_type(stream)).flatten();
        let theirs = direction(offer, stream);
        // RFC 3264 §6.1: sendonly is answered by recvonly or inactive, inactive by inactive.
        let allowed = theirs.mirrored();
        let ours = Direction::of(
            allowed.sends() && terms.direction.sends(),
            allowed.receives() && terms.direction.receives(),
        );
        let audio = self.audio(&stream.kind, &[codec], dtmf, ours);
        let media = offer.media.iter().enumerate().map(|(i, m)| {
            if i == index {
                audio.clone()
            } else {
                refused(m)
            }
        });
        let answer = self.write(media.collect());
        let ptime_ms = stream.ptime_ms().unwrap_or(PTIME_MS);
        Ok((
            answer,
            Negotiated {
                codec,
                remote,
                dtmf_payload_type: dtmf,
                ours,
                theirs,
                ptime_ms,
            },
        ))
    }

    /// Reads the answer to our last offer.
    ///
    /// # Errors
    /// The answer refuses audio, names no codec that we offered, or has no usable address.
    pub fn accept_answer(&self, answer: &Sdp) -> Result<Negotiated, SdpError> {
        let offer = self.last.as_ref().ok_or(SdpError::NothingOffered)?;
        let index = offer
            .media
            .iter()
            .position(|m| m.kind == "audio" && m.port != 0)
            .ok_or(SdpError::NothingOffered)?;
        let (ours, theirs) = (
            &offer.media[index],
            answer.media.get(index).ok_or(SdpError::NoAudio)?,
        );
        // RFC 3264 §6: streams are matched by their place.
        if theirs.kind != "audio" || !is_plain(&theirs.protocol) {
            return Err(SdpError::NoAudio);
        }
        if theirs.port == 0 {
            return Err(SdpError::Refused);
        }
        let offered: Vec<Codec> = ours
            .payload_types()
            .filter_map(|number| codec_of(ours, number))
            .collect();
        let codec = common_codec(theirs, &offered).ok_or_else(|| no_common_codec(theirs))?;
        Ok(Negotiated {
            codec,
            remote: rtp_address(answer, theirs)?,
            dtmf_payload_type: dtmf_payload_type(ours).and_then(|_| dtmf_payload_type(theirs)),
            ours: direction(offer, ours),
            theirs: direction(answer, theirs),
            ptime_ms: theirs.ptime_ms().unwrap_or(PTIME_MS),
        })
    }

    fn audio(&self, kind: &str, codecs: &[Codec], dtmf: Option<u8>, direction: Direction) -> Media {
        let mut formats: Vec<String> = codecs
            .iter()
            .map(|codec| codec.payload_type().to_string())
            .collect();
        let rtpmap = |codec: &Codec| format!("{} {}/8000", codec.payload_type(), codec.name());
        let mut attributes: Vec<Attribute> = codecs
            .iter()
            .map(|codec| Attribute::with_value("rtpmap", rtpmap(codec)))
            .collect();
        if let Some(number) = dtmf {
            formats.push(number.to_string());
            attributes.push(Attribute::with_value(
                "rtpmap",
                format!("{number} telephone-event/8000"),
            ));
            attributes.push(Attribute::with_value("fmtp", format!("{number} 0-15")));
        }
        attributes.push(Attribute::with_value("ptime", PTIME_MS.to_string()));
        attributes.push(Attribute::flag(direction.name()));
        let (kind, protocol) = (kind.to_owned(), "RTP/AVP".to_owned());
        Media {
            kind,
            port: self.rtp.port(),
            protocol,
            formats,
            connection: None,
            attributes,
        }
    }

    fn write(&mut self, media: Vec<Media>) -> Sdp {
        let address = Connection::ip(self.rtp.ip());
        let version = self.last.as_ref().map_or(1, |last| last.origin.version);
        let origin = Origin {
            user: "-".to_owned(),
            session_id: self.session_id,
            version,
            address: address.clone(),
        };
        let mut sdp = Sdp {
            origin,
            session_name: "-".to_owned(),
            connection: Some(address),
            attributes: Vec::new(),
            media,
        };
        // RFC 3264 §8: the version grows by one exactly when the description changed.
        if self.last.as_ref().is_some_and(|last| *last != sdp) {
            sdp.origin.version += 1;
        }
        self.last = Some(sdp.clone());
        sdp
    }
}

/// The first audio stream that can be taken, its place and the codec.
fn choose<'a>(offer: &'a Sdp, codecs: &[Codec]) -> Result<(usize, &'a Media, Codec), SdpError> {
    let live = |m: &&Media| m.kind == "audio" && m.port != 0;
    let plain = || {
        offer
            .media
            .iter()
            .enumerate()
            .filter(|(_, m)| live(m) && is_plain(&m.protocol))
    };
    if let Some(found) =
        plain().find_map(|(i, m)| common_codec(m, codecs).map(|codec| (i, m, codec)))
    {
        return Ok(found);
    }
    if let Some((_, stream)) = plain().next() {
        return Err(no_common_codec(stream));
    }
    let encrypted = offer
        .media
        .iter()
        .filter(live)
        .any(|m| m.protocol.to_ascii_uppercase().contains("SAVP"));
    Err(if encrypted {
        SdpError::OnlyEncrypted
    } else {
        SdpError::NoAudio
    })
}

fn is_plain(protocol: &str) -> bool {
    protocol.eq_ignore_ascii_case("RTP/AVP")
}

/// RFC 3264 §6.1: among the codecs of both, the writer's order decides.
fn common_codec(stream: &Media, codecs: &[Codec]) -> Option<Codec> {
    stream
        .payload_types()
        .filter_map(|number| codec_of(stream, number))
        .find(|codec| codecs.contains(codec))
}

/// The codec behind a payload type. 0 and 8 need no rtpmap (RFC 3551 §6), but one that contradicts them counts.
fn codec_of(stream: &Media, payload_type: u8) -> Option<Codec> {
    let codec = Codec::from_payload_type(payload_type)?;
    let sound = stream.rtpmap(payload_type).is_none_or(|map| {
        map.name.eq_ignore_ascii_case(codec.name()) && map.clock_rate == 8000 && map.channels == 1
    });
    sound.then_some(codec)
}

fn dtmf_payload_type(stream: &Media) -> Option<u8> {
    stream.payload_types().find(|&number| {
        number >= 96
            && stream.rtpmap(number).is_some_and(|map| {
                map.name.eq_ignore_ascii_case("telephone-event") && map.clock_rate == 8000
            })
    })
}

fn direction(sdp: &Sdp, stream: &Media) -> Direction {
    stream
        .direction()
        .or_else(|| sdp.direction())
        .unwrap_or(Direction::SendRecv)
}

/// RFC 8866 §5.7: the stream's own `c=` line goes before the session's.
fn rtp_address(sdp: &Sdp, stream: &Media) -> Result<SocketAddr, SdpError> {
    let connection = stream
        .connection
        .as_ref()
        .or(sdp.connection.as_ref())
        .ok_or(SdpError::Address)?;
    let ip = connection.to_ip().ok_or(SdpError::Address)?.to_canonical();
    let to_many = match ip {
        IpAddr::V4(ip) => ip.is_multicast() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_multicast(),
    };
    if to_many {
        Err(SdpError::Address)
    } else {
        Ok(SocketAddr::new(ip, stream.port))
    }
}

fn refused(stream: &Media) -> Media {
    Media {
        port: 0,
        connection: None,
        attributes: Vec::new(),
        ..stream.clone()
    }
}

fn no_common_codec(stream: &Media) -> SdpError {
    let name = |format: &String| match format.parse().ok().and_then(|number| stream.rtpmap(number))
    {
        Some(map) => format!("{format} {}/{}", map.name, map.clock_rate),
        None => format.clone(),
    };
    SdpError::NoCommonCodec {
        theirs: stream
            .formats
            .iter()
            .map(name)
            .collect::<Vec<_>>()
            .join(", "),
    }
}
