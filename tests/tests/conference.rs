//! A colleague is called in to a client and an agent, moment by moment in the simulated call centre.

use std::time::Duration;

use call::{Act, Cause, ControlRefused, EventKind, OfferEnd};
use model::{AgentState, Rule, UserId};
use rstest::rstest;
use tests::{
    asking::{SOON, answers_after, sent_to},
    sim::{
        Answering, Centre, Dialled, Intent, Outcome, Talking,
        company::{gateway_address, phone_address},
        invariants::violations,
    },
    three::{Three, heard, registered, sorted},
};

const LONG: Duration = Duration::from_secs(1_000);

/// What the journal tells once a colleague has joined by order.
const JOINED: [&str; 11] = [
    "call.arrived",
    "call.offered",
    "call.ringing",
    "offer.accepted",
    "line.answered",
    "conversation.started",
    "conference.begun",
    "call.offered",
    "call.ringing",
    "offer.accepted",
    "conference.joined",
];

#[test]
fn a_colleague_who_is_called_in_talks_with_both_in_the_one_conversation() {
    let mut three = Three::begin(answers_after(2, Talking::Stay));
    assert_eq!(three.invite(), Ok(()));
    assert!(three.names().contains(&"conference.begun"));
    let [client, agent, colleague] = three.places();
    let second = three.phone(1);
    three.until("nothing rings", |centre| {
        sent_to(centre, second, "INVITE") == 1
    });
    assert!(
        three
            .centre
            .world
            .cards
            .contains(&(three.call, three.user(1)))
    );
    assert_eq!(three.hears()[0], [agent], "they go on talking meanwhile");
    three.until("the colleague does not join", |centre| {
        sent_to(centre, second, "ACK") == 1
    });
    three.goes_on(5);
    assert_eq!(
        three.hears(),
        [
            sorted([agent, colleague]),
            sorted([client, colleague]),
            sorted([client, agent])
        ]
    );
    let talking = AgentState::Talking { call: three.call };
    assert_eq!([three.state(0), three.state(1)], [talking; 2]);
    let mut reserved: Vec<_> = three.centre.world.ledger.iter().collect();
    reserved.sort_unstable();
    let call = three.call;
    assert_eq!(reserved, [(&UserId(1), &call), (&UserId(2), &call)]);
    assert_eq!(three.names(), JOINED);
    let by = three.user(0);
    let rules = three.facts().filter_map(|kind| match kind {
        EventKind::Offered { rule, .. } => Some(*rule),
        _ => None,
    });
    assert_eq!(rules.last(), Some(Rule::Conference { by }));
    for which in [0, 1] {
        let phone = three.phone(which);
        assert_eq!(sent_to(&three.centre, phone, "NOTIFY"), 0);
        assert_eq!(sent_to(&three.centre, phone, "BYE"), 0);
    }
    three.leave();
    three.ends_well(Outcome::HungUp);
    assert_eq!(three.end(), (Cause::HungUp, Some(by), false));
    for which in [0, 1] {
        assert_eq!(sent_to(&three.centre, three.phone(which), "BYE"), 1);
    }
    assert_eq!(three.names().last(), Some(&"recording.ready"));
}

#[test]
fn the_agent_leaves_and_the_client_stays_with_the_colleague() {
    let mut three = Three::talking();
    let [first, second] = [three.phone(0), three.phone(1)];
    three.centre.hang_up(first);
    three.goes_on(5);
    let [client, _, colleague] = three.places();
    assert_eq!(three.hears(), [vec![colleague], vec![], vec![client]]);
    assert_eq!(three.state(0), AgentState::Available);
    let talking = AgentState::Talking { call: three.call };
    assert_eq!(three.state(1), talking);
    let [agent, stays] = [three.user(0), three.user(1)];
    let left = EventKind::ConferenceLeft { agent, stays };
    assert_eq!(three.facts().last(), Some(&left));
    assert_eq!(sent_to(&three.centre, second, "BYE"), 0);
    // The colleague has the client from now on, with every right to them.
    let to = three.number(0);
    assert_eq!(
        three.control(0, Act::PauseRecording),
        Err(ControlRefused::NotTheirs)
    );
    assert_eq!(three.control(1, Act::Conference { to }), Ok(()));
    let phone = three.centre.phones.get_mut(&first).expect("a telephone");
    phone.script.push_back(answers_after(1, Talking::Stay));
    three.until("the agent does not come back", |centre| {
        sent_to(centre, first, "ACK") == 2
    });
    three.goes_on(1);
    assert_eq!(three.hears()[0].len(), 2);
    three.leave();
    three.ends_well(Outcome::HungUp);
    assert_eq!(three.end(), (Cause::HungUp, Some(stays), false));
}

