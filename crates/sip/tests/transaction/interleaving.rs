//! Any order of messages, commands and time: nothing panics, every promise of the events holds, and in the end nothing is left.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use sip::transaction::{ClientKey, Event, Limits, ServerKey};
use sip::{Message, Method, Request, Response};

use crate::stage::{Stage, ack, answer, incoming, incoming_with, ms, outgoing, path, tcp};

#[derive(Clone, Debug)]
enum Move {
    /// A request of a peer: method, branch, To tag. Equal ones are repetitions.
    Receive(Method, u8, Option<u8>),
    /// A peer answers a request of ours.
    Answer(usize, u16, u8),
    /// One of our own messages comes back to us.
    Echo(usize),
    Request(Method),
    Cancel(usize),
    Ack(usize, u8),
    Respond(usize, u16, u8),
    Pass(u64),
    /// As `Receive` and `Request`, by a connection.
    ReceiveByConnection(Method, u8, Option<u8>),
    RequestByConnection(Method),
    /// The connection breaks, or the one that answers need then cannot be opened.
    Lose(bool),
}

fn method() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![
        Method::Invite,
        Method::Ack,
        Method::Cancel,
        Method::Bye,
        Method::Options,
    ])
}

fn status() -> impl Strategy<Value = u16> {
    prop::sample::select(vec![100, 180, 183, 200, 200, 202, 302, 487])
}

fn moves() -> impl Strategy<Value = Move> {
    let millis = prop_oneof![Just(0u64), 1..600u64, 600..40_000u64];
    prop_oneof![
        4 => (method(), 0..4u8, prop::option::of(0..2u8)).prop_map(|(method, branch, tag)| Move::Receive(method, branch, tag)),
        4 => (0..4usize, status(), 0..2u8).prop_map(|(at, status, tag)| Move::Answer(at, status, tag)),
        1 => (0..64usize).prop_map(Move::Echo),
        2 => prop::sample::select(vec![Method::Invite, Method::Bye, Method::Options]).prop_map(Move::Request),
        2 => (0..8usize).prop_map(Move::Cancel),
        2 => (0..8usize, 0..2u8).prop_map(|(at, tag)| Move::Ack(at, tag)),
        4 => (0..8usize, status(), 0..2u8).prop_map(|(at, status, tag)| Move::Respond(at, status, tag)),
        4 => millis.prop_map(Move::Pass),
        2 => (method(), 4..8u8, prop::option::of(0..2u8))
            .prop_map(|(method, branch, tag)| Move::ReceiveByConnection(method, branch, tag)),
        2 => prop::sample::select(vec![Method::Invite, Method::Bye]).prop_map(Move::RequestByConnection),
        1 => any::<bool>().prop_map(Move::Lose),
    ]
}

/// What was seen of a request of ours.
#[derive(Default, Debug)]
struct SeenClient {
    invite: bool,
    provisional: u32,
    success_tags: Vec<String>,
    failures: u32,
    timeouts: u32,
}

#[derive(Default)]
struct Play {
    clients: Vec<ClientKey>,
    servers: Vec<(ServerKey, Request)>,
    requests: Vec<Request>,
    everything: Vec<Message>,
    seen: BTreeMap<ClientKey, SeenClient>,
    acks: BTreeMap<ServerKey, (u32, u32)>,
}

impl Play {
    fn asked(&mut self, key: ClientKey, method: &Method) {
        let seen = SeenClient {
            invite: *method == Method::Invite,
            ..SeenClient::default()
        };
        self.clients.push(key);
        self.seen.insert(key, seen);
    }

