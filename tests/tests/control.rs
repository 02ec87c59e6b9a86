//! Running calls as people at a screen control them: moment by moment in the simulated call centre, and through the API.

use std::{net::SocketAddr, time::Duration};

use call::{Act, Cause, ControlRefused, EventKind, OfferEnd};
use model::{CallId, Rule};
use serde_json::{Value, json};
use tests::{
    asking::{SOON, answers_after, sent_to},
    company::Company,
    daemon::Options,
    live::Live,
    sim::{
        Answering, Centre, Dialled, Intent, Outcome, Talking, company::phone_address,
        invariants::violations, phone::Phone,
    },
};

/// Two agents, the first of whom talks to a client; the other one does what is said.
struct Talk {
    centre: Centre,
    client: SocketAddr,
    /// Which agent has the client, and the colleague.
    agents: [usize; 2],
    call: CallId,
}

impl Talk {
    fn begin(second: Answering) -> Self {
        let (mut centre, client) = ringing(answers_after(1, Talking::Stay));
        let talks = |centre: &Centre| centre.callers[&client].talk.is_some();
        assert!(centre.run(SOON, talks));
        let first = usize::from(centre.phones[&phone_address(0, 0)].calls.is_empty());
        let colleague = phone_address(1 - first, 0);
        let phone = centre.phones.get_mut(&colleague).expect("a telephone");
        phone.script = [second].into();
        let call = centre.world.journal[0].call;
        Self {
            centre,
            client,
            agents: [first, 1 - first],
            call,
        }
    }

    fn phone(&self, which: usize) -> SocketAddr {
        phone_address(self.agents[which], 0)
    }

    fn number(&self, which: usize) -> String {
        (100 + self.agents[which]).to_string()
    }

    /// What comes of an act of one of the two.
    fn control(&mut self, which: usize, act: Act) -> Result<(), ControlRefused> {
        let who = (self.agents[which], false);
        settled(&mut self.centre, who, self.call, act)
    }

