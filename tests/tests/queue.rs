//! Callers who wait, moment by moment, in the simulated call centre.

use std::{net::SocketAddr, time::Duration};

use call::{Cause, EventKind, OfferEnd};
use model::{Flag, LineId, Overflow, Priority, Queue, Rule, UserId};
use tests::sim::{
    Answering, Centre, Intent, Outcome, Talking, company::caller_number, company::phone_address,
    invariants::violations, wire::Record,
};

const SOON: Duration = Duration::from_secs(60);
const QUEUE: Queue = Queue {
    most_waiting: 3,
    most_wait_secs: 300,
    announce_secs: 30,
    offers_call_back: true,
    overflow: None,
};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn answers(then: Talking) -> Answering {
    Answering::Answer {
        after: secs(1),
        then,
    }
}

/// Whoever calls waits patiently and lets the agent hang up.
fn patient() -> Intent {
    Intent::patient()
}

/// Agents who do what the script says in each call that rings; the line has a queue.
fn company(agents: usize, queue: Queue, script: &[Answering]) -> Centre {
    let mut centre = Centre::calm(agents, 1);
    for phone in centre.phones.values_mut().filter(|phone| !phone.is_gateway) {
        phone.script.extend(script);
    }
    centre.change_directory(|directory| directory.lines[0].queue = Some(queue));
    let registered = |centre: &Centre| centre.phones.values().all(|phone| phone.registered);
    assert!(centre.run(SOON, registered));
    centre
}

/// The only agent talks to the first caller until `after`; then come the others, a second apart.
fn busy_until(after: Duration, queue: Queue, others: &[Intent]) -> (Centre, Vec<SocketAddr>) {
    let first = answers(Talking::HangUp { after });
    let next = answers(Talking::HangUp { after: secs(20) });
    let mut centre = company(1, queue, &[first, next, next, next, next]);
    let mut callers = vec![centre.place(centre.now, 0, patient())];
    for (n, intent) in others.iter().enumerate() {
        let at = centre.now + secs(3 + n as u64);
        callers.push(centre.place(at, 0, *intent));
    }
    (centre, callers)
}

fn until(centre: &mut Centre, what: &str, done: impl Fn(&Centre) -> bool) {
    let until = centre.now + secs(600);
    assert!(centre.run(until, done), "{what}");
}

fn answered(centre: &Centre, caller: SocketAddr) -> bool {
    centre.callers[&caller].talk.is_some()
}

fn ends_well(centre: &mut Centre) {
    centre.run_until_quiet();
    assert_eq!(violations(centre), Vec::<String>::new());
}

/// Facts of the call of this caller, in order.
fn facts(centre: &Centre, caller: SocketAddr) -> Vec<(Duration, EventKind)> {
    let number = centre.callers[&caller].number.trim_start_matches('+');
    let journal = centre.world.journal.iter();
    let of_caller = journal.filter(|event| centre.world.number(event.call) == Some(number));
    let begin = centre.world.journal[0].at;
    of_caller
        .map(|event| (event.at.since(begin), event.kind.clone()))
        .collect()
}

/// The time from the first fact of one name to the first of the other.
fn between(centre: &Centre, caller: SocketAddr, from: &str, to: &str) -> Duration {
    let facts = facts(centre, caller);
    let at = |name: &str| {
        let mut facts = facts.iter();
        let fact = facts.find(|(_, kind)| kind.name() == name);
        fact.expect("a fact of this name").0
    };
    at(to) - at(from)
}

fn names(centre: &Centre, caller: SocketAddr) -> Vec<&'static str> {
    facts(centre, caller)
        .iter()
        .map(|(_, kind)| kind.name())
        .collect()
}

fn cause(centre: &Centre, caller: SocketAddr) -> Option<(Cause, bool)> {
    facts(centre, caller)
        .iter()
        .find_map(|(_, kind)| match kind {
            EventKind::Ended { cause, missed, .. } => Some((*cause, *missed)),
            _ => None,
        })
}

/// When the caller was offered to somebody, and to whom.
fn offers(centre: &Centre, caller: SocketAddr) -> Vec<(Duration, UserId)> {
    let offers = facts(centre, caller).into_iter();
    offers
        .filter_map(|(at, kind)| match kind {
            EventKind::Offered { agent, .. } => Some((at, agent)),
            _ => None,
        })
        .collect()
}

