//! Trunks by which calls leave are watched: those that register by their registration, the others by OPTIONS.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use call::Notice;
use model::{Now, Proxy, Trunk, TrunkCode, TrunkId, TrunkOutbound, TrunkState};
use sip::{
    CSeq, Method, Name, NameAddr, Request, Response, Uri,
    transaction::{ClientKey, Path, Tokens},
};

use crate::{
    io::Output,
    names::asked_rest,
    switch::Switch,
    trunk_registration::{Account, Heard, Registration},
};

/// Between two questions to a trunk that does not register.
const PROBE_INTERVAL: Duration = Duration::from_secs(60);
/// So many questions without an answer mean that it is down.
const MOST_UNANSWERED: u32 = 2;
/// How long after its connection broke a provider is asked again.
const RECONNECT: Duration = Duration::from_secs(2);
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
    /// Where the last question went.
    way: Option<Path>,
    /// The question that is being asked.
    client: Option<ClientKey>,
    /// When to ask next.
    due: Duration,
}

/// How it is found out whether a trunk is there.
enum Question {
    Register(Box<Registration>),
    Options {
        proxy: Proxy,
        domain: Option<String>,
        unanswered: u32,
    },
}

impl Question {
    fn proxy(&self) -> &Proxy {
        match self {
            Self::Register(registration) => &registration.account.proxy,
            Self::Options { proxy, .. } => proxy,
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

    /// What the provider said at the last registration of the way that our calls are to take (RFC 3608).
    pub(crate) fn service_route(&self, trunk: TrunkId) -> &[String] {
        match self.watched.get(&trunk).map(|it| &it.question) {
            Some(Question::Register(registration)) => &registration.service_route,
            _ => &[],
        }
    }

    /// Whether calls of a provider may come by this connection.
    pub(crate) fn uses(&self, path: &Path) -> bool {
        self.watched.values().any(|it| it.is_registered_by(path))
    }

    /// The connection broke by which a provider may have called: we register again, and soon know how it stands.
    pub(crate) fn lose(&mut self, now: Duration, path: &Path) {
        let watched = self.watched.values_mut();
        for watched in watched.filter(|it| it.is_registered_by(path)) {
            watched.due = watched.due.min(now + RECONNECT);
        }
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
                proxy: outbound.proxy.clone(),
                domain: outbound.domain.clone(),
                unanswered: 0,
            },
        }
    }
}

impl Watched {
    fn is_registered_by(&self, path: &Path) -> bool {
        let there = |way: Path| (way.transport, way.remote) == (path.transport, path.remote);
        path.transport.reliable()
            && self.state.code == TrunkCode::Registered
            && self.way.is_some_and(there)
    }

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
                (&*proxy, &*domain) == (&outbound.proxy, &outbound.domain)
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
                way: None,
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
        if let (true, Some(path)) = (registration.is_bound(), watched.way) {
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

    /// When there is something to do about trunks.
    pub(crate) fn next_trunk_timer(&self) -> Option<Duration> {
        let timers = self.trunk_watch.next().into_iter();
        timers.chain(self.names.next()).min()
    }

    /// Asks every trunk whose time has come.
    pub(crate) fn watch_timers(&mut self, now: Now) {
        self.patience_ends(now);
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
        let watched = self.trunk_watch.watched.get(&id);
        let Some(proxy) = watched.map(|it| it.question.proxy()) else {
            return;
        };
        let Some(path) = self.way_to(now, proxy) else {
            return self.trunk_nowhere(now, id);
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
            Question::Options { proxy, domain, .. } => {
                options(shown, (proxy, domain.as_deref()), tokens)
            }
        };
        watched.way = Some(path);
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
        let Some(way) = self.trunk_over(client, id).and_then(|it| it.way) else {
            return true;
        };
        if response.status == 503 && self.ask_elsewhere(now, id, Some(response)) {
            return true;
        }
        if !matches!(response.status, 408 | 503) {
            self.names.answers(way);
        }
        let Some(watched) = self.trunk_watch.watched.get_mut(&id) else {
            return true;
        };
        match (&mut watched.question, response.status) {
            // RFC 3261 §21.4.9: somebody on the way says that nobody answered.
            (Question::Options { .. }, 408) => self.trunk_silent(now, id),
            (Question::Options { unanswered, .. }, _) => {
                *unanswered = 0;
                watched.due = now.mono + PROBE_INTERVAL;
                self.set_trunk(now, id, TrunkCode::Up, None);
            }
            (Question::Register(_), _) => self.register_answered(now, id, response, way),
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
            if !self.ask_elsewhere(now, id, None) {
                self.trunk_silent(now, id);
            }
        }
    }

    /// The place that was asked is of no use: the next one of the trunk is asked at once (RFC 3263 §4.3). False if there is
    /// none.
    fn ask_elsewhere(&mut self, now: Now, id: TrunkId, response: Option<&Response>) -> bool {
        let Some(watched) = self.trunk_watch.watched.get_mut(&id) else {
            return false;
        };
        if let Some(way) = watched.way {
            self.names.rest(now.mono, way, asked_rest(response));
        }
        let proxy = watched.question.proxy().clone();
        if self.fresh_way(now, &proxy).is_none() {
            return false;
        }
        if let Some(watched) = self.trunk_watch.watched.get_mut(&id) {
            // What another server asked is no question of this one.
            if let Question::Register(registration) = &mut watched.question {
                registration.begin();
            }
        }
        self.ask(now, id);
        true
    }

    /// No way leads to the trunk: its name means nothing, or is only being looked up.
    fn trunk_nowhere(&mut self, now: Now, id: TrunkId) {
        let Some(watched) = self.trunk_watch.watched.get_mut(&id) else {
            return;
        };
        watched.way = None;
        let proxy = watched.question.proxy();
        let (missing, unknown) = (self.names.is_missing(proxy), self.names.is_unknown(proxy));
        if missing || unknown {
            // Whatever is found out about the name comes by itself.
            watched.due = now.mono + PROBE_INTERVAL;
        }
        match (missing, unknown) {
            (true, _) => self.set_trunk(now, id, TrunkCode::NameNotFound, None),
            (_, true) => {}
            _ => self.trunk_silent(now, id),
        }
    }

    /// A name means something else now: whoever was asked elsewhere, or nowhere, is asked there at once.
    pub(crate) fn trunks_moved(&mut self, now: Now, proxy: &Proxy) {
        let TrunkWatch {
            watched, clients, ..
        } = &mut self.trunk_watch;
        for watched in watched.values_mut() {
            let stays = watched.way.is_some_and(|way| self.names.leads(proxy, way));
            if watched.question.proxy() != proxy || stays {
                continue;
            }
            if let Some(client) = watched.client.take() {
                clients.remove(&client);
            }
            watched.due = now.mono;
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
fn options(path: Path, (proxy, domain): (&Proxy, Option<&str>), tokens: &mut Tokens) -> Request {
    let (host, port) = match domain {
        Some(domain) => (domain, None),
        None => (proxy.host(), proxy.port),
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
