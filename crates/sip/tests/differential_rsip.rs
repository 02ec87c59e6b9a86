//! rsip 0.4 reads the same corpus. Where it and we differ, the difference stands in the table below with the rule that
//! decides it; a difference that is not listed fails, and so does a listed one that is gone.
#![allow(clippy::unwrap_used, reason = "a test ends where its expectation does")]

mod corpus;

use std::collections::BTreeMap;

use rsip::headers::{ToTypedHeader, UntypedHeader};
use rsip::message::{HasHeaders, HeadersExt};
use rsip::{Header, SipMessage};
use sip::{Message, Name, NameAddr, Uri, Via};

/// What is compared of a message, by field.
type View = BTreeMap<&'static str, String>;

fn uri_text(uri: &Uri) -> String {
    let user = uri.user.as_deref().unwrap_or("-");
    let password = uri
        .password
        .as_deref()
        .map(|password| format!(":{password}"))
        .unwrap_or_default();
    let port = uri.port.map(|port| format!(":{port}")).unwrap_or_default();
    format!(
        "{}|{user}{password}|{}{port}",
        uri.scheme.as_str(),
        uri.host_str()
    )
}

fn address_text(address: Option<NameAddr>) -> String {
    match address {
        Some(address) => format!(
            "{} tag {}",
            uri_text(&address.uri),
            address.tag().unwrap_or("-")
        ),
        None => "unreadable".to_owned(),
    }
}

fn ours(bytes: &[u8]) -> View {
    let message = match Message::parse(bytes) {
        Ok(message) => message,
        Err(_) => return View::from([("message", "refused".to_owned())]),
    };
    let mut view = View::from([("message", "read".to_owned())]);
    let (from, to, call_id, cseq, body) = match &message {
        Message::Request(request) => {
            view.insert("method", request.method.to_string());
            view.insert("uri", uri_text(&request.uri));
            (
                request.from(),
                request.to(),
                request.call_id(),
                request.cseq(),
                &request.body,
            )
        }
        Message::Response(response) => {
            view.insert("status", response.status.to_string());
            (
                response.from(),
                response.to(),
                response.call_id(),
                response.cseq(),
                &response.body,
            )
        }
    };
    view.insert("from", address_text(from));
    view.insert("to", address_text(to));
    view.insert("call-id", call_id.unwrap_or("unreadable").to_owned());
    view.insert(
        "cseq",
        cseq.map_or("unreadable".to_owned(), |cseq| cseq.to_string()),
    );
    let hops: Vec<String> = message
        .headers()
        .all(&Name::Via)
        .map(|value| {
            let via = Via::parse(value).unwrap();
            format!(
                "{} {} {}",
                via.transport,
                via.sent_by(),
                via.branch().unwrap_or("-")
            )
        })
        .collect();
    view.insert("via", hops.join(", "));
    view.insert("body", hex::encode(body));
    view
}

fn their_uri(uri: &rsip::Uri) -> String {
    let scheme = uri
        .scheme
        .as_ref()
        .map_or("-".to_owned(), |scheme| scheme.to_string().to_lowercase());
    let (user, password) = match &uri.auth {
        Some(auth) => (
            auth.user.clone(),
            auth.password
                .as_ref()
                .map(|password| format!(":{password}"))
                .unwrap_or_default(),
        ),
        None => ("-".to_owned(), String::new()),
    };
    format!("{scheme}|{user}{password}|{}", uri.host_with_port)
}

