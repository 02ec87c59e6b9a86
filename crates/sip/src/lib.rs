//! SIP as a pure library: bytes to messages and back, digest authentication, transactions, dialogs and
//! registration bindings.
//!
//! Invariant: nothing received from a network can make this crate panic, and no CR, LF or NUL that came
//! in as part of a value ever leaves as part of a value. Never in here: a socket, a clock, a thread, an async runtime, SDP.

pub mod address;
mod bytes;
pub mod cseq;
pub mod dialog;
pub mod digest;
mod escape;
pub mod header;
pub mod headers;
mod host;
mod lines;
pub mod message;
pub mod method;
mod params;
mod parse;
pub mod registrar;
pub mod reject;
pub mod replaces;
pub mod session_timer;
pub mod status;
pub mod stream;
pub mod transaction;
pub mod uri;
pub mod via;
mod write;

pub use address::NameAddr;
pub use cseq::CSeq;
pub use header::Name;
pub use headers::Headers;
pub use message::{Message, Request, Response};
pub use method::Method;
pub use reject::{ParseError, Rejected};
pub use replaces::Replaces;
pub use status::reason_phrase;
pub use uri::{Host, Scheme, Uri, UriError};
pub use via::Via;
