//! The side that sends requests: carries out what its two machines say.

use std::time::Duration;

use crate::{Method, Name, Request, Response};

use super::machine::{Action, Input, Step};
use super::timers::{Owner, Running, Timer};
use super::{ClientKey, Event, Path, Transactions, client_invite, client_non_invite, identity};

/// One client transaction.
pub(super) struct Client {
    machine: Machine,
    /// By what responses find it.
    name: String,
    pub(super) path: Path,
    /// As sent, with our Via. CANCEL and ACK are made from it.
    request: Request,
    /// The request on the wire; empty once it need not be repeated.
    bytes: Vec<u8>,
    /// Whether the user hears of it. A CANCEL is the layer's own, but for that of a resumed INVITE.
    reported: bool,
    /// Of an earlier life of the process.
    resumed: bool,
    running: Running,
    /// The To tags that answered with a final response.
    answers: Vec<Answer>,
}

#[derive(Clone, Copy)]
enum Machine {
    Invite(client_invite::State),
    Other(client_non_invite::State),
}

/// Who answered, and the ACK for it.
struct Answer {
    tag: String,
    ack: Option<(Path, Vec<u8>)>,
}

/// What came with an input.
type Received = Option<(Response, Path)>;

impl Transactions {
    /// Sends a request in a transaction of its own. `path` says by which socket and to where; its local address becomes our
    /// Via, with a new branch and `rport`. A Via that the request has stays: that of a CANCEL names the INVITE, and that of
    /// [`Transactions::prepare`] was stored before the request left.
    ///
    /// An ACK has no transaction: see [`Transactions::ack`]. Requests of ours are not subject to the limit of transactions.
    pub fn request(&mut self, now: Duration, path: Path, mut request: Request) -> ClientKey {
        let branch = match request.top_via() {
            Some(via) => via.branch().unwrap_or_default().to_owned(),
            None => {
                let branch = self.tokens.branch();
                identity::add_via(&mut request, &path, self.addresses.seen(&path), &branch);
                branch
            }
        };
        self.begin_client(now, path, request, &branch, true, false)
    }

    /// Puts our Via with a new branch on a request that is to be sent later by [`Transactions::request`].
    pub fn prepare(&mut self, path: &Path, request: &mut Request) {
        let branch = self.tokens.branch();
        identity::add_via(request, path, self.addresses.seen(path), &branch);
    }

    /// Takes up an INVITE that an earlier life of the process sent, its Via on top, as one that got a provisional answer,
    /// so that it can be cancelled and every final answer is taken care of. The answer to its CANCEL is told too: its To tag is
    /// all that is known of a dialog that was confirmed without having been stored. `None` when it has no Via with a branch.
    pub fn resume_invite(
        &mut self,
        now: Duration,
        path: Path,
        invite: Request,
    ) -> Option<ClientKey> {
        let branch = invite.top_via()?.branch()?.to_owned();
        Some(self.begin_client(now, path, invite, &branch, true, true))
    }

    /// Withdraws an INVITE (RFC 3261 §9.1): CANCEL goes out once a provisional answer is there, or when none came until no
    /// copy of the INVITE can be on its way any more. Nothing happens when the INVITE has its final answer already, or when this was no INVITE. The final answer (487, or a 200 that crossed) still comes.
    pub fn cancel(&mut self, now: Duration, client: ClientKey) {
        self.step_client(now, client, Input::Cancel, None);
    }

    /// Sends the ACK of a 2xx, made by the dialog, and sends it again whenever that 2xx (same To tag) comes again.
    pub fn ack(&mut self, _now: Duration, client: ClientKey, path: Path, mut ack: Request) {
        let seen = self.addresses.seen(&path);
        identity::add_via(&mut ack, &path, seen, &self.tokens.branch());
        let bytes = ack.to_bytes();
        let tag = ack
            .to()
            .and_then(|to| to.tag().map(str::to_owned))
            .unwrap_or_default();
        if let Some(answer) = self
            .clients
            .get_mut(&client)
            .and_then(|client| client.answer(&tag))
        {
            answer.ack = Some((path, bytes.clone()));
        }
        self.output.send(path, bytes);
    }

    /// The request as sent, with its Via, as long as the transaction lives.
    pub fn request_of(&self, client: ClientKey) -> Option<&Request> {
        self.clients.get(&client).map(|client| &client.request)
    }

    /// Whether nothing at all has come to this INVITE, and nobody has withdrawn it.
    pub fn is_unheard(&self, client: ClientKey) -> bool {
        self.clients
            .get(&client)
            .is_some_and(|it| matches!(it.machine, Machine::Invite(client_invite::State::Calling)))
    }

