//! Requests that we send.

use std::time::Duration;

use sip::transaction::{Event, Path};
use sip::{Message, Method, Name};

use crate::stage::{Stage, ack, answer, ms, outgoing, path, tcp};

#[test]
fn our_via_stands_on_top_with_a_new_branch_and_rport() {
    let mut stage = Stage::new();
    let first = stage.request(outgoing(&Method::Options));
    let second = stage.request(outgoing(&Method::Options));
    assert_ne!(first, second);
    let vias: Vec<_> = stage
        .sent
        .iter()
        .map(|sent| match &sent.message {
            Message::Request(request) => request.top_via().unwrap(),
            Message::Response(_) => panic!("a response was sent"),
        })
        .collect();
    assert!(
        vias.iter()
            .all(|via| via.branch().unwrap().starts_with("z9hG4bK") && via.wants_rport())
    );
    assert!(
        vias.iter()
            .all(|via| via.sent_by() == "192.0.2.1:5060" && via.transport == "UDP")
    );
    assert_ne!(vias[0].branch(), vias[1].branch());
    stage.must_end();
}

#[test]
fn an_unanswered_invite_is_repeated_in_doubling_intervals_and_times_out_after_64_t1() {
    let mut stage = Stage::new();
    let start = stage.now;
    let client = stage.request(outgoing(&Method::Invite));
    stage.pass(Duration::from_secs(31));
    assert_eq!(stage.sent_times(start), [0, 500, 1500, 3500, 7500, 15500]);
    assert!(stage.events().is_empty());
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.event(), Event::Timeout { client });
    assert_eq!(stage.sent(), ["INVITE"; 1], "the seventh, at 31.5 s");
    assert!(stage.layer.is_idle());
}

#[test]
fn an_invite_over_a_reliable_transport_is_sent_once() {
    let mut stage = Stage::new();
    let client = stage
        .layer
        .request(stage.now, tcp(), outgoing(&Method::Invite));
    stage.drain();
    stage.pass(Duration::from_secs(32));
    assert_eq!(stage.sent(), ["INVITE"]);
    assert_eq!(stage.event(), Event::Timeout { client });
}

#[test]
fn a_provisional_answer_ends_the_repetition_of_an_invite() {
    let mut stage = Stage::new();
    stage.request(outgoing(&Method::Invite));
    let invite = stage.last_request();
    stage.receive(answer(&invite, 100, ""));
    stage.receive(answer(&invite, 180, "them"));
    stage.sent();
    stage.pass(Duration::from_secs(100));
    assert!(stage.sent().is_empty(), "a ringing phone may take its time");
    assert_eq!(
        stage.events().len(),
        2,
        "every provisional answer is reported"
    );
}

#[test]
fn an_invite_that_rings_and_never_ends_is_cancelled_by_timer_c() {
    let mut stage = Stage::new();
    let client = stage.request(outgoing(&Method::Invite));
    let invite = stage.last_request();
    stage.receive(answer(&invite, 180, "them"));
    stage.pass(Duration::from_secs(150));
    stage.receive(answer(&invite, 180, "them"));
    stage.sent();
    stage.events();
    stage.pass(Duration::from_secs(199));
    assert!(
        stage.sent().is_empty(),
        "each provisional answer starts timer C anew"
    );
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.sent(), ["CANCEL"]);
    stage.pass(Duration::from_secs(32));
    assert_eq!(stage.event(), Event::Timeout { client });
    stage.must_end();
}

#[test]
fn a_failure_gets_an_ack_with_the_branch_of_the_invite_and_each_copy_gets_it_again() {
    let mut stage = Stage::new();
    let client = stage.request(outgoing(&Method::Invite));
    let invite = stage.last_request();
    stage.sent();
    let busy = answer(&invite, 486, "them");
    stage.receive(busy.clone());
    let Message::Request(ack) = stage.sent_one() else {
        panic!("no request")
    };
    // RFC 3261 §17.1.1.3
    assert_eq!(ack.method, Method::Ack);
    assert_eq!(ack.uri, invite.uri);
    assert_eq!(
        ack.top_via().unwrap().branch(),
        invite.top_via().unwrap().branch()
    );
    assert_eq!(ack.headers.all(&Name::Via).count(), 1);
    assert_eq!(ack.to().unwrap().tag(), Some("them"));
    assert_eq!(
        ack.headers.first(&Name::From),
        invite.headers.first(&Name::From)
    );
    assert_eq!(ack.call_id(), invite.call_id());
    assert_eq!(ack.cseq().unwrap().to_string(), "1 ACK");
    assert_eq!(
        ack.headers.first(&Name::Route),
        invite.headers.first(&Name::Route)
    );
    assert!(
        matches!(stage.event(), Event::Response { client: of, response, .. } if of == client && response.status == 486)
    );
    stage.receive(busy.clone());
    stage.receive(busy);
    assert_eq!(stage.sent(), ["ACK", "ACK"]);
    assert!(stage.events().is_empty());
    stage.pass(Duration::from_secs(31));
    assert_eq!(
        stage.layer.len(),
        1,
        "timer D: copies of the failure may come for 32 s"
    );
    stage.pass(Duration::from_secs(1));
    assert!(stage.layer.is_idle());
}

