//! The torture messages of RFC 4475 and RFC 5118, and messages of everyday devices.
#![allow(clippy::unwrap_used, reason = "a test ends where its expectation does")]

mod corpus;

use sip::{Message, Method, Name, ParseError, Request, Response, Scheme, UriError};

/// What must become of a message.
#[derive(Debug)]
enum Fate {
    Read,
    Refused(ParseError),
}

use Fate::{Read, Refused};

fn fate_of(name: &str) -> Fate {
    match name {
        // §3.1.2: invalid. The RFC leaves it open to be liberal with lwsstart, lwsruri, trws and escruri; we are not,
        // since only broken or hostile software sends them.
        "badinv01" => Refused(ParseError::Malformed(Name::Via)),
        "clerr" => Refused(ParseError::BodyTooShort),
        "ncl" => Refused(ParseError::Malformed(Name::ContentLength)),
        "scalar02" | "scalarlg" => Refused(ParseError::Malformed(Name::CSeq)),
        "quotbal" => Refused(ParseError::Malformed(Name::To)),
        "ltgtruri" => Refused(ParseError::RequestUri(UriError::Character)),
        "lwsruri" | "lwsstart" | "trws" | "bigcode" => Refused(ParseError::StartLine),
        "escruri" => Refused(ParseError::RequestUri(UriError::Headers)),
        "badvers" => Refused(ParseError::Version),
        "mismatch01" | "mismatch02" => Refused(ParseError::CSeqMethod),
        // §3.3: syntax that can be read, but not used.
        "insuf" => Refused(ParseError::Missing(Name::From)),
        "multi01" => Refused(ParseError::Repeated(Name::From)),
        "mcl01" => Refused(ParseError::ConflictingLength),
        // RFC 5118 §4.2 and §4.10.
        "ipv6-bad" | "ipv6-bug-abnf-3-colons" => Refused(ParseError::RequestUri(match name {
            "ipv6-bad" => UriError::Port,
            _ => UriError::Host,
        })),
        _ => Read,
    }
}

