//! A small company, made through the REST API: agents with telephones, a line, a trunk, clients.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    daemon::{Daemon, Options},
    events::Events,
    live::{Live, caller, dialler, gateway, phone},
    rest::Rest,
    sim::{Caller, Intent, phone::Phone},
};

/// The number of the line as the trunk writes it.
pub const LINE: &str = "74951234501";

/// An agent with one telephone.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Id of the user.
    pub id: String,
    /// What the agent logs in with.
    pub login: String,
    /// The password.
    pub password: String,
    /// Accounts and secrets of the telephones.
    pub devices: Vec<(String, String)>,
}

/// A daemon with a company in it.
#[derive(Debug)]
pub struct Company {
    /// The daemon.
    pub daemon: Daemon,
    /// The administrator's session.
    pub rest: Rest,
    /// The agents, the best qualified first.
    pub agents: Vec<Agent>,
    /// Id of the line.
    pub line: String,
}

fn id(made: &Value) -> String {
    made["id"]
        .as_str()
        .expect("what is made has an id")
        .to_owned()
}

impl Company {
    /// `agents` agents with one telephone each and falling skill, a line and a trunk at .2 to .9.
    pub async fn found(agents: usize, options: &Options) -> Self {
        let daemon = Daemon::start(options);
        let rest = daemon.rest().await;
        let mut made = Vec::new();
        for number in 0..agents {
            made.push(agent(&rest, number).await);
        }
        let skills: Vec<Value> = made
            .iter()
            .enumerate()
            .map(|(place, agent): (usize, &Agent)| json!({ "user": agent.id, "level": 10 - place }))
            .collect();
        let line = json!({ "number": "+7 495 123-45-01", "name": "Sales", "channel": "Radio", "skills": skills });
        let line = id(&rest.post("lines", &line).await);
        let [a, b, c] = daemon.network;
        let trunk = json!({ "name": "City", "networks": [format!("{a}.{b}.{c}.0/29"), format!("{a}.{b}.{c}.8/31")],
            "trusted_identity": true });
        rest.post("trunks", &trunk).await;
        Self {
            daemon,
            rest,
            agents: made,
            line,
        }
    }

    /// One more telephone for an agent; `digest` is `md5`, `sha256` or `both`.
    pub async fn add_device(&mut self, agent: usize, digest: &str) -> (String, String) {
        let device = device(&self.rest, &self.agents[agent].id, digest).await;
        self.agents[agent].devices.push(device.clone());
        device
    }

    /// A client who works in an organisation, with one number and an assigned manager; returns both ids.
    pub async fn employee(&self, name: &str, number: &str, manager: usize) -> (String, String) {
        let organisation = json!({ "name": "Kabel" });
        let organisation = id(&self.rest.post("organisations", &organisation).await);
        let person = json!({ "name": name, "manager": self.agents[manager].id, "numbers": [{ "typed": number }],
            "memberships": [{ "organisation": organisation }] });
        (id(&self.rest.post("persons", &person).await), organisation)
    }

    /// What the daemon counts, by name.
    pub async fn metrics(&self) -> BTreeMap<String, u64> {
        let url = format!("{}/metrics", self.daemon.http());
        let response = reqwest::get(url).await.expect("the daemon answers");
        let text = response.text().await.expect("an answer has a text");
        let count = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        text.lines().filter_map(count).collect()
    }

    /// A client with one number and an assigned manager; returns the id.
    pub async fn person(&self, name: &str, number: &str, manager: Option<usize>) -> String {
        let manager = manager.map(|agent| &self.agents[agent].id);
        let person = json!({ "name": name, "manager": manager, "numbers": [{ "typed": number }] });
        id(&self.rest.post("persons", &person).await)
    }

    /// Registers the telephone `device` of the agent at .(20 + 10 × agent + device).
    pub fn phone(&self, agent: usize, device: usize) -> Live<Phone> {
        let host = u8::try_from(20 + 10 * agent + device).expect("few telephones");
        let (user, secret) = &self.agents[agent].devices[device];
        let live = phone(
            self.daemon.address(host, 5060),
            self.daemon.sip(),
            user,
            secret,
        );
        live.wait("it registers", |phone| phone.registered);
        live
    }

