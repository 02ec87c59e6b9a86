//! RFC 3261 figure 8: the side that receives any other request.

use super::machine::{Action::*, Input, Step};
use super::timers::Timer::{F, J};

/// States of the figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

pub(super) const START: Step<State> = (State::Trying, &[Start(F), Report]);

pub(super) fn step(state: State, input: Input) -> Step<State> {
    match state {
        State::Trying => trying(input),
        State::Proceeding => proceeding(input),
        State::Completed => completed(input),
        State::Terminated => (State::Terminated, &[]),
    }
}

fn trying(input: Input) -> Step<State> {
    match input {
        Input::Provisional => (State::Proceeding, &[Send]),
        Input::Success | Input::Failure => (State::Completed, &[Stop(F), Send, Start(J)]),
        // RFC 4320 §4.2: once the other side has given up, an answer is of no use to anybody.
        Input::Fires(F) => (State::Terminated, &[]),
        _ => (State::Trying, &[]),
    }
}

fn proceeding(input: Input) -> Step<State> {
    match input {
        Input::Request => (State::Proceeding, &[Repeat]),
        Input::Provisional => (State::Proceeding, &[Send]),
        Input::Success | Input::Failure => (State::Completed, &[Stop(F), Send, Start(J)]),
        Input::Fires(F) => (State::Terminated, &[]),
        _ => (State::Proceeding, &[]),
    }
}

fn completed(input: Input) -> Step<State> {
    match input {
        Input::Request => (State::Completed, &[Repeat]),
        Input::Fires(J) | Input::TransportError => (State::Terminated, &[]),
        _ => (State::Completed, &[]),
    }
}
