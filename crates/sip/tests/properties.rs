//! Properties that hold for any input: nothing panics, and what is written is read back as it was.
#![allow(clippy::unwrap_used, reason = "a test ends where its expectation does")]

mod corpus;

use proptest::prelude::*;
use sip::{
    CSeq, Headers, Message, Method, Name, NameAddr, Request, Response, Uri, Via,
    stream::{Frame, Framer},
};

/// Everything that reads a message must cope with whatever `parse` lets through.
fn read_everything(bytes: &[u8]) {
    let mut framer = Framer::new();
    framer.push(bytes);
    while let Ok(Some(_)) = framer.cut() {}
    let message = match Message::parse(bytes) {
        Ok(message) => message,
        Err(rejected) => {
            if let Some(reply) = rejected.reply {
                assert_clean(&reply.to_bytes());
            }
            return;
        }
    };
    for (name, value) in message.headers().iter() {
        assert!(!value.contains(['\r', '\n', '\0']), "{name}: {value:?}");
        let _ = (
            Uri::parse(value),
            NameAddr::parse(value),
            Via::parse(value),
            CSeq::parse(value),
        );
        let _ = sip::digest::Authorization::parse(value);
        let _ = sip::digest::Challenge::parse(value);
    }
    assert_clean(&message.to_bytes());
    match message {
        Message::Request(request) => {
            assert!(
                request.from().is_some() && request.to().is_some() && request.top_via().is_some()
            );
            assert_eq!(request.cseq().unwrap().method, request.method);
            let _ = (
                request.contact(),
                request.max_forwards(),
                request.content_type(),
                request.uri.user(),
            );
            assert_clean(&request.reply(200).to_bytes());
        }
        Message::Response(response) => {
            assert!(
                response.from().is_some()
                    && response.to().is_some()
                    && response.top_via().is_some()
            );
            assert!(response.call_id().is_some() && response.cseq().is_some());
        }
    }
}

/// The head of what we write has no line that no field begins and ends with an empty line.
fn assert_clean(bytes: &[u8]) {
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    for line in head.split("\r\n") {
        assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
    }
    for line in head.split("\r\n").skip(1) {
        assert!(
            line.split_once(": ")
                .is_some_and(|(name, _)| !name.contains(' ')),
            "{line:?}"
        );
    }
}

fn token() -> impl Strategy<Value = String> {
    "[A-Za-z0-9.!%*_+`'~-]{1,12}"
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9]{0,8}(\\.[a-z][a-z0-9]{0,5}){0,2}",
        any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|address| format!("[{address}]")),
    ]
}

fn uri() -> impl Strategy<Value = Uri> {
    let params = prop::collection::vec((token(), prop::option::of(token())), 0..4);
    (
        prop::option::of(any::<String>()),
        host(),
        prop::option::of(any::<u16>()),
        params,
    )
        .prop_map(|(user, host, port, params)| {
            let uri = Uri::sip(user.as_deref(), &host, port);
            params.into_iter().fold(uri, |uri, (name, value)| {
                uri.with_param(&name, value.as_deref())
            })
        })
}

fn address() -> impl Strategy<Value = NameAddr> {
    // Control characters are legal in quoted strings, line ends and NUL are not.
    (prop::option::of("[^\r\n\0]{1,20}"), uri(), token()).prop_map(|(display, uri, tag)| {
        let display = display.filter(|display: &String| !display.is_empty());
        NameAddr {
            display,
            uri,
            params: Vec::new(),
        }
        .with_tag(&tag)
    })
}

