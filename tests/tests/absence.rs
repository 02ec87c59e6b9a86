//! Absent managers and their deputies, moment by moment, in the simulated call centre.

use std::{net::SocketAddr, time::Duration};

use call::EventKind;
use model::{
    Absence, AgentState, AwayReason, Considered, Deputy, Flag, PassedOver, Queue, Rule, UserId,
    Verdict,
};
use tests::sim::{
    Answering, Centre, Intent, Talking, company::caller_number, company::phone_address,
    invariants::violations,
};

const MANAGER: UserId = UserId(1);
const DEPUTY: UserId = UserId(2);
const QUALIFIED: UserId = UserId(3);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn talks_for(length: u64) -> Answering {
    Answering::Answer {
        after: secs(1),
        then: Talking::HangUp {
            after: secs(length),
        },
    }
}

/// A manager with a deputy, neither of them skilled, and one who is qualified; every caller is the manager's client.
fn company(script: &[(UserId, &[Answering])]) -> Centre {
    let mut centre = Centre::calm(3, 1);
    for caller in 0..4 {
        let number = caller_number(caller);
        centre.world.know(&number, MANAGER, Flag::Core);
    }
    for (user, script) in script {
        let agent = usize::try_from(user.0 - 1).expect("a user of the company");
        let phone = centre.phones.get_mut(&phone_address(agent, 0));
        phone.expect("a telephone").script.extend(*script);
    }
    centre.change_directory(|directory| {
        directory.skills.retain(|skill| skill.user == QUALIFIED);
        stand_in(directory, &[(MANAGER, DEPUTY)]);
    });
    let registered = |centre: &Centre| centre.phones.values().all(|phone| phone.registered);
    assert!(centre.run(secs(60), registered));
    centre
}

fn stand_in(directory: &mut model::Directory, deputies: &[(UserId, UserId)]) {
    let deputies = deputies.iter().map(|(user, deputy)| Deputy {
        user: *user,
        deputy: *deputy,
    });
    directory.deputies = deputies.collect();
}

/// From so many seconds from now on, for so long.
fn plan(centre: &mut Centre, user: UserId, (from, length): (u64, u64)) -> Absence {
    let from = centre.utc() + secs(from);
    let absence = Absence {
        user,
        from,
        until: from + secs(length),
        deputy: None,
    };
    centre.change_directory(|directory| directory.absences.push(absence));
    absence
}

fn call(centre: &mut Centre) -> SocketAddr {
    centre.place(centre.now, 0, Intent::patient())
}

fn ends_well(centre: &mut Centre) {
    centre.run_until_quiet();
    assert_eq!(violations(centre), Vec::<String>::new());
}

fn until(centre: &mut Centre, what: &str, done: impl Fn(&Centre) -> bool) {
    let until = centre.now + secs(300);
    assert!(centre.run(until, done), "{what}");
}

/// To whom the n-th call was offered, by which rule, and who was considered.
fn offers(centre: &Centre, nth: usize) -> Vec<(UserId, Rule, Vec<Considered>)> {
    let journal = &centre.world.journal;
    let mut arrived = journal
        .iter()
        .filter(|event| matches!(event.kind, EventKind::Arrived { .. }));
    let call = arrived.nth(nth).expect("a call").call;
    let of_call = journal.iter().filter(|event| event.call == call);
    of_call
        .filter_map(|event| match &event.kind {
            EventKind::Offered {
                agent,
                rule,
                explanation,
                ..
            } => Some((*agent, *rule, explanation.considered.clone())),
            _ => None,
        })
        .collect()
}

fn whom(centre: &Centre, nth: usize) -> Vec<UserId> {
    let offers = offers(centre, nth).into_iter();
    offers.map(|(agent, ..)| agent).collect()
}

fn rings(centre: &Centre, user: UserId) -> bool {
    let state = centre.agents.get(&user).map(|changed| changed.state);
    matches!(state, Some(AgentState::Ringing { .. }))
}

const ABSENT: AgentState = AgentState::Away {
    reason: AwayReason::Absent,
};

#[test]
fn an_absent_managers_client_is_offered_to_the_deputy() {
    let mut centre = company(&[(DEPUTY, &[talks_for(5)])]);
    let absence = plan(&mut centre, MANAGER, (0, 200));
    assert_eq!(centre.agents[&MANAGER].state, ABSENT);
    call(&mut centre);
    ends_well(&mut centre);
    let offers = offers(&centre, 0);
    assert_eq!(offers.len(), 1);
    let (agent, rule, considered) = &offers[0];
    let (of, match_index) = (MANAGER, 0);
    assert_eq!((*agent, *rule), (DEPUTY, Rule::Deputy { of, match_index }));
    let until_us = absence.until;
    let passed = Verdict::PassedOver(PassedOver::Absent { until_us });
    assert_eq!(
        (considered[0].agent, considered[0].verdict),
        (MANAGER, passed)
    );
    assert_eq!(considered[2].agent, QUALIFIED, "comes after the deputy");
    let owners = centre
        .world
        .journal
        .iter()
        .find_map(|event| match event.kind {
            EventKind::Offered { owner, .. } => Some(owner),
            _ => None,
        });
    assert_eq!(
        owners,
        Some(Some(MANAGER)),
        "the card says whose client it is"
    );
}