/// When the conversation with the caller began.
fn began(centre: &Centre, caller: SocketAddr) -> Duration {
    let mut facts = facts(centre, caller).into_iter();
    let began = facts.find(|(_, kind)| matches!(kind, EventKind::ConversationStarted { .. }));
    began.expect("a conversation").0
}

fn sent(centre: &Centre, party: SocketAddr, start: &str) -> usize {
    let to = |r: &&Record| !r.incoming && r.party == party && r.message.start.starts_with(start);
    centre.wire.iter().filter(to).count()
}

#[test]
fn nobody_free_means_an_answer_and_music_and_the_freed_agent_gets_the_caller_at_once() {
    let (mut centre, callers) = busy_until(secs(30), QUEUE, &[patient()]);
    let waiting = callers[1];
    until(&mut centre, "an answer", |centre| answered(centre, waiting));
    let talk = centre.callers[&waiting].talk.as_ref();
    let ours = talk
        .and_then(|talk| talk.remote_media)
        .expect("our address");
    until(&mut centre, "music", |centre| centre.plane.sounds_at(ours));
    assert_eq!(
        names(&centre, waiting),
        ["call.arrived", "line.answered", "call.queued"]
    );
    ends_well(&mut centre);
    assert_eq!(
        names(&centre, waiting),
        [
            "call.arrived",
            "line.answered",
            "call.queued",
            "call.offered",
            "call.ringing",
            "offer.accepted",
            "conversation.started",
            "call.ended",
            "recording.ready",
        ]
    );
    let freed = facts(&centre, callers[0])
        .into_iter()
        .find_map(|(at, kind)| matches!(kind, EventKind::Ended { .. }).then_some(at));
    let (offered, _) = offers(&centre, waiting)[0];
    let hand_over = offered - freed.expect("the first call ended");
    assert!(hand_over < Duration::from_millis(100), "{hand_over:?}");
    assert_eq!(cause(&centre, waiting), Some((Cause::HungUp, false)));
    assert_eq!(sent(&centre, waiting, "SIP/2.0 200 OK"), 1, "answered once");
}

#[test]
fn very_important_clients_come_first_undesirable_ones_last_the_others_in_order() {
    let (mut centre, callers) = busy_until(secs(30), QUEUE, &[patient(); 3]);
    let marked = [(1, Flag::Undesirable), (3, Flag::Vip)];
    for (caller, flag) in marked {
        centre.world.know(&caller_number(caller), UserId(99), flag);
    }
    ends_well(&mut centre);
    let mut order = callers[1..].to_vec();
    order.sort_by_key(|caller| began(&centre, *caller));
    assert_eq!(order, [callers[3], callers[2], callers[1]]);
    let classes = callers[1..].iter().map(|caller| {
        facts(&centre, *caller)
            .into_iter()
            .find_map(|(_, kind)| match kind {
                EventKind::Queued {
                    place, priority, ..
                } => Some((place, priority)),
                _ => None,
            })
    });
    let expected = [
        (1, Priority::Last),
        (1, Priority::Usual),
        (1, Priority::First),
    ];
    assert!(
        classes.eq(expected.map(Some)),
        "each came before the ones there"
    );
}

#[test]
fn whoever_presses_one_is_called_back_and_hears_so() {
    let presses = Intent {
        presses: Some(secs(5)),
        ..patient()
    };
    let (mut centre, callers) = busy_until(secs(60), QUEUE, &[presses]);
    ends_well(&mut centre);
    assert_eq!(
        cause(&centre, callers[1]),
        Some((Cause::CallBackWanted, true))
    );
    assert_eq!(centre.callers[&callers[1]].outcome, Some(Outcome::Ended));
    let said = between(&centre, callers[1], "call.queued", "call.ended");
    assert!(
        said > secs(8),
        "the last words are said before the BYE: {said:?}"
    );
    assert_eq!(offers(&centre, callers[1]), []);
}

