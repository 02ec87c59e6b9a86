//! The side that receives requests: carries out what its two machines say.

use std::time::Duration;

use crate::{Method, Name, Request, Response, Via};

use super::identity::{self, AckIdentity};
use super::machine::{Action, Input, Step};
use super::timers::{Owner, Running, Timer};
use super::{Event, Path, ServerKey, Transactions, server_invite, server_non_invite};

/// One server transaction.
pub(super) struct Server {
    machine: Machine,
    /// By what repetitions find it.
    name: String,
    /// Where answers go.
    reply_path: Path,
    /// Where they go by a new connection when that one is closed.
    reply_port: u16,
    /// The last response on the wire; empty before the first.
    bytes: Vec<u8>,
    /// The To tag of our answers, from the request or from the first answer that had one.
    local_tag: Option<String>,
    /// By what the ACK of our 2xx finds it.
    ack: Option<AckIdentity>,
    running: Running,
}

#[derive(Clone, Copy)]
enum Machine {
    Invite(server_invite::State),
    Other(server_non_invite::State),
}

/// What came with an input: a request from the network with its path, or the user's response.
enum Given {
    Nothing,
    Request(Box<Request>, Path),
    Response(Box<Response>),
}

impl Transactions {
    /// Answers a request. A provisional answer is sent again when the request comes again, a final one until the other side
    /// has it; a 2xx to INVITE is repeated until its ACK comes (RFC 3261 §13.3.1.4). A To tag is added when the answer has none
    /// and is not 100. Answers after the final one, and to transactions that are over, are dropped.
    pub fn respond(&mut self, now: Duration, server: ServerKey, mut response: Response) {
        let Some(found) = self.servers.get_mut(&server) else {
            return;
        };
        if response.status > 100 {
            // RFC 3261 §8.2.6.2: every answer but 100 has a To tag, the same in all answers to one request.
            if response.to().is_some_and(|to| to.tag().is_none()) {
                let tag = found.local_tag.get_or_insert_with(|| self.tokens.tag());
                response.set_to_tag(tag);
            } else if found.local_tag.is_none() {
                found.local_tag = response.to().and_then(|to| to.tag().map(str::to_owned));
            }
        }
        let input = match response.status {
            ..200 => Input::Provisional,
            200..300 => Input::Success,
            _ => Input::Failure,
        };
        self.step_server(now, server, input, Given::Response(Box::new(response)));
    }

    /// Takes up an INVITE that an earlier life of the process received and did not finally answer, all its Vias as they were
    /// reported, so that the final answer is repeated and its ACK absorbed. No event follows. `None` when it has no Via.
    pub fn resume_server(
        &mut self,
        now: Duration,
        path: Path,
        invite: &Request,
    ) -> Option<ServerKey> {
        let via = invite.top_via()?;
        let name = identity::of_request(invite, &via, &Method::Invite);
        let key = self.insert_server(name, path, &via, invite);
        self.act_server(now, key, &[], Given::Nothing);
        Some(key)
    }

    /// A request from the network (RFC 3261 §17.2.3).
    pub(super) fn receive_request(&mut self, now: Duration, path: Path, mut request: Request) {
        let Some(via) = request.top_via() else {
            self.counters.malformed += 1;
            return;
        };
        let sound = request
            .cseq()
            .is_some_and(|cseq| cseq.method == request.method)
            && request.from().is_some()
            && request.to().is_some()
            && request.call_id().is_some();
        let method = if request.method == Method::Ack {
            &Method::Invite
        } else {
            &request.method
        };
        let name = identity::of_request(&request, &via, method);
        let known = self.server_of.get(&name).copied();
        let reply_path = identity::reply_path(path, &via);
        identity::note_source(&mut request, via.clone(), &path);
        if !sound {
            self.counters.malformed += 1;
            if request.method != Method::Ack {
                self.refuse(reply_path, &request, 400);
            }
            return;
        }
        match (known, &request.method) {
            (_, Method::Ack) => self.receive_ack(now, path, known, request),
            (Some(key), _) => self.step_server(now, key, Input::Request, Given::Nothing),
            (None, _) if self.is_full(&request) => {
                self.counters.refused += 1;
                self.refuse(reply_path, &request, 503);
            }
            (None, Method::Cancel) => self.receive_cancel(now, path, name, &via, request),
            (None, _) => {
                let key = self.insert_server(name, path, &via, &request);
                let (_, actions) = match request.method {
                    Method::Invite => (true, server_invite::START.1),
                    _ => (false, server_non_invite::START.1),
                };
                self.act_server(now, key, actions, Given::Request(Box::new(request), path));
            }
        }
    }

