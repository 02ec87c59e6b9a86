//! The contract of the media plane: what `switch` orders and what the media threads report. Pure data.
//!
//! Commands take effect in the order in which they were given. A command for a leg that is not open (any
//! more) is ignored: its `Closed` or `OpenFailed` is then already under way.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::tone::Tone;

/// One leg of the media plane: a pair of ports towards one peer. Chosen by `switch`, never reused in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegKey(pub u64);

/// One conversation of the media plane; it has at most one recording. Chosen by `switch`, never reused in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConversationKey(pub u64);

/// A voice codec of the plane, always 8000 Hz and one channel, one byte per sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// G.711 A-law.
    Pcma,
    /// G.711 µ-law.
    Pcmu,
}

impl Codec {
    /// The static payload type of RFC 3551 §6: 8 for A-law, 0 for µ-law.
    #[must_use]
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Pcma => 8,
            Self::Pcmu => 0,
        }
    }

    /// The encoding name of RFC 3551 as it stands in SDP.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcma => "PCMA",
            Self::Pcmu => "PCMU",
        }
    }

    /// The codec of a static payload type, if the plane speaks it.
    #[must_use]
    pub const fn from_payload_type(payload_type: u8) -> Option<Self> {
        match payload_type {
            8 => Some(Self::Pcma),
            0 => Some(Self::Pcmu),
            _ => None,
        }
    }

    /// The byte of digital silence: 0xD5 in A-law, 0xFF in µ-law (ITU-T G.711).
    #[must_use]
    pub const fn silence(self) -> u8 {
        match self {
            Self::Pcma => 0xD5,
            Self::Pcmu => 0xFF,
        }
    }
}

/// From where media of a leg is accepted until its source is confirmed ("Addresses" in docs/decisions/0003-media-plane.md).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceRule {
    /// Only the address and port that stand in the SDP (`Remote::rtp`).
    Sdp,
    /// Only the IP that signalling came from; the port is learnt (a device behind NAT).
    SignallingIp(IpAddr),
    /// A trunk: the SDP address, or any address of these networks (network, prefix length in bits).
    Networks(Vec<(IpAddr, u8)>),
}

impl SourceRule {
    /// Whether a packet from `source` may confirm a leg whose SDP named `sdp`.
    ///
    /// IPv4-mapped IPv6 addresses compare as IPv4. The port counts only for [`SourceRule::Sdp`]: a trunk's
    /// media gateway behind its own NAT may send from another port.
    #[must_use]
    pub fn accepts(&self, source: SocketAddr, sdp: SocketAddr) -> bool {
        let ip = source.ip().to_canonical();
        let sdp_ip = sdp.ip().to_canonical();
        match self {
            Self::Sdp => ip == sdp_ip && source.port() == sdp.port(),
            Self::SignallingIp(signalling) => ip == signalling.to_canonical(),
            Self::Networks(networks) => {
                ip == sdp_ip
                    || networks
                        .iter()
                        .any(|&(network, prefix)| within(ip, network.to_canonical(), prefix))
            }
        }
    }
}

fn within(ip: IpAddr, network: IpAddr, prefix: u8) -> bool {
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            let shift = 32 - u32::from(prefix.min(32));
            (ip.to_bits() ^ network.to_bits())
                .checked_shr(shift)
                .unwrap_or(0)
                == 0
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => {
            let shift = 128 - u32::from(prefix.min(128));
            (ip.to_bits() ^ network.to_bits())
                .checked_shr(shift)
                .unwrap_or(0)
                == 0
        }
        _ => false,
    }
}

/// The far end of a leg as offer and answer settled it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where their SDP asks for RTP. An unspecified address (`0.0.0.0`) means: send nothing (old-style hold).
    pub rtp: SocketAddr,
    /// The one voice codec of the leg, both ways.
    pub codec: Codec,
    /// Payload type of `telephone-event/8000` (RFC 4733), both ways; `None`: not agreed.
    pub dtmf_payload_type: Option<u8>,
    /// From where their media is accepted.
    pub source: SourceRule,
    /// They send: direction of their SDP is `sendrecv` or `sendonly`.
    pub sending: bool,
    /// They want to receive: direction of their SDP is `sendrecv` or `recvonly`.
    pub receiving: bool,
}

/// What a leg hears when its sounds are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterSounds {
    /// Our music, from where this leg heard it last.
    Music,
    /// Silence packets.
    Silence,
}

