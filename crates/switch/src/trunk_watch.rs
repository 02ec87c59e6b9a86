//! Trunks by which calls leave are watched: those that register by their registration, the others by OPTIONS.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use call::Notice;
use model::{Now, Trunk, TrunkCode, TrunkId, TrunkOutbound, TrunkState};
use sip::{
    CSeq, Method, Name, NameAddr, Request, Response, Uri,
    transaction::{ClientKey, Path, Tokens},
};

use crate::{
    io::Output,
    switch::Switch,
    trunk_registration::{Account, Heard, Registration},
};

/// Between two questions to a trunk that does not register.
const PROBE_INTERVAL: Duration = Duration::from_secs(60);
/// So many questions without an answer mean that it is down.
const MOST_UNANSWERED: u32 = 2;
/// How long the process waits at its end for providers to hear that we leave.
const GOODBYE: Duration = Duration::from_secs(1);

/// All watched trunks.
pub(crate) struct TrunkWatch {
    watched: BTreeMap<TrunkId, Watched>,
    clients: BTreeMap<ClientKey, TrunkId>,
    /// Registrations that are being taken back.
    leaving: BTreeMap<ClientKey, (Registration, Path)>,
    /// The process ends: nothing is asked any more.
    goodbye_until: Option<Duration>,
    tokens: Tokens,
}

struct Watched {
    name: String,
    question: Question,
    state: TrunkState,
    /// The question that is being asked.
    client: Option<ClientKey>,
    /// When to ask next.
    due: Duration,
}

/// How it is found out whether a trunk is there.
enum Question {
    Register(Box<Registration>),
    Options {
        proxy: SocketAddr,
        domain: Option<String>,
        unanswered: u32,
    },
}

impl Question {
    fn proxy(&self) -> SocketAddr {
        match self {
            Self::Register(registration) => registration.account.proxy,
            Self::Options { proxy, .. } => *proxy,
        }
    }
}

impl TrunkWatch {
    /// Watches nothing yet. The seed is secret.
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self {
            watched: BTreeMap::new(),
            clients: BTreeMap::new(),
            leaving: BTreeMap::new(),
            goodbye_until: None,
            tokens: Tokens::new(seed),
        }
    }

    /// Calls hardly get through by this trunk.
    pub(crate) fn is_bad(&self, trunk: TrunkId) -> bool {
        let watched = self.watched.get(&trunk);
        watched.is_some_and(|watched| watched.state.code.is_bad())
    }

    /// Providers know that we leave, or had time enough.
    pub(crate) fn may_go(&self, now: Now) -> bool {
        self.leaving.is_empty() || self.goodbye_until.is_some_and(|until| now.mono >= until)
    }

    /// When there is something to ask.
    pub(crate) fn next(&self) -> Option<Duration> {
        let idle = self.watched.values().filter(|it| it.client.is_none());
        let goodbye = self.goodbye_until.filter(|_| !self.leaving.is_empty());
        idle.map(|it| it.due).chain(goodbye).min()
    }

    fn question(&mut self, outbound: &TrunkOutbound) -> Question {
        match Account::of(outbound) {
            Some((account, credentials)) => {
                let secs = outbound.register_secs;
                let registration = Registration::new(account, credentials, secs, &mut self.tokens);
                Question::Register(Box::new(registration))
            }
            None => Question::Options {
                proxy: outbound.proxy,
                domain: outbound.domain.clone(),
                unanswered: 0,
            },
        }
    }
}

impl Watched {
    /// Takes over settings that ask the same question; false if they ask another one.
    fn update(&mut self, now: Now, trunk: &Trunk, outbound: &TrunkOutbound) -> bool {
        self.name.clone_from(&trunk.name);
        match (&mut self.question, Account::of(outbound)) {
            (Question::Register(registration), Some((account, credentials)))
                if registration.account == account =>
            {
                if registration.update(credentials, outbound.register_secs) {
                    self.due = now.mono;
                }
                true
            }
            (Question::Options { proxy, domain, .. }, None) => {
                (*proxy, &*domain) == (outbound.proxy, &outbound.domain)
            }
            _ => false,
        }
    }
}

impl Switch {
    /// Trunks by which calls leave, in the order in which they are tried: one that is out of order is tried last, since
    /// nobody knows it better than a call.
    pub(crate) fn ways_out(&self) -> Vec<(&Trunk, &TrunkOutbound)> {
        let mut ways = self.directory.ways_out();
        ways.sort_by_key(|(trunk, _)| self.trunk_watch.is_bad(trunk.id));
        ways
    }