    fn act(&mut self, stage: &mut Stage, play: &Move) {
        match play {
            Move::Receive(method, branch, tag) => {
                let tag = tag.map(|tag| format!("tag{tag}"));
                // Branch 0 is that of a peer of RFC 2543.
                let request = match branch {
                    0 => incoming_with(method, "SIP/2.0/UDP 10.0.0.5:5060", tag.as_deref()),
                    _ => incoming(method, &format!("b{branch}"), tag.as_deref()),
                };
                stage.receive(request);
            }
            Move::ReceiveByConnection(method, branch, tag) => {
                let tag = tag.map(|tag| format!("tag{tag}"));
                let request = incoming(method, &format!("b{branch}"), tag.as_deref());
                stage.receive_by(tcp(), request);
            }
            Move::RequestByConnection(method) => {
                let key = stage.layer.request(stage.now, tcp(), outgoing(method));
                stage.drain();
                self.asked(key, method);
            }
            Move::Lose(opened) => {
                let path = if *opened { tcp().reopened(5060) } else { tcp() };
                stage.layer.lose_path(stage.now, &path);
                stage.drain();
            }
            Move::Answer(at, status, tag) => {
                if let Some(request) =
                    pick(&self.requests, *at).filter(|request| request.method != Method::Ack)
                {
                    stage.receive(answer(request, *status, &format!("tag{tag}")));
                }
            }
            Move::Echo(at) => {
                if let Some(message) = pick(&self.everything, *at) {
                    stage.receive(message.clone());
                }
            }
            Move::Request(method) => {
                let key = stage.request(outgoing(method));
                self.asked(key, method);
            }
            Move::Cancel(at) => {
                if let Some(key) = pick(&self.clients, *at) {
                    stage.cancel(*key);
                }
            }
            Move::Ack(at, tag) => {
                if let Some(key) = pick(&self.clients, *at) {
                    stage
                        .layer
                        .ack(stage.now, *key, path(), ack(&format!("tag{tag}")));
                    stage.drain();
                }
            }
            Move::Respond(at, status, tag) => {
                if let Some((key, request)) = pick(&self.servers, *at) {
                    stage.respond(*key, answer(request, *status, &format!("tag{tag}")));
                }
            }
            Move::Pass(millis) => stage.pass(ms(*millis)),
        }
        self.watch(stage);
    }

    fn watch(&mut self, stage: &mut Stage) {
        for sent in std::mem::take(&mut stage.sent) {
            if let Message::Request(request) = &sent.message {
                self.requests.push(request.clone());
            }
            self.everything.push(sent.message);
        }
        for event in stage.events() {
            match event {
                Event::Request {
                    server, request, ..
                } => {
                    assert!(!matches!(request.method, Method::Ack | Method::Cancel));
                    assert!(self.servers.iter().all(|(known, _)| *known != server));
                    self.servers.push((server, request));
                }
                Event::Ack { server, .. } => self.acks.entry(server).or_default().0 += 1,
                Event::NoAck { server } => self.acks.entry(server).or_default().1 += 1,
                Event::Cancel { server, .. } => {
                    assert!(self.servers.iter().any(
                        |(known, request)| *known == server && request.method == Method::Invite
                    ));
                }
                Event::Response {
                    client, response, ..
                } => self.note(client, &response),
                Event::Timeout { client } | Event::Unreachable { client } => {
                    let seen = self.seen.get_mut(&client).expect("a request of ours");
                    seen.timeouts += 1;
                }
            }
        }
    }

    fn note(&mut self, client: ClientKey, response: &Response) {
        let seen = self.seen.get_mut(&client).expect("a request of ours");
        match response.status {
            ..200 => {
                assert!(
                    seen.success_tags.is_empty() && seen.failures == 0,
                    "a provisional answer after the final one"
                );
                seen.provisional += 1;
            }
            200..300 => seen
                .success_tags
                .push(response.to().unwrap().tag().unwrap_or_default().to_owned()),
            _ => seen.failures += 1,
        }
    }

    /// What must hold when all is over.
    fn judge(&self) {
        for (client, seen) in &self.seen {
            let ends = seen.failures + seen.timeouts + u32::from(!seen.success_tags.is_empty());
            assert_eq!(ends, 1, "{client:?} {seen:?}");
            let mut tags = seen.success_tags.clone();
            tags.sort();
            tags.dedup();
            assert_eq!(
                tags.len(),
                seen.success_tags.len(),
                "each 2xx once: {seen:?}"
            );
            assert!(seen.invite || tags.len() <= 1, "{seen:?}");
        }
        for (server, (acks, missing)) in &self.acks {
            assert!(
                acks + missing <= 1,
                "{server:?}: {acks} ACKs and {missing} missing"
            );
        }
    }
}

/// Prefers what is young, so that sequences meet each other.
fn pick<T>(list: &[T], at: usize) -> Option<&T> {
    list.len()
        .checked_sub(1 + at)
        .and_then(|index| list.get(index))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_transaction_ends_once_and_nothing_is_left(list in prop::collection::vec(moves(), 1..60), narrow in any::<bool>()) {
        let limits = if narrow { Limits { transactions: 3, reserve: 1, ..Limits::default() } } else { Limits::default() };
        let mut stage = Stage::with_limits(limits);
        let mut play = Play::default();
        for step in &list {
            play.act(&mut stage, step);
        }
        for (server, request) in play.servers.clone() {
            stage.respond(server, answer(&request, 500, "end"));
        }
        stage.pass(Duration::from_secs(600));
        play.watch(&mut stage);
        prop_assert!(stage.layer.is_idle(), "{} left", stage.layer.len());
        prop_assert_eq!(stage.layer.next_timer(), None);
        play.judge();
    }
}
