//! A colleague is asked about a client and then handed the client, moment by moment, in the simulated call centre.

use std::{net::SocketAddr, time::Duration};

use call::{Cause, EventKind, Party};
use model::{AgentState, Rule, UserId};
use tests::{
    asking::{PLAIN, SOON, Story, answers_after, asked, asking, only_asks, sent_to},
    sim::{
        Centre, Dialled, Intent, Outcome, Store, Talking,
        company::{client_number, gateway_address, phone_address},
        consulting::{Manner, escaped},
        invariants::violations,
        message::tag_of,
        wire::Record,
    },
};

/// What the journal tells of the conversation with the client.
const HANDED_OVER: [&str; 14] = [
    "call.arrived",
    "call.offered",
    "call.ringing",
    "offer.accepted",
    "line.answered",
    "conversation.started",
    "call.updated",
    "transfer.begun",
    "call.offered",
    "offer.accepted",
    "call.transferred",
    "call.updated",
    "call.ended",
    "recording.ready",
];

#[test]
fn client_and_colleague_talk_in_one_conversation_after_either_way_to_say_it() {
    for by_question in [false, true] {
        let manner = Manner {
            by_question,
            ..PLAIN
        };
        let mut story = asking(2, manner, Talking::Stay);
        let (asker, colleague) = (story.asker, story.colleague);
        let of_asker = Some(AgentState::Talking {
            call: story.calls()[0],
        });
        let state = |story: &Story, phone| {
            let agents = &story.centre.agents;
            agents.get(&story.user_of(phone)).map(|it| it.state)
        };
        assert_eq!(state(&story, asker), of_asker);
        story.until("they are not joined", |centre| {
            sent_to(centre, asker, "BYE") == 2
        });
        story.goes_on(5);
        assert_eq!(story.told(), ["202", "notify 100", "notify 200"]);
        assert_eq!(story.client_hears(), Some(colleague));
        assert_eq!(story.sent_to(colleague, "BYE"), 0);
        assert_eq!(story.sent_to(colleague, "INVITE"), 1);
        let talking = |call: usize| AgentState::Talking {
            call: story.calls()[call],
        };
        assert_eq!(state(&story, asker), Some(AgentState::Available));
        assert_eq!(state(&story, colleague), Some(talking(0)));
        let user = story.user_of(colleague);
        let states = story.centre.states.iter().rev();
        let mut states = states.filter(|it| it.agent == user).map(|it| it.state);
        let last = [states.next(), states.next()];
        assert_eq!(last, [Some(talking(0)), Some(talking(1))], "never free");
        let reserved: Vec<_> = story.centre.world.ledger.iter().collect();
        assert_eq!(reserved, [(&user, &story.calls()[0])]);
        assert!(story.centre.world.cards.contains(&(story.calls()[0], user)));
        let client = story.client;
        story.centre.leave(client);
        story.ends_well(Outcome::HungUp);
        let recorded = story.names(0).contains(&"recording.ready");
        let expected = HANDED_OVER.len() - usize::from(!recorded);
        assert_eq!(story.names(0), HANDED_OVER[..expected]);
        assert_eq!(story.end_of(0), (Cause::HungUp, false));
        assert_eq!(story.end_of(1), (Cause::Transferred, false));
        let by = story.user_of(asker);
        let mut rules = story.facts(0).into_iter().filter_map(|kind| match kind {
            EventKind::Offered {
                rule, explanation, ..
            } => Some((*rule, explanation.considered.len())),
            _ => None,
        });
        assert_eq!(rules.next_back(), Some((Rule::Transferred { by }, 1)));
    }
}