    fn begin_client(
        &mut self,
        now: Duration,
        path: Path,
        request: Request,
        branch: &str,
        reported: bool,
        resumed: bool,
    ) -> ClientKey {
        let key = ClientKey(self.new_id());
        let name = identity::of_client(branch, &request.method);
        let (machine, actions) = match request.method {
            Method::Invite => {
                let (state, actions) = if resumed {
                    client_invite::RESUME
                } else {
                    client_invite::START
                };
                (Machine::Invite(state), actions)
            }
            _ => {
                let (state, actions) = client_non_invite::START;
                (Machine::Other(state), actions)
            }
        };
        self.client_of.insert(name.clone(), key);
        let client = Client {
            machine,
            name,
            path,
            request,
            bytes: Vec::new(),
            reported,
            resumed,
            running: Running::default(),
            answers: Vec::new(),
        };
        self.clients.insert(key, client);
        self.flows.insert(&path, Owner::Client(key));
        self.act_client(now, key, actions, None);
        key
    }

    /// A response from the network (RFC 3261 §17.1.3).
    pub(super) fn receive_response(&mut self, now: Duration, path: Path, response: Response) {
        let found = self.client_of_response(&response);
        let Some((key, client)) =
            found.and_then(|key| self.clients.get_mut(&key).map(|client| (key, client)))
        else {
            let stray_success = response.is_success()
                && response
                    .cseq()
                    .is_some_and(|cseq| cseq.method == Method::Invite);
            let count = if stray_success {
                &mut self.counters.stray_successes
            } else {
                &mut self.counters.stray_responses
            };
            *count += 1;
            return;
        };
        let input = match response.status {
            ..200 => Input::Provisional,
            200..300 if client.request.method == Method::Invite => {
                let tag = response
                    .to()
                    .and_then(|to| to.tag().map(str::to_owned))
                    .unwrap_or_default();
                if client.note_answer(tag, self.limits.forks) {
                    Input::Success
                } else {
                    Input::SuccessAgain
                }
            }
            200..300 => Input::Success,
            _ => Input::Failure,
        };
        self.step_client(now, key, input, Some((response, path)));
    }

    fn client_of_response(&self, response: &Response) -> Option<ClientKey> {
        // RFC 3261 §8.1.3.3: we are never a proxy, so an answer with a second Via was not meant for us.
        if response.headers.all(&Name::Via).count() != 1 {
            return None;
        }
        let (via, cseq) = (response.top_via()?, response.cseq()?);
        self.client_of
            .get(&identity::of_client(via.branch()?, &cseq.method))
            .copied()
    }

    pub(super) fn step_client(
        &mut self,
        now: Duration,
        key: ClientKey,
        input: Input,
        received: Received,
    ) {
        let Some(client) = self.clients.get_mut(&key) else {
            return;
        };
        let (ended, actions) = client.machine.step(input);
        if !client.machine.repeats() {
            client.bytes = Vec::new();
        }
        self.act_client(now, key, actions, received);
        if ended {
            self.end_client(key);
        }
    }

    pub(super) fn client_timer(&mut self, now: Duration, key: ClientKey, timer: Timer) {
        let Some(client) = self.clients.get_mut(&key) else {
            return;
        };
        self.timers
            .stop(Owner::Client(key), &mut client.running, timer);
        self.step_client(now, key, Input::Fires(timer), None);
    }

    fn act_client(
        &mut self,
        now: Duration,
        key: ClientKey,
        actions: &[Action],
        mut received: Received,
    ) {
        let mut cancels = false;
        let Some(client) = self.clients.get_mut(&key) else {
            return;
        };
        for action in actions {
            match *action {
                Action::Send => {
                    let bytes = client.request.to_bytes();
                    if !client.path.transport.reliable() {
                        client.bytes.clone_from(&bytes);
                    }
                    self.output.send(client.path, bytes);
                }
                Action::Repeat => {
                    self.output.send(client.path, client.bytes.clone());
                }
                Action::Acknowledge => {
                    let Some((response, _)) = &received else {
                        continue;
                    };
                    let bytes = acknowledge(&client.request, response).to_bytes();
                    // One failure ends the INVITE, so there is one ACK to repeat, whatever the copy's tag.
                    client.answers = vec![Answer {
                        tag: String::new(),
                        ack: Some((client.path, bytes.clone())),
                    }];
                    self.output.send(client.path, bytes);
                }
                Action::RepeatAck => {
                    let response = received.as_ref().map(|(response, _)| response);
                    if let Some((path, bytes)) = client.ack_for(response) {
                        self.output.send(path, bytes);
                    }
                }
                Action::SendCancel => cancels = true,
                Action::Report if client.reported => {
                    if let Some((response, path)) = received.take() {
                        self.output.tell(Event::Response {
                            client: key,
                            response,
                            path,
                        });
                    }
                }
                Action::ReportTimeout if client.reported => {
                    self.output.tell(Event::Timeout { client: key });
                }
                Action::ReportUnreachable if client.reported => {
                    self.output.tell(Event::Unreachable { client: key });
                }
                Action::Report
                | Action::ReportTimeout
                | Action::ReportUnreachable
                | Action::ReportNoAck => {}
                action => {
                    let owner = Owner::Client(key);
                    self.timers.act(
                        &self.table,
                        now,
                        owner,
                        client.path.transport,
                        &mut client.running,
                        action,
                    );
                }
            }
        }
        if cancels {
            self.send_cancel(now, key);
        }
    }