/// What `switch` orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Bind the ports of a leg. Ends with `Opened` or `OpenFailed`; other commands for the leg may follow at once.
    Open {
        /// The new leg.
        leg: LegKey,
        /// The local address to bind.
        local_ip: IpAddr,
        /// Even port for RTP; RTCP is on `port + 1`.
        port: u16,
    },
    /// The far end is known: after offer/answer, and again after a re-INVITE, when address or codec may change.
    /// A changed address, port or rule is confirmed anew.
    SetRemote {
        /// An open leg.
        leg: LegKey,
        /// The far end.
        remote: Remote,
    },
    /// Bridge two legs both ways: A-law and µ-law are converted where the codecs differ, RFC 4733 events pass
    /// through with their payload type mapped. Ends tones and sounds on both, and a bridge either of them was in.
    Join {
        /// One leg.
        a: LegKey,
        /// The other leg.
        b: LegKey,
        /// The conversation that they belong to.
        conversation: ConversationKey,
    },
    /// Let three legs hear one another, each the sum of the other two, 20 to 40 ms later than in a bridge. Ends tones and
    /// sounds on all three, and whatever they were joined in; ends for a leg with `Join` or `Close`, and for all once
    /// only one is left. Keys (RFC 4733) are reported and heard by nobody. A leg whose both others are held hears our
    /// music. On the right channel of a recording of this conversation is from now on the sum of the two agents.
    Confer {
        /// The leg on the left channel.
        client: LegKey,
        /// The legs on the right channel.
        agents: [LegKey; 2],
        /// The conversation that they belong to.
        conversation: ConversationKey,
    },
    /// Send a tone to the leg until `Stop`, `Join` or another order to play. Sounds end for it without a report.
    Play {
        /// Who hears it.
        leg: LegKey,
        /// What they hear.
        tone: Tone,
    },
    /// Send sounds to the leg, one after another; `Played` follows the last one, then goes on what `then` says.
    /// A tone or other sounds end for it. Without sounds `then` begins at once and nothing is reported.
    ///
    /// Nothing of them is lost: while there is nobody to send to (no `SetRemote` yet, an address that is not learnt yet,
    /// a far end that does not want to receive), sounds and music stand still and nothing is reported. Until `Stop` the
    /// leg is watched for `RtpTimeout`, as if it were joined.
    PlaySounds {
        /// Who hears them.
        leg: LegKey,
        /// Names of sounds, such as `ru/queue-position`, at most [`MOST_SOUNDS`](crate::sound::MOST_SOUNDS); an
        /// unknown one is passed over, and `Played` comes even if all are.
        sounds: Vec<Arc<str>>,
        /// What is heard after them, until `Stop`, `Join` or another order to play.
        then: AfterSounds,
    },
    /// Send the leg back what comes from it, voice and keys, until `Stop`, `Join` or an order to play. Ends a tone, sounds
    /// and a bridge that it was in. The leg is watched for `RtpTimeout`, as if it were joined.
    Echo {
        /// Who hears itself.
        leg: LegKey,
    },
    /// End a tone, sounds or an echo, without a report; nothing is sent until the next order.
    Stop {
        /// Who heard it.
        leg: LegKey,
    },
    /// The leg held us (`held`) or came back. While held, the *other* party of its bridge hears our music, from where
    /// it heard it last, and the RTP timeout of the held leg is suspended; it counts from zero after the resumption.
    /// Music is never recorded: recordings are made of what comes from the parties.
    Hold {
        /// The leg whose device pressed hold.
        leg: LegKey,
        /// Held, or resumed.
        held: bool,
    },
    /// Record the conversation: left the client, right the agent. Ends with `RecordingClosed`, whatever happens.
    StartRecording {
        /// The conversation; a second recording of it is refused with `RecordingClosed` and an error.
        conversation: ConversationKey,
        /// The leg on the left channel.
        client: LegKey,
        /// The leg on the right channel; none if somebody speaks alone.
        agent: Option<LegKey>,
        /// Path relative to the recordings folder; missing folders are made.
        file: String,
        /// Codec of the file, fixed for its whole length.
        law: Codec,
    },
    /// Another leg speaks on the right channel from now on: the conversation was transferred. Its legs were joined before.
    PassRecording {
        /// A conversation that is being recorded; nothing happens to another.
        conversation: ConversationKey,
        /// The leg on the right channel.
        agent: LegKey,
    },
    /// Put silence into both channels instead of what is heard, or what is heard again. The file keeps its time, and
    /// keys are reported as ever.
    PauseRecording {
        /// A conversation that is being recorded; nothing happens to another.
        conversation: ConversationKey,
        /// Silence.
        paused: bool,
    },
    /// End the recording; `RecordingClosed` follows when its last byte is written.
    StopRecording {
        /// The recorded conversation.
        conversation: ConversationKey,
    },
    /// Stop the media of a leg at once. Its port rests 2 s, which the port pool of `switch` knows.
    Close {
        /// The leg to end.
        leg: LegKey,
    },
}

