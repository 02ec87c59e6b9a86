//! REGISTER, rule by rule (RFC 3261 §10.3).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rstest::rstest;
use sip::registrar::{Binding, Change, Policy, RegisterOutcome, Registrar};
use sip::transaction::Path;
use sip::{Message, Name, Request};

const NOW: i64 = 1_800_000_000;
const DEVICE: i64 = 7;

fn path(port: u16) -> Path {
    Path::udp(
        "192.0.2.1:5060".parse().unwrap(),
        ([198, 51, 100, 7], port).into(),
    )
}

fn policy() -> Policy {
    Policy {
        default_expires_secs: 300,
        min_expires_secs: 60,
        max_expires_secs: 3600,
        most_bindings: 3,
    }
}

fn register(call_id: &str, number: u32, fields: &[&str]) -> Request {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let text = format!(
        "REGISTER sip:example.org SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKa\r\nFrom: <sip:100@example.org>;tag=x\r\n\
         To: <sip:100@example.org>\r\nCall-ID: {call_id}\r\nCSeq: {number} REGISTER\r\nUser-Agent: Phone 1.0\r\n{fields}Content-Length: 0\r\n\r\n"
    );
    match Message::parse(text.as_bytes()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

struct Desk {
    registrar: Registrar,
    number: u32,
}

impl Desk {
    fn new() -> Self {
        Self {
            registrar: Registrar::new(policy()),
            number: 0,
        }
    }

    /// The next REGISTER of the same Call-ID.
    fn register(&mut self, fields: &[&str]) -> RegisterOutcome {
        self.number += 1;
        self.registrar.register(
            NOW,
            DEVICE,
            &register("reg", self.number, fields),
            path(40000),
        )
    }

    fn contacts(&self) -> Vec<&str> {
        self.registrar
            .bindings(DEVICE)
            .map(|binding| binding.contact.as_str())
            .collect()
    }
}

fn listed(outcome: &RegisterOutcome) -> Vec<String> {
    outcome
        .response
        .headers
        .all(&Name::Contact)
        .map(str::to_owned)
        .collect()
}

fn kinds(outcome: &RegisterOutcome) -> Vec<(&'static str, &str)> {
    let kinds = outcome.changes.iter().map(|change| match change {
        Change::Added(binding) => ("added", binding.contact.as_str()),
        Change::Refreshed(binding) => ("refreshed", binding.contact.as_str()),
        Change::Removed(binding) => ("removed", binding.contact.as_str()),
    });
    kinds.collect()
}

#[test]
fn a_contact_is_bound_to_the_way_it_came_by() {
    let mut desk = Desk::new();
    let outcome = desk.register(&[
        "Contact: <sip:100@10.0.0.5:5060>",
        "Expires: 600",
        "Path: <sip:edge.example.org;lr>",
        "Supported: path",
    ]);
    assert_eq!(outcome.response.status, 200);
    assert_eq!(listed(&outcome), ["<sip:100@10.0.0.5:5060>;expires=600"]);
    assert_eq!(
        outcome.response.headers.first(&Name::Path),
        Some("<sip:edge.example.org;lr>")
    );
    let expected = Binding {
        device: DEVICE,
        contact: "sip:100@10.0.0.5:5060".to_owned(),
        path: path(40000),
        routes: vec!["<sip:edge.example.org;lr>".to_owned()],
        call_id: "reg".to_owned(),
        cseq: 1,
        expires_utc: NOW + 600,
        user_agent: Some("Phone 1.0".to_owned()),
    };
    assert_eq!(outcome.changes, [Change::Added(expected.clone())]);
    assert_eq!(
        desk.registrar.bindings(DEVICE).collect::<Vec<_>>(),
        [&expected]
    );
    assert_eq!(desk.registrar.next_expiry(), Some(NOW + 600));
}

#[rstest]
#[case::of_the_contact_first(&["Contact: <sip:a@h>;expires=120", "Expires: 600"], "120")]
#[case::of_the_field_next(&["Contact: <sip:a@h>", "Expires: 600"], "600")]
#[case::of_the_policy_last(&["Contact: <sip:a@h>"], "300")]
#[case::cut_to_the_most(&["Contact: <sip:a@h>", "Expires: 99999999999999999999"], "3600")]
#[case::malformed_counts_as_none(&["Contact: <sip:a@h>;expires=soon"], "300")]
#[case::the_least_is_allowed(&["Contact: <sip:a@h>;expires=60"], "60")]
fn the_time_is_that(#[case] fields: &[&str], #[case] seconds: &str) {
    let outcome = Desk::new().register(fields);
    assert_eq!(listed(&outcome), [format!("<sip:a@h>;expires={seconds}")]);
}

#[test]
fn too_short_a_time_is_423_with_the_least_and_changes_nothing() {
    let mut desk = Desk::new();
    let outcome = desk.register(&["Contact: <sip:a@h>, <sip:b@h>;expires=59"]);
    assert_eq!(outcome.response.status, 423);
    assert_eq!(
        outcome.response.headers.first(&Name::MinExpires),
        Some("60")
    );
    assert!(outcome.changes.is_empty());
    assert!(desk.registrar.is_empty(), "all or nothing");
}

#[test]
fn several_phones_of_a_device_are_listed_together_with_their_remaining_time() {
    let mut desk = Desk::new();
    desk.register(&["Contact: <sip:a@h>;expires=100"]);
    let outcome = desk.registrar.register(
        NOW + 40,
        DEVICE,
        &register("other", 1, &["Contact: <sip:b@h>;expires=200"]),
        path(1),
    );
    assert_eq!(
        listed(&outcome),
        ["<sip:a@h>;expires=60", "<sip:b@h>;expires=200"]
    );
    assert_eq!(kinds(&outcome), [("added", "sip:b@h")]);
    assert_eq!(
        desk.registrar.bindings(8).count(),
        0,
        "another device has none"
    );
}

#[test]
fn a_refresh_moves_expiry_and_path_even_when_the_contact_is_written_differently() {
    let mut desk = Desk::new();
    desk.register(&["Contact: <sip:%61@EXAMPLE.org>;expires=100"]);
    let outcome = desk.registrar.register(
        NOW + 50,
        DEVICE,
        &register("reg", 2, &["Contact: <sip:a@example.org>;expires=100"]),
        path(5),
    );
    assert_eq!(kinds(&outcome), [("refreshed", "sip:a@example.org")]);
    let bindings: Vec<_> = desk.registrar.bindings(DEVICE).collect();
    assert_eq!(
        (bindings.len(), bindings[0].expires_utc, bindings[0].path),
        (1, NOW + 150, path(5))
    );
    assert_eq!(desk.registrar.expire(NOW + 149), []);
    assert_eq!(desk.registrar.next_expiry(), Some(NOW + 150));
}

#[test]
fn a_query_lists_and_changes_nothing() {
    let mut desk = Desk::new();
    desk.register(&["Contact: <sip:a@h>"]);
    let outcome = desk.register(&[]);
    assert_eq!((outcome.response.status, outcome.changes.len()), (200, 0));
    assert_eq!(listed(&outcome), ["<sip:a@h>;expires=300"]);
    assert_eq!(
        listed(
            &desk
                .registrar
                .register(NOW, 99, &register("q", 1, &[]), path(1))
        ),
        [""; 0]
    );
}

#[test]
fn expires_zero_withdraws_one_contact() {
    let mut desk = Desk::new();
    desk.register(&["Contact: <sip:a@h>, <sip:b@h>"]);
    let outcome = desk.register(&["Contact: <sip:a@h>;expires=0"]);
    assert_eq!(kinds(&outcome), [("removed", "sip:a@h")]);
    assert_eq!(desk.contacts(), ["sip:b@h"]);
    let outcome = desk.register(&["Contact: <sip:unknown@h>", "Expires: 0"]);
    assert_eq!((outcome.response.status, outcome.changes.len()), (200, 0));
}

#[test]
fn the_wildcard_withdraws_all() {
    let mut desk = Desk::new();
    desk.register(&["Contact: <sip:a@h>, <sip:b@h>"]);
    let outcome = desk.register(&["Contact: *", "Expires: 0"]);
    assert_eq!(outcome.response.status, 200);
    assert_eq!(
        kinds(&outcome),
        [("removed", "sip:a@h"), ("removed", "sip:b@h")]
    );
    assert!(listed(&outcome).is_empty());
    assert_eq!(
        (desk.registrar.len(), desk.registrar.next_expiry()),
        (0, None)
    );
}

#[rstest]
#[case::without_expires(&["Contact: *"])]
#[case::with_a_time(&["Contact: *", "Expires: 60"])]
#[case::before_another(&["Contact: *", "Contact: <sip:b@h>", "Expires: 0"])]
#[case::behind_another(&["Contact: <sip:b@h>", "Contact: *", "Expires: 0"])]
#[case::malformed(&["Contact: <sip:b@h"])]
#[case::not_sip(&["Contact: <mailto:b@h>"])]
#[case::good_and_bad(&["Contact: <sip:b@h>", "Contact: <tel:100>"])]
fn a_bad_contact_is_400_and_changes_nothing(#[case] fields: &[&str]) {
    let mut desk = Desk::new();
    desk.register(&["Contact: <sip:a@h>"]);
    let outcome = desk.register(fields);
    assert_eq!((outcome.response.status, outcome.changes.len()), (400, 0));
    assert_eq!(desk.contacts(), ["sip:a@h"]);
}

#[test]
fn within_a_call_id_only_a_higher_number_changes_a_binding() {
    let mut desk = Desk::new();
    desk.number = 9;
    desk.register(&["Contact: <sip:a@h>"]);
    for (call_id, number, fields, status) in [
        ("reg", 10, &["Contact: <sip:a@h>;expires=0"][..], 500),
        ("reg", 9, &["Contact: <sip:b@h>, <sip:a@h>"], 500),
        ("reg", 10, &["Contact: *", "Expires: 0"], 500),
        ("new", 1, &["Contact: <sip:a@h>;expires=600"], 200),
        ("reg", 11, &["Contact: <sip:a@h>;expires=700"], 200),
    ] {
        let outcome =
            desk.registrar
                .register(NOW, DEVICE, &register(call_id, number, fields), path(40000));
        assert_eq!(outcome.response.status, status, "{call_id} {number}");
        assert_eq!(desk.contacts(), ["sip:a@h"]);
    }
}

#[test]
fn a_contact_named_twice_in_one_request_is_bound_once() {
    let mut desk = Desk::new();
    let outcome = desk.register(&["Contact: <sip:a@h>;expires=100, <sip:a@h>;expires=200"]);
    assert_eq!(listed(&outcome), ["<sip:a@h>;expires=200"]);
    assert_eq!(desk.registrar.len(), 1);
}

#[test]
fn one_binding_too_many_is_403_and_changes_nothing() {
    let mut desk = Desk::new();
    let outcome = desk.register(&["Contact: <sip:a@h>, <sip:b@h>, <sip:c@h>, <sip:d@h>"]);
    assert_eq!((outcome.response.status, outcome.changes.len()), (403, 0));
    assert!(desk.registrar.is_empty());
    desk.register(&["Contact: <sip:a@h>, <sip:b@h>, <sip:c@h>"]);
    let elsewhere = register("other", 1, &["Contact: <sip:d@h>"]);
    assert_eq!(
        desk.registrar
            .register(NOW, DEVICE, &elsewhere, path(1))
            .response
            .status,
        403
    );
    assert_eq!(desk.contacts().len(), 3);
}

#[test]
fn a_phone_that_starts_anew_takes_the_place_of_its_oldest_binding_when_there_is_no_room() {
    let mut desk = Desk::new();
    desk.register(&["Contact: <sip:a@h>, <sip:b@h>, <sip:c@h>"]);
    let outcome = desk.registrar.register(
        NOW,
        DEVICE,
        &register("new", 1, &["Contact: <sip:d@h>"]),
        path(40000),
    );
    assert_eq!(
        kinds(&outcome),
        [("removed", "sip:a@h"), ("added", "sip:d@h")]
    );
    assert_eq!(desk.contacts(), ["sip:b@h", "sip:c@h", "sip:d@h"]);
}

#[test]
fn what_expires_is_returned_once_and_in_order() {
    let mut desk = Desk::new();
    desk.register(&[
        "Contact: <sip:a@h>;expires=200, <sip:b@h>;expires=100, <sip:c@h>;expires=300",
    ]);
    assert_eq!(desk.registrar.expire(NOW + 99), []);
    let gone: Vec<String> = desk
        .registrar
        .expire(NOW + 200)
        .into_iter()
        .map(|binding| binding.contact)
        .collect();
    assert_eq!(gone, ["sip:b@h", "sip:a@h"]);
    assert_eq!(desk.registrar.expire(NOW + 200), []);
    assert_eq!(desk.registrar.next_expiry(), Some(NOW + 300));
    assert_eq!(desk.registrar.expire(i64::MAX).len(), 1);
    assert!(desk.registrar.is_empty());
}

#[test]
fn an_expired_binding_that_was_not_yet_swept_is_not_listed_and_is_reported_as_gone() {
    let mut desk = Desk::new();
    desk.register(&["Contact: <sip:a@h>;expires=100"]);
    let again = register("reg", 1, &["Contact: <sip:b@h>"]);
    let outcome = desk
        .registrar
        .register(NOW + 100, DEVICE, &again, path(40000));
    assert_eq!(
        kinds(&outcome),
        [("removed", "sip:a@h"), ("added", "sip:b@h")]
    );
    assert_eq!(listed(&outcome), ["<sip:b@h>;expires=300"]);
}

#[test]
fn stored_bindings_are_taken_up_after_a_restart() {
    let mut desk = Desk::new();
    desk.register(&["Contact: <sip:a@h>;expires=100, <sip:b@h>;expires=200"]);
    let stored =
        serde_json::to_string(&desk.registrar.bindings(DEVICE).collect::<Vec<_>>()).unwrap();
    let bindings: Vec<Binding> = serde_json::from_str(&stored).unwrap();
    let mut broken = bindings[0].clone();
    broken.contact = "no uri".to_owned();

    let mut registrar = Registrar::new(policy());
    registrar.load(bindings.clone());
    registrar.load(vec![broken, bindings[1].clone()]);
    assert_eq!(
        registrar.bindings(DEVICE).cloned().collect::<Vec<_>>(),
        bindings
    );
    assert_eq!(registrar.next_expiry(), Some(NOW + 100));
    let old = registrar.register(
        NOW,
        DEVICE,
        &register("reg", 1, &["Contact: <sip:a@h>"]),
        path(1),
    );
    assert_eq!(
        old.response.status, 500,
        "the order of requests holds across the restart"
    );
}

#[test]
fn a_device_that_is_removed_loses_all_its_bindings() {
    let mut desk = Desk::new();
    desk.register(&["Contact: <sip:a@h>, <sip:b@h>"]);
    assert_eq!(desk.registrar.remove_device(DEVICE).len(), 2);
    assert_eq!(
        (desk.registrar.len(), desk.registrar.next_expiry()),
        (0, None)
    );
}

#[test]
fn a_closed_connection_takes_its_bindings_with_it_and_no_others() {
    let mut registrar = Registrar::new(policy());
    let flow = |flow| Path {
        transport: sip::transaction::Transport::Tcp,
        flow,
        ..path(40000)
    };
    for (device, contact, way) in [
        (7, "<sip:a@10.0.0.5>", flow(1)),
        (7, "<sip:b@10.0.0.5>", flow(2)),
        (8, "<sip:c@10.0.0.5>", flow(1)),
    ] {
        let contact = format!("Contact: {contact}");
        registrar.register(NOW, device, &register(&contact, 1, &[&contact]), way);
    }
    assert!(registrar.has_path(&flow(1)));
    let gone = registrar.remove_path(&flow(1));
    let gone: Vec<&str> = gone.iter().map(|it| it.contact.as_str()).collect();
    assert_eq!(gone, ["sip:a@10.0.0.5", "sip:c@10.0.0.5"]);
    assert!(!registrar.has_path(&flow(1)));
    assert_eq!((registrar.len(), registrar.devices().count()), (1, 1));
    assert_eq!(registrar.expire(NOW + 10_000).len(), 1);
}

#[test]
fn parameters_of_outbound_are_kept_and_change_nothing() {
    let mut desk = Desk::new();
    let outcome = desk.register(&[
        "Supported: path, outbound",
        "Contact: <sip:100@10.0.0.5:5060;transport=tcp;ob>;reg-id=1;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\"",
    ]);
    assert_eq!(outcome.response.status, 200);
    assert_eq!(desk.contacts(), ["sip:100@10.0.0.5:5060;transport=tcp;ob"]);
}