#[test]
fn whoever_handed_over_has_a_wrap_up_time() {
    let mut story = asking(2, PLAIN, Talking::Stay);
    story.centre.change_directory(|directory| {
        for agent in &mut directory.agents {
            agent.wrap_up_secs = 30;
        }
    });
    let (asker, call) = (story.asker, story.calls()[0]);
    story.until("they are not joined", |centre| {
        sent_to(centre, asker, "BYE") == 2
    });
    let state = story.centre.agents[&story.user_of(asker)].state;
    assert_eq!(state, AgentState::WrapUp { call });
    let client = story.client;
    story.centre.leave(client);
    story.ends_well(Outcome::HungUp);
}

#[test]
fn the_colleague_is_handed_the_client_while_the_question_still_rings() {
    let manner = Manner {
        waits: false,
        ..PLAIN
    };
    let mut story = asked(2, manner, answers_after(30, Talking::Stay));
    let (asker, colleague) = (story.asker, story.colleague);
    let phone = story
        .centre
        .phones
        .get_mut(&colleague)
        .expect("a telephone");
    phone.script.push_back(answers_after(2, Talking::Stay));
    story.until("they are not joined", |centre| {
        sent_to(centre, asker, "BYE") == 1
    });
    story.goes_on(5);
    let told = ["202", "notify 100", "notify 180", "notify 200"];
    assert_eq!(story.told(), told);
    assert_eq!(story.sent_to(colleague, "CANCEL"), 1);
    assert_eq!(story.sent_to(asker, "SIP/2.0 487"), 1);
    assert_eq!(story.client_hears(), Some(colleague));
    let client = story.client;
    story.centre.leave(client);
    story.ends_well(Outcome::HungUp);
    assert_eq!(story.end_of(1), (Cause::Transferred, true));
}

#[test]
fn the_colleague_answers_in_the_moment_in_which_the_order_comes() {
    let mut story = asked(2, only_asks(), answers_after(3, Talking::Stay));
    let (asker, colleague) = (story.asker, story.colleague);
    story.centre.world.troubles.store = Store::Takes(Duration::from_millis(200));
    story.until("the colleague does not answer", |centre| {
        sent_to(centre, colleague, "ACK") == 1
    });
    let named = story.question();
    story.refer(&named);
    story.goes_on(5);
    assert_eq!(story.told(), ["202", "notify 100", "notify 200"]);
    assert_eq!(story.sent_to(asker, "SIP/2.0 487"), 1);
    assert_eq!(story.client_hears(), Some(colleague));
    assert_eq!(story.sent_to(colleague, "INVITE"), 1);
    let client = story.client;
    story.centre.leave(client);
    story.ends_well(Outcome::HungUp);
    assert_eq!(story.end_of(1), (Cause::Transferred, true));
}

#[test]
fn whoever_hands_over_hangs_up_both_at_once() {
    let manner = Manner {
        at_once: true,
        ..PLAIN
    };
    let mut story = asking(2, manner, Talking::Stay);
    let asker = story.asker;
    story.until("the order is not taken", |centre| {
        !centre.phones[&asker].told.is_empty()
    });
    story.goes_on(5);
    assert_eq!(story.client_hears(), Some(story.colleague));
    let client = story.client;
    story.centre.leave(client);
    story.ends_well(Outcome::HungUp);
}

#[test]
fn whoever_asks_hangs_up_both_without_handing_over() {
    let mut story = asking(2, only_asks(), Talking::Stay);
    let (asker, colleague) = (story.asker, story.colleague);
    story.centre.hang_up(asker);
    story.until("the colleague is not told", |centre| {
        sent_to(centre, colleague, "BYE") == 1
    });
    story.ends_well(Outcome::Ended);
    assert_eq!(story.end_of(0), (Cause::HungUp, false));
    assert_eq!(story.end_of(1), (Cause::HungUp, false));
}

