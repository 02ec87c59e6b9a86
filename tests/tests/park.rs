//! Clients who are parked and taken out of their place again: moment by moment in the simulated call centre.

use std::{net::SocketAddr, time::Duration};

use call::{Act, Cause, ControlRefused, EventKind, OfferEnd, Party};
use model::{AgentState, CallId, Rule, UserId};
use tests::{
    asking::{SOON, answers_after, sent_to},
    sim::{
        Answering, Centre, Intent, Outcome, Talking,
        company::{client_number, phone_address, short_number},
        invariants::violations,
    },
};

/// How long a client stays parked by the settings of the simulator.
const KEPT_SECS: u64 = 120;

/// A client who talks to one of some agents.
struct Talk {
    centre: Centre,
    client: SocketAddr,
    /// The agent who had the client first; then the others.
    agents: Vec<usize>,
    call: CallId,
}

fn user(agent: usize) -> UserId {
    UserId(agent as i64 + 1)
}

/// The first agent does `then` with the client; the others let it ring.
fn talking(agents: usize, then: Talking) -> Talk {
    let mut centre = registered(agents);
    for phone in centre.phones.values_mut().filter(|it| !it.is_gateway) {
        phone.script.push_back(answers_after(1, then));
        phone.colleagues = ["*5".to_owned()].into();
    }
    // Stays on the line until somebody else ends it.
    let intent = Intent {
        talking: Talking::HangUp {
            after: Duration::from_secs(900),
        },
        ..Intent::patient()
    };
    let client = centre.place(centre.now, 0, intent);
    let talks = |centre: &Centre| centre.callers[&client].talk.is_some();
    assert!(centre.run(SOON, talks));
    let has = |agent: &usize| !centre.phones[&phone_address(*agent, 0)].calls.is_empty();
    let first = (0..agents).find(has).expect("somebody has the client");
    for phone in centre.phones.values_mut().filter(|it| !it.is_gateway) {
        phone.script = [Answering::Ignore, Answering::Ignore].into();
    }
    let others = (0..agents).filter(|agent| *agent != first);
    let call = centre.world.journal[0].call;
    Talk {
        agents: [first].into_iter().chain(others).collect(),
        centre,
        client,
        call,
    }
}

fn registered(agents: usize) -> Centre {
    let mut centre = Centre::calm(agents, 1);
    assert!(centre.run(SOON, |centre| {
        centre.phones.values().all(|phone| phone.registered)
    }));
    centre
}

/// The telephone transfers the client to the code, and waits for what it is told or not.
fn parks(at_once: bool) -> Talking {
    let after = Duration::from_secs(3);
    Talking::Transfer { after, at_once }
}

impl Talk {
    fn phone(&self, which: usize) -> SocketAddr {
        phone_address(self.agents[which], 0)
    }

    fn state(&self, which: usize) -> AgentState {
        self.centre.agents[&user(self.agents[which])].state
    }

    fn until(&mut self, what: &str, done: impl Fn(&Centre) -> bool) {
        let until = self.centre.now + SOON;
        assert!(self.centre.run(until, done), "{what}");
    }

    fn goes_on(&mut self, secs: u64) {
        let end = self.centre.now + Duration::from_secs(secs);
        self.centre.run(end, |_| false);
    }

    fn ends_well(&mut self, outcome: Outcome) {
        self.centre.run_until_quiet();
        assert_eq!(violations(&self.centre), Vec::<String>::new());
        assert_eq!(self.centre.callers[&self.client].outcome, Some(outcome));
    }

    /// What comes of an act of one of the agents.
    fn control(&mut self, which: usize, act: Act) -> Result<(), ControlRefused> {
        let order = self
            .centre
            .control((self.agents[which], false), self.call, act);
        let until = self.centre.now + Duration::from_secs(1);
        let told = |centre: &Centre| centre.controlled.contains_key(&order);
        assert!(self.centre.run(until, told));
        self.centre.controlled[&order]
    }

    fn is_parked(centre: &Centre) -> bool {
        let mut journal = centre.world.journal.iter();
        journal.any(|it| matches!(it.kind, EventKind::Parked { .. }))
    }

    /// Until the client is in the place and whoever parked them is gone.
    fn parked(&mut self) {
        self.until("nobody is parked", Self::is_parked);
        let first = self.phone(0);
        self.until("whoever parked stays", |centre| {
            centre.phones[&first].calls.iter().all(|call| call.over)
        });
        self.goes_on(1);
        assert!(self.hears_music(), "the client hears music");
    }