fn theirs(bytes: &[u8]) -> View {
    let message = match SipMessage::try_from(bytes) {
        Ok(message) => message,
        Err(_) => return View::from([("message", "refused".to_owned())]),
    };
    let mut view = View::from([("message", "read".to_owned())]);
    let body = match &message {
        SipMessage::Request(request) => {
            view.insert("method", request.method.to_string());
            view.insert("uri", their_uri(&request.uri));
            &request.body
        }
        SipMessage::Response(response) => {
            view.insert("status", response.status_code.code().to_string());
            &response.body
        }
    };
    let tag = |tag: Option<&rsip::param::Tag>| tag.map_or("-".to_owned(), ToString::to_string);
    let unreadable = || "unreadable".to_owned();
    let from = message.from_header().and_then(|header| header.typed());
    view.insert(
        "from",
        from.map_or_else(
            |_| unreadable(),
            |from| format!("{} tag {}", their_uri(&from.uri), tag(from.tag())),
        ),
    );
    let to = message.to_header().and_then(|header| header.typed());
    view.insert(
        "to",
        to.map_or_else(
            |_| unreadable(),
            |to| format!("{} tag {}", their_uri(&to.uri), tag(to.tag())),
        ),
    );
    let call_id = message
        .call_id_header()
        .map(|header| header.value().to_owned());
    view.insert("call-id", call_id.unwrap_or_else(|_| unreadable()));
    let cseq = message.cseq_header().and_then(|header| header.typed());
    view.insert(
        "cseq",
        cseq.map_or_else(
            |_| unreadable(),
            |cseq| format!("{} {}", cseq.seq, cseq.method),
        ),
    );
    let hops: Vec<String> = message
        .headers()
        .iter()
        .filter_map(|header| match header {
            Header::Via(via) => Some(via.typed().map_or_else(
                |_| unreadable(),
                |via| {
                    let branch = via.branch().map_or("-".to_owned(), ToString::to_string);
                    format!("{} {} {branch}", via.transport, via.uri.host_with_port)
                },
            )),
            _ => None,
        })
        .collect();
    view.insert("via", hops.join(", "));
    view.insert("body", hex::encode(body));
    view
}

/// The rules that decide for us.
const USER: &str = "RFC 3261 §25.1: a user may hold unreserved marks such as the dot; rsip takes the user for a part of the host";
const COLON: &str = "RFC 3261 §7.3.1: white space may stand between the name and the colon";
const FOLDING: &str =
    "RFC 3261 §7.3.1: a line that begins with white space continues the one before";
const COMPACT: &str = "RFC 3261 §7.3.3: the compact form of a name means the same field";
const METHOD: &str =
    "RFC 3261 §25.1: a method is any token; an unknown one is answered 405, not dropped";
const LISTS: &str = "RFC 3261 §7.3.1: comma-separated values are the same as one value a line";
const LENGTH: &str = "RFC 3261 §18.3: bytes behind the Content-Length are dropped";
const BAD_LENGTH: &str = "RFC 3261 §18.3, RFC 4475 §3.1.2.2, §3.1.2.3, §3.3.9: a length that is wrong or doubtful is 400";
const TRANSPORT: &str = "RFC 3261 §25.1: the transport of a Via is any token";
const SCHEME: &str =
    "RFC 3261 §25.1: a URI of another scheme is opaque (416 answers it), a tel URI is common";
const IPV6: &str = "RFC 3261 §25.1, RFC 5118 §4: a host may be an IPv6 reference";
const BAD_VIA: &str = "RFC 4475 §3.1.2.1: empty parameters and values are 400";
const BAD_CSEQ: &str = "RFC 3261 §8.1.1.5, RFC 4475 §3.1.2.5: a sequence number is below 2^31";
const BAD_TO: &str = "RFC 4475 §3.1.2.6: an unclosed quoted string is 400";
const BAD_REQUEST_URI: &str =
    "RFC 3261 §7.1, RFC 4475 §3.1.2.7: a Request-URI has no angle brackets";
const SPACES: &str = "RFC 4475 §3.1.2.14: spaces around the URI may be passed over, and we do";
const CSEQ_METHOD: &str =
    "RFC 3261 §8.1.1.5, RFC 4475 §3.1.2.17: the CSeq repeats the method of the request";
const MISSING: &str =
    "RFC 3261 §8.1.1, RFC 4475 §3.3.1: a request without From, To or Call-ID is 400";
const REPEATED: &str = "RFC 4475 §3.3.8: a field that may stand once stands once";
const LATIN_1: &str =
    "RFC 3261 §7.3.1 asks for UTF-8, but phones send Latin-1; the call must not fail for a name";
