//! The company of the measurement: agents with one telephone and one screen each, one line, clients.

use std::time::Instant;

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::{
    screens::{self, Cards},
    usage,
};
use crate::{
    daemon::{Daemon, Options},
    rest::Rest,
};

/// Requests under way at once while the company is made; fewer than logins that may be tried at once.
const AT_ONCE: usize = 8;

/// A line like the other one, but not recorded.
pub const UNRECORDED_LINE: &str = "74951234502";

/// A line that one agent serves, and callers wait for; not recorded.
pub const QUEUED_LINE: &str = "74951234503";

/// The company.
#[derive(Debug)]
pub struct Scenery {
    /// The daemon, started for this.
    pub daemon: Daemon,
    /// Resident memory when it had just started.
    pub fresh_mib: f64,
    /// The administrator's session.
    pub rest: Rest,
    /// Accounts and secrets of the telephones.
    pub telephones: Vec<(String, String)>,
    /// The cards that the agents' screens got.
    pub cards: Cards,
}

/// The number of the client with this place, as the trunk writes it.
pub fn client_number(place: usize) -> String {
    format!("+7916{place:07}")
}

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap_or_default().to_owned()
}

impl Scenery {
    /// Makes everything over REST. Every client has one of the agents as assigned manager.
    pub async fn build(agents: usize, persons: usize) -> Self {
        let begun = Instant::now();
        let daemon = Daemon::start(&Options {
            connections: true,
            ..Options::default()
        });
        let process = usage::child_named("ringbook").expect("the daemon is our child");
        let fresh_mib = usage::memory_mib(process);
        let rest = daemon.rest().await;
        let made = stream::iter(0..agents).map(|number| agent(&rest, number));
        let made: Vec<(String, (String, String))> = made.buffered(AT_ONCE).collect().await;
        let skills = made.iter().take(200);
        let skills: Vec<Value> = skills
            .map(|(id, _)| json!({ "user": id, "level": 5 }))
            .collect();
        let line = json!({ "number": "+7 495 123-45-01", "name": "Sales", "channel": "Radio", "skills": skills });
        rest.post("lines", &line).await;
        let mut unrecorded = line;
        unrecorded["number"] = json!(format!("+{UNRECORDED_LINE}"));
        unrecorded["recorded"] = json!(false);
        rest.post("lines", &unrecorded).await;
        let queued = json!({ "number": format!("+{QUEUED_LINE}"), "name": "Service", "recorded": false,
            "skills": [{ "user": made[0].0, "level": 5 }], "queue": {} });
        rest.post("lines", &queued).await;
        let [a, b, c] = daemon.network;
        // Connections come from the address that the system chooses.
        let networks = [format!("{a}.{b}.{c}.2/32"), "127.0.0.1/32".to_owned()];
        let trunk = json!({ "name": "City", "networks": networks, "trusted_identity": true });
        rest.post("trunks", &trunk).await;
        let managers: Vec<&String> = made.iter().map(|(id, _)| id).collect();
        let people = stream::iter(0..persons).map(|place| {
            let person = json!({ "name": format!("Client {place}"), "manager": managers[place % agents],
                "numbers": [{ "typed": client_number(place) }] });
            let rest = &rest;
            async move { rest.post("persons", &person).await }
        });
        people.buffered(AT_ONCE).for_each(|_| async {}).await;
        let cards = Cards::default();
        let screens = stream::iter(0..agents).map(|number| {
            let (base, cards) = (daemon.http(), cards.clone());
            async move {
                let session = Rest::log_in(&base, &login(number), &password(number)).await;
                screens::open(&session, cards).await;
            }
        });
        screens.buffered(AT_ONCE).for_each(|()| async {}).await;
        println!(
            "{agents} agents and {persons} persons made in {:.0} s",
            begun.elapsed().as_secs_f64()
        );
        let telephones = made.into_iter().map(|(_, telephone)| telephone).collect();
        Self {
            daemon,
            fresh_mib,
            rest,
            telephones,
            cards,
        }
    }

    /// Everything in a list of the API, page by page.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.rest.get(&format!("{path}?limit=200{cursor}")).await;
            all.extend(page["items"].as_array().cloned().unwrap_or_default());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }
}

fn login(number: usize) -> String {
    format!("agent{number}")
}

fn password(number: usize) -> String {
    format!("correct horse {number}")
}

async fn agent(rest: &Rest, number: usize) -> (String, (String, String)) {
    let user = json!({
        "name": format!("Agent {number}"), "login": login(number), "password": password(number), "role": "agent",
        "language": "en", "short_number": (1_001 + number).to_string(), "ring_timeout_secs": 20, "wrap_up_secs": 0,
    });
    let id = id(&rest.post("users", &user).await);
    let device = json!({ "user": id, "name": "desk", "digest": "md5" });
    let made = rest.post("devices", &device).await;
    let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
    (id, (text("auth_user"), text("secret")))
}