    fn hears_music(&self) -> bool {
        let caller = &self.centre.callers[&self.client];
        let ours = caller.talk.as_ref().and_then(|talk| talk.remote_media);
        ours.is_some_and(|ours| self.centre.plane.sounds_at(ours))
    }

    /// Somebody dials for the client.
    fn dials(&mut self, which: usize, code: &str) -> SocketAddr {
        let now = self.centre.now;
        self.centre
            .pick_up(now, self.agents[which], code, self.client)
    }

    fn talks(&mut self, picker: SocketAddr) {
        let until = self.centre.now + Duration::from_secs(3);
        let talks = |centre: &Centre| centre.callers[&picker].talk.is_some();
        assert!(self.centre.run(until, talks), "who dialled does not talk");
        self.goes_on(1);
        let media = self.centre.callers[&picker].media;
        let caller = &self.centre.callers[&self.client];
        let ours = caller.talk.as_ref().and_then(|talk| talk.remote_media);
        let heard = ours.and_then(|ours| self.centre.plane.heard_at(ours));
        assert_eq!(heard, Some(media), "the two hear each other");
    }

    fn facts(&self) -> Vec<&EventKind> {
        let journal = self.centre.world.journal.iter();
        let of_call = journal.filter(|it| it.call == self.call);
        of_call.map(|it| &it.kind).collect()
    }

    fn names_after_parking(&self) -> Vec<&'static str> {
        let names = self.facts().into_iter().map(EventKind::name);
        names.skip_while(|name| *name != "call.parked").collect()
    }

    fn rules(&self) -> Vec<Rule> {
        let rules = self.facts().into_iter().filter_map(|kind| match kind {
            EventKind::Offered { rule, .. } => Some(*rule),
            _ => None,
        });
        rules.collect()
    }

    fn end(&self) -> (Cause, Party, bool, u64) {
        let ends = self.facts().into_iter().find_map(|kind| match kind {
            EventKind::Ended {
                cause,
                by,
                missed,
                talk_ms,
                ..
            } => Some((*cause, *by, *missed, *talk_ms)),
            _ => None,
        });
        ends.expect("the call ended")
    }
}

#[test]
fn whoever_parks_hears_the_place_and_anybody_takes_the_client_by_dialling_it() {
    let mut talk = talking(2, parks(false));
    let first = talk.phone(0);
    talk.until("nobody is parked", Talk::is_parked);
    assert_eq!(sent_to(&talk.centre, first, "BYE"), 0, "the place is told");
    talk.parked();
    let told = &talk.centre.phones[&first].told;
    assert_eq!(*told, ["202", "notify 100", "notify 200"]);
    assert_eq!(talk.state(0), AgentState::Available);
    let place = talk.facts().into_iter().find_map(|kind| match kind {
        EventKind::Parked { by, place, .. } => Some((*by, *place)),
        _ => None,
    });
    assert_eq!(place, Some((user(talk.agents[0]), 1)));
    talk.goes_on(20);
    let picker = talk.dials(1, "*51");
    talk.talks(picker);
    let call = talk.call;
    let card = (call, user(talk.agents[1]));
    assert!(talk.centre.world.cards.contains(&card), "the card");
    assert!(matches!(talk.state(1), AgentState::Talking { call: it } if it == call));
    talk.goes_on(5);
    talk.centre.leave(talk.client);
    talk.ends_well(Outcome::HungUp);
    assert_eq!(
        talk.names_after_parking(),
        [
            "call.parked",
            "call.offered",
            "offer.accepted",
            "call.transferred",
            "call.ended",
            "recording.ready"
        ]
    );
    let by = user(talk.agents[0]);
    assert_eq!(talk.rules()[1], Rule::Retrieved { by });
    assert_eq!((talk.end().0, talk.end().2), (Cause::HungUp, false));
}

#[test]
fn a_telephone_that_hangs_up_at_once_has_parked_all_the_same() {
    let mut talk = talking(2, parks(true));
    talk.parked();
    let picker = talk.dials(1, "*51");
    talk.talks(picker);
    talk.centre.leave(picker);
    talk.ends_well(Outcome::Ended);
}

#[test]
fn whoever_parked_takes_the_client_back() {
    let mut talk = talking(1, parks(false));
    talk.parked();
    let picker = talk.dials(0, "*51");
    talk.talks(picker);
    talk.centre.leave(talk.client);
    talk.ends_well(Outcome::HungUp);
}

