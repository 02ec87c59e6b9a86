use std::time::Duration;

use model::{Utc, Verdict};
use proptest::prelude::*;

use super::*;
use crate::Question;

const LINE: LineId = LineId(1);
const WRAP_UP_SECS: u32 = 30;
const CHOSEN: AgentState = AgentState::Away {
    reason: AwayReason::Chosen,
};
const UNREGISTERED: AgentState = AgentState::Away {
    reason: AwayReason::Unregistered,
};

fn at(secs: u64) -> Now {
    Now {
        mono: Duration::from_secs(secs),
        utc: Utc::from_secs(1_000) + Duration::from_secs(secs),
    }
}

fn record(user: i64) -> Agent {
    Agent {
        user: UserId(user),
        name: format!("Agent {user}"),
        short_number: user.to_string(),
        away: false,
        ring_timeout_secs: 20,
        wrap_up_secs: if user % 2 == 0 { WRAP_UP_SECS } else { 0 },
        may_call: model::Reach::National,
        call_waiting: false,
    }
}

fn skill(user: i64) -> Skill {
    Skill {
        user: UserId(user),
        line: LINE,
        level: 5,
    }
}

fn one(user: i64) -> (Agents, UserId) {
    let mut agents = Agents::new();
    agents.update(at(0), &[record(user)], &[skill(user)]);
    agents.set_registered(at(0), UserId(user), true);
    while agents.poll().is_some() {}
    (agents, UserId(user))
}

fn drain(agents: &mut Agents) -> Vec<&'static str> {
    std::iter::from_fn(|| agents.poll().map(|change| change.state.name())).collect()
}

#[test]
fn a_call_takes_an_agent_through_all_states() {
    let (mut agents, agent) = one(2);
    let call = CallId(9);
    assert!(agents.reserve(at(1), agent, call));
    assert!(!agents.reserve(at(1), agent, CallId(10)));
    agents.ringing(at(1), agent, call);
    agents.talking(at(2), agent, call);
    agents.release(at(60), agent, CallId(10), true);
    assert_eq!(agents.state(agent), Some(AgentState::Talking { call }));
    agents.release(at(60), agent, call, true);
    assert_eq!(agents.state(agent), Some(AgentState::WrapUp { call }));
    assert_eq!(agents.next_timer(), Some(Duration::from_secs(90)));
    agents.handle_timers(at(89));
    assert_eq!(agents.state(agent), Some(AgentState::WrapUp { call }));
    agents.handle_timers(at(90));
    assert_eq!(agents.next_timer(), None);
    let shown = agents.states().next().unwrap();
    assert_eq!(shown.state, AgentState::Available);
    assert_eq!(shown.since, at(90).utc);
    let path = ["reserved", "ringing", "talking", "wrap_up", "available"];
    assert_eq!(drain(&mut agents), path);
}

#[test]
fn a_wrap_up_is_skipped_without_wrap_up_time_and_ended_early_by_the_agent() {
    let (mut agents, agent) = one(1);
    agents.reserve(at(1), agent, CallId(9));
    agents.talking(at(1), agent, CallId(9));
    agents.release(at(2), agent, CallId(9), true);
    assert_eq!(agents.state(agent), Some(AgentState::Available));

    let (mut agents, agent) = one(2);
    agents.reserve(at(1), agent, CallId(9));
    agents.release(at(2), agent, CallId(9), true);
    agents.end_wrap_up(at(3), agent);
    assert_eq!(agents.state(agent), Some(AgentState::Available));
    assert_eq!(agents.next_timer(), None);
}

#[test]
fn going_away_during_a_call_takes_effect_after_it() {
    let (mut agents, agent) = one(1);
    let call = CallId(9);
    agents.reserve(at(1), agent, call);
    agents.talking(at(2), agent, call);
    agents.set_away(at(3), agent, true);
    agents.set_registered(at(3), agent, false);
    assert_eq!(agents.state(agent), Some(AgentState::Talking { call }));
    agents.release(at(4), agent, call, true);
    assert_eq!(agents.state(agent), Some(CHOSEN));
    agents.set_away(at(5), agent, false);
    assert_eq!(agents.state(agent), Some(UNREGISTERED));
    agents.set_registered(at(6), agent, true);
    assert_eq!(agents.state(agent), Some(AgentState::Available));
}