#[test]
fn the_client_hangs_up_during_the_question_and_the_colleagues_talk_on() {
    let mut story = asking(2, only_asks(), Talking::Stay);
    let (asker, client) = (story.asker, story.client);
    let talk = story.centre.phones[&asker].calls[0].talk.as_ref();
    let named = talk.expect("a conversation").named();
    story.centre.leave(client);
    story.goes_on(5);
    assert_eq!(story.sent_to(asker, "BYE"), 1);
    assert_eq!(story.sent_to(story.colleague, "BYE"), 0);
    let [_, question] = story.dialogs();
    let to = format!("<sip:ringbook@10.0.0.1?Replaces={named}>");
    story.centre.refer(asker, &question, &to);
    story.goes_on(1);
    assert_eq!(story.told(), ["202", "notify 100", "notify 481"]);
    story.ends_well(Outcome::HungUp);
}

#[test]
fn the_colleague_hangs_up_first_and_the_client_stays_with_whoever_asked() {
    let after = Duration::from_secs(4);
    let mut story = asking(2, only_asks(), Talking::HangUp { after });
    let asker = story.asker;
    let named = story.question();
    story.until("the asker is not told", |centre| {
        sent_to(centre, asker, "BYE") == 1
    });
    story.refer(&named);
    story.goes_on(3);
    assert_eq!(story.told(), ["202", "notify 100", "notify 481"]);
    assert_eq!(story.sent_to(asker, "BYE"), 1);
    assert_eq!(story.client_hears(), Some(asker));
    let client = story.client;
    story.centre.leave(client);
    story.ends_well(Outcome::HungUp);
}

#[test]
fn nobody_takes_over_a_dialog_that_is_not_their_own() {
    let mut story = asking(3, only_asks(), Talking::Stay);
    let phones = [story.asker, story.colleague];
    let mut others = story.centre.phones.iter();
    let other = others.find(|(at, it)| !it.is_gateway && !phones.contains(at));
    let stranger = *other.expect("three agents").0;
    let phone = story.centre.phones.get_mut(&stranger).expect("a telephone");
    phone.script.push_back(answers_after(1, Talking::Stay));
    let second = story.centre.place(story.centre.now, 0, Intent::patient());
    story.until("the second client waits", |centre| {
        centre.callers[&second].talk.is_some()
    });
    story.goes_on(1);
    let named = |story: &Story, phone: SocketAddr| {
        let talk = story.centre.phones[&phone].calls[0].talk.as_ref();
        talk.expect("a conversation").named()
    };
    let client = story.centre.callers[&second].talk.as_ref();
    let of_second = client.expect("a conversation").named();
    let victims = [
        named(&story, stranger),
        named(&story, story.colleague),
        of_second,
    ];
    for replaces in &victims {
        story.refer(replaces);
        story.goes_on(1);
    }
    assert_eq!(story.told(), ["603"; 3]);
    for phone in [story.asker, story.colleague, stranger] {
        assert_eq!(story.sent_to(phone, "BYE"), 0);
    }
    story.centre.leave(second);
    let client = story.client;
    story.centre.leave(client);
    story.ends_well(Outcome::HungUp);
}

#[test]
fn what_names_no_dialog_changes_nothing() {
    let mut story = asking(2, only_asks(), Talking::Stay);
    let [client, question] = story.dialogs();
    let own = story.centre.phones[&story.asker].calls[0].talk.as_ref();
    let own = own.expect("a conversation").named();
    let early = format!("{}%3Bearly-only", story.question());
    let gone: &[&str] = &["202", "notify 100", "notify 481"];
    let cases: Vec<(String, &[&str])> = vec![
        (escaped(&question, ("no", "such")), gone),
        (escaped(&client, ("no", "such")), gone),
        (escaped("nothing", ("at", "all")), gone),
        ("%00%0d%0a".repeat(100), &["400"]),
        (format!("{question}%3Bto-tag%3D1"), &["400"]),
        (format!("{question}&Replaces={question}"), &["400"]),
        ("x".repeat(5_000), &["400"]),
        (own, &["603"]),
        (early, &["486"]),
    ];
    for (replaces, answer) in cases {
        let before = story.told().len();
        story.refer(&replaces);
        story.goes_on(1);
        assert_eq!(&story.told()[before..], answer, "{replaces}");
    }
    let warned = |it: &&Record| it.message.header("Warning").is_some();
    assert_eq!(story.centre.wire.iter().filter(warned).count(), 6);
    let other = "<sip:101@10.0.0.1?Subject=x>";
    let asker = story.asker;
    story.centre.refer(asker, &client, other);
    story.goes_on(1);
    assert_eq!(story.told().last(), Some(&"603"));
    assert_eq!(story.sent_to(asker, "BYE"), 0);
    assert_eq!(story.sent_to(story.colleague, "BYE"), 0);
    let client = story.client;
    story.centre.leave(client);
    story.ends_well(Outcome::HungUp);
}