#[test]
fn parked_and_taken_by_orders_the_own_telephone_rings() {
    let mut talk = talking(2, Talking::Stay);
    assert_eq!(talk.control(1, Act::Park), Err(ControlRefused::NotTheirs));
    assert_eq!(
        talk.control(1, Act::Retrieve),
        Err(ControlRefused::NotParked)
    );
    assert_eq!(talk.control(0, Act::Park), Ok(()));
    assert_eq!(talk.control(0, Act::Park), Err(ControlRefused::NotTheirs));
    let (first, second) = (talk.phone(0), talk.phone(1));
    talk.until("whoever parked stays", |centre| {
        sent_to(centre, first, "BYE") == 1
    });
    assert!(talk.hears_music());
    let phone = talk.centre.phones.get_mut(&second).expect("a telephone");
    phone.script = [answers_after(2, Talking::Stay)].into();
    assert_eq!(talk.control(1, Act::Retrieve), Ok(()));
    talk.goes_on(1);
    assert!(talk.hears_music(), "until the telephone is taken up");
    assert_eq!(
        talk.control(0, Act::Retrieve),
        Err(ControlRefused::NotParked)
    );
    talk.until("nobody takes it", |centre| {
        sent_to(centre, second, "ACK") == 1
    });
    talk.goes_on(5);
    assert!(!talk.hears_music());
    talk.centre.leave(talk.client);
    talk.ends_well(Outcome::HungUp);
    let by = user(talk.agents[0]);
    assert_eq!(talk.rules()[1], Rule::Retrieved { by });
}

#[test]
fn whoever_does_not_take_the_client_after_all_leaves_them_parked() {
    let mut talk = talking(3, Talking::Stay);
    assert_eq!(talk.control(0, Act::Park), Ok(()));
    let second = talk.phone(1);
    let phone = talk.centre.phones.get_mut(&second).expect("a telephone");
    let declines = Answering::Refuse {
        after: Duration::from_secs(1),
        status: 603,
    };
    phone.script = [declines].into();
    assert_eq!(talk.control(1, Act::Retrieve), Ok(()));
    talk.goes_on(5);
    assert!(talk.hears_music());
    let picker = talk.dials(2, "*51");
    talk.talks(picker);
    talk.centre.leave(talk.client);
    talk.ends_well(Outcome::HungUp);
    let by = user(talk.agents[0]);
    assert_eq!(talk.rules()[1..], [Rule::Retrieved { by }; 2]);
}

#[test]
fn of_two_who_dial_the_place_at_once_one_has_the_client() {
    let mut talk = talking(3, parks(false));
    talk.parked();
    let both = [talk.dials(1, "*51"), talk.dials(2, "*51")];
    talk.goes_on(5);
    let [one, other] = both.map(|party| talk.centre.callers[&party].outcome);
    let refused = Some(Outcome::Refused(480));
    assert!(
        [(None, refused), (refused, None)].contains(&(one, other)),
        "{one:?} {other:?}"
    );
    talk.centre.leave(talk.client);
    talk.ends_well(Outcome::HungUp);
}

#[test]
fn whoever_gives_up_before_the_answer_leaves_the_client_parked() {
    let mut gave_up = 0;
    for millis in (0..60).step_by(4) {
        let mut talk = talking(2, parks(false));
        talk.parked();
        let picker = talk.dials(1, "*51");
        let until = talk.centre.now + Duration::from_secs(1);
        let trying = |centre: &Centre| sent_to(centre, picker, "SIP/2.0 100") > 0;
        assert!(talk.centre.run(until, trying));
        let then = talk.centre.now + Duration::from_millis(millis);
        talk.centre.run(then, |_| false);
        talk.centre.leave(picker);
        talk.goes_on(3);
        if talk.centre.callers[&picker].outcome == Some(Outcome::Refused(487)) {
            gave_up += 1;
            assert!(talk.hears_music());
            let again = talk.dials(1, "*51");
            talk.talks(again);
        }
        talk.centre.leave(talk.client);
        talk.goes_on(3);
        talk.centre.run_until_quiet();
        assert_eq!(violations(&talk.centre), Vec::<String>::new());
    }
    assert!(gave_up > 0, "never before the answer");
}