#[test]
fn a_failure_over_a_reliable_transport_leaves_nothing_behind() {
    let mut stage = Stage::new();
    stage
        .layer
        .request(stage.now, tcp(), outgoing(&Method::Invite));
    stage.drain();
    let invite = stage.last_request();
    stage.receive(answer(&invite, 404, "them"));
    stage.pass(Duration::ZERO);
    assert!(stage.layer.is_idle(), "timers D is zero");
}

#[test]
fn each_copy_of_a_2xx_gets_the_users_ack_again_and_is_not_reported() {
    let mut stage = Stage::new();
    let client = stage.request(outgoing(&Method::Invite));
    let invite = stage.last_request();
    stage.sent();
    let ok = answer(&invite, 200, "them");
    stage.receive(ok.clone());
    assert!(matches!(stage.event(), Event::Response { response, .. } if response.status == 200));
    assert!(stage.sent().is_empty(), "the ACK of a 2xx is the user's");
    let elsewhere = Path {
        remote: "203.0.113.9:5060".parse().unwrap(),
        ..path()
    };
    stage.layer.ack(stage.now, client, elsewhere, ack("them"));
    stage.drain();
    assert_eq!(stage.sent[0].path, elsewhere);
    let Message::Request(first) = stage.sent_one() else {
        panic!("no request")
    };
    assert_ne!(
        first.top_via().unwrap().branch(),
        invite.top_via().unwrap().branch(),
        "the ACK of a 2xx has a branch of its own"
    );
    stage.receive(ok.clone());
    stage.receive(ok);
    assert!(stage.events().is_empty());
    assert_eq!(stage.sent.len(), 2);
    for sent in std::mem::take(&mut stage.sent) {
        assert_eq!(
            sent.message,
            Message::Request(first.clone()),
            "the very same ACK"
        );
        assert_eq!(sent.path, elsewhere);
    }
    stage.must_end();
}

#[test]
fn a_copy_of_a_2xx_that_overtakes_the_users_ack_is_absorbed() {
    let mut stage = Stage::new();
    stage.request(outgoing(&Method::Invite));
    let invite = stage.last_request();
    stage.sent();
    stage.receive(answer(&invite, 200, "them"));
    stage.receive(answer(&invite, 200, "them"));
    assert_eq!(stage.events().len(), 1);
    assert!(stage.sent().is_empty());
    stage.must_end();
}

#[test]
fn a_forked_2xx_with_another_to_tag_is_reported_and_acknowledged_on_its_own() {
    let mut stage = Stage::new();
    let client = stage.request(outgoing(&Method::Invite));
    let invite = stage.last_request();
    stage.sent();
    for tag in ["one", "two"] {
        stage.receive(answer(&invite, 200, tag));
        assert!(
            matches!(stage.event(), Event::Response { response, .. } if response.to().unwrap().tag() == Some(tag))
        );
        stage.layer.ack(stage.now, client, path(), ack(tag));
        stage.drain();
    }
    stage.sent();
    stage.receive(answer(&invite, 200, "one"));
    let Message::Request(again) = stage.sent_one() else {
        panic!("no request")
    };
    assert_eq!(again.to().unwrap().tag(), Some("one"));
    stage.pass(Duration::from_secs(31));
    stage.receive(answer(&invite, 200, "three"));
    assert_eq!(
        stage.events().len(),
        1,
        "RFC 6026: 2xx are taken until timer M fires"
    );
    stage.pass(Duration::from_secs(1));
    assert!(stage.layer.is_idle());
    assert!(stage.events().is_empty(), "timer M is no failure");
}