    fn send_cancel(&mut self, now: Duration, invite: ClientKey) {
        let Some(client) = self.clients.get(&invite) else {
            return;
        };
        let (path, cancel, reported) = (client.path, cancel(&client.request), client.resumed);
        let branch = cancel
            .top_via()
            .and_then(|via| via.branch().map(str::to_owned))
            .unwrap_or_default();
        self.begin_client(now, path, cancel, &branch, reported, false);
    }

    fn end_client(&mut self, key: ClientKey) {
        let Some(mut client) = self.clients.remove(&key) else {
            return;
        };
        self.timers
            .stop_all(Owner::Client(key), &mut client.running);
        self.flows.remove(&client.path, Owner::Client(key));
        if self.client_of.get(&client.name) == Some(&key) {
            self.client_of.remove(&client.name);
        }
    }
}

impl Machine {
    /// Enters the next state; says whether it is the last, and what to do.
    fn step(&mut self, input: Input) -> (bool, &'static [Action]) {
        match self {
            Self::Invite(state) => {
                let (next, actions): Step<_> = client_invite::step(*state, input);
                *state = next;
                (next == client_invite::State::Terminated, actions)
            }
            Self::Other(state) => {
                let (next, actions): Step<_> = client_non_invite::step(*state, input);
                *state = next;
                (next == client_non_invite::State::Terminated, actions)
            }
        }
    }

    /// Whether the request may still have to be repeated.
    fn repeats(self) -> bool {
        use client_invite::State::{Calling, Withdrawing};
        match self {
            Self::Invite(state) => matches!(state, Calling | Withdrawing),
            Self::Other(state) => matches!(
                state,
                client_non_invite::State::Trying | client_non_invite::State::Proceeding
            ),
        }
    }
}

impl Client {
    fn answer(&mut self, tag: &str) -> Option<&mut Answer> {
        self.answers.iter_mut().find(|answer| answer.tag == tag)
    }

    /// Remembers who answered; `false` when it was known, or when more have answered than we follow.
    fn note_answer(&mut self, tag: String, most: usize) -> bool {
        if self.answers.len() >= most || self.answers.iter().any(|answer| answer.tag == tag) {
            return false;
        }
        self.answers.push(Answer { tag, ack: None });
        true
    }

    fn ack_for(&mut self, response: Option<&Response>) -> Option<(Path, Vec<u8>)> {
        let to = response.and_then(Response::to);
        let tag = to
            .as_ref()
            .and_then(|to| to.tag())
            .filter(|_| response.is_some_and(Response::is_success));
        self.answer(tag.unwrap_or_default())?.ack.clone()
    }
}

/// RFC 3261 §17.1.1.3: the ACK of a failure has the INVITE's Via, URI and route, and the To of the response.
fn acknowledge(invite: &Request, response: &Response) -> Request {
    let mut ack = same_way(invite, &Method::Ack);
    if let Some(to) = response.headers.first(&Name::To) {
        ack.headers.set(Name::To, to);
    }
    ack
}

/// RFC 3261 §9.1: the CANCEL has the INVITE's Via, URI, route, From, To, Call-ID and sequence number.
pub(crate) fn cancel(invite: &Request) -> Request {
    same_way(invite, &Method::Cancel)
}

fn same_way(invite: &Request, method: &Method) -> Request {
    let mut request = Request::new(method.clone(), invite.uri.clone());
    if let Some(via) = invite.headers.first(&Name::Via) {
        request.headers.push(Name::Via, via);
    }
    request.headers.push(Name::MaxForwards, "70");
    for name in [Name::Route, Name::From, Name::To, Name::CallId] {
        for value in invite.headers.all(&name) {
            request.headers.push(name.clone(), value);
        }
    }
    let number = invite.cseq().map_or(0, |cseq| cseq.number);
    request
        .headers
        .push(Name::CSeq, &format!("{number} {method}"));
    request
}
