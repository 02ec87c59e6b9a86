//! The state machine of one agent as a table (S8).

use std::fmt::Write as _;

/// A state without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Registered, present and free.
    Available,
    /// Chosen for a call whose devices do not ring yet.
    Reserved,
    /// The agent's devices ring, or those of somebody whom the agent calls.
    Ringing,
    /// In a conversation.
    Talking,
    /// After a conversation.
    WrapUp,
    /// Not to be offered calls.
    Away,
}

/// What can happen to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The first device registered or the last one went, or the agent came back.
    FactsChanged,
    /// The agent chose to go away.
    WentAway,
    /// A call reserves the agent.
    Reserve,
    /// The agent begins a call, or a colleague dials the agent's own number.
    Dial,
    /// The agent's devices ring for the call.
    Ring,
    /// The agent took the call.
    Talk,
    /// The call lets the agent go.
    Release,
    /// The call lets the agent go, and the agent has a wrap-up time.
    ReleaseToWrapUp,
    /// The wrap-up time is over, or the agent ended it.
    WrapUpOver,
}

/// Where a transition leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Into this phase.
    To(Phase),
    /// Available if registered, not away by choice and not absent, else away.
    Rest,
}

/// Every transition there is; what is not listed changes nothing. An input that belongs to a call
/// (ring, talk, release) counts only if it names the agent's own call.
pub const TRANSITIONS: &[(Phase, Input, Target)] = &[
    (Phase::Available, Input::FactsChanged, Target::Rest),
    (Phase::Available, Input::WentAway, Target::Rest),
    (
        Phase::Available,
        Input::Reserve,
        Target::To(Phase::Reserved),
    ),
    (Phase::Available, Input::Dial, Target::To(Phase::Ringing)),
    (Phase::Reserved, Input::Ring, Target::To(Phase::Ringing)),
    (Phase::Reserved, Input::Talk, Target::To(Phase::Talking)),
    (Phase::Reserved, Input::Release, Target::Rest),
    (
        Phase::Reserved,
        Input::ReleaseToWrapUp,
        Target::To(Phase::WrapUp),
    ),
    (Phase::Ringing, Input::Talk, Target::To(Phase::Talking)),
    (Phase::Ringing, Input::Release, Target::Rest),
    (
        Phase::Ringing,
        Input::ReleaseToWrapUp,
        Target::To(Phase::WrapUp),
    ),
    (Phase::Talking, Input::Release, Target::Rest),
    (
        Phase::Talking,
        Input::ReleaseToWrapUp,
        Target::To(Phase::WrapUp),
    ),
    (Phase::WrapUp, Input::WentAway, Target::Rest),
    (Phase::WrapUp, Input::WrapUpOver, Target::Rest),
    (Phase::WrapUp, Input::Dial, Target::To(Phase::Ringing)),
    (Phase::Away, Input::FactsChanged, Target::Rest),
    (Phase::Away, Input::WentAway, Target::Rest),
    (Phase::Away, Input::Dial, Target::To(Phase::Ringing)),
];

/// Where `input` leads from `phase`; none if it changes nothing.
pub fn next(phase: Phase, input: Input) -> Option<Target> {
    TRANSITIONS
        .iter()
        .find(|(from, on, _)| *from == phase && *on == input)
        .map(|(_, _, target)| *target)
}

/// The table as a Mermaid diagram in Markdown, as `docs/agent-states.md` shows it.
pub fn diagram() -> String {
    let mut text = String::from(
        "# States of an agent\n\n\
         Generated from `routing/src/machine.rs` by its test; do not edit.\n\n\
         `Rest` is `Available` if a device is registered and the agent is neither away by choice nor absent, else `Away`.\n\
         What is not drawn changes nothing. Inputs of a call count only for the agent's own call.\n\n\
         ```mermaid\nstateDiagram-v2\n    [*] --> Rest\n    Rest --> Available\n    Rest --> Away\n",
    );
    for (from, input, target) in TRANSITIONS {
        let to = match target {
            Target::To(phase) => format!("{phase:?}"),
            Target::Rest => "Rest".to_owned(),
        };
        let _ = writeln!(text, "    {from:?} --> {to}: {input:?}");
    }
    text.push_str("```\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen from the package's folder, where cargo runs its tests.
    const PAGE: &str = "../../docs/agent-states.md";

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the test, not the crate, renews the page"
    )]
    fn the_page_shows_the_table() {
        let diagram = diagram();
        println!("{diagram}");
        if std::env::var_os("RINGBOOK_WRITE_DOCS").is_some() {
            std::fs::write(PAGE, &diagram).unwrap();
        }
        let page = std::fs::read_to_string(PAGE).unwrap_or_default();
        assert_eq!(
            page, diagram,
            "run with RINGBOOK_WRITE_DOCS=1 to renew the page"
        );
    }

    #[test]
    fn every_pair_stands_once_and_every_phase_has_a_way_to_rest() {
        for (n, (from, input, _)) in TRANSITIONS.iter().enumerate() {
            assert!(
                !TRANSITIONS[n + 1..]
                    .iter()
                    .any(|(f, i, _)| f == from && i == input)
            );
            assert!(
                TRANSITIONS
                    .iter()
                    .any(|(f, _, t)| f == from && *t == Target::Rest)
            );
        }
    }
}
