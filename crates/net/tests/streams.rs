//! SIP over TCP and TLS: what a connection may do, what it gets back, and what closes it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at anything unexpected"
)]

mod support;

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, atomic::AtomicU64, atomic::Ordering},
    time::{Duration, Instant},
};

use net::{
    runner::{Listen, RunnerCounters},
    streams::{StreamSettings, TlsSettings},
    tls::{Identity, Trust},
};
use sip::{
    Message, Name, Response,
    digest::{self, Algorithm},
    stream::{Frame, Framer},
};
use support::{
    DEADLINE, LOCALHOST,
    exchange::{Exchange, start},
};
use switch::Transport;
use tempfile::TempDir;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

const SHORT: Duration = Duration::from_millis(300);

fn over_tcp(adjust: impl FnOnce(&mut StreamSettings)) -> Exchange {
    let mut streams = StreamSettings::default();
    adjust(&mut streams);
    let listen = Listen {
        tcp: vec![SocketAddr::new(LOCALHOST, 0)],
        streams,
        ..Listen::default()
    };
    start(64, listen)
}

fn address(exchange: &Exchange, wanted: Transport) -> SocketAddr {
    let addresses = exchange.runner.addresses().iter();
    let mut addresses = addresses.filter(|(transport, _)| *transport == wanted);
    addresses.next().unwrap().1
}

/// Waits until a counter has this value.
fn wait_for(counters: &RunnerCounters, which: fn(&RunnerCounters) -> &AtomicU64, value: u64) {
    let end = Instant::now() + DEADLINE;
    while which(counters).load(Ordering::Relaxed) != value {
        assert!(Instant::now() < end, "{counters:?}");
        std::thread::yield_now();
    }
}

/// A peer that is nothing but a connection and text.
struct Peer<S> {
    stream: S,
    local: SocketAddr,
    framer: Framer,
}

fn connect(to: SocketAddr) -> Peer<TcpStream> {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    let local = stream.local_addr().unwrap();
    Peer {
        stream,
        local,
        framer: Framer::new(),
    }
}

/// A request; the Via names this address.
fn request(method: &str, number: u32, via: SocketAddr, more: &str, body: &str) -> String {
    format!(
        "{method} sip:74951234567@127.0.0.1 SIP/2.0\r\n\
         Via: SIP/2.0/TCP {via};branch=z9hG4bK{number};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:desk@127.0.0.1>;tag=f{number}\r\nTo: <sip:desk@127.0.0.1>\r\n\
         Call-ID: c{number}\r\nCSeq: {number} {method}\r\nContact: <sip:desk@{via};transport=tcp>\r\n{more}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn invite(number: u32, via: SocketAddr) -> String {
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
               m=audio 53998 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";
    request(
        "INVITE",
        number,
        via,
        "Content-Type: application/sdp\r\n",
        sdp,
    )
}

impl<S: Read + Write> Peer<S> {
    fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
        self.stream.flush().unwrap();
    }

    fn options(&mut self, number: u32) {
        let local = self.local;
        self.send(&request("OPTIONS", number, local, "", ""));
    }

    /// The next response.
    fn response(&mut self) -> Response {
        let mut piece = [0; 4096];
        loop {
            match self.framer.cut().unwrap() {
                Some(Frame::Message(bytes)) => match Message::parse(&bytes).unwrap() {
                    Message::Response(response) => return response,
                    Message::Request(request) => panic!("{request:?}"),
                },
                Some(Frame::Ping) => panic!("a ping"),
                None => {}
            }
            let length = self.stream.read(&mut piece).expect("a response");
            assert_ne!(length, 0, "closed");
            self.framer.push(&piece[..length]);
        }
    }

    /// Waits until the other side closes; nothing else may come.
    fn closed(&mut self) {
        let mut rest = [0; 4096];
        match self.stream.read(&mut rest) {
            Ok(0) => {}
            Ok(length) => panic!("{}", String::from_utf8_lossy(&rest[..length])),
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof
                ),
                "{error}"
            ),
        }
    }
}

#[test]
fn messages_are_understood_byte_by_byte_and_two_in_one_segment() {
    let exchange = over_tcp(|_| {});
    let mut peer = connect(address(&exchange, Transport::Tcp));
    let local = peer.local;
    for byte in request("OPTIONS", 1, local, "", "").as_bytes() {
        peer.stream.write_all(&[*byte]).unwrap();
    }
    let answer = peer.response();
    assert_eq!((answer.status, answer.call_id()), (200, Some("c1")));
    let via = answer.top_via().unwrap();
    assert_eq!(
        (via.transport.as_str(), via.rport()),
        ("TCP", Some(local.port()))
    );
    let both = [2, 3].map(|number| request("OPTIONS", number, local, "", ""));
    peer.send(&both.concat());
    let answers = [peer.response(), peer.response()];
    let calls = [0, 1].map(|at: usize| answers[at].call_id());
    assert_eq!(calls, [Some("c2"), Some("c3")]);
    exchange.stop();
}

