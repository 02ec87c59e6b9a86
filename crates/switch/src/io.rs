//! What goes into the switch and what comes out of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use call::{Command, EffectEnd, EffectId, EffectRequest, Notice};
use model::{Binding, Directory, OpenCall, Proxy, Target};
use sip::transaction::Path;

/// What happens to the switch.
#[derive(Clone, Debug)]
pub enum Input {
    /// A datagram came, or a whole message on a connection.
    Datagram {
        /// To which of our addresses, and from where.
        path: Path,
        /// Its content.
        bytes: Vec<u8>,
    },
    /// The addresses that we receive SIP on, told once at start.
    Listening(Vec<SocketAddr>),
    /// A connection broke, or could not be opened; nothing else comes or goes by it. Harmless when it was not known.
    FlowClosed {
        /// The way, as it stood in what came or was to be sent.
        path: Path,
    },
    /// Somebody orders something.
    Command(Command),
    /// The media plane reports.
    Media(media::plane::Event),
    /// An effect ended.
    EffectEnd {
        /// Which.
        id: EffectId,
        /// How.
        end: EffectEnd,
    },
    /// The administrator's settings are now these.
    Directory(Arc<Directory>),
    /// Bindings that were stored before the restart.
    Bindings(Vec<Binding>),
    /// Calls that the journal shows as open from before the restart.
    Recover(Vec<OpenCall>),
    /// A name of [`Output::Names`] means this now; told again whenever that changes.
    Resolved {
        /// The name.
        proxy: Proxy,
        /// Where requests go, the best place first; none if the name means nothing.
        places: Vec<Target>,
    },
    /// Time has passed.
    Timer,
}

/// What the switch wants.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a datagram, or a message on a connection. If that is not possible, [`Input::FlowClosed`] says so.
    Send {
        /// From which of our addresses, and to where.
        path: Path,
        /// Its content.
        bytes: Vec<u8>,
    },
    /// Order something of the media plane.
    Media(media::plane::Command),
    /// Carry out an effect; its end comes back as [`Input::EffectEnd`].
    Effect(EffectRequest),
    /// Tell the rooms around.
    Notice(Notice),
    /// Look up these names (RFC 3263 §4), and no others any more. What each means comes back as [`Input::Resolved`], as often
    /// as it has to be looked up anew.
    Names(Vec<Proxy>),
    /// Nothing else is left to do: wake the switch with [`Input::Timer`] then.
    WakeAt {
        /// On the monotonic clock; none if only an input can wake it.
        at: Option<Duration>,
        /// Which timer that is, for people who read a trace.
        reason: &'static str,
    },
}

/// What the switch holds at a moment; all zero once every call is over and every timer has run out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Calls that are not over.
    pub calls: usize,
    /// Legs of calls.
    pub legs: usize,
    /// Dialogs that requests can find.
    pub dialogs: usize,
    /// SIP transactions.
    pub transactions: usize,
    /// RTP ports in use, resting ones not counted.
    pub ports: usize,
    /// Agents reserved, ringing or talking.
    pub reservations: usize,
    /// Effects that have not ended.
    pub effects: usize,
    /// Callers in queues.
    pub waiting: usize,
}
