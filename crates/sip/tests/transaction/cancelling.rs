//! CANCEL, sent and received, and INVITEs taken up after a restart.

use std::time::Duration;

use sip::dialog::PendingInvite;
use sip::transaction::{Event, Transactions};
use sip::{Message, Method, Name, Request};

use crate::stage::{Stage, ack, answer, incoming, ms, outgoing, path};

fn sent_request(stage: &mut Stage) -> Request {
    match stage.sent_one() {
        Message::Request(request) => request,
        Message::Response(response) => panic!("{response:?}"),
    }
}

#[test]
fn a_cancel_waits_for_a_provisional_answer() {
    let mut stage = Stage::new();
    let client = stage.request(outgoing(&Method::Invite));
    let invite = stage.last_request();
    stage.sent();
    stage.cancel(client);
    assert!(stage.sent().is_empty());
    stage.pass(ms(500));
    assert_eq!(stage.sent(), ["INVITE"], "the INVITE is still repeated");
    stage.receive(answer(&invite, 100, ""));
    let cancel = sent_request(&mut stage);
    // RFC 3261 §9.1
    assert_eq!(cancel.method, Method::Cancel);
    assert_eq!(cancel.uri, invite.uri);
    for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::Route] {
        assert_eq!(
            cancel.headers.all(&name).collect::<Vec<_>>(),
            invite.headers.all(&name).collect::<Vec<_>>(),
            "{name}"
        );
    }
    assert_eq!(cancel.cseq().unwrap().to_string(), "1 CANCEL");
    stage.events();
    stage.receive(answer(&cancel, 200, "them"));
    assert!(
        stage.events().is_empty(),
        "the answer to CANCEL is the layer's matter"
    );
    stage.receive(answer(&invite, 487, "them"));
    assert_eq!(stage.sent(), ["ACK"]);
    assert!(matches!(stage.event(), Event::Response { response, .. } if response.status == 487));
    stage.must_end();
    assert!(stage.events().is_empty());
}

#[test]
fn a_cancel_goes_out_at_once_when_the_phone_rings_and_only_once() {
    let mut stage = Stage::new();
    let client = stage.request(outgoing(&Method::Invite));
    let invite = stage.last_request();
    stage.receive(answer(&invite, 180, "them"));
    stage.sent();
    stage.cancel(client);
    stage.cancel(client);
    stage.receive(answer(&invite, 180, "them"));
    assert_eq!(stage.sent(), ["CANCEL"]);
}

/// The telephone came back during the last repetitions, and its 180 was lost.
#[test]
fn a_withdrawn_invite_is_cancelled_once_no_copy_can_be_on_its_way() {
    let mut stage = Stage::new();
    let client = stage.request(outgoing(&Method::Invite));
    let invite = stage.last_request();
    stage.cancel(client);
    stage.pass(Duration::from_secs(32));
    assert_eq!(stage.sent(), ["INVITE"; 7]);
    stage.pass(ms(4_999));
    assert!(stage.sent().is_empty());
    stage.pass(ms(1));
    assert_eq!(stage.sent(), ["CANCEL"]);
    stage.receive(answer(&invite, 487, "them"));
    assert_eq!(stage.sent(), ["ACK"]);
}

#[test]
fn a_180_after_the_last_repetition_is_still_cancelled() {
    let mut stage = Stage::new();
    let client = stage.request(outgoing(&Method::Invite));
    let invite = stage.last_request();
    stage.cancel(client);
    stage.pass(ms(33_000));
    stage.sent();
    stage.receive(answer(&invite, 180, "them"));
    assert_eq!(stage.sent(), ["CANCEL"]);
}

#[test]
fn a_lost_cancel_is_repeated() {
    let mut stage = Stage::new();
    let client = stage.request(outgoing(&Method::Invite));
    let invite = stage.last_request();
    stage.receive(answer(&invite, 180, "them"));
    stage.sent();
    stage.cancel(client);
    stage.pass(ms(1500));
    assert_eq!(stage.sent(), ["CANCEL"; 3]);
}