fn headers() -> impl Strategy<Value = Headers> {
    let known = [
        Name::Supported,
        Name::Allow,
        Name::Contact,
        Name::Route,
        Name::Subject,
        Name::UserAgent,
        Name::Event,
        Name::Warning,
        Name::Reason,
    ];
    let name = prop_oneof![
        prop::sample::select(known.to_vec()),
        token().prop_map(|text| Name::parse(&format!("X-{text}")))
    ];
    let fields = prop::collection::vec((name, "[ -~а-яé\r\n\0\t]{1,40}"), 0..12);
    (
        fields,
        address(),
        address(),
        token(),
        0..1_u32 << 31,
        "[0-9a-z]{1,20}",
    )
        .prop_map(|(fields, from, to, call_id, number, branch)| {
            let mut headers = Headers::new();
            headers.push(
                Name::Via,
                &Via::new(
                    "udp",
                    sip::Host::Domain("a.example".into()),
                    Some(5060),
                    &branch,
                )
                .to_string(),
            );
            headers.push(Name::From, &from.to_string());
            headers.push(Name::To, &to.to_string());
            headers.push(Name::CallId, &call_id);
            headers.push(
                Name::CSeq,
                &CSeq {
                    number,
                    method: Method::Invite,
                }
                .to_string(),
            );
            for (name, value) in fields {
                headers.push(name, &value);
            }
            headers
        })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        read_everything(&bytes);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        let _ = (Uri::parse(&text), NameAddr::parse(&text), Via::parse(&text), CSeq::parse(&text));
        let _ = (sip::digest::Authorization::parse(&text), sip::digest::Challenge::parse(&text));
        let _ = sip::Replaces::parse(&text);
        let refer_to = Uri::parse(&format!("sip:1@10.0.0.1?Replaces={text}"));
        let _ = refer_to.map(|uri| sip::Replaces::in_uri(&uri));
        let mut headers = Headers::new();
        headers.push(Name::parse(&text), &text);
        headers.set(Name::Route, &text);
    }

    #[test]
    fn mutated_messages_never_panic(
        pick in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..5_u8, any::<u8>()), 1..8),
    ) {
        let samples = corpus::all();
        let mut bytes = samples[pick.index(samples.len())].bytes.clone();
        for (at, kind, byte) in edits {
            if bytes.is_empty() { break; }
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => { bytes.remove(at); }
                3 => bytes.truncate(at),
                _ => bytes.insert(at, b"\r\n\0\"<>;,: @[]%"[usize::from(byte) % 14]),
            }
        }
        read_everything(&bytes);
    }

    #[test]
    fn requests_survive_the_wire(uri in uri(), headers in headers(), body in body()) {
        let message = Message::from(Request { method: Method::Invite, uri, headers, body });
        prop_assert_eq!(Message::parse(&message.to_bytes()).unwrap(), message);
    }

    #[test]
    fn responses_survive_the_wire(status in 100..700_u16, headers in headers(), body in body()) {
        let reason = sip::reason_phrase(status).to_owned();
        let message = Message::from(Response { status, reason, headers, body });
        prop_assert_eq!(Message::parse(&message.to_bytes()).unwrap(), message);
    }

    #[test]
    fn addresses_survive_text(address in address()) {
        prop_assert_eq!(NameAddr::parse(&address.to_string()).unwrap(), address);
    }

    #[test]
    fn any_user_survives_its_escapes(user in "\\PC{1,30}") {
        let uri = Uri::sip(Some(&user), "h.example", None);
        prop_assert_eq!(uri.user().unwrap(), user.as_str());
        let again = Uri::parse(&uri.to_string()).unwrap();
        prop_assert!(again.matches(&uri));
        prop_assert_eq!(again, uri);
    }

    #[test]
    fn a_stream_is_cut_where_the_messages_end_however_it_is_split(
        first in headers(), second in headers(), body in body(),
        line_ends in 0..5_usize, cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let uri = Uri::sip(None, "h.example", None);
        let message = |headers| Request { method: Method::Invite, uri: uri.clone(), headers, body: body.clone() }.to_bytes();
        let (first, second) = (message(first), message(second));
        let stream = [first.clone(), b"\r\n".repeat(line_ends), second.clone()].concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let mut framer = Framer::new();
        let mut frames = Vec::new();
        for ends in cuts.windows(2) {
            framer.push(&stream[ends[0]..ends[1]]);
            while let Some(frame) = framer.cut().unwrap() {
                frames.push(frame);
            }
        }
        let mut wanted = vec![Frame::Message(first)];
        wanted.extend((0..line_ends / 2).map(|_| Frame::Ping));
        wanted.push(Frame::Message(second));
        prop_assert_eq!(frames, wanted);
        prop_assert!(!framer.is_midway());
    }

    #[test]
    fn any_bytes_in_any_pieces_are_framed_alike_without_a_panic(
        bytes in prop::collection::vec(prop::sample::select(b"\r\n: lL0179aX".to_vec()), 0..300), piece in 1..40_usize,
    ) {
        let framed = |piece: usize| {
            let mut framer = Framer::new();
            let mut frames = Vec::new();
            for part in bytes.chunks(piece) {
                framer.push(part);
                loop {
                    match framer.cut() {
                        Ok(Some(frame)) => frames.push(frame),
                        Ok(None) => break,
                        Err(rejected) => return (frames, Some(rejected.error)),
                    }
                }
            }
            (frames, None)
        };
        prop_assert_eq!(framed(piece), framed(bytes.len().max(1)));
    }
}