#[test]
fn a_client_who_hangs_up_while_parked_or_while_somebody_comes_has_talked_until_then() {
    for millis in [None, Some(0), Some(10), Some(20), Some(30), Some(40)] {
        let mut talk = talking(2, parks(false));
        talk.parked();
        talk.goes_on(30);
        if let Some(millis) = millis {
            talk.dials(1, "*51");
            let then = talk.centre.now + Duration::from_millis(millis);
            talk.centre.run(then, |_| false);
        }
        let taken = talk.names_after_parking().contains(&"call.transferred");
        talk.centre.leave(talk.client);
        talk.ends_well(Outcome::HungUp);
        let (cause, by, missed, talk_ms) = talk.end();
        assert_eq!((by, missed), (Party::Client, false));
        if !taken && cause == Cause::LeftWhileParked {
            assert!((2_000..5_000).contains(&talk_ms), "{talk_ms}");
        } else {
            assert_eq!(cause, Cause::HungUp, "after {millis:?} ms");
        }
    }
}

#[test]
fn nobody_comes_and_whoever_parked_has_the_client_back() {
    let mut talk = talking(2, parks(false));
    talk.parked();
    let first = talk.phone(0);
    let phone = talk.centre.phones.get_mut(&first).expect("a telephone");
    phone.script = [answers_after(2, Talking::Stay)].into();
    talk.goes_on(KEPT_SECS - 10);
    assert_eq!(sent_to(&talk.centre, first, "INVITE"), 1);
    talk.until("it does not come back", |centre| {
        sent_to(centre, first, "ACK") == 2
    });
    let late = talk.dials(1, "*51");
    talk.goes_on(3);
    let outcome = talk.centre.callers[&late].outcome;
    assert_eq!(outcome, Some(Outcome::Refused(480)), "the place is free");
    talk.centre.leave(talk.client);
    talk.ends_well(Outcome::HungUp);
    assert_eq!(talk.rules()[1..], [Rule::NotRetrieved]);
}

#[test]
fn nor_does_whoever_parked_and_the_line_goes_on_with_the_others() {
    let mut talk = talking(2, parks(false));
    talk.parked();
    let second = talk.phone(1);
    let phone = talk.centre.phones.get_mut(&second).expect("a telephone");
    phone.script = [answers_after(2, Talking::Stay)].into();
    talk.goes_on(KEPT_SECS);
    talk.until("nobody else is rung", |centre| {
        sent_to(centre, second, "ACK") == 1
    });
    talk.goes_on(3);
    assert!(!talk.hears_music());
    talk.centre.leave(talk.client);
    talk.ends_well(Outcome::HungUp);
    let rules = &talk.rules()[1..];
    assert!(
        matches!(rules, [Rule::NotRetrieved, Rule::Skilled { .. }]),
        "{rules:?}"
    );
    let begun = |kind: &&&EventKind| matches!(kind, EventKind::ConversationStarted { .. });
    assert_eq!(talk.facts().iter().filter(begun).count(), 1);
}

#[test]
fn nobody_at_all_answers_and_the_client_is_told_and_owed_nothing() {
    let mut talk = talking(2, parks(false));
    talk.parked();
    talk.ends_well(Outcome::Ended);
    let (cause, by, missed, _) = talk.end();
    assert_eq!(
        (cause, by, missed),
        (Cause::NobodyAnswered, Party::System, false)
    );
}

#[test]
fn a_client_who_was_called_goes_back_to_whoever_called_and_no_further() {
    let mut centre = registered(2);
    let intent = Intent {
        talking: Talking::Stay,
        ..Intent::patient()
    };
    let number = client_number(0);
    for phone in centre.phones.values_mut() {
        phone.script = match phone.is_gateway {
            true => [answers_after(1, Talking::Stay)].into(),
            false => [Answering::Ignore, Answering::Ignore].into(),
        };
    }
    let agent = centre.dial_number(centre.now, 0, &number, intent);
    let talks = |centre: &Centre| centre.callers[&agent].talk.is_some();
    assert!(centre.run(SOON, talks));
    let end = centre.now + Duration::from_secs(2);
    centre.run(end, |_| false);
    let call = centre.world.journal[0].call;
    let order = centre.control((0, false), call, Act::Park);
    assert!(centre.run(SOON, |centre| centre.controlled.contains_key(&order)));
    assert_eq!(centre.controlled[&order], Ok(()));
    let end = centre.now + Duration::from_secs(1);
    let gone = |centre: &Centre| centre.callers[&agent].outcome.is_some();
    assert!(centre.run(end, gone), "whoever parked stays");
    centre.run_until_quiet();
    assert_eq!(violations(&centre), Vec::<String>::new());
    let rules: Vec<Rule> = (centre.world.journal.iter())
        .filter_map(|it| match it.kind {
            EventKind::Offered { rule, .. } => Some(rule),
            _ => None,
        })
        .collect();
    assert_eq!(rules, [Rule::Caller, Rule::NotRetrieved]);
}