#[test]
fn a_cancelled_invite_without_a_final_answer_times_out_after_64_t1() {
    let mut stage = Stage::new();
    let client = stage.request(outgoing(&Method::Invite));
    let invite = stage.last_request();
    stage.receive(answer(&invite, 180, "them"));
    stage.events();
    stage.pass(Duration::from_secs(60));
    stage.cancel(client);
    stage.pass(ms(31_999));
    assert!(stage.events().is_empty());
    stage.pass(ms(1));
    assert_eq!(stage.event(), Event::Timeout { client });
    stage.must_end();
}

#[test]
fn a_cancel_after_the_200_does_nothing() {
    let mut stage = Stage::new();
    let client = stage.request(outgoing(&Method::Invite));
    let invite = stage.last_request();
    stage.receive(answer(&invite, 180, "them"));
    stage.receive(answer(&invite, 200, "them"));
    stage.sent();
    stage.events();
    stage.cancel(client);
    stage.pass(Duration::from_secs(10));
    assert!(stage.sent().is_empty());
    stage.must_end();
    assert!(stage.events().is_empty());
}

#[test]
fn a_200_that_crosses_the_cancel_is_reported_and_acknowledged() {
    let mut stage = Stage::new();
    let client = stage.request(outgoing(&Method::Invite));
    let invite = stage.last_request();
    stage.receive(answer(&invite, 180, "them"));
    stage.cancel(client);
    stage.events();
    stage.receive(answer(&invite, 200, "them"));
    assert!(matches!(stage.event(), Event::Response { response, .. } if response.status == 200));
    stage.sent();
    stage.layer.ack(stage.now, client, path(), ack("them"));
    stage.drain();
    assert_eq!(stage.sent(), ["ACK"]);
    stage.must_end();
    assert!(stage.events().is_empty(), "no timeout after a final answer");
}

#[test]
fn a_received_cancel_is_answered_and_reported_once_and_the_invite_ends_with_487() {
    let mut stage = Stage::new();
    let (server, invite) = stage.begin(incoming(&Method::Invite, "a", None));
    stage.respond(server, answer(&invite, 180, "ours"));
    stage.sent();
    stage.receive(incoming(&Method::Cancel, "a", None));
    let Message::Response(ok) = stage.sent_one() else {
        panic!("no response")
    };
    assert_eq!(ok.status, 200);
    assert_eq!(ok.cseq().unwrap().method, Method::Cancel);
    assert_eq!(
        ok.to().unwrap().tag(),
        Some("ours"),
        "the tag of the INVITE's answers"
    );
    assert!(
        matches!(stage.event(), Event::Cancel { server: of, request } if of == server && request.method == Method::Cancel)
    );
    stage.receive(incoming(&Method::Cancel, "a", None));
    assert_eq!(
        stage.sent(),
        ["200"],
        "a repeated CANCEL gets the same answer"
    );
    assert!(stage.events().is_empty());
    stage.respond(server, answer(&invite, 487, "ours"));
    stage.receive(incoming(&Method::Ack, "a", Some("ours")));
    assert_eq!(stage.sent(), ["487"]);
    stage.must_end();
}

#[test]
fn a_cancel_that_arrives_after_the_final_answer_gets_200_and_changes_nothing() {
    let mut stage = Stage::new();
    let (server, invite) = stage.begin(incoming(&Method::Invite, "a", None));
    stage.respond(server, answer(&invite, 200, "ours"));
    stage.sent();
    stage.receive(incoming(&Method::Cancel, "a", None));
    assert_eq!(stage.sent(), ["200"]);
    assert!(stage.events().is_empty());
    stage.must_end();
}

#[test]
fn a_cancel_that_fits_no_invite_gets_481_with_a_tag() {
    let mut stage = Stage::new();
    stage.begin(incoming(&Method::Invite, "a", None));
    stage.receive(incoming(&Method::Cancel, "b", None));
    let Message::Response(refused) = stage.sent_one() else {
        panic!("no response")
    };
    assert_eq!(refused.status, 481);
    assert!(refused.to().unwrap().tag().is_some());
    assert!(stage.events().is_empty());
}

