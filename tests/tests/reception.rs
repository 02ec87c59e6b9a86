//! What callers hear and choose before anybody's telephone rings, in the simulated call centre.

use std::{net::SocketAddr, time::Duration};

use call::{Cause, EventKind, OfferEnd};
use model::{
    Choice, Destination, Flag, Line, LineId, Menu, Queue, Reception, Rule, UserId, Voicemail,
};
use tests::sim::{
    Answering, Centre, Intent, Outcome, Talking,
    company::{CLOSED, caller_number, line_number},
    invariants::violations,
    wire::Record,
};

const SOON: Duration = Duration::from_secs(60);
const MESSAGES: Option<Voicemail> = Some(Voicemail { most_secs: 20 });

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn answers() -> Answering {
    Answering::Answer {
        after: secs(1),
        then: Talking::HangUp { after: secs(10) },
    }
}

fn patient() -> Intent {
    Intent::patient()
}

fn presses(after: u64, keys: &'static str) -> Intent {
    Intent {
        presses: Some(secs(after)),
        keys,
        ..patient()
    }
}

fn menu(choices: &[(char, Destination)]) -> Option<Menu> {
    let choices = choices
        .iter()
        .map(|(key, to)| Choice { key: *key, to: *to });
    Some(Menu {
        prompt: None,
        choices: choices.collect(),
        extensions: true,
        known_pass: true,
    })
}

/// Agents 1 and 2 on the first line, agent 3 on the second; everybody answers unless told otherwise.
fn company(script: Answering, change: impl FnOnce(&mut Line, &mut Line)) -> Centre {
    let mut centre = Centre::calm(3, 1);
    for phone in centre.phones.values_mut().filter(|phone| !phone.is_gateway) {
        phone.script.extend([script; 4]);
    }
    centre.change_directory(|directory| {
        let mut first = directory.lines[0].clone();
        first.recorded = true;
        let mut second = Line {
            id: LineId(2),
            number: format!("+{}", line_number(1)),
            ..first.clone()
        };
        change(&mut first, &mut second);
        directory.lines = vec![first, second];
        for skill in &mut directory.skills {
            skill.line = LineId(if skill.user == UserId(3) { 2 } else { 1 });
            skill.level = if skill.user == UserId(1) { 9 } else { 5 };
        }
    });
    let registered = |centre: &Centre| centre.phones.values().all(|phone| phone.registered);
    assert!(centre.run(SOON, registered));
    centre
}

fn call(centre: &mut Centre, intent: Intent) -> SocketAddr {
    let caller = centre.place(centre.now, 0, intent);
    centre.run_until_quiet();
    assert_eq!(violations(centre), Vec::<String>::new());
    caller
}

fn facts(centre: &Centre) -> Vec<(Duration, EventKind)> {
    let begin = centre.world.journal[0].at;
    let journal = centre.world.journal.iter();
    journal
        .map(|event| (event.at.since(begin), event.kind.clone()))
        .collect()
}

fn names(centre: &Centre) -> Vec<&'static str> {
    facts(centre).iter().map(|(_, kind)| kind.name()).collect()
}

fn cause(centre: &Centre) -> (Cause, bool) {
    let ended = facts(centre).into_iter().find_map(|(_, kind)| match kind {
        EventKind::Ended { cause, missed, .. } => Some((cause, missed)),
        _ => None,
    });
    ended.expect("the call ended")
}

fn offers(centre: &Centre) -> Vec<(UserId, Rule)> {
    let facts = facts(centre).into_iter();
    facts
        .filter_map(|(_, kind)| match kind {
            EventKind::Offered { agent, rule, .. } => Some((agent, rule)),
            _ => None,
        })
        .collect()
}

fn offered_to(centre: &Centre) -> Vec<i64> {
    offers(centre).iter().map(|(agent, _)| agent.0).collect()
}

fn statuses(centre: &Centre, caller: SocketAddr) -> Vec<String> {
    let to =
        |r: &&Record| !r.incoming && r.party == caller && r.message.start.starts_with("SIP/2.0 ");
    let sent = centre.wire.iter().filter(to);
    sent.map(|r| r.message.start[8..11].to_owned()).collect()
}

