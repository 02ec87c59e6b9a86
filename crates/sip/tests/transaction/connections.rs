//! Transactions over connections: nothing is repeated that the transport repeats by itself, and a broken connection ends them.

use std::time::Duration;

use sip::transaction::{Event, Path};
use sip::{Method, Request, Response};

use crate::stage::{Stage, answer, incoming_with, outgoing, tcp};

const LONG: Duration = Duration::from_secs(31);

fn over_tcp(method: &Method, branch: &str, to_tag: Option<&str>) -> Request {
    let via = format!("SIP/2.0/TCP 10.0.0.5:5070;branch=z9hG4bK{branch};rport");
    incoming_with(method, &via, to_tag)
}

/// Sends a request of ours by this way and returns it as sent.
fn request(
    stage: &mut Stage,
    path: Path,
    method: &Method,
) -> (sip::transaction::ClientKey, Request) {
    let key = stage.layer.request(stage.now, path, outgoing(method));
    stage.drain();
    let request = stage.last_request();
    stage.sent();
    (key, request)
}

fn receive(stage: &mut Stage, request: Request) -> (sip::transaction::ServerKey, Request) {
    stage.receive_by(tcp(), request);
    match stage.event() {
        Event::Request {
            server, request, ..
        } => (server, request),
        other => panic!("{other:?}"),
    }
}

fn lose(stage: &mut Stage, path: &Path) {
    stage.layer.lose_path(stage.now, path);
    stage.drain();
}

fn reply(request: &Request, status: u16) -> Response {
    answer(request, status, "us")
}

#[test]
fn our_requests_are_sent_once_and_name_the_transport() {
    let mut stage = Stage::new();
    let (_, options) = request(&mut stage, tcp(), &Method::Options);
    assert_eq!(options.top_via().unwrap().transport, "TCP");
    stage.pass(LONG);
    assert_eq!(stage.sent(), [""; 0], "timer E is off");
    stage.receive_by(tcp(), answer(&options, 200, "them"));
    stage.pass(Duration::ZERO);
    assert!(stage.layer.is_idle(), "timer K is zero");
}

#[test]
fn a_refused_invite_of_ours_ends_with_its_ack() {
    let mut stage = Stage::new();
    let (_, invite) = request(&mut stage, tcp(), &Method::Invite);
    stage.receive_by(tcp(), answer(&invite, 486, "them"));
    assert_eq!(stage.sent(), ["ACK"]);
    stage.pass(Duration::ZERO);
    assert!(stage.layer.is_idle(), "timer D is zero");
}

#[test]
fn answers_go_back_on_the_connection_of_the_request_once() {
    let mut stage = Stage::new();
    let (server, options) = receive(&mut stage, over_tcp(&Method::Options, "1", None));
    stage.respond(server, reply(&options, 200));
    assert_eq!(stage.sent[0].path, tcp(), "RFC 3261 §18.2.2");
    stage.pass(Duration::ZERO);
    assert_eq!(stage.sent(), ["200"]);
    assert!(stage.layer.is_idle(), "timer J is zero");
}

#[test]
fn a_refusal_of_ours_is_not_repeated_and_its_ack_ends_the_invite() {
    let mut stage = Stage::new();
    let (server, invite) = receive(&mut stage, over_tcp(&Method::Invite, "1", None));
    stage.respond(server, reply(&invite, 486));
    stage.pass(LONG);
    assert_eq!(stage.sent(), ["486"], "timer G is off");
    stage.receive_by(tcp(), over_tcp(&Method::Ack, "1", Some("us")));
    stage.pass(Duration::ZERO);
    assert!(stage.layer.is_idle(), "timer I is zero");
}

#[test]
fn a_2xx_of_ours_is_repeated_over_every_transport_until_its_ack() {
    let mut stage = Stage::new();
    let (server, invite) = receive(&mut stage, over_tcp(&Method::Invite, "1", None));
    stage.respond(server, reply(&invite, 200));
    stage.pass(Duration::from_secs(2));
    assert_eq!(stage.sent(), ["200"; 3], "RFC 3261 §13.3.1.4");
    stage.receive_by(tcp(), over_tcp(&Method::Ack, "2", Some("us")));
    assert!(matches!(stage.event(), Event::Ack { .. }));
    stage.pass(LONG);
    assert_eq!(stage.sent(), [""; 0]);
    stage.must_end();
}

#[test]
fn a_broken_connection_ends_what_waits_for_an_answer_by_it_and_nothing_else() {
    let mut stage = Stage::new();
    let other = Path { flow: 4, ..tcp() };
    let (invite, _) = request(&mut stage, tcp(), &Method::Invite);
    let (ringing, sent) = request(&mut stage, tcp(), &Method::Invite);
    stage.receive_by(tcp(), answer(&sent, 180, "them"));
    let (bye, _) = request(&mut stage, tcp(), &Method::Bye);
    let (elsewhere, _) = request(&mut stage, other, &Method::Bye);
    stage.events();
    lose(&mut stage, &tcp());
    let ended = [invite, ringing, bye].map(|client| Event::Unreachable { client });
    assert_eq!(stage.events(), ended);
    assert_eq!(stage.layer.len(), 1);
    stage.pass(LONG + Duration::from_secs(1));
    assert_eq!(stage.event(), Event::Timeout { client: elsewhere });
    stage.must_end();
}

#[test]
fn a_withdrawn_invite_ends_with_its_connection() {
    let mut stage = Stage::new();
    let (client, sent) = request(&mut stage, tcp(), &Method::Invite);
    stage.cancel(client);
    lose(&mut stage, &tcp());
    assert_eq!(stage.event(), Event::Unreachable { client });
    let (client, sent_later) = request(&mut stage, tcp(), &Method::Invite);
    stage.receive_by(tcp(), answer(&sent_later, 180, "them"));
    stage.cancel(client);
    assert_eq!(stage.sent(), ["CANCEL"]);
    stage.events();
    lose(&mut stage, &tcp());
    assert_eq!(stage.event(), Event::Unreachable { client });
    assert_ne!(sent.top_via(), sent_later.top_via());
    assert!(stage.layer.is_idle());
}

#[test]
fn an_accepted_invite_outlives_its_connection() {
    let mut stage = Stage::new();
    let (_, invite) = request(&mut stage, tcp(), &Method::Invite);
    stage.receive_by(tcp(), answer(&invite, 200, "them"));
    stage.events();
    lose(&mut stage, &tcp());
    assert_eq!(stage.events(), [], "the call has begun");
    stage.must_end();
}

#[test]
fn what_could_not_be_opened_ends_what_waited_for_it() {
    let mut stage = Stage::new();
    let new = tcp().reopened(5070);
    let elsewhere = tcp().reopened(5071);
    let (client, _) = request(&mut stage, new, &Method::Bye);
    request(&mut stage, elsewhere, &Method::Bye);
    lose(&mut stage, &new);
    assert_eq!(stage.event(), Event::Unreachable { client });
    assert_eq!(stage.layer.len(), 1);
    stage.must_end();
}

#[test]
fn answers_whose_connection_broke_go_by_a_new_one_to_the_port_in_the_via() {
    let mut stage = Stage::new();
    let (server, invite) = receive(&mut stage, over_tcp(&Method::Invite, "1", None));
    lose(&mut stage, &tcp());
    stage.respond(server, reply(&invite, 486));
    let new = tcp().reopened(5070);
    assert_eq!(stage.sent[0].path, new, "RFC 3261 §18.2.2");
    lose(&mut stage, &new);
    assert!(stage.layer.is_idle(), "nobody is there");
    assert_eq!(stage.event(), Event::NoAck { server });
}
