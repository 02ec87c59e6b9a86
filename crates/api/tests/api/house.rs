//! One company: store, hub, desk and the served API.

use std::{path::PathBuf, sync::Arc, time::Duration};

use api::{ApiState, DirectoryWatch, Parts, Settings};
use call::{Cause, Command, Effect, EffectEnd, EffectId, EffectRequest, Event, EventKind, Party};
use crm::{Base, Journal, Language, Role, UserData};
use model::{
    CallId, CallerIdentity, DeviceId, DialogSnapshot, EventId, Explanation, IdMaker, LineId, Rule,
    TrunkId, UserId,
};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use store::{Options, Store};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    time::timeout,
};

/// How long a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct House {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) store: Store,
    pub(crate) hub: cti::Hub,
    pub(crate) recordings: PathBuf,
    pub(crate) admin: Client,
    pub(crate) commands: Mutex<mpsc::Receiver<Command>>,
    pub(crate) orders: api::orders::Orders,
    effects: mpsc::Sender<EffectRequest>,
    ends: Mutex<mpsc::Receiver<(EffectId, EffectEnd)>>,
    ids: std::sync::Mutex<(IdMaker, u32)>,
    _folder: tempfile::TempDir,
}

/// Somebody with a token, or nobody.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) token: Option<String>,
    pub(crate) user: String,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{}",
            String::from_utf8_lossy(&self.bytes)
        );
        self
    }

    #[track_caller]
    pub(crate) fn id(&self) -> String {
        self.json()["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) fn tag(&self) -> String {
        self.header("etag")
    }

    pub(crate) fn header(&self, name: &str) -> String {
        let value = self.headers.get(name);
        value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    }

    /// The names of the refused fields.
    pub(crate) fn fields(&self) -> Vec<String> {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        problem["errors"]
            .as_array()
            .map_or_else(Vec::new, |errors| {
                errors
                    .iter()
                    .map(|error| error["field"].as_str().unwrap().to_owned())
                    .collect()
            })
    }
}

impl Client {
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let path = if path.starts_with('/') {
            format!("{}{path}", self.base)
        } else {
            format!("{}/api/v1/{path}", self.base)
        };
        let request = self.http.request(method, path);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = timeout(PATIENCE, request.send()).await.unwrap().unwrap();
        Answer {
            status: response.status(),
            headers: response.headers().clone(),
            bytes: response.bytes().await.unwrap().to_vec(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body))
            .await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(&body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(&body))
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub(crate) fn user_id(&self) -> UserId {
        self.user.parse().unwrap()
    }
}

/// The PBX, as far as the API sees it: it takes every change of its directory at once.
async fn follow(mut directory: DirectoryWatch, store: Store, hub: cti::Hub) {
    while let Some(number) = directory.changed().await {
        let present = store.settings().directory().await.unwrap();
        hub.set_directory(&present);
        directory.applied(number);
    }
}