#[test]
fn a_deputy_who_is_absent_too_has_a_deputy() {
    let mut centre = company(&[(QUALIFIED, &[talks_for(5)])]);
    let chain = [(MANAGER, DEPUTY), (DEPUTY, QUALIFIED)];
    centre.change_directory(|directory| stand_in(directory, &chain));
    plan(&mut centre, MANAGER, (0, 200));
    plan(&mut centre, DEPUTY, (0, 200));
    call(&mut centre);
    ends_well(&mut centre);
    let (agent, rule, _) = offers(&centre, 0)[0];
    let (of, match_index) = (DEPUTY, 0);
    assert_eq!((agent, rule), (QUALIFIED, Rule::Deputy { of, match_index }));
}

#[test]
fn a_manager_who_does_not_answer_is_followed_by_the_deputy_and_then_by_the_qualified() {
    let mut centre = company(&[
        (MANAGER, &[Answering::Ignore]),
        (DEPUTY, &[Answering::Ignore]),
        (QUALIFIED, &[talks_for(5)]),
    ]);
    call(&mut centre);
    ends_well(&mut centre);
    assert_eq!(whom(&centre, 0), [MANAGER, DEPUTY, QUALIFIED]);
}

#[test]
fn a_manager_in_conversation_is_represented_by_the_deputy() {
    let mut centre = company(&[(MANAGER, &[talks_for(60)]), (DEPUTY, &[talks_for(5)])]);
    let first = call(&mut centre);
    until(&mut centre, "the manager talks", |centre| {
        centre.callers[&first].talk.is_some()
    });
    call(&mut centre);
    ends_well(&mut centre);
    assert_eq!(
        (whom(&centre, 0), whom(&centre, 1)),
        (vec![MANAGER], vec![DEPUTY])
    );
}

#[test]
fn deputies_in_a_circle_end_at_the_qualified() {
    let mut centre = company(&[
        (MANAGER, &[Answering::Ignore]),
        (DEPUTY, &[Answering::Ignore]),
        (QUALIFIED, &[talks_for(5)]),
    ]);
    let circle = [(MANAGER, DEPUTY), (DEPUTY, MANAGER)];
    centre.change_directory(|directory| stand_in(directory, &circle));
    call(&mut centre);
    ends_well(&mut centre);
    assert_eq!(whom(&centre, 0), [MANAGER, DEPUTY, QUALIFIED]);
}

#[test]
fn an_absence_that_begins_while_the_telephone_rings_counts_from_the_next_call_on() {
    let late = Answering::Answer {
        after: secs(6),
        then: Talking::HangUp { after: secs(5) },
    };
    let mut centre = company(&[(MANAGER, &[late]), (DEPUTY, &[talks_for(5)])]);
    centre.change_directory(|directory| directory.agents[0].ring_timeout_secs = 20);
    plan(&mut centre, MANAGER, (3, 200));
    let first = call(&mut centre);
    until(&mut centre, "it rings", |centre| rings(centre, MANAGER));
    let begun = centre.now + secs(4);
    centre.run(begun, |_| false);
    assert!(rings(&centre, MANAGER), "nothing of this ring changes");
    until(&mut centre, "they talk", |centre| {
        centre.callers[&first].talk.is_some()
    });
    until(&mut centre, "the manager is away", |centre| {
        centre.agents[&MANAGER].state == ABSENT
    });
    call(&mut centre);
    ends_well(&mut centre);
    assert_eq!(
        (whom(&centre, 0), whom(&centre, 1)),
        (vec![MANAGER], vec![DEPUTY])
    );
}

#[test]
fn the_manager_is_back_for_the_next_call_once_the_absence_is_over() {
    let mut centre = company(&[(MANAGER, &[talks_for(5)]), (DEPUTY, &[talks_for(5)])]);
    plan(&mut centre, MANAGER, (5, 30));
    let begins = centre.now + secs(5);
    until(&mut centre, "away", |centre| {
        centre.agents[&MANAGER].state == ABSENT
    });
    assert_eq!(centre.now, begins, "the switch wakes by itself");
    call(&mut centre);
    until(&mut centre, "back", |centre| {
        centre.agents[&MANAGER].state == AgentState::Available
    });
    assert_eq!(centre.now, begins + secs(30));
    call(&mut centre);
    ends_well(&mut centre);
    assert_eq!(
        (whom(&centre, 0), whom(&centre, 1)),
        (vec![DEPUTY], vec![MANAGER])
    );
}

#[test]
fn who_waits_for_an_absent_manager_is_offered_to_the_deputy_who_becomes_free() {
    let mut centre = company(&[(DEPUTY, &[talks_for(20), talks_for(5)])]);
    let queue = Queue {
        most_waiting: 3,
        most_wait_secs: 300,
        announce_secs: 30,
        offers_call_back: true,
        overflow: None,
    };
    centre.change_directory(|directory| {
        directory.lines[0].queue = Some(queue);
        directory.skills.clear();
    });
    plan(&mut centre, MANAGER, (0, 200));
    let first = call(&mut centre);
    until(&mut centre, "the deputy talks", |centre| {
        centre.callers[&first].talk.is_some()
    });
    let second = call(&mut centre);
    until(&mut centre, "the second waits", |centre| {
        centre.callers[&second].talk.is_some()
    });
    assert_eq!(whom(&centre, 1), []);
    ends_well(&mut centre);
    assert_eq!(whom(&centre, 1), [DEPUTY]);
}