#[test]
fn an_announcement_is_heard_before_a_telephone_rings() {
    let mut centre = company(answers(), |line, _| {
        line.reception.announcement = Some("greeting".to_owned());
    });
    call(&mut centre, patient());
    assert_eq!(
        names(&centre),
        [
            "call.arrived",
            "line.answered",
            "call.received",
            "call.offered",
            "call.ringing",
            "offer.accepted",
            "conversation.started",
            "call.ended",
            "recording.ready",
        ]
    );
    let facts = facts(&centre);
    let (received, offered) = (facts[2].0, facts[3].0);
    assert!(
        offered - received >= secs(1),
        "the greeting was heard to its end"
    );
    assert_eq!(cause(&centre), (Cause::HungUp, false));
}

#[test]
fn a_key_leads_to_the_agents_of_another_line() {
    let mut centre = company(answers(), |line, _| {
        line.reception.menu = menu(&[('2', Destination::Line(LineId(2)))]);
    });
    call(&mut centre, presses(1, "2"));
    assert_eq!(offered_to(&centre), [3]);
    let chosen = facts(&centre).into_iter().find_map(|(_, kind)| match kind {
        EventKind::MenuChosen { keys, to } => Some((keys, to)),
        _ => None,
    });
    assert_eq!(chosen, Some(("2".to_owned(), Destination::Line(LineId(2)))));
}

#[test]
fn a_short_number_leads_to_its_colleague_although_its_first_digit_is_a_choice() {
    let mut centre = company(answers(), |line, _| {
        line.reception.menu = menu(&[('1', Destination::Line(LineId(2)))]);
    });
    call(&mut centre, presses(1, "101"));
    assert_eq!(offers(&centre), [(UserId(2), Rule::Dialled)]);
}

#[test]
fn a_single_digit_is_a_choice_once_no_further_one_comes() {
    let mut centre = company(answers(), |line, _| {
        line.reception.menu = menu(&[('1', Destination::Line(LineId(2)))]);
    });
    call(&mut centre, presses(1, "1"));
    assert_eq!(offered_to(&centre), [3]);
}

#[test]
fn a_colleague_who_is_dialled_and_does_not_answer_is_followed_by_the_next_qualified() {
    let mut centre = company(Answering::Ignore, |line, _| {
        line.reception.menu = menu(&[]);
    });
    call(&mut centre, presses(1, "102"));
    // Agent 3 has no skill for the line, and was asked because its number was dialled.
    assert_eq!(offered_to(&centre), [3, 1, 2]);
    let (_, first) = offers(&centre)[0];
    assert_eq!(first, Rule::Dialled);
    assert_eq!(cause(&centre), (Cause::NobodyAnswered, true));
}

#[test]
fn whoever_chooses_nothing_three_times_comes_to_the_agents_of_the_line() {
    let mut centre = company(answers(), |line, _| {
        line.reception.menu = menu(&[('2', Destination::Line(LineId(2)))]);
    });
    call(&mut centre, patient());
    assert_eq!(offered_to(&centre), [1]);
    let facts = facts(&centre);
    assert!(
        facts[3].0 - facts[2].0 > secs(20),
        "the choices were told three times"
    );
}

#[test]
fn a_wrong_key_is_said_to_be_wrong_and_another_counts() {
    let mut centre = company(answers(), |line, _| {
        line.reception.menu = menu(&[('2', Destination::Line(LineId(2)))]);
    });
    call(&mut centre, presses(1, "72"));
    assert_eq!(offered_to(&centre), [3]);
    assert_eq!(cause(&centre), (Cause::HungUp, false));
}

#[test]
fn a_client_with_a_manager_is_not_asked_to_choose() {
    let mut centre = company(answers(), |line, _| {
        line.reception.menu = menu(&[('2', Destination::Line(LineId(2)))]);
    });
    centre.world.know(&caller_number(0), UserId(2), Flag::Core);
    let caller = call(&mut centre, patient());
    assert_eq!(offered_to(&centre), [2]);
    assert!(!names(&centre).contains(&"call.received"));
    assert!(
        statuses(&centre, caller).contains(&"180".to_owned()),
        "the line is not answered early"
    );
}

