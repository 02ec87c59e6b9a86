//! Requests that we receive.

use std::time::Duration;

use sip::transaction::{Event, Limits, Path, Transport};
use sip::{Message, Method, Name};

use crate::stage::{Stage, answer, incoming, incoming_with, ms, path, tcp};

#[test]
fn the_source_of_a_request_is_noted_in_its_top_via() {
    let mut stage = Stage::new();
    let via = "SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKa;rport;received=9.9.9.9";
    let mut request = incoming_with(&Method::Options, via, None);
    request
        .headers
        .push(Name::Via, "SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKb");
    let (_, request) = stage.begin(request);
    let top = request.top_via().unwrap();
    assert_eq!(top.received(), Some("198.51.100.7".parse().unwrap()));
    assert_eq!(top.rport(), Some(40000));
    assert_eq!(request.headers.all(&Name::Via).count(), 2);
    assert!(
        request
            .headers
            .all(&Name::Via)
            .nth(1)
            .unwrap()
            .ends_with("z9hG4bKb")
    );
}

#[test]
fn answers_go_to_the_source_when_rport_is_asked_for_or_a_nat_is_in_between() {
    for via in [
        "SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bKa;rport",
        "SIP/2.0/UDP 10.0.0.5:5062;branch=z9hG4bKa",
        "SIP/2.0/UDP phone.example.org;branch=z9hG4bKa",
    ] {
        let mut stage = Stage::new();
        let (server, request) = stage.begin(incoming_with(&Method::Options, via, None));
        stage.respond(server, request.reply(200));
        assert_eq!(stage.sent[0].path, path(), "{via}");
    }
}

#[test]
fn a_sender_without_nat_that_does_not_ask_for_rport_is_answered_at_the_port_it_wrote() {
    // RFC 3261 §18.2.2
    for (sent_by, port) in [("198.51.100.7:5062", 5062), ("198.51.100.7", 5060)] {
        let mut stage = Stage::new();
        let via = format!("SIP/2.0/UDP {sent_by};branch=z9hG4bKa");
        let (server, request) = stage.begin(incoming_with(&Method::Options, &via, None));
        stage.respond(server, request.reply(200));
        assert_eq!(
            stage.sent[0].path.remote.to_string(),
            format!("198.51.100.7:{port}")
        );
    }
}

#[test]
fn a_repeated_invite_gets_the_last_provisional_answer_and_no_second_event() {
    let mut stage = Stage::new();
    let (server, invite) = stage.begin(incoming(&Method::Invite, "a", None));
    stage.receive(incoming(&Method::Invite, "a", None));
    assert!(stage.sent().is_empty(), "nothing to repeat yet");
    stage.respond(server, answer(&invite, 100, ""));
    stage.respond(server, answer(&invite, 180, "ours"));
    stage.sent();
    stage.receive(incoming(&Method::Invite, "a", None));
    assert_eq!(stage.sent(), ["180"]);
    assert!(stage.events().is_empty());
}

#[test]
fn two_invites_with_different_branches_are_two_calls() {
    let mut stage = Stage::new();
    let (first, _) = stage.begin(incoming(&Method::Invite, "a", None));
    let (second, _) = stage.begin(incoming(&Method::Invite, "b", None));
    assert_ne!(first, second);
}

#[test]
fn the_same_branch_of_another_sender_is_another_request() {
    let mut stage = Stage::new();
    let (first, _) = stage.begin(incoming(&Method::Options, "a", None));
    let (second, _) = stage.begin(incoming_with(
        &Method::Options,
        "SIP/2.0/UDP 10.0.0.6:5060;branch=z9hG4bKa;rport",
        None,
    ));
    assert_ne!(first, second);
}

#[test]
fn a_2xx_is_repeated_until_its_ack_arrives() {
    let mut stage = Stage::new();
    let (server, invite) = stage.begin(incoming(&Method::Invite, "a", None));
    let start = stage.now;
    stage.respond(server, answer(&invite, 200, "ours"));
    stage.pass(ms(12_000));
    // RFC 3261 §13.3.1.4: T1, doubling up to T2.
    assert_eq!(stage.sent_times(start), [0, 500, 1500, 3500, 7500, 11500]);
    stage.receive(incoming(&Method::Ack, "other-branch", Some("ours")));
    assert!(
        matches!(stage.event(), Event::Ack { server: of, request } if of == server && request.method == Method::Ack)
    );
    stage.receive(incoming(&Method::Ack, "other-branch", Some("ours")));
    assert!(stage.events().is_empty(), "the first ACK only");
    stage.pass(Duration::from_secs(19));
    stage.receive(incoming(&Method::Invite, "a", None));
    assert!(
        stage.sent().is_empty(),
        "RFC 6026: a late INVITE is absorbed"
    );
    assert!(stage.events().is_empty());
    assert_eq!(stage.layer.len(), 1);
    stage.pass(Duration::from_secs(1));
    assert!(stage.layer.is_idle(), "timer L");
    assert!(stage.events().is_empty());
}

