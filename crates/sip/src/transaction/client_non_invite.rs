//! RFC 3261 figure 6: the side that sends any other request.

use super::machine::{Action::*, Input, Step};
use super::timers::Timer::{E, F, K};

/// States of the figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

pub(super) const START: Step<State> = (State::Trying, &[Send, Start(E), Start(F)]);

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
        Input::Fires(E) => (State::Trying, &[Repeat, Lengthen(E)]),
        Input::Fires(F) => (State::Terminated, &[ReportTimeout]),
        Input::Provisional => (State::Proceeding, &[Report]),
        Input::Success | Input::Failure => {
            (State::Completed, &[Stop(E), Stop(F), Start(K), Report])
        }
        Input::TransportError => (State::Terminated, &[ReportUnreachable]),
        _ => (State::Trying, &[]),
    }
}

fn proceeding(input: Input) -> Step<State> {
    match input {
        // §17.1.2.2: a provisional answer slows the repetition down, but does not end it.
        Input::Fires(E) => (State::Proceeding, &[Repeat, Slow(E)]),
        Input::Fires(F) => (State::Terminated, &[ReportTimeout]),
        Input::Provisional => (State::Proceeding, &[Report]),
        Input::Success | Input::Failure => {
            (State::Completed, &[Stop(E), Stop(F), Start(K), Report])
        }
        Input::TransportError => (State::Terminated, &[ReportUnreachable]),
        _ => (State::Proceeding, &[]),
    }
}

fn completed(input: Input) -> Step<State> {
    match input {
        Input::Fires(K) => (State::Terminated, &[]),
        _ => (State::Completed, &[]),
    }
}