#[test]
fn a_closed_office_says_so_and_the_call_is_owed_back() {
    let mut centre = company(answers(), |line, _| line.office = Some(CLOSED));
    let caller = call(&mut centre, patient());
    assert_eq!(cause(&centre), (Cause::Closed, true));
    assert_eq!(offered_to(&centre), [0; 0]);
    assert_eq!(centre.callers[&caller].outcome, Some(Outcome::Ended));
}

#[test]
fn another_line_takes_the_calls_of_a_closed_office() {
    let mut centre = company(answers(), |line, second| {
        line.office = Some(CLOSED);
        line.reception.closed_line = Some(second.id);
    });
    call(&mut centre, patient());
    assert_eq!(offered_to(&centre), [3]);
    let instead = facts(&centre).into_iter().find_map(|(_, kind)| match kind {
        EventKind::Received {
            closed: true,
            instead,
            ..
        } => instead,
        _ => None,
    });
    assert_eq!(instead, Some(LineId(2)));
}

#[test]
fn a_key_leads_to_a_line_whose_office_is_closed() {
    for (voicemail, ended) in [(None, Cause::Closed), (MESSAGES, Cause::MessageLeft)] {
        let mut centre = company(answers(), |line, second| {
            line.reception.menu = menu(&[('2', Destination::Line(LineId(2)))]);
            second.office = Some(CLOSED);
            second.reception.voicemail = voicemail;
        });
        let caller = call(&mut centre, presses(1, "2"));
        assert_eq!(cause(&centre), (ended, true));
        assert_eq!(offered_to(&centre), [0; 0]);
        assert_eq!(centre.callers[&caller].outcome, Some(Outcome::Ended));
        let received = facts(&centre)
            .into_iter()
            .filter_map(|(_, kind)| match kind {
                EventKind::Received { line, closed, .. } => Some((line, closed)),
                _ => None,
            });
        let received: Vec<(LineId, bool)> = received.collect();
        assert_eq!(received, [(LineId(1), false), (LineId(2), true)]);
    }
}

#[test]
fn a_key_leads_to_a_closed_office_whose_calls_another_line_takes() {
    let mut centre = company(answers(), |line, second| {
        line.reception.menu = menu(&[('2', Destination::Line(LineId(2)))]);
        second.office = Some(CLOSED);
        second.reception.closed_line = Some(line.id);
    });
    call(&mut centre, presses(1, "2"));
    // Back at the first line the caller is asked again, presses nothing, and comes to its agents.
    assert_eq!(offered_to(&centre), [1]);
}

#[test]
fn offices_that_send_calls_to_each_other_let_go_of_the_caller() {
    let mut centre = company(answers(), |line, second| {
        (line.office, second.office) = (Some(CLOSED), Some(CLOSED));
        line.reception.closed_line = Some(second.id);
        second.reception.closed_line = Some(line.id);
    });
    call(&mut centre, patient());
    assert_eq!(cause(&centre), (Cause::Closed, true));
}

#[test]
fn menus_that_lead_to_each_other_end_at_the_agents() {
    let mut centre = company(answers(), |line, second| {
        line.reception.menu = menu(&[('1', Destination::Line(second.id))]);
        second.reception.menu = menu(&[('1', Destination::Line(line.id))]);
    });
    centre.change_directory(|directory| {
        for line in &mut directory.lines {
            let menu = line.reception.menu.as_mut().expect("a menu");
            menu.extensions = false;
        }
    });
    call(&mut centre, presses(1, "1111111111"));
    assert_eq!(cause(&centre), (Cause::HungUp, false));
    let turns = names(&centre)
        .iter()
        .filter(|name| **name == "menu.chosen")
        .count();
    assert!((5..=6).contains(&turns), "{turns}");
}