#[test]
fn more_forks_than_the_limit_are_not_followed() {
    let limits = sip::transaction::Limits {
        forks: 2,
        ..Default::default()
    };
    let mut stage = Stage::with_limits(limits);
    stage.request(outgoing(&Method::Invite));
    let invite = stage.last_request();
    for tag in 0..50 {
        stage.receive(answer(&invite, 200, &format!("tag{tag}")));
    }
    assert_eq!(stage.events().len(), 2);
    stage.must_end();
}

#[test]
fn a_2xx_after_the_transaction_is_counted_and_dropped() {
    let mut stage = Stage::new();
    let client = stage.request(outgoing(&Method::Invite));
    let invite = stage.last_request();
    stage.receive(answer(&invite, 200, "them"));
    stage.pass(Duration::from_secs(40));
    stage.events();
    stage.receive(answer(&invite, 200, "them"));
    assert!(stage.events().is_empty());
    assert_eq!(stage.counters().stray_successes, 1);
    stage.sent();
    stage.layer.ack(stage.now, client, path(), ack("them"));
    stage.drain();
    assert_eq!(stage.sent(), ["ACK"], "a late ACK is still sent");
    assert!(stage.layer.is_idle());
}

#[test]
fn another_request_is_repeated_up_to_every_t2_and_times_out_after_64_t1() {
    let mut stage = Stage::new();
    let start = stage.now;
    let client = stage.request(outgoing(&Method::Bye));
    stage.pass(Duration::from_secs(32));
    assert_eq!(
        stage.sent_times(start),
        [
            0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500
        ]
    );
    assert_eq!(stage.event(), Event::Timeout { client });
    assert!(stage.layer.is_idle());
}

#[test]
fn a_provisional_answer_slows_the_repetition_of_another_request_to_t2() {
    let mut stage = Stage::new();
    let start = stage.now;
    let client = stage.request(outgoing(&Method::Bye));
    let bye = stage.last_request();
    stage.pass(ms(600));
    stage.receive(answer(&bye, 100, ""));
    stage.pass(Duration::from_secs(10));
    assert_eq!(stage.sent_times(start), [0, 500, 1500, 5500, 9500]);
    stage.events();
    stage.pass(Duration::from_secs(22));
    assert_eq!(stage.event(), Event::Timeout { client }, "timer F runs on");
}

#[test]
fn a_lost_request_is_answered_once_however_often_the_answer_comes() {
    let mut stage = Stage::new();
    let client = stage.request(outgoing(&Method::Bye));
    let bye = stage.last_request();
    stage.pass(ms(500));
    let ok = answer(&bye, 200, "them");
    stage.receive(ok.clone());
    stage.receive(ok.clone());
    stage.receive(ok);
    assert!(matches!(stage.event(), Event::Response { client: of, .. } if of == client));
    stage.sent();
    stage.pass(Duration::from_secs(4));
    assert!(stage.sent().is_empty());
    assert_eq!(stage.layer.len(), 1, "timer K");
    stage.pass(Duration::from_secs(1));
    assert!(stage.layer.is_idle());
}

#[test]
fn an_answer_with_a_foreign_branch_or_method_or_a_second_via_is_dropped() {
    let mut stage = Stage::new();
    stage.request(outgoing(&Method::Bye));
    let bye = stage.last_request();
    let ok = answer(&bye, 200, "them");
    let mut foreign = ok.clone();
    foreign
        .headers
        .set(Name::Via, "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKguess");
    let mut method = ok.clone();
    method.headers.set(Name::CSeq, "2 INVITE");
    let mut second = ok.clone();
    second
        .headers
        .push(Name::Via, "SIP/2.0/UDP 203.0.113.1;branch=z9hG4bKx");
    for wrong in [foreign, method, second] {
        stage.receive(wrong);
        assert!(stage.events().is_empty());
    }
    assert_eq!(
        stage.counters().stray_responses + stage.counters().stray_successes,
        3
    );
    stage.receive(ok);
    assert_eq!(stage.events().len(), 1);
}

#[test]
fn the_invite_as_sent_can_be_read_while_it_lives() {
    let mut stage = Stage::new();
    let client = stage.request(outgoing(&Method::Invite));
    let sent = stage.last_request();
    assert_eq!(stage.layer.request_of(client), Some(&sent));
    stage.must_end();
    assert_eq!(stage.layer.request_of(client), None);
}

#[test]
fn keys_are_never_used_twice() {
    let mut stage = Stage::new();
    let first = stage.request(outgoing(&Method::Options));
    stage.must_end();
    assert!(stage.request(outgoing(&Method::Options)) > first);
    stage.sent();
    stage.cancel(first);
    assert!(stage.sent().is_empty());
}