/// What the media threads report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The ports of a leg are bound.
    Opened {
        /// The leg.
        leg: LegKey,
    },
    /// The ports could not be bound, for instance because another program has them. The leg does not exist.
    OpenFailed {
        /// The leg.
        leg: LegKey,
        /// What the system said.
        reason: String,
    },
    /// The first packet of a leg that its source rule accepts has arrived; later ones must come from there.
    Confirmed {
        /// The leg.
        leg: LegKey,
        /// The learnt source.
        source: SocketAddr,
    },
    /// No media for the configured time (60 s) from a leg that is joined or hears sounds, not on hold. Sent once until
    /// media comes again.
    RtpTimeout {
        /// The silent leg.
        leg: LegKey,
    },
    /// A key was pressed, once per press, at its end. Keys come as events (RFC 4733), whether or not the leg is joined;
    /// from a peer that has not agreed on events, as tones in its voice, but only while the leg hears sounds.
    Dtmf {
        /// The leg that pressed it.
        leg: LegKey,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
        /// How long it was held, in milliseconds.
        duration_ms: u32,
    },
    /// The sounds of `PlaySounds` were played to their end: the last sample of the last one is sent.
    Played {
        /// Who heard them.
        leg: LegKey,
    },
    /// The file of a recording is open and its header is written.
    RecordingStarted {
        /// The recorded conversation.
        conversation: ConversationKey,
    },
    /// A part of a recording could not be written; the file is silent there.
    RecordingGap {
        /// The recorded conversation.
        conversation: ConversationKey,
        /// Where the gap begins, in milliseconds from the start of the file.
        at_ms: u64,
        /// Its length in milliseconds.
        length_ms: u64,
        /// Why.
        reason: GapReason,
    },
    /// A recording has ended, well or with `summary.error`.
    RecordingClosed {
        /// The recorded conversation.
        conversation: ConversationKey,
        /// What stands in the file.
        summary: RecordingSummary,
    },
    /// The leg is closed: the answer to `Close`.
    Closed {
        /// The leg.
        leg: LegKey,
        /// What it did in its life.
        stats: LegStats,
    },
}

/// Why a part of a recording is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GapReason {
    /// The queue to the writer was full: the disk did not keep up.
    QueueFull,
    /// No space left on the device.
    DiskFull,
    /// Any other failure of a write.
    WriteFailed,
}

/// What stands in a closed recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordingSummary {
    /// Path relative to the recordings folder, as ordered.
    pub file: String,
    /// Length of the audio in milliseconds.
    pub length_ms: u64,
    /// Length of the file in bytes, header included.
    pub bytes: u64,
    /// Sum of the gaps in milliseconds.
    pub gaps_ms: u64,
    /// Why the recording is incomplete or missing, in the system's words.
    pub error: Option<String>,
}

/// Counters of a leg's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegStats {
    /// RTP packets accepted.
    pub received: u64,
    /// RTP packets sent.
    pub sent: u64,
    /// RTP packets missing by sequence number (RFC 3550 §6.4.1), never below 0.
    pub lost: u64,
    /// Datagrams dropped because of their source.
    pub refused_source: u64,
    /// Datagrams dropped because they were no RTP of the leg's payload types.
    pub refused_format: u64,
    /// Payload bytes accepted.
    pub bytes_received: u64,
    /// Payload bytes sent.
    pub bytes_sent: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_codec_is_found_by_its_payload_type_again() {
        for codec in [Codec::Pcma, Codec::Pcmu] {
            assert_eq!(Codec::from_payload_type(codec.payload_type()), Some(codec));
        }
        assert_eq!(Codec::from_payload_type(9), None);
    }

    #[test]
    fn the_sdp_rule_accepts_one_address_and_port() {
        let sdp = address("192.0.2.1:4000");
        assert!(SourceRule::Sdp.accepts(sdp, sdp));
        assert!(SourceRule::Sdp.accepts(address("[::ffff:192.0.2.1]:4000"), sdp));
        assert!(!SourceRule::Sdp.accepts(address("192.0.2.1:4002"), sdp));
        assert!(!SourceRule::Sdp.accepts(address("192.0.2.2:4000"), sdp));
    }

    #[test]
    fn behind_nat_any_port_of_the_signalling_address_is_accepted_and_nothing_else() {
        let sdp = address("10.0.0.7:4000");
        let rule = SourceRule::SignallingIp("203.0.113.5".parse().unwrap());
        assert!(rule.accepts(address("203.0.113.5:61000"), sdp));
        assert!(!rule.accepts(sdp, sdp));
    }

    #[test]
    fn a_trunk_may_send_from_its_networks_and_from_its_sdp_address() {
        let sdp = address("198.51.100.9:4000");
        let rule = SourceRule::Networks(vec![
            ("203.0.113.64".parse().unwrap(), 26),
            ("2001:db8::".parse().unwrap(), 32),
        ]);
        assert!(rule.accepts(address("198.51.100.9:5000"), sdp));
        assert!(rule.accepts(address("203.0.113.127:9"), sdp));
        assert!(!rule.accepts(address("203.0.113.128:9"), sdp));
        assert!(!rule.accepts(address("203.0.113.63:9"), sdp));
        assert!(rule.accepts(address("[2001:db8:1::1]:9"), sdp));
        assert!(!rule.accepts(address("[2001:db9::1]:9"), sdp));
    }

    #[test]
    fn a_prefix_of_zero_bits_is_everything_of_its_family() {
        let rule = SourceRule::Networks(vec![("0.0.0.0".parse().unwrap(), 0)]);
        assert!(rule.accepts(address("8.8.8.8:1"), address("192.0.2.1:1")));
        assert!(!rule.accepts(address("[2001:db8::1]:1"), address("192.0.2.1:1")));
    }
}