#[test]
fn a_new_directory_keeps_states_and_a_stale_one_does_not_undo_away() {
    let (mut agents, agent) = one(1);
    agents.set_away(at(1), agent, true);
    agents.update(at(2), &[record(1)], &[skill(1)]);
    assert_eq!(agents.state(agent), Some(CHOSEN));
    let away = Agent {
        away: true,
        ..record(1)
    };
    agents.update(at(3), &[away], &[skill(1)]);
    agents.update(at(4), &[record(1)], &[skill(1)]);
    assert_eq!(agents.state(agent), Some(AgentState::Available));
}

#[test]
fn an_agent_removed_during_a_call_leaves_with_it() {
    let (mut agents, agent) = one(2);
    agents.reserve(at(1), agent, CallId(9));
    agents.talking(at(1), agent, CallId(9));
    agents.update(at(2), &[], &[skill(2)]);
    assert_eq!(agents.agent(agent), None);
    assert!(agents.state(agent).is_some());
    agents.release(at(3), agent, CallId(9), true);
    assert_eq!(agents.state(agent), None);
    assert!(agents.lines.values().all(|index| index.len() == 0));

    agents.update(at(4), &[record(2)], &[skill(2)]);
    let state = agents.state(agent);
    assert_eq!(state, Some(AgentState::Available), "still registered");
}