impl House {
    pub(crate) async fn build() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(adjust: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("ringbook.db").display());
        let store = Store::open(&url, 1, "RU", Options::default())
            .await
            .unwrap();
        let recordings = folder.path().join("recordings");
        std::fs::create_dir(&recordings).unwrap();
        let deps = cti::Deps {
            journal: Arc::new(store.clone()) as Arc<dyn Journal<Event>>,
            base: Arc::new(store.clone()),
        };
        let hub = cti::Hub::new(deps.clone(), cti::Settings::default());
        tokio::spawn(hub.clone().run_presence());
        let (effects, taken) = mpsc::channel(64);
        let (out, ends) = mpsc::channel(64);
        let desk = cti::Desk::start(deps, hub.clone(), cti::Settings::default());
        tokio::spawn(desk.run(taken, out));
        let (directory, watch) = api::directory::channel();
        tokio::spawn(follow(watch, store.clone(), hub.clone()));
        let (commands_in, commands) = mpsc::channel(16);
        let mut settings = Settings {
            realm: "ringbook.example".to_owned(),
            recordings: recordings.clone(),
            allowed_origins: vec!["https://crm.example".to_owned()],
            ..Settings::default()
        };
        adjust(&mut settings);
        let orders = api::orders::Orders::default();
        let state = ApiState::new(Parts {
            base: Arc::new(store.clone()),
            hub: hub.clone(),
            commands: commands_in,
            trunk_states: Default::default(),
            orders: orders.clone(),
            directory,
            settings,
            counters: vec![api::Counter {
                name: "ringbook_test_total",
                help: "A number.",
                is_gauge: false,
                read: Box::new(|| 42),
            }],
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(api::serve(
            listener,
            api::router(state),
            std::future::pending(),
        ));
        let nobody = Client {
            http: reqwest::Client::new(),
            base: format!("http://{address}"),
            token: None,
            user: String::new(),
        };
        let admin = found_first_administrator(&store, &nobody).await;
        Self {
            address,
            store,
            hub,
            recordings,
            admin,
            commands: Mutex::new(commands),
            orders,
            effects,
            ends: Mutex::new(ends),
            ids: std::sync::Mutex::new((IdMaker::new(9), 0)),
            _folder: folder,
        }
    }

    pub(crate) fn nobody(&self) -> Client {
        Client {
            token: None,
            user: String::new(),
            ..self.admin.clone()
        }
    }

    /// A logged-in user with this role.
    pub(crate) async fn user(&self, login: &str, role: &str, short_number: Option<&str>) -> Client {
        let user = json!({"name": login, "login": login, "role": role, "password": PASSWORD,
            "short_number": short_number});
        let id = self.admin.post("users", user).await.is(201).id();
        self.log_in(login, &id).await
    }

    pub(crate) async fn log_in(&self, login: &str, id: &str) -> Client {
        log_in(&self.nobody(), login, id).await
    }

    pub(crate) async fn line(&self, number: &str) -> String {
        let line = json!({"number": number, "name": "Sales", "channel": "radio"});
        self.admin.post("lines", line).await.is(201).id()
    }

    fn id(&self) -> i64 {
        self.ids.lock().unwrap().0.make(api::moment::now())
    }

    fn event(&self, call: CallId, kind: EventKind) -> Event {
        Event {
            id: EventId(self.id()),
            call,
            at: api::moment::now(),
            kind,
        }
    }

    /// Has the desk carry out an effect and waits for its end.
    pub(crate) async fn effect(&self, call: CallId, effect: Effect) -> EffectEnd {
        let mut ends = self.ends.lock().await;
        let number = {
            let mut ids = self.ids.lock().unwrap();
            ids.1 += 1;
            ids.1
        };
        let id = EffectId { call, number };
        let request = EffectRequest { id, effect };
        self.effects.send(request).await.unwrap();
        loop {
            let (ended, end) = timeout(PATIENCE, ends.recv()).await.unwrap().unwrap();
            if ended == id {
                return end;
            }
        }
    }

    pub(crate) async fn commit(&self, call: CallId, kinds: Vec<EventKind>) {
        let events = kinds
            .into_iter()
            .map(|kind| self.event(call, kind))
            .collect();
        let end = self.effect(call, Effect::Commit { events }).await;
        assert_eq!(end, EffectEnd::Committed);
    }

    /// A call from `from` is offered to `agent`.
    pub(crate) async fn ring(&self, from: &str, line: &str, agent: &Client) -> CallId {
        let call = CallId(self.id());
        let line: LineId = line.parse().unwrap();
        let effect = Effect::Identify {
            number: from.to_owned(),
            line: Some(line),
        };
        let EffectEnd::Identified(caller) = self.effect(call, effect).await else {
            panic!("not identified");
        };
        let owner = owner(&caller).filter(|owner| *owner != agent.user_id());
        let arrived = EventKind::Arrived {
            trunk: TrunkId(1),
            line,
            from: from.to_owned(),
            to: "74951234567".to_owned(),
            caller,
        };
        let offered = EventKind::Offered {
            agent: agent.user_id(),
            attempt: 0,
            rule: Rule::Skilled {
                level: 10,
                idle_ms: Some(1),
            },
            explanation: Arc::new(Explanation::default()),
            owner,
            snapshot: DialogSnapshot::default(),
        };
        self.commit(call, vec![arrived, offered]).await;
        call
    }

    pub(crate) async fn answer(&self, call: CallId, agent: &Client, recording: Option<&str>) {
        let device = DeviceId(1);
        let agent = agent.user_id();
        let accepted = EventKind::OfferAccepted { agent, device };
        let started = EventKind::ConversationStarted {
            agent,
            device,
            recording: recording.map(str::to_owned),
            snapshot: DialogSnapshot::default(),
        };
        self.commit(call, vec![accepted, EventKind::LineAnswered, started])
            .await;
    }

    pub(crate) async fn hang_up(&self, call: CallId, agent: &Client, missed: bool) {
        self.end(call, agent, (!missed).then_some(2_000)).await;
    }

    /// The call ends after so long a conversation, or without one.
    pub(crate) async fn end(&self, call: CallId, agent: &Client, talk_ms: Option<u64>) {
        let missed = talk_ms.is_none();
        let ended = EventKind::Ended {
            cause: if missed {
                Cause::CallerCancelled
            } else {
                Cause::HungUp
            },
            by: Party::Client,
            agent: Some(agent.user_id()),
            talk_ms: talk_ms.unwrap_or(0),
            wait_ms: 1_000,
            missed,
        };
        self.commit(call, vec![ended]).await;
    }

    /// The switch tells what the agent does now.
    pub(crate) fn set_state(&self, agent: &Client, state: model::AgentState) {
        self.hub.agent_changed(model::AgentChanged {
            agent: agent.user_id(),
            since: api::moment::now(),
            state,
        });
    }
}

fn owner(caller: &CallerIdentity) -> Option<UserId> {
    caller.matches.first().and_then(|best| best.manager)
}

async fn found_first_administrator(store: &Store, nobody: &Client) -> Client {
    let data = UserData {
        name: "Root".to_owned(),
        login: "root".to_owned(),
        short_number: None,
        role: Role::Administrator,
        language: Language::English,
        away: false,
        ring_timeout_secs: 20,
        wrap_up_secs: 0,
        may_call: model::Reach::default(),
        call_waiting: false,
        deputy: None,
    };
    let user = store.users().create(data).await.unwrap();
    let hash = api::password::hash(PASSWORD).unwrap();
    store.users().set_password(user.id, &hash).await.unwrap();
    log_in(nobody, "root", &user.id.to_string()).await
}

async fn log_in(nobody: &Client, login: &str, id: &str) -> Client {
    let body = json!({"login": login, "password": PASSWORD});
    let begun = nobody.post("session", body).await.is(201).json();
    assert_eq!(begun["user"]["id"], id);
    Client {
        token: Some(begun["token"].as_str().unwrap().to_owned()),
        user: id.to_owned(),
        ..nobody.clone()
    }
}
