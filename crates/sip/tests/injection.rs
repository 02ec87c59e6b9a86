//! CR, LF and NUL that came in as part of a value never leave as part of a message.
#![allow(clippy::unwrap_used, reason = "a test ends where its expectation does")]

use sip::{
    Headers, Message, Method, Name, NameAddr, ParseError, Request, Response, Uri, Via,
    stream::{Frame, Framer},
};

const EVIL: &str = "x\r\nEvil: 1\r\n\r\nbody\0";

fn minimal() -> Request {
    let mut request = Request::new(
        Method::Invite,
        Uri::sip(Some("101"), "pbx.example.com", None),
    );
    request
        .headers
        .push(Name::Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1");
    request.headers.push(Name::From, "<sip:a@b.example>;tag=1");
    request.headers.push(Name::To, "<sip:101@pbx.example.com>");
    request.headers.push(Name::CallId, "1");
    request.headers.push(Name::CSeq, "1 INVITE");
    request
}

fn assert_no_evil_line(bytes: &[u8]) {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(text.matches("\r\n\r\n").count(), 1, "{text:?}");
    assert!(text.ends_with("\r\n\r\n"), "{text:?}");
    assert!(
        !text.replace("\r\n", "").contains(['\r', '\n', '\0']),
        "{text:?}"
    );
    assert!(
        !text.split("\r\n").any(|line| line.starts_with("Evil")),
        "{text:?}"
    );
}

#[test]
fn a_value_cannot_begin_a_line() {
    for name in [
        Name::Subject,
        Name::Contact,
        Name::Supported,
        Name::parse(EVIL),
        Name::Other(EVIL.into()),
    ] {
        for put in [Headers::push, Headers::push_first, Headers::set] {
            let mut request = minimal();
            put(&mut request.headers, name.clone(), EVIL);
            assert_no_evil_line(&request.to_bytes());
            assert!(Message::parse(&request.to_bytes()).is_ok(), "{name}");
        }
    }
}

#[test]
fn neither_can_a_uri_a_name_a_reason_or_a_method() {
    let uri = Uri::sip(Some(EVIL), EVIL, None).with_param(EVIL, Some(EVIL));
    let mut address = NameAddr::new(uri.clone());
    address.display = Some(EVIL.to_owned());
    address.set_param(EVIL, Some(EVIL));
    let mut request = minimal();
    request.uri = uri;
    request.headers.push(Name::Contact, &address.to_string());
    assert_no_evil_line(&request.to_bytes());
    assert!(Message::parse(&request.to_bytes()).is_ok());

    request.uri.user = Some(EVIL.to_owned());
    request.method = Method::from(EVIL);
    assert_no_evil_line(&request.to_bytes());

    let mut response = minimal().reply(200);
    response.reason = EVIL.to_owned();
    assert_no_evil_line(&response.to_bytes());
}

#[test]
fn what_stands_escaped_in_a_uri_stays_escaped() {
    let uri = Uri::parse("sip:a%0d%0aEvil%3A%201@h.example").unwrap();
    assert_eq!(uri.user().unwrap(), "a\r\nEvil: 1");
    let mut request = minimal();
    request
        .headers
        .push(Name::Contact, &NameAddr::new(uri).to_string());
    request.headers.push(Name::Subject, "a\r\nEvil: 1");
    assert_no_evil_line(&request.to_bytes());
}

#[test]
fn a_bare_cr_or_nul_on_the_wire_is_refused() {
    for bad in [
        "Subject: a\rEvil: 1\r\n",
        "Subject: a\0b\r\n",
        "Sub\0ject: a\r\n",
        "Subject: a\r\r\n",
        "\rEvil: 1\r\n",
    ] {
        let text = String::from_utf8(minimal().to_bytes()).unwrap();
        let text = text.replace("Call-ID", &format!("{bad}Call-ID"));
        let rejected = Message::parse(text.as_bytes()).unwrap_err();
        assert!(
            matches!(rejected.error, ParseError::ForbiddenByte { line: 5 }),
            "{bad:?}: {:?}",
            rejected.error
        );
        assert_no_evil_line(&rejected.reply.unwrap().to_bytes());
    }
}

#[test]
fn a_lone_lf_ends_a_line_for_us_as_for_everybody() {
    let text = String::from_utf8(minimal().to_bytes())
        .unwrap()
        .replace("\r\n", "\n");
    let Ok(Message::Request(request)) = Message::parse(text.as_bytes()) else {
        panic!("refused")
    };
    assert_eq!(request, minimal());
}

#[test]
fn limits_are_refused_with_their_status() {
    let fill = |line: String| {
        let text = String::from_utf8(minimal().to_bytes()).unwrap();
        Message::parse(
            text.replace("Call-ID", &format!("{line}Call-ID"))
                .as_bytes(),
        )
        .unwrap_err()
    };
    let long = fill(format!("Subject: {}\r\n", "a".repeat(8200)));
    assert_eq!(
        (long.error, long.status),
        (ParseError::LineTooLong { line: 5 }, 400)
    );
    let folded = fill(format!("Subject: {}\r\n", "a\r\n ".repeat(5000)));
    assert_eq!(folded.error, ParseError::LineTooLong { line: 5 });
    let many = fill("X-A: 1\r\n".repeat(300));
    assert_eq!((many.error, many.status), (ParseError::TooManyHeaders, 400));
    let commas = fill(format!("Supported: {}\r\n", "a,".repeat(4000)));
    assert_eq!(commas.error, ParseError::TooManyHeaders);
    let params = fill(format!("Via: SIP/2.0/UDP h.example{}\r\n", ";a".repeat(65)));
    assert_eq!(params.error, ParseError::Malformed(Name::Via));
    let nested = fill(format!("Via: SIP/2.0/UDP {}\r\n", "<".repeat(500)));
    assert_eq!(nested.error, ParseError::Malformed(Name::Via));

    let mut large = minimal();
    large.body = vec![b'a'; 64 * 1024];
    let refused = Message::parse(&large.to_bytes()).unwrap_err();
    assert_eq!((refused.error, refused.status), (ParseError::TooLarge, 413));
    assert_eq!(refused.reply.unwrap().call_id(), Some("1"));
    let mut framer = Framer::new();
    framer.push(&large.to_bytes());
    assert_eq!(framer.cut().unwrap_err().error, ParseError::TooLarge);

    let mut far = minimal();
    far.uri = Uri::sip(Some(&"1".repeat(2048)), "h.example", None);
    let refused = Message::parse(&far.to_bytes()).unwrap_err();
    assert_eq!(
        (refused.error, refused.status),
        (ParseError::UriTooLong, 414)
    );
}

#[test]
fn lengths_are_checked_without_overflow() {
    let parse = |bytes: &[u8]| match Message::parse(bytes) {
        Ok(message) => Ok(message),
        Err(rejected) => Err(rejected.error),
    };
    let with_length = |length: &str| {
        let text = String::from_utf8(minimal().to_bytes()).unwrap();
        parse((text.replace("Content-Length: 0", length) + "12345").as_bytes())
    };
    for bad in [
        "Content-Length: 6",
        "Content-Length: 18446744073709551615",
        "l: 99999999999999999999999999",
    ] {
        assert_eq!(
            with_length(bad).unwrap_err(),
            ParseError::BodyTooShort,
            "{bad}"
        );
    }
    for bad in [
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length:",
        "Content-Length: 5 5",
        "Content-Length: 5, 5",
    ] {
        assert_eq!(
            with_length(bad).unwrap_err(),
            ParseError::Malformed(Name::ContentLength),
            "{bad}"
        );
    }
    assert_eq!(
        with_length("Content-Length: 5\r\nl: 3").unwrap_err(),
        ParseError::ConflictingLength
    );
    for (good, body) in [
        ("Content-Length: 5\r\nl: 5", "12345"),
        ("l: 003", "123"),
        ("X-A: 1", "12345"),
    ] {
        let Ok(Message::Request(request)) = with_length(good) else {
            panic!("{good}")
        };
        assert_eq!(request.body, body.as_bytes());
        assert!(!request.headers.contains(&Name::ContentLength));
    }
}

#[test]
fn keep_alives_are_told_apart_from_messages() {
    for ping in ["", "\r\n", "\r\n\r\n", "\n"] {
        let rejected = Message::parse(ping.as_bytes()).unwrap_err();
        assert_eq!(
            (rejected.error, rejected.reply),
            (ParseError::KeepAlive, None)
        );
    }
    let late = [b"\r\n\r\n".to_vec(), minimal().to_bytes()].concat();
    assert!(Message::parse(&late).is_ok());
    let mut framer = Framer::new();
    framer.push(&late);
    assert_eq!(framer.cut(), Ok(Some(Frame::Ping)));
    assert!(matches!(framer.cut(), Ok(Some(Frame::Message(_)))));
    framer.push(b"\r\nSIP/2.0");
    assert_eq!(framer.cut(), Ok(None));
}

#[test]
fn neither_an_ack_nor_a_response_is_answered() {
    let mut ack = minimal();
    ack.method = Method::Ack;
    let rejected = Message::parse(&ack.to_bytes()).unwrap_err();
    assert_eq!(
        (rejected.error, rejected.reply),
        (ParseError::CSeqMethod, None)
    );
    let mut response = Response::new(200);
    response
        .headers
        .push(Name::Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1");
    let rejected = Message::parse(&response.to_bytes()).unwrap_err();
    assert_eq!(
        (rejected.error, rejected.reply),
        (ParseError::Missing(Name::From), None)
    );
}

#[test]
fn an_answer_copies_what_the_rfc_names() {
    let mut request = minimal();
    request
        .headers
        .push(Name::Via, "SIP/2.0/TCP 192.0.2.2;branch=z9hG4bK2");
    request.headers.push(
        Name::RecordRoute,
        "<sip:edge.example;lr>, <sip:core.example;lr>",
    );
    request.headers.push(Name::Timestamp, "54");
    request.headers.push(Name::Subject, "no");
    let names = |response: &Response| {
        response
            .headers
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    };
    let copied = [
        Name::Via,
        Name::From,
        Name::To,
        Name::CallId,
        Name::CSeq,
        Name::Via,
    ];
    assert_eq!(names(&request.reply(486)), copied);
    assert_eq!(request.reply(486).reason, "Busy Here");
    assert_eq!(
        names(&request.reply(100)),
        [&copied[..], &[Name::Timestamp]].concat()
    );
    let dialog = request.reply_in_dialog(180);
    assert_eq!(
        dialog.headers.all(&Name::RecordRoute).collect::<Vec<_>>(),
        ["<sip:edge.example;lr>", "<sip:core.example;lr>"]
    );
    let mut tagged = request.reply(200);
    tagged.set_to_tag("abc");
    tagged.set_to_tag("def");
    assert_eq!(tagged.to().unwrap().tag(), Some("abc"));
}

#[test]
fn a_hop_notes_where_a_request_came_from() {
    let mut via = Via::parse("SIP/2.0/udp 10.0.0.1:5060;branch=z9hG4bK1;rport").unwrap();
    via.set_source("2001:db8::1".parse().unwrap(), 40000);
    assert_eq!(
        via.to_string(),
        "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport=40000;received=2001:db8::1"
    );
    assert_eq!(
        (via.rport(), via.received()),
        (Some(40000), "2001:db8::1".parse().ok())
    );
    let mut plain = Via::parse("SIP/2.0/TCP h.example;branch=1").unwrap();
    plain.set_source("192.0.2.1".parse().unwrap(), 1);
    assert_eq!((plain.rport(), plain.wants_rport()), (None, false));
}