#[test]
fn the_colleague_leaves_and_the_client_stays_with_the_agent() {
    let mut three = Three::talking();
    let [first, second] = [three.phone(0), three.phone(1)];
    three.centre.hang_up(second);
    three.goes_on(5);
    let [client, agent, _] = three.places();
    assert_eq!(three.hears(), [vec![agent], vec![client], vec![]]);
    assert_eq!(three.state(1), AgentState::Available);
    assert_eq!(sent_to(&three.centre, first, "BYE"), 0);
    let [stays, left] = [three.user(0), three.user(1)];
    let left = EventKind::ConferenceLeft { agent: left, stays };
    assert_eq!(three.facts().last(), Some(&left));
    three.leave();
    three.ends_well(Outcome::HungUp);
    assert_eq!(three.end(), (Cause::HungUp, Some(stays), false));
}

#[rstest]
#[case::not_answered(Answering::Ignore, OfferEnd::NoAnswer)]
#[case::declined(Answering::Refuse { after: Duration::from_secs(1), status: 603 }, OfferEnd::Declined)]
#[case::busy(Answering::Refuse { after: Duration::from_secs(1), status: 486 }, OfferEnd::Busy)]
fn the_two_go_on_if_the_colleague_does_not_come(
    #[case] answering: Answering,
    #[case] end: OfferEnd,
) {
    let mut three = Three::begin(answering);
    assert_eq!(three.invite(), Ok(()));
    let to = three.number(1);
    let now = three.control(0, Act::Transfer { to });
    assert_eq!(now, Err(ControlRefused::NotNow), "it rings already");
    let agent = three.user(1);
    let ended = EventKind::OfferEnded { agent, end };
    three.until("the offer does not end", |centre| {
        centre.world.journal.iter().any(|it| it.kind == ended)
    });
    three.goes_on(3);
    let [client, agent, _] = three.places();
    assert_eq!(three.hears(), [vec![agent], vec![client], vec![]]);
    assert_eq!(three.state(1), AgentState::Available);
    let first = three.phone(0);
    assert_eq!(sent_to(&three.centre, first, "BYE"), 0);
    let second = three.phone(1);
    let phone = three.centre.phones.get_mut(&second).expect("a telephone");
    phone.script.push_back(answers_after(1, Talking::Stay));
    assert_eq!(three.invite(), Ok(()), "it may be tried again");
    three.goes_on(5);
    assert_eq!(three.hears()[0].len(), 2);
    three.leave();
    three.ends_well(Outcome::HungUp);
    let by = Some(three.user(0));
    assert_eq!(three.end(), (Cause::HungUp, by, false));
}

#[test]
fn the_client_hangs_up_while_the_third_rings() {
    let mut three = Three::begin(Answering::Ignore);
    assert_eq!(three.invite(), Ok(()));
    let [first, second] = [three.phone(0), three.phone(1)];
    three.until("nothing rings", |centre| {
        sent_to(centre, second, "INVITE") == 1
    });
    three.goes_on(2);
    three.leave();
    three.ends_well(Outcome::HungUp);
    assert_eq!(sent_to(&three.centre, second, "CANCEL"), 1);
    assert_eq!(sent_to(&three.centre, first, "BYE"), 1);
    let whose = Some(three.user(0));
    assert_eq!(
        three.end(),
        (Cause::HungUp, whose, false),
        "the third never talked"
    );
}