    /// Whether a new request must be refused. What ends calls and belongs to calls may use the reserve.
    fn is_full(&self, request: &Request) -> bool {
        let in_call =
            request.method == Method::Cancel || request.to().is_some_and(|to| to.tag().is_some());
        let most = if in_call {
            self.limits.transactions.saturating_add(self.limits.reserve)
        } else {
            self.limits.transactions
        };
        self.len() >= most
    }

    fn receive_ack(&mut self, now: Duration, path: Path, known: Option<ServerKey>, ack: Request) {
        // A peer of RFC 2543 gives every INVITE of a call the same Via, so there the tag decides which answer it means.
        let tag_fits = |server: &Server| {
            let to = ack.to();
            let tag = to.as_ref().and_then(|to| to.tag());
            tag.is_none() || server.local_tag.as_deref() == tag
        };
        let by_branch = known.filter(|key| self.servers.get(key).is_some_and(tag_fits));
        let by_tags = || {
            AckIdentity::of_ack(&ack).and_then(|identity| self.awaiting_ack.get(&identity).copied())
        };
        match by_branch.or_else(by_tags) {
            Some(key) => {
                self.step_server(now, key, Input::Ack, Given::Request(Box::new(ack), path));
            }
            None => self.counters.stray_acks += 1,
        }
    }

    /// RFC 3261 §9.2: a CANCEL is answered here, and told to the user only while the INVITE has no final answer.
    fn receive_cancel(
        &mut self,
        now: Duration,
        path: Path,
        name: String,
        via: &Via,
        cancel: Request,
    ) {
        let invite = self
            .server_of
            .get(&identity::of_request(&cancel, via, &Method::Invite))
            .copied();
        let key = self.insert_server(name, path, via, &cancel);
        self.act_server(now, key, &[Action::Start(Timer::F)], Given::Nothing);
        let mut answer = cancel.reply(if invite.is_some() { 200 } else { 481 });
        // §9.2: the tag should be the one that the INVITE's answers have.
        let tag = invite
            .and_then(|invite| self.servers.get(&invite))
            .and_then(|invite| invite.local_tag.as_deref());
        if let Some(tag) = tag {
            answer.set_to_tag(tag);
        }
        self.respond(now, key, answer);
        if let Some(invite) = invite {
            self.step_server(
                now,
                invite,
                Input::Cancel,
                Given::Request(Box::new(cancel), path),
            );
        }
    }

    /// Answers without a transaction (RFC 3261 §8.2.7).
    fn refuse(&mut self, path: Path, request: &Request, status: u16) {
        let mut response = request.reply(status);
        let identity = format!(
            "{} {:?}",
            request.call_id().unwrap_or_default(),
            request.headers.first(&Name::Via)
        );
        response.set_to_tag(&self.tokens.tag_of(&identity));
        if status == 503 {
            response
                .headers
                .push(Name::RetryAfter, &self.limits.retry_after_secs.to_string());
        }
        self.output.send(path, response.to_bytes());
    }

    fn insert_server(
        &mut self,
        name: String,
        path: Path,
        via: &Via,
        request: &Request,
    ) -> ServerKey {
        let key = ServerKey(self.new_id());
        let machine = match request.method {
            Method::Invite => Machine::Invite(server_invite::START.0),
            _ => Machine::Other(server_non_invite::START.0),
        };
        self.server_of.insert(name.clone(), key);
        let reply_path = identity::reply_path(path, via);
        self.flows.insert(&reply_path, Owner::Server(key));
        let server = Server {
            machine,
            name,
            reply_path,
            reply_port: via.port.unwrap_or(path.transport.default_port()),
            bytes: Vec::new(),
            local_tag: request.to().and_then(|to| to.tag().map(str::to_owned)),
            ack: None,
            running: Running::default(),
        };
        self.servers.insert(key, server);
        key
    }

