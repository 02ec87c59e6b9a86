//! RFC 3261 figure 7 with RFC 6026 §7.1: the side that receives an INVITE.
//!
//! The figure's `Accepted` is two states here: `Accepted` repeats the 2xx (§13.3.1.4), `Acknowledged` only absorbs what is late.

use super::machine::{Action::*, Input, Step};
use super::timers::Timer::{Answer, G, H, I, L};

/// States of the figure, `Acknowledged` added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Proceeding,
    Completed,
    Confirmed,
    Accepted,
    /// Accepted, and the ACK is there.
    Acknowledged,
    Terminated,
}

pub(super) const START: Step<State> = (State::Proceeding, &[Report]);

pub(super) fn step(state: State, input: Input) -> Step<State> {
    match state {
        State::Proceeding => proceeding(input),
        State::Completed => completed(input),
        State::Confirmed => confirmed(input),
        State::Accepted => accepted(input),
        State::Acknowledged => acknowledged(input),
        State::Terminated => (State::Terminated, &[]),
    }
}

fn proceeding(input: Input) -> Step<State> {
    match input {
        Input::Request => (State::Proceeding, &[Repeat]),
        Input::Provisional => (State::Proceeding, &[Send]),
        Input::Success => (State::Accepted, &[Send, Start(Answer), Start(L)]),
        Input::Failure => (State::Completed, &[Send, Start(G), Start(H)]),
        Input::Cancel => (State::Proceeding, &[Report]),
        _ => (State::Proceeding, &[]),
    }
}

fn completed(input: Input) -> Step<State> {
    match input {
        Input::Request => (State::Completed, &[Repeat]),
        Input::Fires(G) => (State::Completed, &[Repeat, Lengthen(G)]),
        Input::Fires(H) | Input::TransportError => (State::Terminated, &[ReportNoAck]),
        Input::Ack => (State::Confirmed, &[Stop(G), Stop(H), Start(I)]),
        _ => (State::Completed, &[]),
    }
}

fn confirmed(input: Input) -> Step<State> {
    match input {
        Input::Fires(I) => (State::Terminated, &[]),
        _ => (State::Confirmed, &[]),
    }
}

fn accepted(input: Input) -> Step<State> {
    match input {
        Input::Fires(Answer) => (State::Accepted, &[Repeat, Lengthen(Answer)]),
        Input::Fires(L) => (State::Terminated, &[ReportNoAck]),
        Input::Ack => (State::Acknowledged, &[Stop(Answer), Report]),
        _ => (State::Accepted, &[]),
    }
}

fn acknowledged(input: Input) -> Step<State> {
    match input {
        Input::Fires(L) => (State::Terminated, &[]),
        _ => (State::Acknowledged, &[]),
    }
}
