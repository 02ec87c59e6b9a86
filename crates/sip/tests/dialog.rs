//! Dialogs on both sides: what the requests in them look like, and which are refused.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use sip::dialog::{Dialog, DialogError, DialogKey, PendingInvite, Snapshot, SnapshotError, State};
use sip::transaction::Path;
use sip::{Message, Method, Name, Request, Response, Uri};

fn path() -> Path {
    Path::udp(
        "192.0.2.1:5060".parse().unwrap(),
        "198.51.100.7:40000".parse().unwrap(),
    )
}

fn contact() -> Uri {
    Uri::parse("sip:ours@192.0.2.1:5060").unwrap()
}

fn request(text: &str) -> Request {
    match Message::parse(text.replace('\n', "\r\n").as_bytes()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// An INVITE from a phone behind two proxies.
fn invite_in(record_routes: &str) -> Request {
    request(&format!(
        "INVITE sip:100@example.org SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKa\n{record_routes}\
         From: \"Caller\" <sip:200@example.org>;tag=them\nTo: <sip:100@example.org>\nCall-ID: call-1\nCSeq: 7 INVITE\n\
         Contact: <sip:200@10.0.0.5:5070;transport=udp>\nMax-Forwards: 70\nContent-Length: 0\n\n"
    ))
}

/// A request of that caller within the dialog.
fn within(method: &str, number: u32, local_tag: &str, contact: &str) -> Request {
    request(&format!(
        "{method} sip:ours@192.0.2.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKb\n\
         From: <sip:200@example.org>;tag=them\nTo: <sip:100@example.org>;tag={local_tag}\nCall-ID: call-1\n\
         CSeq: {number} {method}\nContact: <{contact}>\nContent-Length: 0\n\n"
    ))
}

fn invite_out() -> Request {
    request(
        "INVITE sip:200@10.0.0.5:5070 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKc\nFrom: <sip:100@example.org>;tag=ours\n\
         To: <sip:200@example.org>\nCall-ID: call-2\nCSeq: 41 INVITE\nContact: <sip:ours@192.0.2.1:5060>\nContent-Length: 0\n\n",
    )
}

fn answer(
    invite: &Request,
    status: u16,
    tag: &str,
    contact: &str,
    record_routes: &[&str],
) -> Response {
    let mut response = invite.reply(status);
    if !tag.is_empty() {
        response.set_to_tag(tag);
    }
    if !contact.is_empty() {
        response
            .headers
            .push(Name::Contact, &format!("<{contact}>"));
    }
    for route in record_routes {
        response.headers.push(Name::RecordRoute, route);
    }
    response
}

fn routes(request: &Request) -> Vec<&str> {
    request.headers.all(&Name::Route).collect()
}

fn called() -> Dialog {
    Dialog::uas(&invite_in(""), path(), "ours", contact()).unwrap()
}

fn caller() -> Dialog {
    let invite = invite_out();
    Dialog::uac(
        &invite,
        &answer(&invite, 200, "them", "sip:200@10.0.0.5:5070", &[]),
        path(),
        contact(),
    )
    .unwrap()
}

#[test]
fn requests_of_the_called_side_go_to_the_callers_contact_with_both_tags() {
    let mut dialog = called();
    let bye = dialog.create_request(Method::Bye);
    assert_eq!(bye.uri.to_string(), "sip:200@10.0.0.5:5070;transport=udp");
    assert_eq!(
        bye.headers.first(&Name::From),
        Some("<sip:100@example.org>;tag=ours")
    );
    assert_eq!(
        bye.headers.first(&Name::To),
        Some("\"Caller\" <sip:200@example.org>;tag=them")
    );
    assert_eq!(bye.call_id(), Some("call-1"));
    assert_eq!(bye.cseq().unwrap().to_string(), "1 BYE");
    assert_eq!(bye.max_forwards(), Some(70));
    assert!(!bye.headers.contains(&Name::Contact));
    assert!(
        !bye.headers.contains(&Name::Via),
        "the transaction layer adds it"
    );
    assert_eq!(dialog.target_path(), path());
}

#[test]
fn the_numbers_of_our_requests_rise_and_the_ack_has_that_of_its_invite() {
    let mut dialog = caller();
    assert_eq!(dialog.create_ack(41).cseq().unwrap().to_string(), "41 ACK");
    let reinvite = dialog.create_request(Method::Invite);
    assert_eq!(reinvite.cseq().unwrap().to_string(), "42 INVITE");
    assert_eq!(
        reinvite.headers.first(&Name::Contact),
        Some("<sip:ours@192.0.2.1:5060>")
    );
    let ack = dialog.create_ack(42);
    assert_eq!(ack.cseq().unwrap().to_string(), "42 ACK");
    assert!(!ack.headers.contains(&Name::Contact));
    assert_eq!(
        dialog.create_request(Method::Bye).cseq().unwrap().number,
        43
    );
}

#[test]
fn the_called_sides_route_is_the_recorded_one_and_the_callers_is_it_backwards() {
    let recorded = "Record-Route: <sip:near.example.org;lr>, <sip:far.example.org;lr>\n";
    let mut dialog = Dialog::uas(&invite_in(recorded), path(), "ours", contact()).unwrap();
    let bye = dialog.create_request(Method::Bye);
    assert_eq!(
        routes(&bye),
        ["<sip:near.example.org;lr>", "<sip:far.example.org;lr>"]
    );
    assert_eq!(bye.uri.to_string(), "sip:200@10.0.0.5:5070;transport=udp");

    let invite = invite_out();
    let ok = answer(
        &invite,
        200,
        "them",
        "sip:200@10.0.0.5",
        &["<sip:far.example.org;lr>", "<sip:near.example.org;lr>"],
    );
    let mut dialog = Dialog::uac(&invite, &ok, path(), contact()).unwrap();
    assert_eq!(
        routes(&dialog.create_request(Method::Bye)),
        ["<sip:near.example.org;lr>", "<sip:far.example.org;lr>"]
    );
}

#[test]
fn a_strict_router_gets_its_own_uri_as_request_uri_and_the_target_last() {
    // RFC 3261 §12.2.1.1
    let recorded = "Record-Route: <sip:strict.example.org>, <sip:far.example.org;lr>\n";
    let mut dialog = Dialog::uas(&invite_in(recorded), path(), "ours", contact()).unwrap();
    let bye = dialog.create_request(Method::Bye);
    assert_eq!(bye.uri.to_string(), "sip:strict.example.org");
    assert_eq!(
        routes(&bye),
        [
            "<sip:far.example.org;lr>",
            "<sip:200@10.0.0.5:5070;transport=udp>"
        ]
    );
}

#[test]
fn an_early_dialog_is_confirmed_by_the_2xx_which_sets_route_and_target_anew() {
    let invite = invite_out();
    let ringing = answer(
        &invite,
        180,
        "them",
        "sip:early@10.0.0.5",
        &["<sip:one.example.org;lr>"],
    );
    let mut dialog = Dialog::uac(&invite, &ringing, path(), contact()).unwrap();
    assert_eq!(dialog.state(), State::Early);
    assert_eq!(dialog.remote_target().to_string(), "sip:early@10.0.0.5");
    dialog.confirm(&answer(
        &invite,
        200,
        "them",
        "sip:late@10.0.0.6",
        &["<sip:two.example.org;lr>"],
    ));
    assert_eq!(dialog.state(), State::Confirmed);
    let bye = dialog.create_request(Method::Bye);
    assert_eq!(bye.uri.to_string(), "sip:late@10.0.0.6");
    assert_eq!(routes(&bye), ["<sip:two.example.org;lr>"]);
}

#[test]
fn each_fork_is_a_dialog_of_its_own() {
    let invite = invite_out();
    let keys: Vec<DialogKey> = ["one", "two"]
        .map(|tag| {
            let ok = answer(&invite, 200, tag, "sip:200@10.0.0.5", &[]);
            let dialog = Dialog::uac(&invite, &ok, path(), contact()).unwrap();
            assert_eq!(Dialog::key_of_response(&ok).as_ref(), Some(dialog.key()));
            dialog.key().clone()
        })
        .into();
    assert_ne!(keys[0], keys[1]);
    assert_eq!(keys[0].remote_tag, "one");
}

#[test]
fn a_100_and_an_answer_without_tag_begin_no_dialog_but_a_2xx_of_rfc_2543_does() {
    let invite = invite_out();
    for response in [
        answer(&invite, 100, "", "", &[]),
        answer(&invite, 100, "them", "", &[]),
        answer(&invite, 180, "", "", &[]),
    ] {
        assert_eq!(
            Dialog::uac(&invite, &response, path(), contact()),
            Err(DialogError::NoTag)
        );
    }
    let dialog = Dialog::uac(
        &invite,
        &answer(&invite, 200, "", "", &[]),
        path(),
        contact(),
    )
    .unwrap();
    assert_eq!(dialog.key().remote_tag, "");
    assert_eq!(
        dialog.remote_target(),
        &invite.uri,
        "without Contact the Request-URI stays the target"
    );
}

#[test]
fn an_invite_without_contact_is_400() {
    let mut invite = invite_in("");
    invite.headers.remove(&Name::Contact);
    let error = Dialog::uas(&invite, path(), "ours", contact()).unwrap_err();
    assert_eq!((error, error.status()), (DialogError::NoContact, 400));
}

#[test]
fn a_sequence_number_that_does_not_rise_is_500_and_a_gap_is_allowed() {
    let mut dialog = called();
    dialog
        .receive(&within("INFO", 20, "ours", "sip:200@10.0.0.5"))
        .unwrap();
    for number in [19, 20] {
        let error = dialog
            .receive(&within("BYE", number, "ours", "sip:200@10.0.0.5"))
            .unwrap_err();
        assert_eq!(
            (error, error.status()),
            (
                DialogError::OutOfOrder {
                    last: 20,
                    received: number
                },
                500
            )
        );
    }
    dialog
        .receive(&within("BYE", 21, "ours", "sip:200@10.0.0.5"))
        .unwrap();
}

#[test]
fn the_first_request_of_the_called_side_may_have_any_number() {
    let mut dialog = caller();
    let bye = request(
        "BYE sip:ours@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKb\nFrom: <sip:200@example.org>;tag=them\n\
         To: <sip:100@example.org>;tag=ours\nCall-ID: call-2\nCSeq: 0 BYE\nContent-Length: 0\n\n",
    );
    assert_eq!(Dialog::key_of_request(&bye).as_ref(), Some(dialog.key()));
    assert_eq!(dialog.receive(&bye), Ok(()));
}

#[test]
fn the_ack_of_the_invite_is_in_order_and_one_of_a_later_invite_is_not() {
    let mut dialog = called();
    assert_eq!(
        dialog.receive(&within("ACK", 7, "ours", "sip:200@10.0.0.5")),
        Ok(())
    );
    assert!(
        dialog
            .receive(&within("ACK", 8, "ours", "sip:200@10.0.0.5"))
            .is_err()
    );
}

#[test]
fn a_request_with_other_tags_is_481() {
    let mut dialog = called();
    let error = dialog
        .receive(&within("BYE", 8, "others", "sip:200@10.0.0.5"))
        .unwrap_err();
    assert_eq!((error, error.status()), (DialogError::OtherDialog, 481));
    assert_eq!(
        Dialog::key_of_request(&invite_in("")),
        None,
        "no To tag, so it begins a dialog"
    );
}

#[test]
fn reinvite_and_update_move_the_target_and_other_requests_do_not() {
    let mut dialog = called();
    for (number, method, host, target) in [
        (8, "INVITE", "10.0.0.8", "10.0.0.8"),
        (9, "UPDATE", "10.0.0.9", "10.0.0.9"),
        (10, "INFO", "10.0.0.10", "10.0.0.9"),
        (9, "UPDATE", "10.0.0.11", "10.0.0.9"),
    ] {
        let _ = dialog.receive(&within(method, number, "ours", &format!("sip:200@{host}")));
        assert_eq!(
            dialog.remote_target().to_string(),
            format!("sip:200@{target}"),
            "{method} {number}"
        );
    }
}

#[test]
fn a_2xx_to_our_reinvite_moves_the_target_but_not_the_route() {
    let mut dialog = called();
    dialog.confirm(&dialog.response(&invite_in(""), 200));
    assert_eq!(dialog.state(), State::Confirmed);
    assert_eq!(
        dialog.remote_target().to_string(),
        "sip:200@10.0.0.5:5070;transport=udp",
        "our own Contact is not the target"
    );
    let reinvite = dialog.create_request(Method::Invite);
    dialog.confirm(&answer(
        &reinvite,
        200,
        "",
        "sip:200@10.0.0.77",
        &["<sip:new.example.org;lr>"],
    ));
    let bye = dialog.create_request(Method::Bye);
    assert_eq!(bye.uri.to_string(), "sip:200@10.0.0.77");
    assert!(routes(&bye).is_empty());
}

#[test]
fn a_2xx_to_update_does_not_confirm_an_early_dialog() {
    let invite = invite_out();
    let mut dialog = Dialog::uac(
        &invite,
        &answer(&invite, 180, "them", "sip:200@10.0.0.5", &[]),
        path(),
        contact(),
    )
    .unwrap();
    let update = dialog.create_request(Method::Update);
    dialog.confirm(&answer(&update, 200, "", "sip:200@10.0.0.6", &[]));
    assert_eq!(dialog.state(), State::Early);
    assert_eq!(dialog.remote_target().to_string(), "sip:200@10.0.0.6");
}

#[test]
fn our_answers_have_tag_contact_and_the_recorded_route() {
    let recorded = "Record-Route: <sip:near.example.org;lr>, <sip:far.example.org;lr>\n";
    let invite = invite_in(recorded);
    let dialog = Dialog::uas(&invite, path(), "ours", contact()).unwrap();
    let trying = dialog.response(&invite, 100);
    assert_eq!(trying.to().unwrap().tag(), None);
    assert!(!trying.headers.contains(&Name::Contact));
    for status in [180, 183, 200] {
        let response = dialog.response(&invite, status);
        assert_eq!(response.to().unwrap().tag(), Some("ours"));
        assert_eq!(
            response.headers.first(&Name::Contact),
            Some("<sip:ours@192.0.2.1:5060>")
        );
        assert_eq!(response.headers.all(&Name::RecordRoute).count(), 2);
    }
    let busy = dialog.response(&invite, 486);
    assert_eq!(busy.to().unwrap().tag(), Some("ours"));
    assert!(!busy.headers.contains(&Name::Contact) && !busy.headers.contains(&Name::RecordRoute));
    let bye = dialog.response(&within("BYE", 8, "ours", "sip:200@10.0.0.5"), 200);
    assert!(!bye.headers.contains(&Name::Contact));
}

#[test]
fn a_dialog_survives_a_restart_as_a_record_and_can_say_bye() {
    let recorded = "Record-Route: <sip:near.example.org;lr>\n";
    let mut dialog = Dialog::uas(&invite_in(recorded), path(), "ours", contact()).unwrap();
    dialog.confirm(&dialog.response(&invite_in(recorded), 200));
    dialog.create_request(Method::Options);
    let stored = serde_json::to_string(&dialog.snapshot()).unwrap();
    let snapshot: Snapshot = serde_json::from_str(&stored).unwrap();
    let mut restored = Dialog::restore(&snapshot).unwrap();
    assert_eq!(
        (restored.key(), restored.state(), restored.target_path()),
        (dialog.key(), State::Confirmed, path())
    );
    let (bye, expected) = (
        restored.create_request(Method::Bye),
        dialog.create_request(Method::Bye),
    );
    assert!(
        bye.cseq().unwrap().number > expected.cseq().unwrap().number,
        "requests after the record may have been sent"
    );
    for name in [Name::From, Name::To, Name::CallId, Name::Route] {
        assert_eq!(bye.headers.first(&name), expected.headers.first(&name));
    }
    assert_eq!(bye.uri, expected.uri);
}

#[test]
fn a_record_of_another_version_is_refused() {
    let mut value = serde_json::to_value(called().snapshot()).unwrap();
    value["version"] = 2.into();
    let snapshot: Snapshot = serde_json::from_value(value).unwrap();
    assert_eq!(Dialog::restore(&snapshot), Err(SnapshotError::Version(2)));
    let mut value = serde_json::to_value(PendingInvite::sent(&invite_out(), path())).unwrap();
    value["version"] = 2.into();
    let pending: PendingInvite = serde_json::from_value(value).unwrap();
    assert_eq!(pending.cancel(), Err(SnapshotError::Version(2)));
}