#[test]
fn the_key_counts_while_a_telephone_rings_already_and_frees_its_agent() {
    let mut centre = company(
        1,
        QUEUE,
        &[
            answers(Talking::HangUp { after: secs(10) }),
            Answering::Ignore,
        ],
    );
    let first = centre.place(centre.now, 0, patient());
    until(&mut centre, "the first talks", |centre| {
        answered(centre, first)
    });
    let presses = Intent {
        presses: Some(secs(14)),
        ..patient()
    };
    let second = centre.place(centre.now, 0, presses);
    ends_well(&mut centre);
    assert_eq!(cause(&centre, second), Some((Cause::CallBackWanted, true)));
    let withdrawn = |(_, kind): &(Duration, EventKind)| {
        matches!(
            kind,
            EventKind::OfferEnded {
                end: OfferEnd::CallerGone,
                ..
            }
        )
    };
    assert!(facts(&centre, second).iter().any(withdrawn));
    assert_eq!(sent(&centre, phone_address(0, 0), "CANCEL"), 1);
}

#[test]
fn without_the_offer_a_key_means_nothing() {
    let queue = Queue {
        offers_call_back: false,
        ..QUEUE
    };
    let presses = Intent {
        presses: Some(secs(2)),
        ..patient()
    };
    let (mut centre, callers) = busy_until(secs(20), queue, &[presses]);
    ends_well(&mut centre);
    assert_eq!(cause(&centre, callers[1]), Some((Cause::HungUp, false)));
}

#[test]
fn the_longest_wait_ends_with_words_and_a_missed_call() {
    let queue = Queue {
        most_wait_secs: 20,
        ..QUEUE
    };
    let (mut centre, callers) = busy_until(secs(90), queue, &[patient()]);
    ends_well(&mut centre);
    assert_eq!(
        cause(&centre, callers[1]),
        Some((Cause::WaitedTooLong, true))
    );
    assert_eq!(sent(&centre, callers[1], "BYE"), 1);
    let waited = between(&centre, callers[1], "call.queued", "call.ended");
    assert!((secs(22)..secs(30)).contains(&waited), "{waited:?}");
}

#[test]
fn a_full_queue_is_busy() {
    let queue = Queue {
        most_waiting: 1,
        ..QUEUE
    };
    let (mut centre, callers) = busy_until(secs(30), queue, &[patient(); 2]);
    ends_well(&mut centre);
    assert_eq!(
        centre.callers[&callers[2]].outcome,
        Some(Outcome::Refused(486))
    );
    assert_eq!(cause(&centre, callers[2]), Some((Cause::NobodyFree, true)));
    assert_eq!(cause(&centre, callers[1]), Some((Cause::HungUp, false)));
}

#[test]
fn two_who_come_at_once_do_not_share_the_last_place() {
    let queue = Queue {
        most_waiting: 1,
        ..QUEUE
    };
    let (mut centre, _) = busy_until(secs(30), queue, &[]);
    let at = centre.now + secs(5);
    let both = [0, 0].map(|line| centre.place(at, line, patient()));
    ends_well(&mut centre);
    let mut causes = both.map(|caller| cause(&centre, caller).unwrap().0);
    causes.sort();
    assert_eq!(causes, [Cause::HungUp, Cause::NobodyFree]);
}

#[test]
fn the_longest_wait_holds_while_one_telephone_after_the_other_rings() {
    let queue = Queue {
        most_wait_secs: 25,
        ..QUEUE
    };
    let busy = [
        answers(Talking::HangUp { after: secs(4) }),
        Answering::Ignore,
    ];
    let mut centre = company(4, queue, &busy);
    for _ in 0..4 {
        centre.place(centre.now, 0, patient());
    }
    let caller = centre.place(centre.now + secs(2), 0, patient());
    ends_well(&mut centre);
    assert_eq!(cause(&centre, caller), Some((Cause::WaitedTooLong, true)));
    let waited = between(&centre, caller, "call.queued", "call.ended");
    // At most one more telephone rings out, and the last words are said.
    assert!((secs(25)..secs(55)).contains(&waited), "{waited:?}");
}

#[test]
fn help_that_has_nobody_cuts_nobody_off() {
    let queue = Queue {
        overflow: Some(Overflow {
            line: LineId(77),
            after_secs: 5,
        }),
        ..QUEUE
    };
    let decline = Answering::Refuse {
        after: secs(1),
        status: 603,
    };
    let script = [decline, answers(Talking::HangUp { after: secs(5) })];
    let mut centre = company(1, queue, &script);
    let caller = centre.place(centre.now, 0, patient());
    ends_well(&mut centre);
    assert_eq!(cause(&centre, caller), Some((Cause::HungUp, false)));
}

