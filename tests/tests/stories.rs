//! Calls through the real program over real sockets: who is rung, what the caller gets, what the history keeps.

use std::time::Duration;

use rstest::rstest;
use serde_json::Value;
use tests::{
    company::{Company, LINE},
    daemon::Options,
    live::Live,
    postgres::postgres,
    relay::Relay,
    sim::{Answering, Intent, Outcome, Talking, network::Network, phone::Phone},
    sipp::Sipp,
};

const CLIENT: &str = "+79161234567";

/// The databases under one and the same story.
#[derive(Clone, Copy, Debug)]
enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    fn options(self) -> Options {
        let store = match self {
            Self::Sqlite => None,
            Self::Postgres => Some(postgres().database()),
        };
        Options {
            store,
            ..Options::default()
        }
    }
}

fn does(phone: &Live<Phone>, answering: Answering) {
    phone.with(|phone, _| phone.script.push_back(answering));
}

fn answers() -> Answering {
    Answering::Answer {
        after: Duration::from_millis(200),
        then: Talking::Stay,
    }
}

fn refuses(status: u16) -> Answering {
    Answering::Refuse {
        after: Duration::from_millis(50),
        status,
    }
}

/// Who was offered the call, and how each offer ended; none for the one that was accepted.
fn offers(route: &Value) -> Vec<(String, Option<String>)> {
    let offers = route["offers"].as_array().expect("a route has offers");
    let end = |offer: &Value| {
        (
            offer["agent"].as_str().unwrap_or("").to_owned(),
            offer["end"].as_str().map(str::to_owned),
        )
    };
    offers.iter().map(end).collect()
}

async fn history(company: &Company, client: &str) -> Vec<Value> {
    let page = company.rest.get(&format!("interactions?{client}")).await;
    page["items"].as_array().expect("a page has items").clone()
}

#[rstest]
#[case(Database::Sqlite)]
#[case(Database::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_caller_reaches_the_assigned_manager_with_the_card_before_the_ring(
    #[case] database: Database,
) {
    let company = Company::found(2, &database.options()).await;
    let (person, organisation) = company
        .employee("Ivan Petrov", "8 (916) 123-45-67", 1)
        .await;
    let (best, manager) = (company.phone(0, 0), company.phone(1, 0));
    does(&manager, answers());
    let events = company.events(1).await;
    let caller = company.call(CLIENT, Intent::patient());
    caller.wait_for_answer();
    let (shown_at, card) = events.frame("call.offered", |_| true).await;
    let rung_at = manager.came_at("INVITE").expect("the manager is rung");
    assert!(shown_at < rung_at, "the card comes before the ring");
    assert_eq!(card["clients"][0]["name"], "Ivan Petrov", "{card:#}");
    assert_eq!(card["why"]["ownership"], "own");
    assert_eq!(card["line"]["channel"], "Radio");
    events.frame("conversation.started", |_| true).await;
    caller.leave();
    assert_eq!(caller.wait_for_end(), Outcome::HungUp);
    let call = company.ended_call(CLIENT).await;
    assert_eq!(
        (&call["missed"], &call["cause"], &call["ended_by"]),
        (&false.into(), &"hung_up".into(), &"client".into())
    );
    let route = company.route(&call).await;
    assert_eq!(offers(&route), [(company.agents[1].id.clone(), None)]);
    assert_eq!(route["offers"][0]["rule"]["rule"], "assigned");
    assert_eq!(route["offers"][0]["lead_confirmed"], true, "{route:#}");
    assert_eq!(best.came("INVITE"), 0, "nobody else is rung");
    for client in [
        format!("person={person}"),
        format!("organisation={organisation}"),
    ] {
        let entries = history(&company, &client).await;
        assert_eq!(entries.len(), 1, "one entry for one conversation: {client}");
        assert_eq!(entries[0]["call"], call["id"]);
    }
    let metrics = company.metrics().await;
    for trouble in ["ringbook_late_events_total", "ringbook_lost_events_total"] {
        assert_eq!(metrics.get(trouble), Some(&0), "{metrics:?}");
    }
}