#[test]
fn whoever_calls_somebody_in_and_hangs_up_before_the_answer_hands_the_client_over() {
    let mut three = Three::begin(answers_after(6, Talking::Stay));
    assert_eq!(three.invite(), Ok(()));
    let [first, second] = [three.phone(0), three.phone(1)];
    three.goes_on(2);
    three.centre.hang_up(first);
    three.until("the colleague does not talk", |centre| {
        sent_to(centre, second, "ACK") == 1
    });
    three.goes_on(2);
    let [client, _, colleague] = three.places();
    assert_eq!(three.hears(), [vec![colleague], vec![], vec![client]]);
    three.leave();
    three.ends_well(Outcome::HungUp);
    let names = three.names();
    for name in ["transfer.begun", "call.transferred"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(!names.contains(&"conference.joined"));
}

#[test]
fn hang_ups_that_cross_end_the_call_once() {
    for [one, other] in [[0, 1], [1, 0]] {
        let mut three = Three::talking();
        let phones = [three.phone(one), three.phone(other)];
        for phone in phones {
            three.centre.hang_up(phone);
        }
        three.ends_well(Outcome::Ended);
        assert_eq!(three.end().0, Cause::HungUp);
    }
    for which in [0, 1] {
        let mut three = Three::talking();
        let phone = three.phone(which);
        three.centre.hang_up(phone);
        three.leave();
        three.ends_well(Outcome::HungUp);
        assert_eq!(three.end().0, Cause::HungUp);
    }
    let mut three = Three::talking();
    let phones = [three.phone(0), three.phone(1)];
    three.leave();
    for phone in phones {
        three.centre.hang_up(phone);
    }
    three.ends_well(Outcome::HungUp);
}

#[test]
fn the_colleague_answers_as_somebody_leaves() {
    for leaves in [0, 1] {
        let mut three = Three::begin(answers_after(3, Talking::Stay));
        assert_eq!(three.invite(), Ok(()));
        let [first, second] = [three.phone(0), three.phone(1)];
        let answered = |centre: &Centre| centre.phones[&second].calls.iter().any(|it| it.answered);
        three.until("the colleague does not answer", answered);
        // The 200 is under way.
        match leaves {
            0 => three.leave(),
            _ => three.centre.hang_up(first),
        }
        three.goes_on(3);
        three.leave();
        three.ends_well(Outcome::HungUp);
        assert_eq!(three.end().0, Cause::HungUp);
    }
}

#[test]
fn whoever_holds_is_away_while_the_other_two_talk() {
    let mut three = Three::begin(answers_after(
        1,
        Talking::Hold {
            after: Duration::from_secs(3),
            length: Duration::from_secs(40),
            rest: Duration::from_secs(5),
        },
    ));
    assert_eq!(three.invite(), Ok(()));
    let updates = |three: &Three| {
        let held = three.facts().filter_map(|kind| match kind {
            EventKind::Held { held, .. } => Some(*held),
            _ => None,
        });
        held.collect::<Vec<_>>()
    };
    three.until("nobody holds", |centre| {
        let names = centre.world.journal.iter().map(|it| it.kind.name());
        names.filter(|name| *name == "call.updated").count() == 1
    });
    assert_eq!(updates(&three), [true]);
    three.goes_on(35);
    // No media proves that they are there: all three are asked.
    for party in [three.client, three.phone(0), three.phone(1)] {
        assert_eq!(sent_to(&three.centre, party, "OPTIONS"), 1);
    }
    three.until("the holder does not leave", |centre| {
        let names = centre.world.journal.iter().map(|it| it.kind.name());
        names.filter(|name| *name == "conference.left").count() == 1
    });
    assert_eq!(updates(&three), [true, false]);
    three.goes_on(2);
    let [client, agent, _] = three.places();
    assert_eq!(three.hears(), [vec![agent], vec![client], vec![]]);
    three.leave();
    three.ends_well(Outcome::HungUp);
}

#[test]
fn whoever_leaves_while_holding_holds_nobody() {
    let mut three = Three::begin(answers_after(
        1,
        Talking::Hold {
            after: Duration::from_secs(2),
            length: LONG,
            rest: LONG,
        },
    ));
    assert_eq!(three.invite(), Ok(()));
    three.goes_on(6);
    let second = three.phone(1);
    three.centre.hang_up(second);
    three.goes_on(2);
    let back = |kind: &&EventKind| matches!(kind, EventKind::Held { held: false, .. });
    assert_eq!(three.facts().filter(back).count(), 1);
    three.goes_on(60);
    let client = three.client;
    assert_eq!(sent_to(&three.centre, client, "OPTIONS"), 0);
    three.leave();
    three.ends_well(Outcome::HungUp);
}

#[test]
fn a_telephone_that_dies_in_a_conference_leaves_the_other_two() {
    for which in [0, 1] {
        let mut three = Three::talking();
        let dies = three.phone(which);
        let now = three.centre.now;
        let phone = three.centre.phones.get_mut(&dies).expect("a telephone");
        phone.crash(now);
        three.goes_on(75);
        let left = |kind: &&EventKind| matches!(kind, EventKind::ConferenceLeft { .. });
        assert_eq!(three.facts().filter(left).count(), 1);
        let other = three.places()[2 - which];
        assert_eq!(three.hears()[0], [other]);
        three.leave();
        three.ends_well(Outcome::HungUp);
    }
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let mut three = Three::begin(answers_after(1, Talking::Stay));
    let [own, colleague] = [three.number(0), three.number(1)];
    let to = |number: &str| Act::Conference {
        to: number.to_owned(),
    };
    let before = three.centre.world.journal.len();
    assert_eq!(
        three.control(0, to("999")),
        Err(ControlRefused::NoColleague)
    );
    assert_eq!(three.control(0, to(&own)), Err(ControlRefused::OwnNumber));
    assert_eq!(
        three.control(1, to(&colleague)),
        Err(ControlRefused::NotTheirs)
    );
    assert_eq!(three.centre.world.journal.len(), before);
    assert_eq!(three.invite(), Ok(()));
    three.goes_on(5);
    let before = three.centre.world.journal.len();
    for which in [0, 1] {
        let number = colleague.clone();
        assert_eq!(
            three.control(which, to(&number)),
            Err(ControlRefused::NotNow)
        );
        let transfer = Act::Transfer { to: number };
        assert_eq!(three.control(which, transfer), Err(ControlRefused::NotNow));
    }
    assert_eq!(three.centre.world.journal.len(), before);
    assert_eq!(
        three.control(1, Act::PauseRecording),
        Ok(()),
        "it is theirs"
    );
    assert_eq!(three.control(0, Act::ResumeRecording), Ok(()));
    assert_eq!(three.control(1, Act::HangUp), Ok(()));
    three.goes_on(1);
    assert_eq!(three.names().last(), Some(&"conference.left"));
    assert_eq!(three.control(0, Act::HangUp), Ok(()));
    three.ends_well(Outcome::Ended);
}

#[test]
fn a_restart_in_the_middle_ends_it_for_all_three() {
    let mut three = Three::talking();
    let parties = [three.client, three.phone(0), three.phone(1)];
    three.centre.kill();
    three.ends_well(Outcome::Ended);
    for party in parties {
        assert!(sent_to(&three.centre, party, "BYE") >= 1);
    }
    assert_eq!(three.end().0, Cause::Crash);
}

#[test]
fn a_colleague_joins_a_client_whom_the_agent_has_called_and_the_agent_leaves() {
    let mut centre = registered(2);
    let (colleague, gateway) = (phone_address(1, 0), gateway_address(0));
    for phone in [colleague, gateway] {
        let phone = centre.phones.get_mut(&phone).expect("a telephone");
        phone.script.push_back(answers_after(1, Talking::Stay));
    }
    let agent = centre.dial(centre.now, 0, Dialled::Client(0), Intent::patient());
    let until = centre.now + SOON;
    assert!(centre.run(until, |centre| centre.callers[&agent].talk.is_some()));
    let call = centre.world.journal[0].call;
    let to = "101".to_owned();
    let order = centre.control((0, false), call, Act::Conference { to });
    let until = centre.now + Duration::from_secs(5);
    centre.run(until, |_| false);
    assert_eq!(centre.controlled[&order], Ok(()));
    let talk = centre.phones[&gateway].calls[0].talk.as_ref();
    let ours = talk.and_then(|talk| talk.remote_media);
    assert_eq!(
        heard(&centre, ours),
        sorted([agent.ip(), colleague.ip()]),
        "the client hears both"
    );
    centre.leave(agent);
    let until = centre.now + Duration::from_secs(5);
    centre.run(until, |_| false);
    assert_eq!(heard(&centre, ours), [colleague.ip()]);
    assert_eq!(sent_to(&centre, gateway, "BYE"), 0);
    centre.hang_up(colleague);
    centre.run_until_quiet();
    assert_eq!(violations(&centre), Vec::<String>::new());
    let ends = centre.world.journal.iter().filter_map(|it| match it.kind {
        EventKind::Ended { cause, agent, .. } => Some((cause, agent)),
        _ => None,
    });
    let expected = [(Cause::HungUp, Some(UserId(2)))];
    assert_eq!(ends.collect::<Vec<_>>(), expected);
}