#[test]
fn who_gives_up_is_missed_and_the_next_one_is_served() {
    let impatient = Intent {
        talking: Talking::HangUp { after: secs(4) },
        ..patient()
    };
    let (mut centre, callers) = busy_until(secs(30), QUEUE, &[impatient, patient()]);
    ends_well(&mut centre);
    assert_eq!(
        cause(&centre, callers[1]),
        Some((Cause::CallerCancelled, true))
    );
    assert_eq!(centre.callers[&callers[1]].outcome, Some(Outcome::HungUp));
    assert_eq!(cause(&centre, callers[2]), Some((Cause::HungUp, false)));
}

#[test]
fn whoever_declines_rests_from_this_caller_who_keeps_the_place() {
    let decline = Answering::Refuse {
        after: secs(1),
        status: 603,
    };
    let script = [decline, answers(Talking::HangUp { after: secs(5) })];
    let mut centre = company(1, QUEUE, &script);
    let caller = centre.place(centre.now, 0, patient());
    ends_well(&mut centre);
    let offers = offers(&centre, caller);
    assert_eq!(offers.len(), 2, "{offers:?}");
    let rest = offers[1].0 - offers[0].0;
    assert!((secs(30)..secs(33)).contains(&rest), "{rest:?}");
    assert_eq!(cause(&centre, caller), Some((Cause::HungUp, false)));
}

#[test]
fn another_group_helps_after_a_while() {
    let queue = Queue {
        overflow: Some(Overflow {
            line: LineId(2),
            after_secs: 15,
        }),
        ..QUEUE
    };
    let stays = answers(Talking::HangUp { after: secs(100) });
    let mut centre = company(2, queue, &[stays, stays]);
    centre.change_directory(|directory| {
        let mut other = directory.lines[0].clone();
        (other.id, other.number, other.queue) = (LineId(2), "+74950000002".to_owned(), None);
        directory.lines.push(other);
        directory.skills[1].line = LineId(2);
    });
    let first = centre.place(centre.now, 0, patient());
    until(&mut centre, "the first talks", |centre| {
        answered(centre, first)
    });
    let second = centre.place(centre.now, 0, patient());
    ends_well(&mut centre);
    let helped = between(&centre, second, "call.queued", "call.offered");
    assert!((secs(15)..secs(16)).contains(&helped), "{helped:?}");
    assert_eq!(offers(&centre, second)[0].1, UserId(2));
}

#[test]
fn the_manager_who_becomes_free_takes_the_client_whatever_the_line() {
    let (mut centre, callers) = busy_until(secs(30), QUEUE, &[patient()]);
    centre
        .world
        .know(&caller_number(1), UserId(1), Flag::DoNotCall);
    ends_well(&mut centre);
    let rules: Vec<Rule> = facts(&centre, callers[1])
        .into_iter()
        .filter_map(|(_, kind)| match kind {
            EventKind::Offered { rule, .. } => Some(rule),
            _ => None,
        })
        .collect();
    assert_eq!(rules, [Rule::Assigned { match_index: 0 }]);
}

#[test]
fn a_crash_ends_the_wait_of_everybody_on_the_wire_and_in_the_journal() {
    let (mut centre, callers) = busy_until(secs(60), QUEUE, &[patient(); 2]);
    until(&mut centre, "both wait", |centre| {
        callers.iter().all(|caller| answered(centre, *caller))
    });
    centre.run(centre.now + secs(1), |_| false);
    centre.kill();
    ends_well(&mut centre);
    for caller in &callers {
        assert_eq!(cause(&centre, *caller).unwrap().0, Cause::Crash);
        assert_eq!(centre.callers[caller].outcome, Some(Outcome::Ended));
    }
}

#[test]
fn who_holds_in_the_queue_and_vanishes_frees_the_agent_who_took_the_call() {
    let holds = Intent {
        talking: Talking::Hold {
            after: secs(2),
            length: secs(400),
            rest: secs(1),
        },
        vanishes: Some(secs(35)),
        ..patient()
    };
    let script = [
        answers(Talking::HangUp { after: secs(30) }),
        answers(Talking::Stay),
    ];
    let mut centre = company(1, QUEUE, &script);
    let first = centre.place(centre.now, 0, patient());
    until(&mut centre, "the first talks", |centre| {
        answered(centre, first)
    });
    let caller = centre.place(centre.now, 0, holds);
    ends_well(&mut centre);
    let (cause, missed) = cause(&centre, caller).unwrap();
    assert_eq!((cause, missed), (Cause::SignallingLost, false));
}