#[derive(Clone, Debug)]
enum Step {
    Registered(i64, bool),
    Away(i64, bool),
    Reserve(i64, i64),
    Ringing(i64, i64),
    Talking(i64, i64),
    Release(i64, i64, bool),
    EndWrapUp(i64),
    Wait(u64),
    Directory(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let (user, call) = (1..5_i64, 1..4_i64);
    prop_oneof![
        (user.clone(), any::<bool>()).prop_map(|(u, yes)| Step::Registered(u, yes)),
        (user.clone(), any::<bool>()).prop_map(|(u, yes)| Step::Away(u, yes)),
        (user.clone(), call.clone()).prop_map(|(u, c)| Step::Reserve(u, c)),
        (user.clone(), call.clone()).prop_map(|(u, c)| Step::Ringing(u, c)),
        (user.clone(), call.clone()).prop_map(|(u, c)| Step::Talking(u, c)),
        (user.clone(), call, any::<bool>()).prop_map(|(u, c, w)| Step::Release(u, c, w)),
        user.prop_map(Step::EndWrapUp),
        (0..40_u64).prop_map(Step::Wait),
        any::<u8>().prop_map(Step::Directory),
    ]
}

/// The directory holds agent `n` if bit `n` is set, skilled if bit `n + 4` is set too.
fn directory(agents: &mut Agents, now: Now, bits: u8) {
    let has = |bit: i64| bits >> bit & 1 == 1;
    let records: Vec<Agent> = (1..5).filter(|n| has(n - 1)).map(record).collect();
    let skills: Vec<Skill> = (1..5).filter(|n| has(n + 3)).map(skill).collect();
    agents.update(now, &records, &skills);
}

fn take(agents: &mut Agents, clock: &mut u64, step: &Step) {
    let now = at(*clock);
    match *step {
        Step::Registered(u, yes) => agents.set_registered(now, UserId(u), yes),
        Step::Away(u, yes) => agents.set_away(now, UserId(u), yes),
        Step::Reserve(u, c) => {
            let free = agents.state(UserId(u)) == Some(AgentState::Available);
            assert_eq!(agents.reserve(now, UserId(u), CallId(c)), free);
        }
        Step::Ringing(u, c) => agents.ringing(now, UserId(u), CallId(c)),
        Step::Talking(u, c) => agents.talking(now, UserId(u), CallId(c)),
        Step::Release(u, c, wrap_up) => agents.release(now, UserId(u), CallId(c), wrap_up),
        Step::EndWrapUp(u) => agents.end_wrap_up(now, UserId(u)),
        Step::Wait(secs) => {
            *clock += secs;
            agents.handle_timers(at(*clock));
        }
        Step::Directory(bits) => directory(agents, now, bits),
    }
}

/// The index rebuilt from the states is the index, and the timers are those of the wrap-ups.
fn assert_consistent(agents: &Agents) {
    let mut lines: BTreeMap<LineId, LineIndex> = BTreeMap::new();
    let mut wrap_ups = BTreeSet::new();
    for (user, entry) in &agents.entries {
        entry.enter_index(*user, &mut lines);
        let wraps_up = matches!(entry.state, AgentState::WrapUp { .. });
        assert_eq!(entry.wrap_up_until.is_some(), wraps_up);
        assert!(!entry.leaving || entry.call().is_some());
        wrap_ups.extend(entry.wrap_up_until.map(|until| (until, *user)));
    }
    let filled = |lines: &BTreeMap<LineId, LineIndex>| lines.values().any(|index| index.len() > 0);
    if filled(&lines) || filled(&agents.lines) {
        assert_eq!(lines, agents.lines);
    }
    assert_eq!(wrap_ups, agents.wrap_ups);
    let question = Question {
        line: LINE,
        caller: None,
        tried: &[],
    };
    let decision = agents.decide(at(0), &question);
    for listed in &decision.explanation.considered {
        let available = agents.state(listed.agent) == Some(AgentState::Available);
        assert_eq!(
            matches!(listed.verdict, Verdict::Candidate { .. }),
            available
        );
    }
}

proptest! {
    #[test]
    fn nobody_is_ever_stuck(steps in prop::collection::vec(step(), 0..60)) {
        let (mut agents, mut clock) = (Agents::new(), 0);
        directory(&mut agents, at(0), 0xff);
        for step in &steps {
            take(&mut agents, &mut clock, step);
            assert_consistent(&agents);
        }
        // Healed: the directory is whole, every call lets go, everybody is back and registered.
        directory(&mut agents, at(clock), 0xff);
        for user in 1..5 {
            for call in 1..4 {
                agents.release(at(clock), UserId(user), CallId(call), true);
            }
            agents.set_registered(at(clock), UserId(user), true);
            agents.set_away(at(clock), UserId(user), false);
        }
        agents.handle_timers(at(clock + u64::from(WRAP_UP_SECS)));
        assert_consistent(&agents);
        for user in 1..5 {
            prop_assert_eq!(agents.state(UserId(user)), Some(AgentState::Available));
        }
        prop_assert_eq!(agents.next_timer(), None);
    }

    #[test]
    fn only_the_call_that_has_an_agent_moves_it(steps in prop::collection::vec(step(), 0..60)) {
        let (mut agents, mut clock) = (Agents::new(), 0);
        directory(&mut agents, at(0), 0xff);
        for step in &steps {
            let before: BTreeMap<UserId, Option<CallId>> =
                agents.entries.iter().map(|(user, entry)| (*user, entry.call())).collect();
            take(&mut agents, &mut clock, step);
            for (user, entry) in &agents.entries {
                let had = before.get(user).copied().flatten();
                if had != entry.call() {
                    match *step {
                        Step::Reserve(u, c) => prop_assert!(
                            had.is_none() && UserId(u) == *user && entry.call() == Some(CallId(c))
                        ),
                        Step::Release(u, c, _) => prop_assert!(
                            entry.call().is_none() && UserId(u) == *user && had == Some(CallId(c))
                        ),
                        ref other => prop_assert!(false, "{other:?} moved {user}"),
                    }
                }
            }
        }
    }
}

#[test]
fn whoever_calls_a_colleague_within_a_call_is_free_after_both() {
    let (mut agents, agent) = one(2);
    let (call, question) = (CallId(9), CallId(10));
    assert!(agents.reserve(at(1), agent, call));
    agents.talking(at(1), agent, call);
    agents.dial(at(2), agent, question);
    assert_eq!(agents.state(agent), Some(AgentState::Talking { call }));
    agents.release(at(3), agent, call, true);
    assert_eq!(
        agents.state(agent),
        Some(AgentState::Talking { call: question })
    );
    agents.release(at(4), agent, question, false);
    assert_eq!(agents.state(agent), Some(AgentState::Available));
}

#[test]
fn an_agent_passes_from_one_call_to_another_without_a_free_moment() {
    let (mut agents, agent) = one(2);
    let (question, call, other) = (CallId(9), CallId(10), CallId(11));
    assert!(agents.take_directly(at(1), agent, question));
    agents.talking(at(1), agent, question);
    agents.pass_on(at(2), agent, (other, call));
    drain(&mut agents);
    agents.pass_on(at(2), agent, (question, call));
    assert_eq!(drain(&mut agents), ["talking"]);
    agents.release(at(3), agent, question, true);
    assert_eq!(agents.state(agent), Some(AgentState::Talking { call }));
    agents.dial(at(4), agent, question);
    agents.pass_on(at(5), agent, (question, other));
    agents.release(at(6), agent, call, true);
    assert_eq!(
        agents.state(agent),
        Some(AgentState::Talking { call: other })
    );
    agents.release(at(7), agent, other, false);
    assert_eq!(agents.state(agent), Some(AgentState::Available));
}

#[test]
fn an_agent_may_dial_when_no_call_would_be_offered() {
    let (mut agents, agent) = one(2);
    agents.set_away(at(1), agent, true);
    assert!(!agents.reserve(at(2), agent, CallId(8)));
    agents.dial(at(2), agent, CallId(9));
    assert!(!agents.take_directly(at(3), agent, CallId(10)), "busy");
    agents.release(at(4), agent, CallId(9), false);
    assert_eq!(agents.state(agent), Some(CHOSEN));
    assert!(agents.take_directly(at(5), agent, CallId(10)));
}

#[test]
fn the_expected_wait_is_the_usual_talk_shared_among_those_who_are_there() {
    let mut agents = Agents::new();
    agents.update(at(0), &[1, 2, 3].map(record), &[1, 2, 3].map(skill));
    for user in [1, 2] {
        agents.set_registered(at(0), UserId(user), true);
    }
    assert_eq!(agents.expected_wait(LINE, 1), None, "nobody has talked yet");
    let (agent, call) = (UserId(1), CallId(5));
    assert!(agents.reserve(at(0), agent, call));
    agents.talking(at(0), agent, call);
    agents.release(at(160), agent, call, false);
    let wait = |agents: &Agents, place| agents.expected_wait(LINE, place).unwrap();
    let talk = at(160).mono - at(0).mono;
    assert_eq!(wait(&agents, 1), talk / 2, "the third is not there");
    assert_eq!(wait(&agents, 4), talk * 2);
    agents.set_away(at(161), UserId(2), true);
    assert_eq!(wait(&agents, 1), talk);
}

#[test]
fn an_absence_begins_and_ends_by_itself_and_leaves_a_call_alone() {
    let (mut agents, agent) = one(2);
    let absent = AgentState::Away {
        reason: AwayReason::Absent,
    };
    let planned = |from: u64, until: u64| Absence {
        user: agent,
        from: at(from).utc,
        until: at(until).utc,
        deputy: None,
    };
    agents.set_absences(at(1), &[], &[planned(10, 20), planned(30, 80)]);
    assert_eq!(agents.next_timer(), Some(at(10).mono));
    agents.handle_timers(at(10));
    assert_eq!(agents.state(agent), Some(absent));
    assert!(!agents.reserve(at(11), agent, CallId(1)));
    agents.set_away(at(12), agent, false);
    assert_eq!(agents.state(agent), Some(absent), "nobody says so by hand");
    agents.handle_timers(at(20));
    assert_eq!(agents.state(agent), Some(AgentState::Available));

    let call = CallId(2);
    assert!(agents.reserve(at(25), agent, call));
    agents.ringing(at(25), agent, call);
    agents.handle_timers(at(30));
    assert_eq!(agents.state(agent), Some(AgentState::Ringing { call }));
    agents.talking(at(31), agent, call);
    agents.release(at(40), agent, call, true);
    assert_eq!(agents.state(agent), Some(AgentState::WrapUp { call }));
    agents.end_wrap_up(at(41), agent);
    assert_eq!(agents.state(agent), Some(absent));
    agents.set_absences(at(50), &[], &[]);
    assert_eq!(
        agents.state(agent),
        Some(AgentState::Available),
        "back early"
    );
    assert_eq!(agents.next_timer(), None);
}
