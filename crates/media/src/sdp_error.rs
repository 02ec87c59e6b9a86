//! What can be wrong with a session description, and the SIP status that says so.

use thiserror::Error;

use crate::sdp::{MAX_BYTES, MAX_FORMATS, MAX_LINE_BYTES, MAX_LINES, MAX_MEDIA};

/// Why a session description cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SdpError {
    /// The body is over its bound.
    #[error("the SDP has {bytes} bytes, at most {MAX_BYTES} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// More lines than the bound.
    #[error("the SDP has more than {MAX_LINES} lines")]
    TooManyLines,
    /// A line is over its bound.
    #[error("line {line} of the SDP is longer than {MAX_LINE_BYTES} bytes")]
    LineTooLong {
        /// Its number, from 1.
        line: usize,
    },
    /// NUL, or a carriage return inside a line.
    #[error("line {line} of the SDP has a control character inside")]
    ControlCharacter {
        /// Its number, from 1.
        line: usize,
    },
    /// More `m=` lines than the bound.
    #[error("the SDP has more than {MAX_MEDIA} media")]
    TooManyMedia,
    /// More formats in a `m=` line than the bound.
    #[error("an m= line of the SDP has more than {MAX_FORMATS} formats")]
    TooManyFormats,
    /// The body does not begin with `v=0`.
    #[error("the body is not SDP: it does not begin with v=0")]
    NotSdp,
    /// No `o=` line, or one with fewer than six fields.
    #[error("the o= line of the SDP is missing or incomplete")]
    OriginLine,
    /// A `c=` line with fewer than three fields.
    #[error("a c= line of the SDP is incomplete")]
    ConnectionLine,
    /// A `m=` line without kind, port, protocol or formats.
    #[error("an m= line of the SDP is incomplete or its port is no number")]
    MediaLine,
    /// No `m=audio` line at all, or only refused ones.
    #[error("the SDP has no audio stream over RTP/AVP")]
    NoAudio,
    /// Audio is offered only over SRTP.
    #[error("the SDP offers audio only encrypted (SRTP), which is not switched on here")]
    OnlyEncrypted,
    /// Nothing in common: the codecs that were named.
    #[error("no common codec: the other side names {theirs}")]
    NoCommonCodec {
        /// Their formats with encoding names, separated by commas.
        theirs: String,
    },
    /// The audio stream has no `c=` line, or one with a host name, a multicast or a broadcast address.
    #[error("the SDP has no usable IP address for audio")]
    Address,
    /// The answer refuses our audio stream (port 0).
    #[error("the answer refuses the audio stream")]
    Refused,
    /// An answer came, but nothing was offered.
    #[error("an SDP answer came although nothing was offered")]
    NothingOffered,
}

impl SdpError {
    /// The SIP status for an offer with this fault: 413, 400, or 488 when it is sound but not for us
    /// (RFC 3264 §6; RFC 3261 §21.4.26).
    #[must_use]
    pub const fn sip_status(&self) -> u16 {
        match self {
            Self::TooLong { .. } => 413,
            Self::TooManyLines
            | Self::LineTooLong { .. }
            | Self::ControlCharacter { .. }
            | Self::TooManyMedia
            | Self::TooManyFormats
            | Self::NotSdp
            | Self::OriginLine
            | Self::ConnectionLine
            | Self::MediaLine => 400,
            Self::NoAudio
            | Self::OnlyEncrypted
            | Self::NoCommonCodec { .. }
            | Self::Address
            | Self::Refused
            | Self::NothingOffered => 488,
        }
    }
}
