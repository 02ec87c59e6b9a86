//! Prints the machines as they are, by asking every state what it does with every input, and compares with the document.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};

use super::machine::{Action, Input, Step};
use super::timers::Timer;
use super::{client_invite, client_non_invite, server_invite, server_non_invite};

const HEAD: &str = "# Transactions\n\n\
    The four machines of `crates/sip/src/transaction`, printed from the code; a test compares this page with them.\n\
    Inputs that a state ignores are left out. In `Terminated` every timer stops and the transaction is forgotten.\n\
    To renew the page, take the text that the failing test prints.\n";

const TIMERS: [Timer; 14] = [
    Timer::A,
    Timer::B,
    Timer::C,
    Timer::D,
    Timer::E,
    Timer::F,
    Timer::G,
    Timer::H,
    Timer::I,
    Timer::J,
    Timer::K,
    Timer::L,
    Timer::M,
    Timer::Answer,
];

fn inputs() -> Vec<Input> {
    let fixed = [
        Input::Request,
        Input::Provisional,
        Input::Success,
        Input::SuccessAgain,
        Input::Failure,
        Input::Ack,
        Input::Cancel,
        Input::TransportError,
    ];
    fixed.into_iter().chain(TIMERS.map(Input::Fires)).collect()
}

fn in_words(input: Input) -> String {
    match input {
        Input::Request => "request again".to_owned(),
        Input::Provisional => "1xx".to_owned(),
        Input::Success => "2xx".to_owned(),
        Input::SuccessAgain => "same 2xx again".to_owned(),
        Input::Failure => "300–699".to_owned(),
        Input::Ack => "ACK".to_owned(),
        Input::Cancel => "CANCEL".to_owned(),
        Input::TransportError => "transport error".to_owned(),
        Input::Fires(timer) => format!("timer {timer:?}"),
    }
}

fn listed(actions: &[Action]) -> String {
    let words = |action: &Action| match action {
        Action::Send => "send".to_owned(),
        Action::Repeat => "send again".to_owned(),
        Action::Acknowledge => "send ACK".to_owned(),
        Action::RepeatAck => "send ACK again".to_owned(),
        Action::SendCancel => "send CANCEL".to_owned(),
        Action::Report => "report".to_owned(),
        Action::ReportTimeout => "report timeout".to_owned(),
        Action::ReportUnreachable => "report unreachable".to_owned(),
        Action::ReportNoAck => "report missing ACK".to_owned(),
        Action::Start(timer) => format!("start {timer:?}"),
        Action::Lengthen(timer) => format!("start {timer:?}, longer"),
        Action::Slow(timer) => format!("start {timer:?} with T2"),
        Action::Stop(timer) => format!("stop {timer:?}"),
    };
    if actions.is_empty() {
        "–".to_owned()
    } else {
        actions.iter().map(words).collect::<Vec<_>>().join("; ")
    }
}

/// A machine as a diagram and as a table, its states in the order in which they are reached.
fn print<State: Copy + PartialEq + Debug>(
    out: &mut String,
    title: &str,
    start: Step<State>,
    step: fn(State, Input) -> Step<State>,
) {
    let mut rows = Vec::new();
    let mut states = vec![start.0];
    let mut at = 0;
    while at < states.len() {
        let state = states[at];
        for input in inputs() {
            let (next, actions) = step(state, input);
            if next == state && actions.is_empty() {
                continue;
            }
            if !states.contains(&next) {
                states.push(next);
            }
            rows.push((state, input, next, actions));
        }
        at += 1;
    }
    let mut arrows: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
    let index = |state| states.iter().position(|known| *known == state).unwrap();
    for (state, input, next, _) in &rows {
        arrows
            .entry((index(*state), index(*next)))
            .or_default()
            .push(in_words(*input));
    }
    writeln!(
        out,
        "\n## {title}\n\n```mermaid\nstateDiagram-v2\n    [*] --> {:?}",
        start.0
    )
    .unwrap();
    for ((from, to), labels) in &arrows {
        writeln!(
            out,
            "    {:?} --> {:?}: {}",
            states[*from],
            states[*to],
            labels.join(", ")
        )
        .unwrap();
    }
    writeln!(
        out,
        "```\n\n| state | input | next state | actions |\n|---|---|---|---|"
    )
    .unwrap();
    writeln!(out, "| | begin | {:?} | {} |", start.0, listed(start.1)).unwrap();
    for (state, input, next, actions) in rows {
        writeln!(
            out,
            "| {state:?} | {} | {next:?} | {} |",
            in_words(input),
            listed(actions)
        )
        .unwrap();
    }
}

fn document() -> String {
    let mut out = HEAD.to_owned();
    print(
        &mut out,
        "INVITE, sending side (RFC 3261 figure 5, RFC 6026 §7.2)",
        client_invite::START,
        client_invite::step,
    );
    print(
        &mut out,
        "Other requests, sending side (RFC 3261 figure 6)",
        client_non_invite::START,
        client_non_invite::step,
    );
    print(
        &mut out,
        "INVITE, receiving side (RFC 3261 figure 7, RFC 6026 §7.1)",
        server_invite::START,
        server_invite::step,
    );
    print(
        &mut out,
        "Other requests, receiving side (RFC 3261 figure 8)",
        server_non_invite::START,
        server_non_invite::step,
    );
    out
}

#[test]
fn the_document_shows_the_machines_as_they_are() {
    let document = document();
    let checked_in = include_str!("../../../../docs/transactions.md");
    assert!(
        checked_in == document,
        "docs/transactions.md must read:\n{document}"
    );
}

#[test]
fn a_timer_that_is_started_is_stopped_or_heard_in_every_state() {
    // A state in which a running timer fires and nothing happens would be a state without an end.
    fn check<State: Copy + PartialEq + Debug>(
        start: Step<State>,
        step: fn(State, Input) -> Step<State>,
    ) {
        fn run(running: &mut Vec<Timer>, actions: &[Action]) {
            for action in actions {
                match *action {
                    Action::Start(timer) | Action::Lengthen(timer) | Action::Slow(timer) => {
                        running.retain(|other| *other != timer);
                        running.push(timer);
                    }
                    Action::Stop(timer) => running.retain(|other| *other != timer),
                    _ => {}
                }
            }
            running.sort();
        }
        let mut running = Vec::new();
        run(&mut running, start.1);
        let mut seen = vec![(start.0, running)];
        let mut at = 0;
        while at < seen.len() {
            let (state, running) = seen[at].clone();
            for input in inputs() {
                let mut after = running.clone();
                if let Input::Fires(timer) = input {
                    if !running.contains(&timer) {
                        continue;
                    }
                    after.retain(|other| *other != timer);
                }
                let (next, actions) = step(state, input);
                if matches!(input, Input::Fires(_)) {
                    assert!(
                        next != state || !actions.is_empty(),
                        "{state:?} ignores {input:?}"
                    );
                }
                run(&mut after, actions);
                let entry = (next, after);
                if format!("{next:?}") != "Terminated" && !seen.contains(&entry) {
                    seen.push(entry);
                }
            }
            at += 1;
        }
    }
    check(client_invite::START, client_invite::step);
    check(client_invite::RESUME, client_invite::step);
    check(client_non_invite::START, client_non_invite::step);
    check(server_invite::START, server_invite::step);
    check(server_non_invite::START, server_non_invite::step);
}