    /// The directory is another one: what stays the same is not disturbed.
    pub(crate) fn watch_trunks(&mut self, now: Now) {
        if self.trunk_watch.goodbye_until.is_some() {
            return;
        }
        let ways = self.directory.ways_out();
        let trunks: Vec<(Trunk, TrunkOutbound)> = ways
            .into_iter()
            .map(|(trunk, outbound)| (trunk.clone(), outbound.clone()))
            .collect();
        let kept: BTreeSet<TrunkId> = trunks.iter().map(|(trunk, _)| trunk.id).collect();
        let watched = self.trunk_watch.watched.keys();
        let gone: Vec<TrunkId> = watched.filter(|id| !kept.contains(id)).copied().collect();
        for id in gone {
            self.forget_trunk(now, id);
        }
        for (trunk, outbound) in trunks {
            let watched = self.trunk_watch.watched.get_mut(&trunk.id);
            if watched.is_some_and(|watched| watched.update(now, &trunk, &outbound)) {
                continue;
            }
            self.forget_trunk(now, trunk.id);
            let question = self.trunk_watch.question(&outbound);
            let code = match question {
                Question::Register(_) => TrunkCode::Registering,
                Question::Options { .. } => TrunkCode::Unknown,
            };
            let watched = Watched {
                name: trunk.name,
                question,
                state: TrunkState {
                    code,
                    since: now.utc,
                    status: None,
                },
                client: None,
                due: now.mono,
            };
            self.trunk_watch.watched.insert(trunk.id, watched);
            self.tell_trunk(trunk.id);
        }
    }

    /// The process is about to stop: providers hear that they need not call us any more.
    pub(crate) fn leave_trunks(&mut self, now: Now) {
        self.trunk_watch.goodbye_until = Some(now.mono + GOODBYE);
        let trunks: Vec<TrunkId> = self.trunk_watch.watched.keys().copied().collect();
        for trunk in trunks {
            self.forget_trunk(now, trunk);
        }
    }

    fn forget_trunk(&mut self, now: Now, id: TrunkId) {
        let Some(watched) = self.trunk_watch.watched.remove(&id) else {
            return;
        };
        if let Some(client) = watched.client {
            self.trunk_watch.clients.remove(&client);
        }
        let (trunk, name, state) = (id, watched.name, None);
        self.outputs
            .push_back(Output::Notice(Notice::Trunk { trunk, name, state }));
        let Question::Register(mut registration) = watched.question else {
            return;
        };
        let path = self.path_towards(registration.account.proxy);
        if let (true, Some(path)) = (registration.is_bound(), path) {
            registration.begin();
            self.take_back(now, *registration, path);
        }
    }

    fn take_back(&mut self, now: Now, mut registration: Registration, path: Path) {
        let shown = self.as_seen(path);
        let request = registration.request(shown, true, &mut self.trunk_watch.tokens);
        let client = self.ask_trunk(now, path, request);
        self.trunk_watch
            .leaving
            .insert(client, (registration, path));
    }

    fn ask_trunk(&mut self, now: Now, path: Path, mut request: Request) -> ClientKey {
        let product = &self.settings.product;
        request.headers.push(Name::UserAgent, product);
        self.transactions.request(now.mono, path, request)
    }

    fn path_towards(&self, proxy: SocketAddr) -> Option<Path> {
        Some(Path::udp(self.local_towards(proxy)?, proxy))
    }