const QUOTED: &str = "RFC 3261 §20.10: brackets in a quoted name do not hold the URI";

/// Message, fields that differ (`message`: one side refuses it), and why we are right.
const LISTED: &[(&str, &[&str], &str)] = &[
    ("wsinv", &["message"], FOLDING),
    ("intmeth", &["message"], METHOD),
    ("esc01", &["message"], FOLDING),
    ("esc02", &["message"], METHOD),
    ("longreq", &["message"], COLON),
    ("dblreq", &["body"], LENGTH),
    ("dblreq", &["call-id"], COMPACT),
    ("dblreq", &["from", "to"], USER),
    ("semiuri", &["message"], FOLDING),
    ("transports", &["via"], TRANSPORT),
    ("badinv01", &["message"], BAD_VIA),
    ("clerr", &["message"], BAD_LENGTH),
    ("ncl", &["message"], BAD_LENGTH),
    ("scalarlg", &["message"], BAD_CSEQ),
    ("quotbal", &["message"], BAD_TO),
    ("ltgtruri", &["message"], BAD_REQUEST_URI),
    ("badaspec", &["from"], USER),
    ("badaspec", &["to"], SPACES),
    ("baddn", &["uri", "from", "to"], USER),
    ("mismatch01", &["message"], CSEQ_METHOD),
    ("insuf", &["message"], MISSING),
    ("unkscm", &["message"], SCHEME),
    ("novelsc", &["uri"], SCHEME),
    ("unksm2", &["from", "to"], SCHEME),
    ("invut", &["to"], USER),
    ("regaut01", &["from", "to"], USER),
    ("multi01", &["message"], REPEATED),
    ("mcl01", &["message"], BAD_LENGTH),
    ("ipv6-good", &["message"], IPV6),
    ("port-ambiguous", &["message"], IPV6),
    ("port-unambiguous", &["message"], IPV6),
    ("via-received-param-with-delim", &["message"], IPV6),
    ("via-received-param-no-delim", &["message"], IPV6),
    ("ipv6-in-sdp", &["message"], IPV6),
    ("mult-ip-in-header", &["via"], IPV6),
    ("mult-ip-in-sdp", &["message"], IPV6),
    ("ipv4-mapped-ipv6", &["via"], IPV6),
    ("ipv6-bug-abnf-2-colons", &["message"], IPV6),
    (
        "gigaset-compact",
        &["via", "from", "to", "call-id"],
        COMPACT,
    ),
    ("linphone-invite", &["uri", "from", "to"], USER),
    ("zoiper-latin1-name", &["message"], LATIN_1),
    ("ims-tel-uri", &["message"], SCHEME),
    ("several-via-in-one-line", &["via"], LISTS),
    ("spoofed-display", &["from"], QUOTED),
];

#[test]
fn every_difference_from_rsip_is_listed_with_its_reason() {
    let mut listed: Vec<(&str, &str)> = LISTED
        .iter()
        .flat_map(|(name, fields, _)| fields.iter().map(|field| (*name, *field)))
        .collect();
    let mut unlisted = Vec::new();
    let mut compared = 0;
    for sample in corpus::all() {
        let (ours, theirs) = (ours(&sample.bytes), theirs(&sample.bytes));
        for (field, value) in &ours {
            compared += 1;
            let alike = theirs.get(field) == Some(value);
            // When one side refuses the message, there is nothing else to compare.
            if alike || (*field != "message" && ours["message"] != theirs["message"]) {
                continue;
            }
            match listed
                .iter()
                .position(|entry| *entry == (sample.name, *field))
            {
                Some(at) => drop(listed.swap_remove(at)),
                None => unlisted.push(format!(
                    "{} {field}: ours {value:?}, rsip {:?}",
                    sample.name,
                    theirs.get(field)
                )),
            }
        }
    }
    assert!(compared > 500, "{compared}");
    assert!(unlisted.is_empty(), "not listed:\n{}", unlisted.join("\n"));
    assert!(
        listed.is_empty(),
        "listed, but no longer different: {listed:?}"
    );
}