async fn the_next_one_gets_the_call(database: Database, manager_does: Answering, end: &str) {
    let company = Company::found(3, &database.options()).await;
    company.person("Ivan Petrov", CLIENT, Some(2)).await;
    let phones = [
        company.phone(0, 0),
        company.phone(1, 0),
        company.phone(2, 0),
    ];
    does(&phones[2], manager_does);
    does(&phones[0], answers());
    let events = company.events(0).await;
    let caller = company.call(CLIENT, Intent::patient());
    caller.wait_for_answer();
    let (_, card) = events.frame("call.offered", |_| true).await;
    assert_eq!(card["why"]["ownership"], "colleague", "{card:#}");
    assert_eq!(
        card["why"]["previous"][0]["end"], end,
        "the card says why it came to me"
    );
    caller.leave();
    caller.wait_for_end();
    let call = company.ended_call(CLIENT).await;
    let route = company.route(&call).await;
    let expected = [
        (company.agents[2].id.clone(), Some(end.to_owned())),
        (company.agents[0].id.clone(), None),
    ];
    assert_eq!(offers(&route), expected);
    assert_eq!(call["agent"].as_str(), Some(company.agents[0].id.as_str()));
    assert_eq!(
        phones[1].came("INVITE"),
        0,
        "the less qualified is not rung"
    );
}

#[rstest]
#[case(Database::Sqlite)]
#[case(Database::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_manager_hands_the_call_to_the_next_qualified(#[case] database: Database) {
    the_next_one_gets_the_call(database, refuses(486), "busy").await;
}

#[rstest]
#[case(Database::Sqlite)]
#[case(Database::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn declined_call_goes_to_the_next_qualified(#[case] database: Database) {
    the_next_one_gets_the_call(database, refuses(603), "declined").await;
}