#[test]
fn a_2xx_is_repeated_over_a_reliable_transport_too() {
    let mut stage = Stage::new();
    stage.receive_by(
        tcp(),
        incoming_with(
            &Method::Invite,
            "SIP/2.0/TCP 10.0.0.5;branch=z9hG4bKa",
            None,
        ),
    );
    let Event::Request {
        server, request, ..
    } = stage.event()
    else {
        panic!("no request")
    };
    stage.respond(server, answer(&request, 200, "ours"));
    stage.pass(ms(1500));
    assert_eq!(stage.sent(), ["200"; 3]);
    assert!(stage.sent.iter().all(|sent| sent.path == tcp()));
}

#[test]
fn a_2xx_without_an_ack_is_reported_after_64_t1() {
    let mut stage = Stage::new();
    let (server, invite) = stage.begin(incoming(&Method::Invite, "a", None));
    stage.respond(server, answer(&invite, 200, "ours"));
    stage.receive(incoming(&Method::Ack, "b", Some("not-ours")));
    assert_eq!(stage.counters().stray_acks, 1);
    stage.pass(ms(31_999));
    assert!(stage.events().is_empty());
    stage.pass(ms(1));
    assert_eq!(stage.event(), Event::NoAck { server });
    assert!(stage.layer.is_idle());
}

#[test]
fn a_failure_is_repeated_until_its_ack_and_the_ack_is_not_reported() {
    let mut stage = Stage::new();
    let (server, invite) = stage.begin(incoming(&Method::Invite, "a", None));
    let start = stage.now;
    stage.respond(server, answer(&invite, 486, "ours"));
    stage.pass(ms(4_000));
    assert_eq!(stage.sent_times(start), [0, 500, 1500, 3500]);
    stage.receive(incoming(&Method::Invite, "a", None));
    assert_eq!(
        stage.sent(),
        ["486"],
        "a repeated INVITE gets the failure again"
    );
    stage.receive(incoming(&Method::Ack, "a", Some("ours")));
    stage.receive(incoming(&Method::Ack, "a", Some("ours")));
    stage.pass(ms(4_999));
    assert!(stage.sent().is_empty());
    assert!(stage.events().is_empty());
    assert_eq!(stage.layer.len(), 1, "timer I absorbs late ACKs");
    stage.pass(ms(1));
    assert!(stage.layer.is_idle());
    assert_eq!(stage.counters().stray_acks, 0);
}

#[test]
fn a_failure_without_an_ack_is_given_up_after_64_t1() {
    let mut stage = Stage::new();
    let (server, invite) = stage.begin(incoming(&Method::Invite, "a", None));
    stage.respond(server, answer(&invite, 486, "ours"));
    stage.pass(Duration::from_secs(32));
    assert_eq!(stage.event(), Event::NoAck { server });
    assert!(stage.layer.is_idle());
}

#[test]
fn a_repeated_bye_gets_the_same_200() {
    let mut stage = Stage::new();
    let (server, bye) = stage.begin(incoming(&Method::Bye, "a", Some("ours")));
    stage.receive(incoming(&Method::Bye, "a", Some("ours")));
    assert!(stage.sent().is_empty(), "in Trying repetitions are dropped");
    stage.respond(server, bye.reply(200));
    let first = stage.sent_one();
    stage.pass(Duration::from_secs(30));
    stage.receive(incoming(&Method::Bye, "a", Some("ours")));
    assert_eq!(stage.sent_one(), first);
    assert!(stage.events().is_empty());
    stage.pass(Duration::from_secs(2));
    assert!(stage.layer.is_idle(), "timer J");
}

#[test]
fn another_request_that_nobody_answers_is_forgotten_after_timer_f() {
    let mut stage = Stage::new();
    let (server, request) = stage.begin(incoming(&Method::Info, "a", Some("ours")));
    stage.pass(Duration::from_secs(32));
    assert!(stage.layer.is_idle());
    stage.respond(server, request.reply(200));
    assert!(stage.sent().is_empty(), "too late");
}

#[test]
fn answers_after_the_final_one_are_dropped() {
    let mut stage = Stage::new();
    let (server, invite) = stage.begin(incoming(&Method::Invite, "a", None));
    stage.respond(server, answer(&invite, 486, "ours"));
    stage.respond(server, answer(&invite, 200, "ours"));
    stage.respond(server, answer(&invite, 180, "ours"));
    assert_eq!(stage.sent(), ["486"]);
}

#[test]
fn every_answer_but_100_has_the_same_to_tag() {
    let mut stage = Stage::new();
    let (server, invite) = stage.begin(incoming(&Method::Invite, "a", None));
    for status in [100, 180, 486] {
        stage.respond(server, invite.reply(status));
    }
    let tags: Vec<_> = stage
        .sent
        .iter()
        .map(|sent| match &sent.message {
            Message::Response(response) => response.to().unwrap().tag().map(str::to_owned),
            Message::Request(_) => panic!("a request was sent"),
        })
        .collect();
    assert_eq!(tags[0], None);
    assert!(tags[1].is_some());
    assert_eq!(tags[1], tags[2]);
}