#[test]
fn an_order_that_is_given_twice_joins_once() {
    let mut story = asking(2, only_asks(), Talking::Stay);
    let named = story.question();
    story.refer(&named);
    story.refer(&named);
    story.goes_on(5);
    let mut told = story.told();
    told.sort_unstable();
    assert_eq!(told, ["202", "403", "notify 100", "notify 200"]);
    assert_eq!(story.client_hears(), Some(story.colleague));
    let client = story.client;
    story.centre.leave(client);
    story.ends_well(Outcome::HungUp);
    let handed = story.names(0).into_iter();
    assert_eq!(handed.filter(|name| *name == "call.transferred").count(), 1);
}

#[test]
fn after_the_join_only_a_colleague_who_holds_holds() {
    // The client is on hold while the colleague is asked; the colleague holds as the asker hands over.
    for holds in [false, true] {
        let then = match holds {
            false => Talking::Stay,
            true => Talking::Hold {
                after: Duration::from_secs(2),
                length: Duration::from_secs(6),
                rest: Duration::from_secs(60),
            },
        };
        let mut story = asking(2, PLAIN, then);
        let asker = story.asker;
        story.until("they are not joined", |centre| {
            sent_to(centre, asker, "BYE") == 2
        });
        story.goes_on(1);
        let of_client = story.centre.callers[&story.client].talk.as_ref();
        let ours = of_client.and_then(|talk| talk.remote_media).expect("sound");
        assert!(!story.centre.plane.sounds_at(ours), "the music is over");
        let held = |story: &Story| {
            let facts = story.facts(0).into_iter();
            let held = facts.filter_map(|kind| match kind {
                EventKind::Held { by, held } => Some((*by, *held)),
                _ => None,
            });
            held.collect::<Vec<_>>()
        };
        let mut expected = vec![(Party::Agent, true), (Party::Agent, false)];
        expected.extend(holds.then_some((Party::Agent, true)));
        assert_eq!(held(&story), expected);
        story.goes_on(10);
        expected.extend(holds.then_some((Party::Agent, false)));
        assert_eq!(held(&story), expected);
        story.goes_on(40);
        for party in [story.client, story.colleague] {
            assert_eq!(story.sent_to(party, "OPTIONS"), 0, "nobody need be asked");
        }
        let client = story.client;
        story.centre.leave(client);
        story.ends_well(Outcome::HungUp);
    }
}

#[test]
fn killed_between_the_join_and_the_journal_everybody_is_told() {
    for moment in [0, 30, 60, 90, 120, 250] {
        let mut story = asking(2, only_asks(), Talking::Stay);
        let (asker, colleague) = (story.asker, story.colleague);
        let takes = Store::Takes(Duration::from_millis(40));
        story.centre.world.troubles.store = takes;
        let named = story.question();
        story.refer(&named);
        story.until("they are not joined", |centre| {
            sent_to(centre, asker, "BYE") == 2
        });
        let until = story.centre.now + Duration::from_millis(moment);
        story.centre.run(until, |_| false);
        assert_eq!(story.sent_to(colleague, "BYE"), 0);
        story.centre.kill();
        story.ends_well(Outcome::Ended);
        assert!(story.sent_to(colleague, "BYE") >= 1, "after {moment} ms");
        assert_eq!(story.end_of(0).0, Cause::Crash);
    }
}