    fn step_server(&mut self, now: Duration, key: ServerKey, input: Input, given: Given) {
        let Some(server) = self.servers.get_mut(&key) else {
            return;
        };
        let (ended, actions) = server.machine.step(input);
        self.act_server(now, key, actions, given);
        if ended {
            self.end_server(key);
        }
    }

    pub(super) fn server_timer(&mut self, now: Duration, key: ServerKey, timer: Timer) {
        let Some(server) = self.servers.get_mut(&key) else {
            return;
        };
        self.timers
            .stop(Owner::Server(key), &mut server.running, timer);
        self.step_server(now, key, Input::Fires(timer), Given::Nothing);
    }

    /// See [`Transactions::lose_path`].
    pub(super) fn lose_reply_path(&mut self, now: Duration, key: ServerKey, path: &Path) {
        let Some(server) = self.servers.get_mut(&key) else {
            return;
        };
        if server.reply_path != *path {
            return;
        }
        if path.flow == 0 {
            return self.step_server(now, key, Input::TransportError, Given::Nothing);
        }
        self.flows.remove(path, Owner::Server(key));
        server.reply_path = path.reopened(server.reply_port);
        self.flows.insert(&server.reply_path, Owner::Server(key));
    }

    fn act_server(&mut self, now: Duration, key: ServerKey, actions: &[Action], given: Given) {
        let Some(server) = self.servers.get_mut(&key) else {
            return;
        };
        let mut given = given;
        for action in actions {
            match *action {
                Action::Send => {
                    let Given::Response(response) = &given else {
                        continue;
                    };
                    server.bytes = response.to_bytes();
                    if matches!(
                        server.machine,
                        Machine::Invite(server_invite::State::Accepted)
                    ) {
                        server.ack = AckIdentity::of_answer(response);
                        if let Some(identity) = server.ack.clone() {
                            self.awaiting_ack.insert(identity, key);
                        }
                    }
                    self.output.send(server.reply_path, server.bytes.clone());
                }
                Action::Repeat if !server.bytes.is_empty() => {
                    self.output.send(server.reply_path, server.bytes.clone());
                }
                Action::Report => {
                    let Given::Request(request, path) =
                        std::mem::replace(&mut given, Given::Nothing)
                    else {
                        continue;
                    };
                    let event = match request.method {
                        Method::Ack => Event::Ack {
                            server: key,
                            request: *request,
                        },
                        Method::Cancel => Event::Cancel {
                            server: key,
                            request: *request,
                        },
                        _ => Event::Request {
                            server: key,
                            request: *request,
                            path,
                        },
                    };
                    self.output.tell(event);
                }
                Action::ReportNoAck => self.output.tell(Event::NoAck { server: key }),
                action => {
                    let owner = Owner::Server(key);
                    self.timers.act(
                        &self.table,
                        now,
                        owner,
                        server.reply_path.transport,
                        &mut server.running,
                        action,
                    );
                }
            }
        }
    }

    fn end_server(&mut self, key: ServerKey) {
        let Some(mut server) = self.servers.remove(&key) else {
            return;
        };
        self.timers
            .stop_all(Owner::Server(key), &mut server.running);
        self.flows.remove(&server.reply_path, Owner::Server(key));
        if self.server_of.get(&server.name) == Some(&key) {
            self.server_of.remove(&server.name);
        }
        if let Some(identity) = server
            .ack
            .filter(|identity| self.awaiting_ack.get(identity) == Some(&key))
        {
            self.awaiting_ack.remove(&identity);
        }
    }
}

impl Machine {
    /// Enters the next state; says whether it is the last, and what to do.
    fn step(&mut self, input: Input) -> (bool, &'static [Action]) {
        match self {
            Self::Invite(state) => {
                let (next, actions): Step<_> = server_invite::step(*state, input);
                *state = next;
                (next == server_invite::State::Terminated, actions)
            }
            Self::Other(state) => {
                let (next, actions): Step<_> = server_non_invite::step(*state, input);
                *state = next;
                (next == server_non_invite::State::Terminated, actions)
            }
        }
    }
}