#[test]
fn a_peer_without_magic_cookie_is_matched_by_rfc_2543() {
    let via = "SIP/2.0/UDP 10.0.0.5:5060";
    let mut stage = Stage::new();
    let (server, invite) = stage.begin(incoming_with(&Method::Invite, via, None));
    stage.receive(incoming_with(&Method::Invite, via, None));
    assert!(stage.events().is_empty(), "a repetition");
    stage.respond(server, answer(&invite, 486, "ours"));
    stage.receive(incoming_with(&Method::Ack, via, Some("ours")));
    stage.sent();
    stage.pass(ms(500));
    assert!(stage.sent().is_empty(), "the ACK was found");
    stage.must_end();

    let (server, invite) = stage.begin(incoming_with(&Method::Invite, via, None));
    stage.receive(incoming_with(&Method::Cancel, via, None));
    assert!(matches!(stage.event(), Event::Cancel { server: of, .. } if of == server));
    stage.respond(server, answer(&invite, 200, "ours"));
    stage.receive(incoming_with(&Method::Ack, via, Some("someone-else")));
    assert!(
        stage.events().is_empty(),
        "the ACK's tag must be that of our answer"
    );
    stage.receive(incoming_with(&Method::Ack, via, Some("ours")));
    assert!(matches!(stage.event(), Event::Ack { server: of, .. } if of == server));
    stage.must_end();
}

#[test]
fn a_full_table_refuses_new_calls_without_a_transaction_and_lets_calls_end() {
    let limits = Limits {
        transactions: 2,
        reserve: 1,
        retry_after_secs: 7,
        ..Limits::default()
    };
    let mut stage = Stage::with_limits(limits);
    stage.begin(incoming(&Method::Invite, "a", None));
    stage.begin(incoming(&Method::Invite, "b", None));
    stage.receive(incoming(&Method::Invite, "c", None));
    let Message::Response(first) = stage.sent_one() else {
        panic!("no response")
    };
    assert_eq!(
        (first.status, first.headers.first(&Name::RetryAfter)),
        (503, Some("7"))
    );
    assert!(first.to().unwrap().tag().is_some());
    assert_eq!(stage.layer.len(), 2);
    stage.receive(incoming(&Method::Invite, "c", None));
    assert_eq!(
        stage.sent_one(),
        Message::Response(first),
        "RFC 3261 §8.2.7: a stateless answer is always the same"
    );
    stage.receive(incoming(&Method::Ack, "c", Some("whatever")));
    assert!(stage.sent().is_empty());
    assert_eq!(
        (stage.counters().refused, stage.counters().stray_acks),
        (2, 1)
    );
    stage.receive(incoming(&Method::Cancel, "a", None));
    assert_eq!(stage.sent(), ["200"], "CANCEL may use the reserve");
    assert_eq!(stage.events().len(), 1);
    stage.receive(incoming(&Method::Bye, "d", Some("ours")));
    assert_eq!(stage.sent(), ["503"], "the reserve has an end too");
}

#[test]
fn a_request_without_the_mandatory_fields_gets_400_and_one_without_via_nothing() {
    let mut stage = Stage::new();
    for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
        let mut request = incoming(&Method::Options, "a", None);
        request.headers.remove(&name);
        stage.layer.receive(stage.now, path(), request.into());
        let Some(sip::transaction::Output::Send { bytes, .. }) = stage.layer.poll() else {
            panic!("nothing sent")
        };
        assert!(bytes.starts_with(b"SIP/2.0 400"), "{name}");
    }
    let mut request = incoming(&Method::Options, "a", None);
    request.headers.remove(&Name::Via);
    stage.receive(request);
    assert!(stage.sent().is_empty());
    assert_eq!(stage.counters().malformed, 5);
    assert!(stage.layer.is_idle());
}

#[test]
fn the_event_carries_the_way_that_the_request_came() {
    let mut stage = Stage::new();
    let other = Path::udp(
        "192.0.2.1:5060".parse().unwrap(),
        "[2001:db8::7]:5060".parse().unwrap(),
    );
    stage.receive_by(other, incoming(&Method::Options, "a", None));
    let Event::Request {
        server,
        request,
        path,
    } = stage.event()
    else {
        panic!("no request")
    };
    assert_eq!(path, other);
    assert_eq!(
        request.top_via().unwrap().received(),
        Some("2001:db8::7".parse().unwrap())
    );
    stage.respond(server, request.reply(200));
    assert_eq!(stage.sent[0].path, other);
}

#[test]
fn a_transport_is_read_by_the_name_it_writes() {
    for transport in [
        Transport::Udp,
        Transport::Tcp,
        Transport::Tls,
        Transport::Ws,
        Transport::Wss,
    ] {
        assert_eq!(
            Transport::parse(&transport.name().to_lowercase()),
            Some(transport)
        );
    }
    assert_eq!(Transport::parse("sctp"), None);
}