#[test]
fn a_client_whom_the_agent_has_called_goes_to_a_colleague_who_had_called_the_agent() {
    let mut centre = Centre::calm(2, 1);
    assert!(centre.run(SOON, |centre| {
        centre.phones.values().all(|phone| phone.registered)
    }));
    let (asker, gateway) = (phone_address(0, 0), gateway_address(0));
    let after = Duration::from_secs(2);
    let then = Talking::Consult {
        after,
        manner: PLAIN,
    };
    let phone = centre.phones.get_mut(&asker).expect("a telephone");
    phone.script.push_back(answers_after(1, then));
    phone.colleagues = [client_number(0)].into();
    let phone = centre.phones.get_mut(&gateway).expect("a gateway");
    phone.script.push_back(answers_after(1, Talking::Stay));
    let now = centre.now;
    let colleague = centre.dial(now, 1, Dialled::Colleague(0), Intent::patient());
    let until = centre.now + SOON;
    assert!(centre.run(until, |centre| sent_to(centre, asker, "BYE") == 2));
    let end = centre.now + Duration::from_secs(5);
    centre.run(end, |_| false);
    assert_eq!(
        centre.phones[&asker].told,
        ["202", "notify 100", "notify 200"]
    );
    let talk = centre.callers[&colleague].talk.as_ref();
    let ours = talk.and_then(|talk| talk.remote_media).expect("sound");
    let heard = centre.plane.heard_at(ours).map(|far| far.ip());
    assert_eq!(heard, Some(gateway.ip()));
    centre.leave(colleague);
    centre.run_until_quiet();
    assert_eq!(violations(&centre), Vec::<String>::new());
    assert_eq!(sent_to(&centre, gateway, "BYE"), 1);
    let ends = centre.world.journal.iter().filter_map(|it| match it.kind {
        EventKind::Ended { cause, agent, .. } => Some((cause, agent)),
        _ => None,
    });
    let expected = [
        (Cause::Transferred, Some(UserId(1))),
        (Cause::HungUp, Some(UserId(2))),
    ];
    assert_eq!(ends.collect::<Vec<_>>(), expected);
}

#[test]
fn an_invite_with_replaces_is_refused_and_begins_nothing() {
    let mut story = asking(2, only_asks(), Talking::Stay);
    let asker = usize::try_from(story.user_of(story.asker).0 - 1).expect("an agent");
    let named = |phone: SocketAddr| {
        let call = &story.centre.phones[&phone].calls[0];
        let answer = tag_of(call.talk.as_ref().expect("a conversation").local());
        let ours = tag_of(call.invite.text("From")).unwrap_or_default();
        let theirs = answer.unwrap_or_default();
        let call_id = call.invite.text("Call-ID");
        format!("{call_id};to-tag={ours};from-tag={theirs}")
    };
    let cases = [
        ("x;to-tag=1;from-tag=2".to_owned(), 481),
        (named(story.colleague), 603),
        (named(story.asker), 501),
        ("x".to_owned(), 400),
    ];
    let calls = story.calls().len();
    for (replaces, status) in cases {
        let at = story.centre.now;
        let centre = &mut story.centre;
        let dialled = Dialled::Colleague(1 - asker);
        let dialler = centre.dial(at, asker, dialled, Intent::patient());
        let caller = centre.callers.get_mut(&dialler).expect("a telephone");
        caller.header = Some(("Replaces".to_owned(), replaces));
        story.until("there is no answer", |centre| {
            centre.callers[&dialler].outcome.is_some()
        });
        let outcome = story.centre.callers[&dialler].outcome;
        assert_eq!(outcome, Some(Outcome::Refused(status)));
    }
    assert_eq!(story.calls().len(), calls);
    let client = story.client;
    story.centre.leave(client);
    story.ends_well(Outcome::HungUp);
}