#[test]
fn after_a_restart_a_ringing_phone_is_cancelled_with_the_stored_branch() {
    let mut before = Stage::new();
    let client = before.request(outgoing(&Method::Invite));
    let invite = before.last_request();
    let stored = serde_json::to_string(&PendingInvite::sent(
        before.layer.request_of(client).unwrap(),
        path(),
    ))
    .unwrap();

    let record: PendingInvite = serde_json::from_str(&stored).unwrap();
    let mut stage = Stage::new();
    let client = stage
        .layer
        .resume_invite(stage.now, record.path(), record.request().unwrap())
        .unwrap();
    stage.cancel(client);
    let cancel = sent_request(&mut stage);
    assert_eq!(cancel, record.cancel().unwrap());
    assert_eq!(
        cancel.headers.first(&Name::Via),
        invite.headers.first(&Name::Via)
    );
    assert_eq!(cancel.uri, invite.uri);
    stage.receive(answer(&cancel, 200, "them"));
    stage.receive(answer(&invite, 487, "them"));
    assert_eq!(
        stage.sent(),
        ["ACK"],
        "the 487 is acknowledged, so the phone is quiet"
    );
    stage.must_end();
}

#[test]
fn a_stored_cancel_can_be_sent_on_its_own_and_keeps_its_via() {
    let mut before = Stage::new();
    before.request(outgoing(&Method::Invite));
    let record = PendingInvite::sent(&before.last_request(), path());
    let mut stage = Stage::new();
    let client = stage.request(record.cancel().unwrap());
    let cancel = sent_request(&mut stage);
    assert_eq!(
        cancel.headers.all(&Name::Via).collect::<Vec<_>>(),
        [before.last_request().headers.first(&Name::Via).unwrap()]
    );
    stage.receive(answer(&cancel, 200, "them"));
    assert!(matches!(stage.event(), Event::Response { client: of, .. } if of == client));
    stage.must_end();
}

#[test]
fn after_a_restart_a_waiting_caller_gets_503_until_he_acknowledges_it() {
    let mut before = Stage::new();
    let (server, invite) = before.begin(incoming(&Method::Invite, "a", None));
    before.respond(server, answer(&invite, 180, "ours"));
    let stored = serde_json::to_string(&PendingInvite::received(&invite, path(), "ours")).unwrap();

    let record: PendingInvite = serde_json::from_str(&stored).unwrap();
    let mut stage = Stage::new();
    let server = stage
        .layer
        .resume_server(stage.now, record.path(), &record.request().unwrap())
        .unwrap();
    stage.receive(incoming(&Method::Invite, "a", None));
    assert!(
        stage.events().is_empty(),
        "the caller's repetition is no new call"
    );
    stage.respond(server, record.refusal(503).unwrap());
    let Message::Response(refusal) = stage.sent_one() else {
        panic!("no response")
    };
    assert_eq!(refusal.status, 503);
    assert_eq!(
        refusal.headers.first(&Name::Via),
        invite.headers.first(&Name::Via)
    );
    assert_eq!(refusal.to().unwrap().tag(), Some("ours"));
    assert_eq!(
        refusal.headers.first(&Name::From),
        invite.headers.first(&Name::From)
    );
    assert_eq!(refusal.cseq(), invite.cseq());
    stage.pass(ms(500));
    assert_eq!(stage.sent(), ["503"], "repeated by timer G");
    stage.receive(incoming(&Method::Ack, "a", Some("ours")));
    stage.pass(Duration::from_secs(10));
    assert!(stage.sent().is_empty());
    stage.must_end();
}

#[test]
fn the_layer_can_be_moved_into_another_owner() {
    fn assert_send<T: Send>() {}
    assert_send::<Transactions>();
}