#[test]
fn a_double_line_end_is_answered_with_a_single_one() {
    let exchange = over_tcp(|_| {});
    let mut peer = connect(address(&exchange, Transport::Tcp));
    peer.send("\r\n\r\n");
    let mut pong = [0; 2];
    peer.stream.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"\r\n");
    peer.options(1);
    assert_eq!(peer.response().status, 200);
    exchange.stop();
}

#[test]
fn half_a_message_closes_the_connection_however_slowly_more_comes() {
    let exchange = over_tcp(|settings| settings.message = SHORT);
    let counters = exchange.runner.counters();
    let mut peer = connect(address(&exchange, Transport::Tcp));
    let slow = peer.stream.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        let mut slow = slow;
        let long = "OPTIONS sip:a@b SIP/2.0\r\nX: "
            .bytes()
            .chain(std::iter::repeat(b'a'));
        for byte in long.take(2_000) {
            if slow.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    peer.closed();
    wait_for(&counters, |it| &it.streams.timeouts, 1);
    dripping.join().unwrap();
    exchange.stop();
}

#[test]
fn what_is_no_stream_of_sip_is_answered_and_closed() {
    let exchange = over_tcp(|_| {});
    let counters = exchange.runner.counters();
    let to = address(&exchange, Transport::Tcp);
    let mut without_length = connect(to);
    let text = request("OPTIONS", 1, without_length.local, "", "");
    without_length.send(&text.replace("Content-Length: 0\r\n", ""));
    assert_eq!(without_length.response().status, 400);
    without_length.closed();
    let mut large = connect(to);
    let text = request("OPTIONS", 2, large.local, "", "");
    large.send(&text.replace("Content-Length: 0\r\n", "Content-Length: 100000\r\n"));
    // The refusal must arrive although more was sent than anybody reads.
    let _ = large.stream.write_all(&[b'a'; 100_000]);
    assert_eq!(large.response().status, 413);
    large.closed();
    let mut endless = connect(to);
    let head = request("OPTIONS", 3, endless.local, "", "");
    let head = head.replace("\r\n\r\n", "\r\n");
    endless.send(&format!("{head}X: {}", "a\r\n b".repeat(20_000)));
    assert_eq!(endless.response().status, 413);
    endless.closed();
    wait_for(&counters, |it| &it.streams.framing_errors, 3);
    exchange.stop();
}

#[test]
fn connections_beyond_the_limit_of_an_address_are_closed_until_one_leaves() {
    let exchange = over_tcp(|settings| settings.most_per_address = 2);
    let counters = exchange.runner.counters();
    let to = address(&exchange, Transport::Tcp);
    let mut peers = [connect(to), connect(to)];
    for (number, peer) in (1..).zip(&mut peers) {
        peer.options(number);
        assert_eq!(peer.response().status, 200);
    }
    connect(to).closed();
    wait_for(&counters, |it| &it.streams.refused, 1);
    wait_for(&counters, |it| &it.streams.open, 2);
    let [first, second] = peers;
    drop(first);
    wait_for(&counters, |it| &it.streams.open, 1);
    let mut another = connect(to);
    another.options(3);
    assert_eq!(another.response().status, 200);
    drop(second);
    exchange.stop();
}

/// Registers the telephone over the peer's connection.
fn register(peer: &mut Peer<TcpStream>) {
    let local = peer.local;
    peer.send(&request("REGISTER", 1, local, "", ""));
    let refused = peer.response();
    assert_eq!(refused.status, 401);
    let values = refused.headers.all(&Name::WwwAuthenticate);
    let challenge = digest::Challenge::strongest(values).unwrap();
    let ha1 = digest::ha1(Algorithm::Md5, "desk", "ringbook", "desk");
    let uri = "sip:74951234567@127.0.0.1";
    let value = digest::respond(&challenge, "desk", &ha1, "REGISTER", uri, "c", 1);
    let text = request(
        "REGISTER",
        2,
        local,
        &format!("Authorization: {value}\r\n"),
        "",
    );
    // The same registration under a higher number.
    let text = text.replace("Call-ID: c2", "Call-ID: c1");
    peer.send(&text);
    assert_eq!(peer.response().status, 200);
}

#[test]
fn an_idle_connection_is_closed_unless_a_telephone_is_registered_by_it() {
    let exchange = over_tcp(|settings| settings.idle = SHORT);
    let to = address(&exchange, Transport::Tcp);
    let mut registered = connect(to);
    register(&mut registered);
    let mut idle = connect(to);
    idle.options(5);
    assert_eq!(idle.response().status, 200);
    idle.closed();
    // That took longer than a registration may be silent, were it idle.
    let mut another = connect(to);
    another.closed();
    registered.options(6);
    assert_eq!(registered.response().status, 200);
    exchange.stop();
}

#[test]
fn whoever_does_not_read_is_closed() {
    let exchange = over_tcp(|settings| settings.write = SHORT);
    let counters = exchange.runner.counters();
    let mut peer = connect(address(&exchange, Transport::Tcp));
    peer.stream.set_write_timeout(Some(SHORT)).unwrap();
    let begun = Instant::now();
    for number in 1.. {
        let text = request("OPTIONS", number, peer.local, "", "");
        match peer.stream.write_all(text.as_bytes()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        assert!(begun.elapsed() < DEADLINE, "nobody closes it");
    }
    wait_for(&counters, |it| &it.streams.slow_readers, 1);
    wait_for(&counters, |it| &it.streams.open, 0);
    exchange.stop();
}

#[test]
fn answers_whose_connection_broke_come_by_one_new_connection_to_the_port_in_the_via() {
    let exchange = over_tcp(|_| {});
    let counters = exchange.runner.counters();
    let to = address(&exchange, Transport::Tcp);
    let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
    let via = listener.local_addr().unwrap();
    for number in [1, 2] {
        let mut peer = connect(to);
        peer.send(&invite(number, via));
        assert_eq!(peer.response().status, 100);
    }
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut calls = Vec::new();
    let mut peer = Peer {
        stream,
        local: via,
        framer: Framer::new(),
    };
    while calls.len() < 2 {
        let answer = peer.response();
        // Nobody is qualified: the directory has no agents.
        assert_eq!(answer.status, 480);
        calls.push(answer.call_id().unwrap().to_owned());
    }
    calls.sort();
    assert_eq!(calls, ["c1", "c2"]);
    assert_eq!(counters.streams.opened.load(Ordering::Relaxed), 1);
    exchange.stop();
}

/// A certificate for this machine, and the file that it is in.
fn certificate() -> (TempDir, Identity, Trust) {
    let folder = tempfile::tempdir().unwrap();
    let (file, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    Identity::make(&file, &key, &[LOCALHOST]).unwrap();
    let identity = Identity::load(&file, &key).unwrap();
    let trust = Trust::load(&file).unwrap();
    (folder, identity, trust)
}

fn over_tls(adjust: impl FnOnce(&mut StreamSettings)) -> (Exchange, TempDir) {
    let (folder, identity, trust) = certificate();
    let mut streams = StreamSettings::default();
    adjust(&mut streams);
    let listen = Listen {
        tls: vec![SocketAddr::new(LOCALHOST, 0)],
        certificates: TlsSettings {
            identity: Some(identity),
            trust: Some(trust),
        },
        streams,
        ..Listen::default()
    };
    (start(64, listen), folder)
}

fn secure(
    peer: Peer<TcpStream>,
    folder: &TempDir,
) -> Peer<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    let file = folder.path().join("c.pem");
    roots
        .add(CertificateDer::from_pem_file(file).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), LOCALHOST.into()).unwrap();
    Peer {
        stream: StreamOwned::new(client, peer.stream),
        local: peer.local,
        framer: peer.framer,
    }
}

#[test]
fn a_request_over_tls_is_answered_and_what_is_no_handshake_is_counted() {
    let (exchange, folder) = over_tls(|_| {});
    let counters = exchange.runner.counters();
    let to = address(&exchange, Transport::Tls);
    let mut peer = secure(connect(to), &folder);
    peer.options(1);
    assert_eq!(peer.response().status, 200);
    let mut plain = connect(to);
    plain.options(2);
    wait_for(&counters, |it| &it.streams.tls_failures, 1);
    peer.options(3);
    assert_eq!(peer.response().status, 200);
    exchange.stop();
}

#[test]
fn a_handshake_that_never_comes_is_not_waited_for() {
    let (exchange, _folder) = over_tls(|settings| settings.handshake = SHORT);
    let mut silent = connect(address(&exchange, Transport::Tls));
    silent.closed();
    let counters = exchange.runner.counters();
    wait_for(&counters, |it| &it.streams.tls_failures, 1);
    exchange.stop();
}

#[test]
fn a_connection_is_opened_over_tls_to_whom_the_authorities_know() {
    let (exchange, folder) = over_tls(|_| {});
    let counters = exchange.runner.counters();
    let to = address(&exchange, Transport::Tls);
    let mut peer = secure(connect(to), &folder);
    // The answer is to go to the exchange itself, whose certificate it trusts here.
    peer.send(&invite(1, to).replace("SIP/2.0/TCP", "SIP/2.0/TLS"));
    assert_eq!(peer.response().status, 100);
    drop(peer);
    wait_for(&counters, |it| &it.streams.accepted, 2);
    wait_for(&counters, |it| &it.streams.open, 2);
    wait_for(&counters, |it| &it.received, 2);
    assert_eq!(counters.streams.opened.load(Ordering::Relaxed), 1);
    assert_eq!(counters.streams.tls_failures.load(Ordering::Relaxed), 0);
    exchange.stop();
}