#[test]
fn nobody_answers_and_a_message_is_left_and_owed_back() {
    let mut centre = company(Answering::Ignore, |line, _| {
        line.reception.voicemail = MESSAGES;
    });
    let leaves = Intent {
        talking: Talking::HangUp { after: secs(12) },
        ..patient()
    };
    call(&mut centre, leaves);
    assert_eq!(cause(&centre), (Cause::MessageLeft, true));
    let names = names(&centre);
    let order = [
        "line.answered",
        "call.received",
        "message.started",
        "call.ended",
        "recording.ready",
    ];
    let found: Vec<&str> = names
        .into_iter()
        .filter(|name| order.contains(name))
        .collect();
    assert_eq!(found, order);
}

#[test]
fn a_message_ends_at_its_longest_and_by_a_key() {
    for (intent, least, most) in [(patient(), 20, 21), (presses(13, "#"), 1, 19)] {
        let mut centre = company(answers(), |line, _| {
            (line.office, line.reception.voicemail) = (Some(CLOSED), MESSAGES);
        });
        call(&mut centre, intent);
        assert_eq!(cause(&centre), (Cause::MessageLeft, true));
        let length = facts(&centre).into_iter().find_map(|(_, kind)| match kind {
            EventKind::RecordingReady { length_ms, .. } => Some(length_ms / 1_000),
            _ => None,
        });
        let length = length.expect("a message");
        assert!((least..=most).contains(&length), "{length} s");
    }
}

#[test]
fn whoever_hangs_up_before_the_tone_has_given_up() {
    let mut centre = company(answers(), |line, _| {
        (line.office, line.reception.voicemail) = (Some(CLOSED), MESSAGES);
    });
    let leaves = Intent {
        talking: Talking::HangUp { after: secs(1) },
        ..patient()
    };
    call(&mut centre, leaves);
    assert_eq!(cause(&centre), (Cause::CallerCancelled, true));
    assert!(!names(&centre).contains(&"message.started"));
}

#[test]
fn the_longest_wait_ends_at_the_voicemail() {
    let queue = Queue {
        most_waiting: 3,
        most_wait_secs: 15,
        announce_secs: 10,
        offers_call_back: false,
        overflow: None,
    };
    let busy = Answering::Answer {
        after: secs(1),
        then: Talking::HangUp { after: secs(120) },
    };
    let mut centre = company(busy, |line, _| {
        line.queue = Some(queue);
        line.reception.voicemail = MESSAGES;
        line.reception.announcement = Some("greeting".to_owned());
    });
    let stays = Intent {
        talking: Talking::Stay,
        ..patient()
    };
    let first = centre.now;
    centre.place(first, 0, stays);
    centre.place(first + secs(1), 0, stays);
    centre.place(first + secs(8), 0, stays);
    centre.run_until_quiet();
    assert_eq!(violations(&centre), Vec::<String>::new());
    let journal = &centre.world.journal;
    let left = journal.iter().filter(|event| {
        matches!(
            event.kind,
            EventKind::Ended {
                cause: Cause::MessageLeft,
                ..
            }
        )
    });
    assert_eq!(left.count(), 1);
    let answered = journal
        .iter()
        .filter(|event| event.kind == EventKind::LineAnswered);
    assert_eq!(answered.count(), 3, "each caller is answered once");
}

#[test]
fn a_caller_is_told_of_the_recording_first() {
    let mut centre = company(answers(), |line, _| line.reception.recording_notice = true);
    call(&mut centre, patient());
    let recorded = facts(&centre).into_iter().find_map(|(_, kind)| match kind {
        EventKind::ConversationStarted { recording, .. } => Some(recording.is_some()),
        _ => None,
    });
    assert_eq!(recorded, Some(true));
    assert!(names(&centre).contains(&"call.received"));
}

#[test]
fn a_line_without_any_of_it_rings_at_once() {
    let mut centre = company(answers(), |line, _| line.reception = Reception::default());
    let caller = call(&mut centre, patient());
    assert!(!names(&centre).contains(&"call.received"));
    assert_eq!(statuses(&centre, caller), ["100", "180", "200"]);
    let ends = facts(&centre).into_iter().filter(|(_, kind)| {
        matches!(
            kind,
            EventKind::OfferEnded {
                end: OfferEnd::NoAnswer,
                ..
            }
        )
    });
    assert_eq!(ends.count(), 0);
}
