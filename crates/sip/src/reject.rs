//! Why bytes are not a message, and what to answer.

use thiserror::Error;

use crate::header::Name;
use crate::message::Response;
use crate::uri::UriError;

/// What is wrong with the bytes, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseError {
    /// Only line ends: a keep-alive (RFC 5626 §3.5.1), nothing to answer here.
    #[error("keep-alive")]
    KeepAlive,
    /// More than 64 KiB.
    #[error("message larger than 64 KiB")]
    TooLarge,
    /// The first line is neither a request line nor a status line.
    #[error("malformed start line")]
    StartLine,
    /// A version other than SIP/2.0.
    #[error("unsupported SIP version")]
    Version,
    /// A Request-URI of more than 2,048 bytes.
    #[error("Request-URI too long")]
    UriTooLong,
    /// The Request-URI cannot be read.
    #[error("malformed Request-URI: {0}")]
    RequestUri(UriError),
    /// More than 256 values.
    #[error("too many header fields")]
    TooManyHeaders,
    /// A line of more than 8,192 bytes, continuation lines included.
    #[error("line {line} too long")]
    LineTooLong {
        /// Number of the line, the start line being 1.
        line: usize,
    },
    /// No colon, or a name that is no token.
    #[error("line {line} is no header field")]
    HeaderLine {
        /// Number of the line, the start line being 1.
        line: usize,
    },
    /// A NUL outside a quoted pair, or a CR that ends no line.
    #[error("forbidden byte in line {line}")]
    ForbiddenByte {
        /// Number of the line, the start line being 1.
        line: usize,
    },
    /// The empty line behind the header fields is missing.
    #[error("header fields end without an empty line")]
    NoEmptyLine,
    /// A mandatory field is missing (RFC 3261 §8.1.1).
    #[error("missing {0} header field")]
    Missing(Name),
    /// A field that may stand once stands twice.
    #[error("repeated {0} header field")]
    Repeated(Name),
    /// The value of a field that routing depends on cannot be read.
    #[error("malformed {0} header field")]
    Malformed(Name),
    /// Several lengths that differ.
    #[error("conflicting Content-Length header fields")]
    ConflictingLength,
    /// The length says more than there is.
    #[error("body shorter than Content-Length")]
    BodyTooShort,
    /// Another method in the CSeq than in the request line.
    #[error("CSeq method does not match the request")]
    CSeqMethod,
}

impl ParseError {
    /// The status with which a request is refused for this.
    pub fn status(&self) -> u16 {
        match self {
            Self::TooLarge => 413,
            Self::Version => 505,
            Self::UriTooLong => 414,
            _ => 400,
        }
    }
}

/// Bytes that are refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{error}")]
pub struct Rejected {
    /// What is wrong.
    #[source]
    pub error: ParseError,
    /// The status that says so: 400, 413, 414 or 505.
    pub status: u16,
    /// The answer, ready to be sent the way that its topmost Via names. Only to a request other than ACK whose topmost Via could be read.
    pub reply: Option<Response>,
}