#[test]
fn the_second_client_has_the_second_place_and_the_first_that_is_free_comes_next() {
    let mut talk = talking(3, Talking::Stay);
    let second = talk.phone(1);
    let phone = talk.centre.phones.get_mut(&second).expect("a telephone");
    phone.script = [answers_after(1, Talking::Stay)].into();
    let third = talk.phone(2);
    let phone = talk.centre.phones.get_mut(&third).expect("a telephone");
    phone.script = [answers_after(1, Talking::Stay)].into();
    let other = talk.centre.place(talk.centre.now, 0, Intent::patient());
    talk.until("the other client is not answered", |centre| {
        centre.callers[&other].talk.is_some()
    });
    talk.goes_on(1);
    let journal = &talk.centre.world.journal;
    let started = journal.iter().rev().find_map(|it| match it.kind {
        EventKind::ConversationStarted { agent, .. } => Some((it.call, agent)),
        _ => None,
    });
    let (other_call, agent) = started.expect("the other one talks");
    assert_eq!(talk.control(0, Act::Park), Ok(()));
    let agent = usize::try_from(agent.0 - 1).expect("a small number");
    let order = talk.centre.control((agent, false), other_call, Act::Park);
    talk.goes_on(1);
    assert_eq!(talk.centre.controlled[&order], Ok(()));
    let places = || -> Vec<u8> {
        let journal = talk.centre.world.journal.iter();
        let places = journal.filter_map(|it| match it.kind {
            EventKind::Parked { place, .. } => Some(place),
            _ => None,
        });
        places.collect()
    };
    assert_eq!(places(), [1, 2]);
    talk.centre.leave(talk.client);
    talk.centre.leave(other);
    talk.ends_well(Outcome::HungUp);
}

#[test]
fn codes_without_a_client_behind_them_are_refused() {
    for (code, status) in [
        ("*5", 484),
        ("*51", 480),
        ("*50", 404),
        ("*5100", 404),
        ("*5x", 404),
    ] {
        let mut centre = registered(1);
        let nobody = centre.dial_number(centre.now, 0, code, Intent::patient());
        centre.run_until_quiet();
        assert_eq!(violations(&centre), Vec::<String>::new());
        let refused = Some(Outcome::Refused(status));
        assert_eq!(centre.callers[&nobody].outcome, refused, "{code}");
        assert!(centre.world.journal.is_empty());
    }
}

#[test]
fn whoever_talks_takes_no_parked_client() {
    let mut talk = talking(2, parks(false));
    talk.parked();
    let now = talk.centre.now;
    let number = short_number(talk.agents[0]);
    let busy = talk
        .centre
        .dial_number(now, talk.agents[1], "*43", Intent::patient());
    talk.goes_on(2);
    let refused = talk.dials(1, "*51");
    talk.goes_on(2);
    let outcome = talk.centre.callers[&refused].outcome;
    assert_eq!(outcome, Some(Outcome::Refused(486)), "{number}");
    assert_eq!(talk.control(1, Act::Retrieve), Err(ControlRefused::InCall));
    talk.centre.leave(busy);
    talk.centre.leave(talk.client);
    talk.ends_well(Outcome::HungUp);
}

#[test]
fn killed_while_somebody_is_parked_or_taken_everybody_is_told() {
    for millis in (0..60).step_by(10) {
        let mut talk = talking(2, parks(false));
        talk.parked();
        if millis > 0 {
            talk.dials(1, "*51");
            let then = talk.centre.now + Duration::from_millis(millis);
            talk.centre.run(then, |_| false);
        }
        talk.centre.kill();
        talk.goes_on(30);
        talk.ends_well(Outcome::Ended);
    }
}

#[test]
fn an_offer_to_whoever_gave_up_is_in_the_journal() {
    let mut talk = talking(2, Talking::Stay);
    assert_eq!(talk.control(0, Act::Park), Ok(()));
    assert_eq!(talk.control(1, Act::Retrieve), Ok(()));
    talk.goes_on(60);
    assert!(talk.hears_music());
    talk.centre.leave(talk.client);
    talk.ends_well(Outcome::HungUp);
    let ended = EventKind::OfferEnded {
        agent: user(talk.agents[1]),
        end: OfferEnd::NoAnswer,
    };
    assert!(talk.facts().contains(&&ended));
    assert_eq!(talk.end().0, Cause::LeftWhileParked);
}