    /// Asks every trunk whose time has come.
    pub(crate) fn watch_timers(&mut self, now: Now) {
        let watched = self.trunk_watch.watched.iter();
        let due: Vec<TrunkId> = watched
            .filter(|(_, it)| it.client.is_none() && it.due <= now.mono)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            if let Some(Question::Register(registration)) = self
                .trunk_watch
                .watched
                .get_mut(&id)
                .map(|it| &mut it.question)
            {
                registration.begin();
            }
            self.ask(now, id);
        }
    }

    fn ask(&mut self, now: Now, id: TrunkId) {
        let proxy = self
            .trunk_watch
            .watched
            .get(&id)
            .map(|it| it.question.proxy());
        let Some(proxy) = proxy else { return };
        let Some(path) = self.path_towards(proxy) else {
            return self.trunk_silent(now, id);
        };
        let shown = self.as_seen(path);
        let TrunkWatch {
            watched, tokens, ..
        } = &mut self.trunk_watch;
        let Some(watched) = watched.get_mut(&id) else {
            return;
        };
        let request = match &mut watched.question {
            Question::Register(registration) => registration.request(shown, false, tokens),
            Question::Options { domain, .. } => options(shown, domain.as_deref(), tokens),
        };
        let client = self.ask_trunk(now, path, request);
        self.trunk_watch.clients.insert(client, id);
        if let Some(watched) = self.trunk_watch.watched.get_mut(&id) {
            watched.client = Some(client);
        }
    }

    /// An answer to a request of ours; false if it was not about a trunk.
    pub(crate) fn trunk_answered(
        &mut self,
        now: Now,
        client: ClientKey,
        response: &Response,
    ) -> bool {
        if self.trunk_watch.leaving.contains_key(&client) {
            self.left(now, client, response);
            return true;
        }
        let Some(id) = self.trunk_watch.clients.get(&client).copied() else {
            return false;
        };
        if !response.is_final() {
            return true;
        }
        let Some(watched) = self.trunk_over(client, id) else {
            return true;
        };
        let proxy = watched.question.proxy();
        match (&mut watched.question, response.status) {
            // RFC 3261 §21.4.9: somebody on the way says that nobody answered.
            (Question::Options { .. }, 408) => self.trunk_silent(now, id),
            (Question::Options { unanswered, .. }, _) => {
                *unanswered = 0;
                watched.due = now.mono + PROBE_INTERVAL;
                self.set_trunk(now, id, TrunkCode::Up, None);
            }
            (Question::Register(_), _) => {
                if let Some(path) = self.path_towards(proxy) {
                    self.register_answered(now, id, response, path);
                }
            }
        }
        true
    }

    fn trunk_over(&mut self, client: ClientKey, id: TrunkId) -> Option<&mut Watched> {
        self.trunk_watch.clients.remove(&client);
        let watched = self.trunk_watch.watched.get_mut(&id)?;
        watched.client = None;
        Some(watched)
    }

    fn register_answered(&mut self, now: Now, id: TrunkId, response: &Response, path: Path) {
        let shown = self.as_seen(path);
        let Some(watched) = self.trunk_watch.watched.get_mut(&id) else {
            return;
        };
        let Question::Register(registration) = &mut watched.question else {
            return;
        };
        match registration.answered(response, shown) {
            Heard::Wait => {}
            Heard::Again => self.ask(now, id),
            Heard::Registered(refresh) => {
                watched.due = now.mono + refresh;
                self.set_trunk(now, id, TrunkCode::Registered, None);
            }
            Heard::Failed(code, wait) => {
                watched.due = now.mono + wait;
                self.set_trunk(now, id, code, Some(response.status));
            }
        }
    }

    /// No final answer came to a request of ours; nothing happens if it was not about a trunk.
    pub(crate) fn trunk_unanswered(&mut self, now: Now, client: ClientKey) {
        self.trunk_watch.leaving.remove(&client);
        let id = self.trunk_watch.clients.get(&client).copied();
        if let Some(id) = id.filter(|id| self.trunk_over(client, *id).is_some()) {
            self.trunk_silent(now, id);
        }
    }

    fn trunk_silent(&mut self, now: Now, id: TrunkId) {
        let Some(watched) = self.trunk_watch.watched.get_mut(&id) else {
            return;
        };
        match &mut watched.question {
            Question::Register(registration) => {
                if let Heard::Failed(code, wait) = registration.failed(TrunkCode::Unreachable, None)
                {
                    watched.due = now.mono + wait;
                    self.set_trunk(now, id, code, None);
                }
            }
            Question::Options { unanswered, .. } => {
                *unanswered = unanswered.saturating_add(1);
                watched.due = now.mono + PROBE_INTERVAL;
                if *unanswered >= MOST_UNANSWERED {
                    self.set_trunk(now, id, TrunkCode::Down, None);
                }
            }
        }
    }

    /// The provider answers our leaving: a challenge is worth one more word.
    fn left(&mut self, now: Now, client: ClientKey, response: &Response) {
        if !response.is_final() {
            return;
        }
        let leaving = self.trunk_watch.leaving.remove(&client);
        let Some((mut registration, path)) = leaving else {
            return;
        };
        let shown = self.as_seen(path);
        if registration.answered(response, shown) == Heard::Again {
            self.take_back(now, registration, path);
        }
    }

    fn set_trunk(&mut self, now: Now, id: TrunkId, code: TrunkCode, status: Option<u16>) {
        let Some(watched) = self.trunk_watch.watched.get_mut(&id) else {
            return;
        };
        if (watched.state.code, watched.state.status) != (code, status) {
            watched.state = TrunkState {
                code,
                since: now.utc,
                status,
            };
            self.tell_trunk(id);
        }
    }

    fn tell_trunk(&mut self, trunk: TrunkId) {
        if let Some(watched) = self.trunk_watch.watched.get(&trunk) {
            let (name, state) = (watched.name.clone(), Some(watched.state));
            self.outputs
                .push_back(Output::Notice(Notice::Trunk { trunk, name, state }));
        }
    }
}

/// A question outside of any dialog whether anybody is there (RFC 3261 §11.1).
fn options(path: Path, domain: Option<&str>, tokens: &mut Tokens) -> Request {
    let proxy = path.remote.ip().to_string();
    let (host, port) = match domain {
        Some(domain) => (domain, None),
        None => (proxy.as_str(), Some(path.remote.port())),
    };
    let here = path.local.ip().to_string();
    let us = Uri::sip(Some("ringbook"), &here, Some(path.local.port()));
    let target = Uri::sip(None, host, port);
    let from = NameAddr::new(Uri::sip(Some("ringbook"), &here, None)).with_tag(&tokens.tag());
    let mut request = Request::new(Method::Options, target.clone());
    let cseq = CSeq {
        number: 1,
        method: Method::Options,
    };
    let headers = &mut request.headers;
    headers.push(Name::MaxForwards, "70");
    headers.push(Name::From, &from.to_string());
    headers.push(Name::To, &NameAddr::new(target).to_string());
    headers.push(Name::CallId, &tokens.call_id());
    headers.push(Name::CSeq, &cseq.to_string());
    headers.push(Name::Contact, &format!("<{us}>"));
    headers.push(Name::Accept, crate::media_paths::SDP);
    request
}
