//! What the four machines share: what can happen, and what is then to be done.
//!
//! A machine is a pure function from state and input to the next state and a list of actions; it sees no message and no time.
//! `client.rs` and `server.rs` carry the actions out. Nothing happens on an input that a state's function does not name.

use super::timers::Timer;

/// What can happen to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// 1xx: received by a client, given by the user of a server.
    Provisional,
    /// 2xx, likewise; to an INVITE the first with its To tag.
    Success,
    /// Another copy of a 2xx to an INVITE.
    SuccessAgain,
    /// 300 to 699.
    Failure,
    /// The request came once more.
    Request,
    /// An ACK came.
    Ack,
    /// The user withdraws the request (client), or a CANCEL came (server).
    Cancel,
    /// The connection broke, or could not be opened.
    TransportError,
    /// A timer fires.
    Fires(Timer),
}

/// What is to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send the request (client), or the response at hand (server), and keep it for repetition.
    Send,
    /// Send the same bytes again.
    Repeat,
    /// Make the ACK for the failure at hand and send it.
    Acknowledge,
    /// Send the ACK of this response again.
    RepeatAck,
    /// Send a CANCEL.
    SendCancel,
    /// Hand what came to the user.
    Report,
    /// Tell the user that no answer came.
    ReportTimeout,
    /// Tell the user that the request could not be carried to the other side.
    ReportUnreachable,
    /// Tell the user that no ACK came.
    ReportNoAck,
    /// Start a timer with its first value.
    Start(Timer),
    /// Start a repeating timer again with the interval that follows.
    Lengthen(Timer),
    /// Start a repeating timer again with T2.
    Slow(Timer),
    /// Stop a timer.
    Stop(Timer),
}

/// The next state and what to do on the way. In `Terminated` all timers stop and the transaction is forgotten.
pub(super) type Step<State> = (State, &'static [Action]);