#[test]
fn every_message_meets_its_fate() {
    let mut wrong = Vec::new();
    for sample in corpus::all() {
        let got = Message::parse(&sample.bytes);
        match (fate_of(sample.name), got) {
            (Read, Ok(_)) => {}
            (Refused(error), Err(rejected)) if rejected.error == error => {
                assert_eq!(rejected.status, error.status(), "{}", sample.name);
            }
            (fate, got) => wrong.push(format!("{}: expected {fate:?}, got {got:?}", sample.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_corpus_is_complete() {
    // RFC 4475 has 13 valid, 19 invalid, 1 transaction, 15 application and 1 backward-compatibility message.
    assert_eq!(corpus::rfc4475().len(), 49);
    assert_eq!(corpus::rfc5118().len(), 12);
}

#[test]
fn what_was_read_is_written_and_read_again_unchanged() {
    for sample in corpus::all() {
        if let Ok(message) = Message::parse(&sample.bytes) {
            let again = Message::parse(&message.to_bytes()).unwrap();
            assert_eq!(again, message, "{}", sample.name);
        }
    }
}

#[test]
fn refused_requests_get_an_answer_that_can_be_read() {
    for sample in corpus::all() {
        let Err(rejected) = Message::parse(&sample.bytes) else {
            continue;
        };
        let is_request = !sample.bytes.starts_with(b"SIP/");
        // The Via of badinv01 cannot be read, so nobody knows which transaction an answer would belong to.
        let answerable = is_request && sample.name != "badinv01";
        assert_eq!(rejected.reply.is_some(), answerable, "{}", sample.name);
        let Some(reply) = rejected.reply else {
            continue;
        };
        assert_eq!(reply.status, rejected.status, "{}", sample.name);
        assert!(reply.headers.contains(&Name::Via), "{}", sample.name);
        let has = |name: &str| {
            let head = String::from_utf8_lossy(&sample.bytes).to_ascii_lowercase();
            head.contains(&format!("\n{name}:"))
        };
        assert_eq!(
            reply.headers.contains(&Name::CallId),
            has("call-id"),
            "{}",
            sample.name
        );
        if ![
            "badvers",
            "scalar02",
            "quotbal",
            "insuf",
            "ipv6-bug-abnf-3-colons",
        ]
        .contains(&sample.name)
        {
            assert!(
                Message::parse(&reply.to_bytes()).is_ok(),
                "{}: {reply:?}",
                sample.name
            );
            assert!(reply.to().unwrap().tag().is_some(), "{}", sample.name);
        }
    }
}

fn request(name: &str) -> Request {
    match Message::parse(&corpus::named(name)).unwrap() {
        Message::Request(request) => request,
        Message::Response(response) => panic!("{response:?}"),
    }
}

fn response(name: &str) -> Response {
    match Message::parse(&corpus::named(name)).unwrap() {
        Message::Response(response) => response,
        Message::Request(request) => panic!("{request:?}"),
    }
}

#[test]
fn wsinv_is_unfolded_split_and_trimmed() {
    let request = request("wsinv");
    assert!(request.uri.has_param("unknownparam"));
    let to = request.to().unwrap();
    assert_eq!(
        (to.tag(), to.uri.to_string().as_str()),
        (Some("1918181833n"), "sip:vivekg@chair-dnrc.example.com")
    );
    let from = request.from().unwrap();
    assert_eq!(
        (from.display.as_deref(), from.tag()),
        (Some("J Rosenberg \\\""), Some("98asjd8"))
    );
    assert_eq!(
        (request.max_forwards(), request.cseq().unwrap().number),
        (Some(68), 9)
    );
    let vias: Vec<_> = request
        .headers
        .all(&Name::Via)
        .map(|value| sip::Via::parse(value).unwrap())
        .collect();
    let hops: Vec<_> = vias
        .iter()
        .map(|via| (via.transport.as_str(), via.sent_by(), via.branch()))
        .collect();
    let expected = [
        ("UDP", "192.0.2.2".to_owned(), Some("390skdjuw")),
        (
            "TCP",
            "spindle.example.com".to_owned(),
            Some("z9hG4bK9ikj8"),
        ),
        ("UDP", "192.168.255.111".to_owned(), Some("z9hG4bK30239")),
    ];
    assert_eq!(hops, expected);
    assert_eq!(request.headers.first(&Name::Subject), Some(""));
    assert_eq!(
        request.headers.first(&"NewFangledHeader".into()),
        Some("newfangled value continued newfangled value")
    );
    assert_eq!(
        request
            .headers
            .first(&"unknownheaderwithunusualvalue".into()),
        Some(";;,,;;,;")
    );
    let contact = request.contact().unwrap();
    assert_eq!(contact.display.as_deref(), Some("Quoted string \"\""));
    assert_eq!(
        (
            contact.param("newparam"),
            contact.param("secondparam"),
            contact.param("q")
        ),
        (Some(Some("newvalue")), Some(None), Some(Some("0.33")))
    );
    assert!(request.body.ends_with(b"a=rtpmap:31 LPC\r\n"));
}

#[test]
fn intmeth_keeps_every_odd_character() {
    let request = request("intmeth");
    let method = "!interesting-Method0123456789_*+`.%indeed'~";
    assert_eq!(request.method, Method::Other(method.into()));
    assert_eq!(request.cseq().unwrap().method.as_str(), method);
    assert_eq!(
        request.uri.user.as_deref(),
        Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*")
    );
    assert_eq!(
        request.uri.password.as_deref(),
        Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)")
    );
    // The NUL is kept from whoever reads the name further on.
    assert_eq!(
        request.to().unwrap().display.as_deref(),
        Some("BEL:\u{7} NUL:  DEL:\u{7f}")
    );
    let from = request.from().unwrap();
    assert_eq!(
        from.display.as_deref(),
        Some("token1~` token2'+_ token3*%!.-")
    );
    assert_eq!(from.param("fromParam''~+*_!.-%"), Some(Some("работающий")));
    assert_eq!(from.tag(), Some("_token~1'+`*%!-."));
}

#[test]
fn escapes_are_resolved_on_demand_only() {
    let request = request("esc01");
    assert_eq!(request.uri.user().unwrap(), "sips:user@example.com");
    assert_eq!(request.uri.host_str(), "example.net");
    assert!(
        request
            .to_bytes()
            .starts_with(b"INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0\r\n")
    );
    assert_eq!(request.to().unwrap().uri.user().unwrap(), "user");
    let contact = request.contact().unwrap().uri;
    assert!(contact.is_loose_router());
    assert_eq!(contact.param("name"), Some(Some("v%61lue%25%34%31")));
    let nulls = self::request("escnull");
    assert_eq!(nulls.to().unwrap().uri.user().unwrap(), "null-\0-null");
    let contacts: Vec<_> = nulls.headers.all(&Name::Contact).collect();
    assert_eq!(
        contacts,
        [
            "<sip:%00@host5.example.com>",
            "<sip:%00%00@host5.example.com>"
        ]
    );
}

#[test]
fn escapes_in_method_and_field_name_are_none() {
    let request = request("esc02");
    assert_eq!(request.method.as_str(), "RE%47IST%45R");
    assert_eq!(request.headers.all(&Name::Contact).count(), 2);
    assert!(request.headers.contains(&"C%6Fntact".into()));
    assert_eq!(request.to().unwrap().display.as_deref(), Some("%Z%45"));
}

#[test]
fn names_without_space_or_quotes_are_read() {
    assert_eq!(
        request("lwsdisp").from().unwrap().display.as_deref(),
        Some("caller")
    );
    assert_eq!(
        request("baddn").from().unwrap().display.as_deref(),
        Some("Bell, Alexander")
    );
    assert_eq!(
        request("badaspec").to().unwrap().uri.to_string(),
        "sip:t.watson@example.org"
    );
}

#[test]
fn a_quoted_uri_in_the_name_is_not_the_caller() {
    let from = request("spoofed-display").from().unwrap();
    assert_eq!(from.uri.to_string(), "sip:evil@host.example");
    assert_eq!(from.display.as_deref(), Some("x <sip:ceo@bank.example>"));
}

#[test]
fn longreq_is_read_whole() {
    let request = request("longreq");
    assert_eq!(request.headers.all(&Name::Via).count(), 34);
    assert_eq!(request.from().unwrap().tag().unwrap().len(), 155);
    assert!(
        request
            .headers
            .first(
                &format!("unknown-{}-name", "long".repeat(20))
                    .as_str()
                    .into()
            )
            .is_some()
    );
}

#[test]
fn what_follows_the_body_is_dropped() {
    let request = request("dblreq");
    assert_eq!(request.method, Method::Register);
    assert_eq!(request.body, b"");
}

#[test]
fn user_parts_hold_semicolons_and_schemes_may_be_unknown() {
    assert_eq!(
        request("semiuri").uri.user().unwrap(),
        "user;par=u@example.net"
    );
    let opaque = request("unkscm").uri;
    assert_eq!(opaque.scheme, Scheme::Other("nobodyknowsthisscheme".into()));
    assert_eq!(opaque.user.as_deref(), Some("totallyopaquecontent"));
    assert_eq!(
        request("novelsc").uri.to_string(),
        "soap.beep://192.0.2.103:3002"
    );
    assert_eq!(
        request("unksm2").to().unwrap().uri.to_string(),
        "isbn:2983792873"
    );
}

#[test]
fn binary_bodies_and_foreign_phrases_are_untouched() {
    let body = request("mpart01").body;
    assert!(
        body.windows(8)
            .any(|window| window == b"\xff\xfe\x0a\x0d\x0d\x0a\x00\xc3")
    );
    assert_eq!(
        response("unreason").reason,
        "= 2**3 * 5**2 но сто девяносто девять - простое"
    );
    let trying = response("noreason");
    assert_eq!(
        (trying.status, trying.reason.as_str(), trying.is_final()),
        (100, "", false)
    );
}

#[test]
fn parameters_without_brackets_belong_to_the_field() {
    let bare = request("cparam01").contact().unwrap();
    assert!(!bare.uri.has_param("unknownparam") && bare.param("unknownparam").is_some());
    let bracketed = request("cparam02").contact().unwrap();
    assert!(bracketed.uri.has_param("unknownparam") && bracketed.param("unknownparam").is_none());
    assert_eq!(
        request("regescrt").contact().unwrap().uri.headers,
        "Route=%3Csip:sip.example.com%3E"
    );
    assert_eq!(request("regbadct").contact(), None);
    assert_eq!(
        request("deregister-star").headers.first(&Name::Contact),
        Some("*")
    );
    assert_eq!(request("deregister-star").contact(), None);
}

#[test]
fn ipv6_is_read_in_every_place() {
    assert_eq!(
        request("port-ambiguous").uri.host_str(),
        "[2001:db8::10:5070]"
    );
    assert_eq!(request("port-ambiguous").uri.port, None);
    assert_eq!(request("port-unambiguous").uri.port, Some(5070));
    let received = "2001:db8::9:255".parse().ok();
    for name in [
        "via-received-param-with-delim",
        "via-received-param-no-delim",
    ] {
        assert_eq!(
            request(name).top_via().unwrap().received(),
            received,
            "{name}"
        );
    }
    assert_eq!(
        request("mult-ip-in-header").top_via().unwrap().sent_by(),
        "[2001:db8::9:1]:6050"
    );
    assert_eq!(
        request("ipv4-mapped-ipv6")
            .contact()
            .unwrap()
            .uri
            .host_str(),
        "[::ffff:192.0.2.2]"
    );
}

#[test]
fn a_latin_1_name_is_mapped() {
    let request = request("zoiper-latin1-name");
    assert_eq!(request.from().unwrap().display.as_deref(), Some("Müller"));
}

#[test]
fn old_messages_without_length_and_hops_are_read() {
    let request = request("inv2543");
    assert_eq!(request.max_forwards(), None);
    assert!(request.body.ends_with(b"m=audio 49217 RTP/AVP 0\r\n"));
    assert_eq!(request.to().unwrap().param("user"), Some(Some("phone")));
}