#[rstest]
#[case(Database::Sqlite)]
#[case(Database::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unanswered_call_goes_to_the_next_qualified_after_the_ring_time(
    #[case] database: Database,
) {
    the_next_one_gets_the_call(database, Answering::Ignore, "no_answer").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manager_without_a_registered_telephone_is_passed_over() {
    let company = Company::found(2, &Options::default()).await;
    company.person("Ivan Petrov", CLIENT, Some(1)).await;
    let phone = company.phone(0, 0);
    does(&phone, answers());
    let caller = company.call(CLIENT, Intent::patient());
    caller.wait_for_answer();
    caller.leave();
    let route = company.route(&company.ended_call(CLIENT).await).await;
    assert_eq!(offers(&route), [(company.agents[0].id.clone(), None)]);
    let considered = &route["offers"][0]["explanation"]["considered"][0];
    assert_eq!(
        considered["agent"].as_str(),
        Some(company.agents[1].id.as_str()),
        "{considered:#}"
    );
    assert_eq!(considered["verdict"], "passed_over");
    assert_eq!(
        considered["state"]["reason"], "unregistered",
        "{considered:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_registered_means_486_and_a_missed_call() {
    let company = Company::found(1, &Options::default()).await;
    let caller = company.call(CLIENT, Intent::patient());
    assert_eq!(caller.wait_for_end(), Outcome::Refused(486));
    let call = company.ended_call(CLIENT).await;
    assert_eq!(
        (&call["missed"], &call["cause"]),
        (&true.into(), &"nobody_free".into())
    );
}

#[rstest]
#[case(Database::Sqlite)]
#[case(Database::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_cancels_while_it_rings(#[case] database: Database) {
    let company = Company::found(1, &database.options()).await;
    let phone = company.phone(0, 0);
    does(&phone, Answering::Ignore);
    let (local, remote) = (company.daemon.address(3, 5060), company.daemon.sip());
    let folder = company.daemon.folder();
    Sipp::start(
        "caller_cancels_while_it_rings",
        folder,
        local,
        remote,
        (CLIENT, LINE),
    )
    .succeeds();
    phone.wait("the telephone stops ringing", |phone| {
        phone.calls.iter().all(|call| call.over)
    });
    assert_eq!(phone.came("CANCEL"), 1);
    let call = company.ended_call(CLIENT).await;
    assert_eq!(
        (&call["missed"], &call["cause"]),
        (&true.into(), &"caller_cancelled".into())
    );
    let route = company.route(&call).await;
    assert_eq!(route["offers"][0]["end"], "caller_gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_declines_and_the_caller_gets_480() {
    let company = Company::found(2, &Options::default()).await;
    let phones = [company.phone(0, 0), company.phone(1, 0)];
    phones.iter().for_each(|phone| does(phone, refuses(603)));
    let (local, remote) = (company.daemon.address(3, 5060), company.daemon.sip());
    let folder = company.daemon.folder();
    Sipp::start(
        "caller_gets_480_when_nobody_answers",
        folder,
        local,
        remote,
        (CLIENT, LINE),
    )
    .succeeds();
    let call = company.ended_call(CLIENT).await;
    assert_eq!(
        (&call["missed"], &call["cause"]),
        (&true.into(), &"nobody_answered".into())
    );
    assert_eq!(
        company.route(&call).await["offers"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_is_busy_in_a_conversation_and_the_second_caller_gets_486() {
    let company = Company::found(1, &Options::default()).await;
    let phone = company.phone(0, 0);
    does(&phone, answers());
    let first = company.call(CLIENT, Intent::patient());
    first.wait_for_answer();
    let (local, remote) = (company.daemon.address(3, 5060), company.daemon.sip());
    let folder = company.daemon.folder();
    Sipp::start(
        "caller_gets_486_when_nobody_is_free",
        folder,
        local,
        remote,
        ("+79160000002", LINE),
    )
    .succeeds();
    assert_eq!(
        phone.came("INVITE"),
        1,
        "the agent in conversation is not rung"
    );
    first.leave();
    first.wait_for_end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_caller_talks_and_hangs_up() {
    let company = Company::found(1, &Options::default()).await;
    let phone = company.phone(0, 0);
    does(&phone, answers());
    let (local, remote) = (company.daemon.address(3, 5060), company.daemon.sip());
    let folder = company.daemon.folder();
    Sipp::start(
        "caller_talks_and_hangs_up",
        folder,
        local,
        remote,
        (CLIENT, LINE),
    )
    .succeeds();
    phone.wait("the telephone is told", |phone| {
        phone.calls.iter().all(|call| call.over)
    });
    let call = company.ended_call(CLIENT).await;
    assert_eq!(
        (&call["missed"], &call["ended_by"]),
        (&false.into(), &"client".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_hangs_up_and_the_caller_gets_bye() {
    let company = Company::found(1, &Options::default()).await;
    let phone = company.phone(0, 0);
    let talking = Talking::HangUp {
        after: Duration::from_millis(700),
    };
    does(
        &phone,
        Answering::Answer {
            after: Duration::from_millis(100),
            then: talking,
        },
    );
    let (local, remote) = (company.daemon.address(3, 5060), company.daemon.sip());
    Sipp::start(
        "agent_hangs_up",
        company.daemon.folder(),
        local,
        remote,
        (CLIENT, LINE),
    )
    .succeeds();
    let call = company.ended_call(CLIENT).await;
    assert_eq!(
        (&call["missed"], &call["ended_by"]),
        (&false.into(), &"agent".into())
    );
}

#[rstest]
#[case::reinvite("INVITE")]
#[case::update("UPDATE")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telephone_holds_and_resumes_by(#[case] method: &str) {
    let company = Company::found(1, &Options::default()).await;
    let phone = company.phone(0, 0);
    phone.with(|phone, _| phone.habits.holds_by_update = method == "UPDATE");
    let hold = Talking::Hold {
        after: Duration::from_millis(500),
        length: Duration::from_millis(500),
        rest: Duration::from_secs(10),
    };
    does(
        &phone,
        Answering::Answer {
            after: Duration::from_millis(100),
            then: hold,
        },
    );
    let events = company.events(0).await;
    let caller = company.call(CLIENT, Intent::patient());
    let (_, held) = events
        .frame("call.updated", |frame| frame["held"] == true)
        .await;
    assert_eq!(held["by"], "agent");
    events
        .frame("call.updated", |frame| frame["held"] == false)
        .await;
    let answer = phone
        .message("SIP/2.0 200")
        .expect("the request to hold is answered");
    assert_eq!(answer.method(), method);
    assert_eq!(
        caller.came("INVITE"),
        0,
        "hold does not cross over to the caller"
    );
    caller.leave();
    assert_eq!(caller.wait_for_end(), Outcome::HungUp);
    assert_eq!(company.ended_call(CLIENT).await["missed"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_device_of_the_agent_rings_and_the_one_that_answers_has_the_call() {
    let mut company = Company::found(1, &Options::default()).await;
    company.add_device(0, "md5").await;
    let (desk, mobile) = (company.phone(0, 0), company.phone(0, 1));
    does(&desk, Answering::Ignore);
    does(&mobile, answers());
    let caller = company.call(CLIENT, Intent::patient());
    caller.wait_for_answer();
    desk.wait("the other one stops ringing", |phone| {
        phone.calls.len() == 1 && phone.calls[0].over
    });
    assert_eq!((desk.came("CANCEL"), mobile.came("CANCEL")), (1, 0));
    caller.leave();
    mobile.wait("the conversation ends", |phone| {
        phone.calls.iter().all(|call| call.over)
    });
    assert_eq!(company.ended_call(CLIENT).await["missed"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_survive_loss_and_repetition_on_the_trunk() {
    let company = Company::found(1, &Options::default()).await;
    let phone = company.phone(0, 0);
    let bad = Network {
        loss: 250,
        duplicates: 150,
        stragglers: 150,
        delay: (Duration::from_millis(1), Duration::from_millis(30)),
    };
    let (inside, outside) = (
        company.daemon.address(200, 5060),
        company.daemon.address(4, 5060),
    );
    let relay = Relay::open(inside, outside, company.daemon.sip(), bad, 11);
    let calls = 4;
    for number in 0..calls {
        does(&phone, answers());
        let (client, host) = (format!("+7916000010{number}"), 201 + number);
        let caller = tests::live::caller(
            company.daemon.address(host, 5060),
            relay.inside,
            (&client, LINE),
            Intent::patient(),
        );
        caller.wait_for_answer();
        caller.leave();
        assert_eq!(caller.wait_for_end(), Outcome::HungUp);
        assert_eq!(company.ended_call(&client).await["missed"], false);
    }
    assert!(relay.lost() > 0, "something was lost");
    let all = company.rest.get("calls").await;
    assert_eq!(
        all["items"].as_array().map(Vec::len),
        Some(usize::from(calls)),
        "repeated INVITEs are one call"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_caller_is_offered_to_the_best_qualified_with_a_draft() {
    let company = Company::found(2, &Options::default()).await;
    let phones = [company.phone(0, 0), company.phone(1, 0)];
    phones.iter().for_each(|phone| does(phone, answers()));
    let events = company.events(0).await;
    let caller = company.call("+74951110000", Intent::patient());
    caller.wait_for_answer();
    let (_, card) = events.frame("call.offered", |_| true).await;
    assert_eq!(card["caller"]["known"], false, "{card:#}");
    assert_eq!(card["caller"]["number"], "+74951110000");
    assert!(card["draft"].is_object(), "a card ready to fill: {card:#}");
    caller.leave();
    caller.wait_for_end();
    assert_eq!(phones[1].came("INVITE"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_took_is_told_in_words_in_both_languages() {
    let company = Company::found(2, &Options::default()).await;
    company.person("Ivan Petrov", CLIENT, Some(0)).await;
    let phones = [company.phone(0, 0), company.phone(1, 0)];
    does(&phones[0], refuses(603));
    does(&phones[1], Answering::Ignore);
    let caller = company.call(CLIENT, Intent::patient());
    assert_eq!(caller.wait_for_end(), Outcome::Refused(480));
    company.ended_call(CLIENT).await;
    let english = [
        "Caller: Ivan Petrov",
        "Agent 0 · assigned manager · chosen",
        "Agent 0 · assigned manager · passed over: was offered this call before",
        "; declined",
        "Offered to Agent 1 (skill 9 for the line",
        "the client is Agent 0's",
        "; did not answer",
        "Considered last:",
        "No conversation: nobody answered.",
    ];
    let russian = [
        "Звонит: Ivan Petrov",
        "Agent 0 · закреплённый менеджер · выбран",
        "Agent 0 · закреплённый менеджер · пропущен: этот звонок ему уже предлагали",
        "; отклонил",
        "Предложен: Agent 1 (навык 9 для линии",
        "клиент закреплён за Agent 0",
        "; не ответил",
        "Кого рассматривали в последний раз:",
        "Разговора не было: никто не ответил.",
    ];
    for (language, sentences) in [("en", english), ("ru", russian)] {
        let told = company
            .daemon
            .run(&["trace", CLIENT, "--language", language]);
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        for sentence in sentences {
            assert!(text.contains(sentence), "no \"{sentence}\" in\n{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn route_is_told_in_words_in_both_languages() {
    let company = Company::found(1, &Options::default()).await;
    let phone = company.phone(0, 0);
    does(&phone, answers());
    let caller = company.call(CLIENT, Intent::patient());
    caller.wait_for_answer();
    caller.leave();
    company.ended_call(CLIENT).await;
    for (language, words) in [("en", "Agent 0"), ("ru", "Agent 0")] {
        let told = company
            .daemon
            .run(&["trace", "8 916 123-45-67", "--language", language]);
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(
            told.status.success() && text.contains(words),
            "{text}{}",
            String::from_utf8_lossy(&told.stderr)
        );
        let cyrillic = text.chars().any(|c| ('а'..='я').contains(&c));
        assert_eq!(cyrillic, language == "ru", "{text}");
    }
}