    fn transfer(&mut self) -> Result<(), ControlRefused> {
        let to = self.number(1);
        self.control(0, Act::Transfer { to })
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
}

/// Two registered telephones, of which the one rung first does what is said, and a client who calls.
fn ringing(first: Answering) -> (Centre, SocketAddr) {
    let mut centre = Centre::calm(2, 1);
    assert!(centre.run(SOON, |centre| {
        centre.phones.values().all(|phone| phone.registered)
    }));
    let client = centre.place(centre.now, 0, Intent::patient());
    for phone in centre.phones.values_mut().filter(|it| !it.is_gateway) {
        phone.script.push_back(first);
    }
    let rung = |centre: &Centre| centre.phones.values().any(|phone| !phone.calls.is_empty());
    assert!(centre.run(SOON, rung));
    for phone in centre.phones.values_mut() {
        if phone.calls.is_empty() {
            phone.script.clear();
        }
    }
    (centre, client)
}

fn settled(
    centre: &mut Centre,
    who: (usize, bool),
    call: CallId,
    act: Act,
) -> Result<(), ControlRefused> {
    let order = centre.control(who, call, act);
    let until = centre.now + Duration::from_secs(1);
    assert!(centre.run(until, |centre| centre.controlled.contains_key(&order)));
    centre.controlled[&order]
}

fn facts(centre: &Centre) -> Vec<&EventKind> {
    centre.world.journal.iter().map(|it| &it.kind).collect()
}

fn rules(centre: &Centre) -> Vec<Rule> {
    let rule = |kind: &EventKind| match kind {
        EventKind::Offered { rule, .. } => Some(*rule),
        _ => None,
    };
    facts(centre).into_iter().filter_map(rule).collect()
}

fn end(centre: &Centre) -> (Cause, bool) {
    let end = |kind: &EventKind| match kind {
        EventKind::Ended { cause, missed, .. } => Some((*cause, *missed)),
        _ => None,
    };
    let mut ends = facts(centre).into_iter().filter_map(end);
    ends.next().expect("the call ended")
}

#[test]
fn an_ordered_transfer_goes_as_one_of_the_telephone_does() {
    let mut talk = Talk::begin(answers_after(2, Talking::Stay));
    assert_eq!(talk.transfer(), Ok(()));
    let journal = facts(&talk.centre);
    assert!(
        journal
            .iter()
            .any(|it| matches!(it, EventKind::TransferBegun { .. }))
    );
    let [first, second] = [talk.phone(0), talk.phone(1)];
    talk.until("the colleague does not talk", |centre| {
        sent_to(centre, second, "ACK") == 1 && sent_to(centre, first, "BYE") == 1
    });
    assert_eq!(
        sent_to(&talk.centre, first, "NOTIFY"),
        0,
        "the telephone asked for nothing and is told of nothing"
    );
    talk.goes_on(5);
    let client = talk.client;
    talk.centre.leave(client);
    talk.ends_well(Outcome::HungUp);
    assert!(matches!(rules(&talk.centre)[1], Rule::Transferred { .. }));
}

#[test]
fn an_ordered_transfer_that_fails_leaves_the_client_with_whoever_talks() {
    let declines = Answering::Refuse {
        after: Duration::from_secs(1),
        status: 603,
    };
    let mut talk = Talk::begin(declines);
    assert_eq!(talk.transfer(), Ok(()));
    let refused = |centre: &Centre| {
        let declined = |kind: &&EventKind| {
            let end = OfferEnd::Declined;
            matches!(kind, EventKind::OfferEnded { end: it, .. } if *it == end)
        };
        facts(centre).iter().any(declined)
    };
    talk.until("the colleague does not decline", refused);
    talk.goes_on(5);
    let first = talk.phone(0);
    assert_eq!(sent_to(&talk.centre, first, "BYE"), 0);
    assert_eq!(sent_to(&talk.centre, first, "NOTIFY"), 0);
    assert_eq!(talk.transfer(), Ok(()), "it may be tried again");
    let client = talk.client;
    talk.centre.leave(client);
    talk.ends_well(Outcome::HungUp);
}

#[test]
fn whoever_orders_a_transfer_and_hangs_up_gets_the_client_back_if_nobody_takes_it() {
    let mut talk = Talk::begin(Answering::Ignore);
    let [first, second] = [talk.phone(0), talk.phone(1)];
    let phone = talk.centre.phones.get_mut(&first).expect("a telephone");
    phone.script.push_back(answers_after(1, Talking::Stay));
    assert_eq!(talk.transfer(), Ok(()));
    assert_eq!(talk.control(0, Act::HangUp), Ok(()));
    talk.until("the telephone is not released", |centre| {
        sent_to(centre, first, "BYE") == 1
    });
    talk.until("it does not come back", |centre| {
        sent_to(centre, first, "ACK") == 2
    });
    assert_eq!(sent_to(&talk.centre, second, "CANCEL"), 1);
    let client = talk.client;
    talk.centre.leave(client);
    talk.ends_well(Outcome::HungUp);
    assert!(matches!(
        rules(&talk.centre)[1..],
        [Rule::Transferred { .. }, Rule::Returned { .. }]
    ));
}

#[test]
fn transfers_to_nobody_to_oneself_and_of_others_are_refused_and_change_nothing() {
    let mut talk = Talk::begin(answers_after(1, Talking::Stay));
    let [own, colleague] = [talk.number(0), talk.number(1)];
    let to = |number: &str| Act::Transfer {
        to: number.to_owned(),
    };
    let before = talk.centre.world.journal.len();
    assert_eq!(talk.control(0, to("999")), Err(ControlRefused::NoColleague));
    assert_eq!(talk.control(0, to(&own)), Err(ControlRefused::OwnNumber));
    assert_eq!(
        talk.control(1, to(&colleague)),
        Err(ControlRefused::NotTheirs)
    );
    assert_eq!(talk.control(1, Act::HangUp), Err(ControlRefused::NotTheirs));
    assert_eq!(talk.centre.world.journal.len(), before);
    let second = talk.centre.place(talk.centre.now, 0, Intent::patient());
    talk.until("the colleague does not talk", |centre| {
        centre.callers[&second].talk.is_some()
    });
    assert_eq!(
        talk.control(0, to(&colleague)),
        Err(ControlRefused::ColleagueBusy)
    );
    talk.centre.leave(second);
    let client = talk.client;
    talk.centre.leave(client);
    talk.ends_well(Outcome::HungUp);
    assert_eq!(talk.control(0, Act::HangUp), Err(ControlRefused::Over));
}

#[test]
fn whoever_talks_hangs_up_from_the_screen() {
    let mut talk = Talk::begin(Answering::Ignore);
    talk.goes_on(2);
    assert_eq!(talk.control(0, Act::HangUp), Ok(()));
    assert_eq!(end(&talk.centre), (Cause::HungUp, false));
    let first = talk.phone(0);
    talk.ends_well(Outcome::Ended);
    assert_eq!(sent_to(&talk.centre, first, "BYE"), 1);
}

#[test]
fn whoever_is_offered_a_call_declines_it_from_the_screen_and_the_next_one_is_rung() {
    let (mut centre, client) = ringing(Answering::Ignore);
    let first = usize::from(centre.phones[&phone_address(0, 0)].calls.is_empty());
    let other = phone_address(1 - first, 0);
    let phone = centre.phones.get_mut(&other).expect("a telephone");
    phone.script.push_back(answers_after(1, Talking::Stay));
    let call = centre.world.journal[0].call;
    assert_eq!(
        settled(&mut centre, (first, false), call, Act::HangUp),
        Ok(())
    );
    let until = centre.now + SOON;
    assert!(centre.run(until, |centre| centre.callers[&client].talk.is_some()));
    assert_eq!(sent_to(&centre, phone_address(first, 0), "CANCEL"), 1);
    centre.leave(client);
    centre.run_until_quiet();
    assert_eq!(violations(&centre), Vec::<String>::new());
}

#[test]
fn a_supervisor_ends_a_call_that_rings() {
    let (mut centre, client) = ringing(Answering::Ignore);
    let call = centre.world.journal[0].call;
    let nobody = 7;
    assert_eq!(
        settled(&mut centre, (nobody, true), call, Act::HangUp),
        Ok(())
    );
    centre.run_until_quiet();
    assert_eq!(violations(&centre), Vec::<String>::new());
    assert_eq!(centre.callers[&client].outcome, Some(Outcome::Refused(603)));
    assert_eq!(end(&centre), (Cause::Declined, true));
}

#[test]
fn an_agent_who_dialled_a_colleague_gives_up_from_the_screen() {
    let mut centre = Centre::calm(2, 1);
    assert!(centre.run(SOON, |centre| {
        centre.phones.values().all(|phone| phone.registered)
    }));
    let colleague = phone_address(1, 0);
    let phone = centre.phones.get_mut(&colleague).expect("a telephone");
    phone.script.push_back(Answering::Ignore);
    let agent = centre.dial(centre.now, 0, Dialled::Colleague(1), Intent::patient());
    let until = centre.now + SOON;
    assert!(centre.run(until, |centre| !centre.phones[&colleague].calls.is_empty()));
    let call = centre.world.journal[0].call;
    assert_eq!(settled(&mut centre, (0, false), call, Act::HangUp), Ok(()));
    centre.run_until_quiet();
    assert_eq!(violations(&centre), Vec::<String>::new());
    assert_eq!(centre.callers[&agent].outcome, Some(Outcome::Refused(487)));
    assert_eq!(end(&centre), (Cause::CallerCancelled, true));
}

#[test]
fn whoever_talks_pauses_and_resumes_the_recording_and_the_journal_says_how_long() {
    let mut talk = Talk::begin(Answering::Ignore);
    talk.goes_on(3);
    assert_eq!(
        talk.control(1, Act::PauseRecording),
        Err(ControlRefused::NotTheirs)
    );
    assert_eq!(talk.control(0, Act::ResumeRecording), Ok(()), "it runs");
    assert_eq!(talk.control(0, Act::PauseRecording), Ok(()));
    assert_eq!(talk.control(0, Act::PauseRecording), Ok(()), "so it is");
    talk.goes_on(5);
    assert_eq!(talk.control(0, Act::ResumeRecording), Ok(()));
    talk.goes_on(2);
    assert_eq!(talk.control(0, Act::PauseRecording), Ok(()));
    let client = talk.client;
    talk.centre.leave(client);
    talk.ends_well(Outcome::HungUp);
    let names = facts(&talk.centre).into_iter().map(EventKind::name);
    let pauses: Vec<_> = names.filter(|it| it.starts_with("recording.")).collect();
    assert_eq!(
        pauses,
        [
            "recording.paused",
            "recording.resumed",
            "recording.paused",
            "recording.ready"
        ]
    );
    let length = facts(&talk.centre).into_iter().find_map(|kind| match kind {
        EventKind::RecordingResumed { length_ms, .. } => Some(*length_ms),
        _ => None,
    });
    assert!(
        length.is_some_and(|it| (5_000..7_100).contains(&it)),
        "{length:?}"
    );
    assert_eq!(
        talk.control(0, Act::PauseRecording),
        Err(ControlRefused::Over)
    );
}

#[test]
fn a_pause_goes_on_with_the_colleague_to_whom_the_client_is_handed() {
    let mut talk = Talk::begin(answers_after(1, Talking::Stay));
    assert_eq!(talk.control(0, Act::PauseRecording), Ok(()));
    assert_eq!(talk.transfer(), Ok(()));
    let second = talk.phone(1);
    talk.until("the colleague does not talk", |centre| {
        sent_to(centre, second, "ACK") == 1
    });
    talk.goes_on(2);
    assert_eq!(
        talk.control(0, Act::ResumeRecording),
        Err(ControlRefused::NotTheirs)
    );
    assert_eq!(talk.control(1, Act::ResumeRecording), Ok(()));
    let client = talk.client;
    talk.centre.leave(client);
    talk.ends_well(Outcome::HungUp);
}

fn answers(phone: &Live<Phone>) {
    let answering = Answering::Answer {
        after: Duration::from_millis(200),
        then: Talking::Stay,
    };
    phone.with(|phone, _| phone.script.push_back(answering));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_the_api_a_client_is_handed_over_and_the_call_is_ended() {
    let company = Company::found(2, &Options::default()).await;
    let [first, second] = [company.phone(0, 0), company.phone(1, 0)];
    answers(&first);
    answers(&second);
    let events = company.events(1).await;
    let [anna, boris] = [company.log_in(0).await, company.log_in(1).await];
    let caller = company.call("+79161234567", Intent::patient());
    caller.wait_for_answer();
    let live = |calls: &Value| calls["items"][0]["started_at"].is_string();
    let calls = company.rest.until("calls", "they talk", live).await;
    let call = calls["items"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("calls/{call}/transfer");
    let nobody = anna.ask("POST", &path, Some(&json!({"to": "999"}))).await;
    assert_eq!(nobody.0, 422, "{}", String::from_utf8_lossy(&nobody.1));
    let to_boris = json!({"to": "102"});
    let not_his = boris.ask("POST", &path, Some(&to_boris)).await;
    assert!([403, 404].contains(&not_his.0), "{}", not_his.0);
    let (status, problem) = anna.ask("POST", &path, Some(&to_boris)).await;
    assert_eq!(status, 204, "{}", String::from_utf8_lossy(&problem));
    let (_, card) = events
        .frame("call.offered", |card| card["attempt"] == 1)
        .await;
    assert_eq!(card["why"]["rule"], "transferred", "{card:#}");
    events.frame("call.transferred", |_| true).await;
    first.wait("it is released", |phone| {
        phone.calls.iter().all(|it| it.over)
    });
    let hang_up = format!("calls/{call}/hang-up");
    assert_eq!(boris.ask("POST", &hang_up, None).await.0, 204);
    assert_eq!(caller.wait_for_end(), Outcome::Ended);
    let ended = company.ended_call("+79161234567").await;
    let end = (&ended["cause"], &ended["ended_by"], &ended["agent"]);
    let boris_talked = json!(company.agents[1].id);
    assert_eq!(end, (&json!("hung_up"), &json!("agent"), &boris_talked));
    assert_eq!(boris.ask("POST", &hang_up, None).await.0, 409);
}
