//! What a media thread is told, and how a leg travels from one thread to another.

use media::{Command, LegKey};

use super::leg::Leg;

/// One entry of a thread's order queue. The router numbers nothing: order in the queue is order in time.
#[derive(Debug)]
pub(crate) enum Order {
    /// An order of the switch for a leg or recording of this thread.
    Plane(Command),
    /// Give the leg away: descriptors and state.
    Release {
        /// Which leg.
        leg: LegKey,
        /// The thread that waits for it.
        to: usize,
    },
    /// Take no further order until this leg has arrived from another thread. Router operations are totally
    /// ordered and each release stands before its own awaiting, so two threads never wait for each other.
    Await {
        /// Which leg.
        leg: LegKey,
    },
    /// End: close every leg and every recording.
    Exit,
}

/// A leg under way. `None`: it was not open (any more).
#[derive(Debug)]
pub(crate) struct Travelling {
    pub(crate) key: LegKey,
    pub(crate) leg: Option<Box<Leg>>,
}
