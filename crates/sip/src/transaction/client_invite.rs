//! RFC 3261 figure 5 with RFC 6026 §7.2: the side that sends an INVITE.
//!
//! Three states more than the figure say that the user has withdrawn the INVITE, for CANCEL waits for a provisional answer (§9.1).
//! A broken connection ends an INVITE in every state that waits for an answer, for the answer would have come by it (§8.1.3.1).
//! One departure: where none came in 64 T1 and another T4, CANCEL goes out all the same.

use super::machine::{Action::*, Input, Step};
use super::timers::Timer::{A, B, C, D, K, M};

/// States of the figure, `Withdrawing`, `Overdue` and `Cancelled` added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Calling,
    /// Withdrawn, no answer yet.
    Withdrawing,
    /// Withdrawn and no longer repeated; the last copy may be on its way.
    Overdue,
    Proceeding,
    /// CANCEL is sent.
    Cancelled,
    Completed,
    Accepted,
    Terminated,
}

pub(super) const START: Step<State> = (State::Calling, &[Send, Start(A), Start(B)]);

/// An INVITE of an earlier life of the process that had got a provisional answer.
pub(super) const RESUME: Step<State> = (State::Proceeding, &[Start(C)]);

pub(super) fn step(state: State, input: Input) -> Step<State> {
    match state {
        State::Calling => calling(input),
        State::Withdrawing => withdrawing(input),
        State::Overdue => overdue(input),
        State::Proceeding => proceeding(input),
        State::Cancelled => cancelled(input),
        State::Completed => completed(input),
        State::Accepted => accepted(input),
        State::Terminated => (State::Terminated, &[]),
    }
}

fn calling(input: Input) -> Step<State> {
    match input {
        // §17.1.1.2: the INVITE is repeated after T1, 2 T1, 4 T1, … until any answer comes.
        Input::Fires(A) => (State::Calling, &[Repeat, Lengthen(A)]),
        Input::Fires(B) => (State::Terminated, &[ReportTimeout]),
        Input::Provisional => (State::Proceeding, &[Stop(A), Stop(B), Start(C), Report]),
        Input::Success | Input::SuccessAgain => {
            (State::Accepted, &[Stop(A), Stop(B), Start(M), Report])
        }
        Input::Failure => (
            State::Completed,
            &[Stop(A), Stop(B), Start(D), Acknowledge, Report],
        ),
        // §9.1: a CANCEL that overtook its INVITE would find nothing to cancel.
        Input::Cancel => (State::Withdrawing, &[]),
        Input::TransportError => (State::Terminated, &[ReportUnreachable]),
        _ => (State::Calling, &[]),
    }
}

fn withdrawing(input: Input) -> Step<State> {
    match input {
        Input::Fires(A) => (State::Withdrawing, &[Repeat, Lengthen(A)]),
        Input::Fires(B) => (State::Overdue, &[Stop(A), Start(K)]),
        Input::Provisional => (State::Cancelled, &[Stop(A), Start(B), SendCancel, Report]),
        Input::Success | Input::SuccessAgain => {
            (State::Accepted, &[Stop(A), Stop(B), Start(M), Report])
        }
        Input::Failure => (
            State::Completed,
            &[Stop(A), Stop(B), Start(D), Acknowledge, Report],
        ),
        Input::TransportError => (State::Terminated, &[ReportUnreachable]),
        _ => (State::Withdrawing, &[]),
    }
}

/// A telephone that came back during the last repetitions may ring for nobody, its 180 lost. §9.1 says that CANCEL must not
/// be sent without a provisional answer, lest it overtake its INVITE; after T4 the network has no copy left that could be
/// overtaken (§17.1.2.2), and a CANCEL that finds nothing does no harm.
fn overdue(input: Input) -> Step<State> {
    match input {
        Input::Fires(K) => (State::Cancelled, &[Start(B), SendCancel]),
        Input::Provisional => (State::Cancelled, &[Stop(K), Start(B), SendCancel, Report]),
        Input::Success | Input::SuccessAgain => (State::Accepted, &[Stop(K), Start(M), Report]),
        Input::Failure => (State::Completed, &[Stop(K), Start(D), Acknowledge, Report]),
        Input::TransportError => (State::Terminated, &[ReportUnreachable]),
        _ => (State::Overdue, &[]),
    }
}

fn proceeding(input: Input) -> Step<State> {
    match input {
        Input::Provisional => (State::Proceeding, &[Start(C), Report]),
        Input::Success | Input::SuccessAgain => (State::Accepted, &[Stop(C), Start(M), Report]),
        Input::Failure => (State::Completed, &[Stop(C), Start(D), Acknowledge, Report]),
        Input::Cancel | Input::Fires(C) => (State::Cancelled, &[Stop(C), Start(B), SendCancel]),
        Input::TransportError => (State::Terminated, &[ReportUnreachable]),
        _ => (State::Proceeding, &[]),
    }
}

fn cancelled(input: Input) -> Step<State> {
    match input {
        Input::Provisional => (State::Cancelled, &[Report]),
        Input::Success | Input::SuccessAgain => (State::Accepted, &[Stop(B), Start(M), Report]),
        Input::Failure => (State::Completed, &[Stop(B), Start(D), Acknowledge, Report]),
        // §9.1: no final answer within 64 T1 after the CANCEL, so the other side is taken as gone.
        Input::Fires(B) => (State::Terminated, &[ReportTimeout]),
        Input::TransportError => (State::Terminated, &[ReportUnreachable]),
        _ => (State::Cancelled, &[]),
    }
}

fn completed(input: Input) -> Step<State> {
    match input {
        Input::Failure => (State::Completed, &[RepeatAck]),
        Input::Fires(D) | Input::TransportError => (State::Terminated, &[]),
        _ => (State::Completed, &[]),
    }
}

fn accepted(input: Input) -> Step<State> {
    match input {
        // RFC 6026 §7.2: every 2xx goes up, for each fork is a dialog of its own; copies only want their ACK (§13.2.2.4).
        Input::Success => (State::Accepted, &[Report]),
        Input::SuccessAgain => (State::Accepted, &[RepeatAck]),
        Input::Fires(M) => (State::Terminated, &[]),
        _ => (State::Accepted, &[]),
    }
}
