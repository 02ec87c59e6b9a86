//! What the agents' screens show and who is rung when several people or several agents come into question.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use serde_json::{Value, json};
use tests::{
    company::{Company, LINE},
    daemon::{Options, PATIENCE, program},
    live::{Live, caller},
    rest::Rest,
    sim::{Answering, Intent, Outcome, Talking, phone::Phone},
};

const CLIENT: &str = "+79161234567";

/// Telephones of all agents, each answering as many calls as may come.
fn telephones(company: &Company) -> Vec<Live<Phone>> {
    let answering = Answering::Answer {
        after: Duration::from_millis(50),
        then: Talking::Stay,
    };
    let phones = (0..company.agents.len()).map(|agent| {
        let phone = company.phone(agent, 0);
        phone.with(|phone, _| phone.script.extend([answering; 4]));
        phone
    });
    phones.collect()
}

/// Calls, talks and hangs up; the agent who answered and the call's route.
async fn talk(company: &Company, number: &str, line: &str) -> (String, Value) {
    let (address, switch) = (company.daemon.address(2, 5060), company.daemon.sip());
    let caller = caller(address, switch, (number, line), Intent::patient());
    caller.wait_for_answer();
    caller.leave();
    assert_eq!(caller.wait_for_end(), Outcome::HungUp);
    let call = company.ended_call(number).await;
    let agent = call["agent"].as_str().expect("an agent answered");
    (agent.to_owned(), company.route(&call).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_number_shows_everybody_and_rings_the_manager_of_the_first() {
    let company = Company::found(2, &Options::default()).await;
    company.person("Ivan Petrov", CLIENT, Some(0)).await;
    company.person("Olga Petrova", CLIENT, Some(1)).await;
    let _phones = telephones(&company);
    let screens = [company.events(0).await, company.events(1).await];
    let (agent, route) = talk(&company, CLIENT, LINE).await;
    let place = company.agents.iter().position(|it| it.id == agent);
    let (_, card) = screens[place.expect("one of ours")]
        .frame("call.offered", |_| true)
        .await;
    let clients = card["clients"].as_array().expect("a card has clients");
    let mut names: Vec<&str> = clients
        .iter()
        .filter_map(|client| client["name"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["Ivan Petrov", "Olga Petrova"], "{card:#}");
    assert_eq!(clients[0]["manager"]["id"], agent.as_str(), "{card:#}");
    assert_eq!(route["offers"][0]["rule"]["rule"], "assigned");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_away_is_passed_over_until_they_come_back() {
    let company = Company::found(2, &Options::default()).await;
    let _phones = telephones(&company);
    let [best, next] = [0, 1].map(|agent: usize| company.agents[agent].id.clone());
    let agent = &company.agents[0];
    let session = Rest::log_in(&company.daemon.http(), &agent.login, &agent.password).await;
    for (away, number, expected) in [
        (true, "+79160000001", &next),
        (false, "+79160000002", &best),
    ] {
        let (status, _) = session
            .ask("POST", "session/away", Some(&json!({ "away": away })))
            .await;
        assert_eq!(status, 204);
        let (agent, route) = talk(&company, number, LINE).await;
        assert_eq!(&agent, expected, "away: {away}, {route:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_equals_the_one_who_has_been_idle_longest_is_rung() {
    let company = Company::found(2, &Options::default()).await;
    let equal = company.agents.iter();
    let equal: Vec<Value> = equal
        .map(|agent| json!({ "user": agent.id, "level": 5 }))
        .collect();
    let line = json!({ "number": "+7 495 123-45-09", "name": "Service", "skills": equal });
    company.rest.post("lines", &line).await;
    let _phones = telephones(&company);
    let mut rung = Vec::new();
    for number in ["+79160000001", "+79160000002", "+79160000003"] {
        rung.push(talk(&company, number, "74951234509").await.0);
    }
    assert_ne!(rung[0], rung[1], "whoever has just talked waits");
    assert_eq!(rung[0], rung[2], "and is the next but one");
}

/// A running `ringbook watch` and what it prints.
struct Watch {
    process: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(company: &Company, agent: usize) -> Self {
        let agent = &company.agents[agent];
        let mut process = Command::new(program())
            .args(["watch", "--language", "en", "--login", &agent.login])
            .args(["--url", &company.daemon.http()])
            .env("RINGBOOK_PASSWORD", &agent.password)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = process.stdout.take().expect("standard output is a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody reads any more once the test is over.
                let _ = sender.send(line);
            }
        });
        Self { process, lines }
    }

    /// Waits for a line with these words.
    fn prints(&self, words: &str) {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("\"{words}\" is not printed"));
            if line.contains(words) {
                return;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_prints_the_card_and_says_that_it_was_shown() {
    let company = Company::found(1, &Options::default()).await;
    company.person("Ivan Petrov", CLIENT, Some(0)).await;
    let _phones = telephones(&company);
    let watch = Watch::start(&company, 0);
    watch.prints("Connected");
    let (_, route) = talk(&company, CLIENT, LINE).await;
    watch.prints("Ivan Petrov");
    let offer = &route["offers"][0];
    assert_eq!(offer["lead_confirmed"], true, "{route:#}");
    assert_eq!(offer["lead_clients"], 1, "{route:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrate_finds_nothing_to_do_in_tables_of_its_own() {
    let mut company = Company::found(1, &Options::default()).await;
    company.daemon.kill();
    let migrated = company.daemon.run(&["migrate"]);
    let text = String::from_utf8_lossy(&migrated.stdout).into_owned();
    assert!(
        migrated.status.success() && !text.trim().is_empty(),
        "{text}"
    );
}