    /// A caller at .2 who dials the line now.
    pub fn call(&self, number: &str, intent: Intent) -> Live<Caller> {
        self.call_from(2, number, intent)
    }

    /// A caller at another address of the trunk.
    pub fn call_from(&self, host: u8, number: &str, intent: Intent) -> Live<Caller> {
        caller(
            self.daemon.address(host, 5060),
            self.daemon.sip(),
            (number, LINE),
            intent,
        )
    }

    /// Lets calls leave by a trunk whose gateway stands at .`host`, port 5060; it asks for a password.
    pub async fn way_out(&self, host: u8, priority: u8) {
        let gateway = self.daemon.address(host, 5060);
        let trunk = json!({ "name": format!("Way out {host}"), "networks": [format!("{}/32", gateway.ip())],
            "outbound": { "proxy": gateway.to_string(), "priority": priority, "caller_number": "+7 495 123-45-01",
                "number_format": "national", "user": "office", "password": "secret" } });
        self.rest.post("trunks", &trunk).await;
    }

    /// The gateway of a way out.
    pub fn gateway(&self, host: u8) -> Live<Phone> {
        gateway(self.daemon.address(host, 5060), self.daemon.sip())
    }

    /// An agent dials a number at once from an unregistered telephone at .`host`.
    pub fn dial(&self, agent: usize, host: u8, number: &str, intent: Intent) -> Live<Caller> {
        let (user, secret) = &self.agents[agent].devices[0];
        dialler(
            self.daemon.address(host, 5060),
            self.daemon.sip(),
            (user, secret),
            number,
            intent,
        )
    }

    /// An agent's own session.
    pub async fn log_in(&self, agent: usize) -> Rest {
        let Agent {
            login, password, ..
        } = &self.agents[agent];
        Rest::log_in(&self.daemon.http(), login, password).await
    }

    /// The events of an agent, who answers `shown` to every card.
    pub async fn events(&self, agent: usize) -> Events {
        Events::open(&self.log_in(agent).await, None).await
    }

    /// The one call from a number once it has ended, its recording included.
    pub async fn ended_call(&self, number: &str) -> Value {
        let path = format!("calls?number={}", number.trim_start_matches('+'));
        let done = |calls: &Value| {
            let call = &calls["items"][0];
            call["ended_at"].is_string()
                && (call["recording"].is_null() || call["recording"]["ready"] == true)
        };
        let calls = self.rest.until(&path, "the call ends", done).await;
        assert_eq!(
            calls["items"].as_array().map(Vec::len),
            Some(1),
            "one call: {calls:#}"
        );
        calls["items"][0].clone()
    }

    /// Why a call went where it went.
    pub async fn route(&self, call: &Value) -> Value {
        let id = call["id"].as_str().expect("a call has an id");
        self.rest.get(&format!("calls/{id}/route")).await
    }
}

async fn agent(rest: &Rest, number: usize) -> Agent {
    let (login, password) = (format!("agent{number}"), format!("correct horse {number}"));
    let user = json!({
        "name": format!("Agent {number}"), "login": login, "password": password, "role": "agent", "language": "en",
        "short_number": (101 + number).to_string(), "ring_timeout_secs": 5, "wrap_up_secs": 0,
    });
    let id = id(&rest.post("users", &user).await);
    let devices = vec![device(rest, &id, "md5").await];
    Agent {
        id,
        login,
        password,
        devices,
    }
}

async fn device(rest: &Rest, user: &str, digest: &str) -> (String, String) {
    let made = rest
        .post(
            "devices",
            &json!({ "user": user, "name": "desk", "digest": digest }),
        )
        .await;
    let text = |name: &str| {
        made[name]
            .as_str()
            .unwrap_or_else(|| panic!("{name} in {made}"))
            .to_owned()
    };
    (text("auth_user"), text("secret"))
}
