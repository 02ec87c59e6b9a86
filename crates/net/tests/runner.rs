//! The switch behind a real socket and bounded channels.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at anything unexpected"
)]

mod support;

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use call::{Command, Effect, EffectEnd, Notice};
use model::{CallerIdentity, LineId};
use net::{
    clock,
    media::{MediaPlane, MediaSettings},
    runner::{Doors, Listen, Runner, RunnerError},
};
use support::{
    DEADLINE, LOCALHOST,
    exchange::{Exchange, start, udp},
};
use switch::{Settings, Switch};
use tokio::sync::mpsc;

/// Two sockets on any ports.
fn two() -> Listen {
    udp(&[SocketAddr::new(LOCALHOST, 0); 2])
}

/// A peer that is nothing but a socket and text.
struct Peer {
    socket: UdpSocket,
    exchange: SocketAddr,
}

impl Peer {
    fn new(exchange: SocketAddr) -> Self {
        let socket = UdpSocket::bind((LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, exchange }
    }

    fn send(&self, method: &str, number: u32, body: &str) {
        let local = self.socket.local_addr().unwrap();
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let text = format!(
            "{method} sip:74951234567@{to} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};branch=z9hG4bK{number};rport\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:79161234567@{local}>;tag=f{number}\r\n\
             To: <sip:74951234567@{to}>\r\n\
             Call-ID: c{number}@test\r\n\
             CSeq: 1 {method}\r\n\
             Contact: <sip:{local}>\r\n\
             {kind}Content-Length: {length}\r\n\r\n{body}",
            to = self.exchange,
            length = body.len(),
        );
        self.socket.send_to(text.as_bytes(), self.exchange).unwrap();
    }

    fn invite(&self, number: u32) {
        let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                   m=audio 53998 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";
        self.send("INVITE", number, sdp);
    }

    /// The status of the next response to `number`.
    fn status(&self, number: u32) -> u16 {
        let end = Instant::now() + DEADLINE;
        let mut buffer = [0; 4096];
        while Instant::now() < end {
            let (length, from) = self.socket.recv_from(&mut buffer).unwrap();
            assert_eq!(from, self.exchange);
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            if text.contains(&format!("c{number}@test")) {
                return text[8..11].parse().unwrap();
            }
        }
        panic!("no response to {number}");
    }

    fn final_status(&self, number: u32) -> u16 {
        loop {
            let status = self.status(number);
            if status >= 200 {
                return status;
            }
        }
    }
}

#[test]
fn requests_are_answered_on_every_socket_from_the_address_they_came_to() {
    let exchange = start(16, two());
    let addresses = exchange.runner.addresses().to_vec();
    assert_eq!(addresses.len(), 2);
    assert!(addresses.iter().all(|(_, address)| address.port() != 0));
    for (number, (_, address)) in (1..).zip(addresses) {
        let peer = Peer::new(address);
        peer.send("OPTIONS", number, "");
        assert!(peer.final_status(number) >= 200);
    }
    let counters = exchange.runner.counters();
    assert_eq!(counters.received.load(Ordering::Relaxed), 2);
    exchange.stop();
    assert_eq!(counters.sent.load(Ordering::Relaxed), 2);
}

#[test]
fn a_burst_of_datagrams_is_answered_to_the_last() {
    let exchange = start(16, two());
    let peer = Peer::new(exchange.runner.addresses()[0].1);
    for number in 1000..1150 {
        peer.send("OPTIONS", number, "");
    }
    for number in 1000..1150 {
        assert!(peer.final_status(number) >= 200);
    }
    exchange.stop();
}

#[test]
fn under_a_flood_an_order_counts_before_what_is_sent_after_it_and_the_thread_can_be_stopped() {
    let exchange = start(16, two());
    let counters = exchange.runner.counters();
    let address = exchange.runner.addresses()[0].1;
    let flooding = Arc::new(AtomicBool::new(true));
    let flood = {
        let (flooding, peer) = (Arc::clone(&flooding), Peer::new(address));
        std::thread::spawn(move || {
            let mut numbers = 1_000_u32..;
            while flooding.load(Ordering::Relaxed) {
                for number in numbers.by_ref().take(20) {
                    peer.send("OPTIONS", number, "");
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    };
    let wait_for = |more: u64| {
        let goal = counters.received.load(Ordering::Relaxed) + more;
        let end = Instant::now() + DEADLINE;
        while counters.received.load(Ordering::Relaxed) < goal {
            assert!(Instant::now() < end, "the flood does not arrive");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    // Long enough for the thread to notice that it is busy.
    wait_for(5_000);
    let peer = Peer::new(address);
    peer.invite(1);
    assert_eq!(peer.final_status(1), 480);
    exchange.commands.blocking_send(Command::Drain).unwrap();
    peer.invite(2);
    assert_eq!(peer.final_status(2), 503);
    let (told, stopped) = std::sync::mpsc::channel();
    let Exchange { runner, inputs, .. } = exchange;
    let stopping = std::thread::spawn(move || {
        drop(inputs);
        runner.join();
        told.send(()).unwrap();
    });
    assert_eq!(stopped.recv_timeout(DEADLINE), Ok(()));
    flooding.store(false, Ordering::Relaxed);
    flood.join().unwrap();
    stopping.join().unwrap();
}

#[test]
fn effects_go_out_and_their_ends_move_the_call_on() {
    let mut exchange = start(16, two());
    let peer = Peer::new(exchange.runner.addresses()[0].1);
    peer.invite(1);
    assert_eq!(peer.status(1), 100);
    let mut identified = false;
    let mut committed = false;
    while !(identified && committed) {
        let request = exchange.effects.blocking_recv().unwrap();
        let end = match request.effect {
            Effect::Identify { number, line } => {
                identified = true;
                assert_eq!((number.as_str(), line), ("79161234567", Some(LineId(5))));
                EffectEnd::Identified(Arc::new(CallerIdentity::default()))
            }
            Effect::Commit { .. } => {
                committed = true;
                EffectEnd::Committed
            }
            effect => panic!("nobody is there to {effect:?}"),
        };
        exchange.ends.blocking_send((request.id, end)).unwrap();
    }
    // Nobody is qualified: the directory has no agents.
    assert_eq!(peer.final_status(1), 480);
    exchange.stop();
}

#[test]
fn a_full_queue_of_effects_fails_them_at_once_and_the_call_gets_its_answer() {
    let mut exchange = start(1, two());
    let counters = exchange.runner.counters();
    let peer = Peer::new(exchange.runner.addresses()[0].1);
    // Nobody carries out effects, and the first one takes the only place.
    for number in 1..=20 {
        peer.invite(number);
    }
    let begin = Instant::now();
    for number in 1..=20 {
        assert_eq!(peer.final_status(number), 480);
    }
    assert!(begin.elapsed() < DEADLINE);
    assert!(counters.refused_effects.load(Ordering::Relaxed) >= 20);
    exchange.effects.close();
    exchange.stop();
}

#[test]
fn lost_notices_are_counted_and_never_stop_the_switch() {
    let mut exchange = start(1, two());
    let counters = exchange.runner.counters();
    // A number that is no line of ours: each refusal is a notice, and nobody takes them.
    let peer = Peer::new(exchange.runner.addresses()[0].1);
    let local = peer.socket.local_addr().unwrap();
    for number in 1..=5 {
        let text = format!(
            "INVITE sip:1@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKn{number};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:2@{local}>;tag=f\r\nTo: <sip:1@{to}>\r\n\
             Call-ID: c{number}@test\r\nCSeq: 1 INVITE\r\nContact: <sip:{local}>\r\nContent-Length: 0\r\n\r\n",
            to = peer.exchange,
        );
        peer.socket.send_to(text.as_bytes(), peer.exchange).unwrap();
        assert_eq!(peer.final_status(number), 404);
    }
    assert!(matches!(
        exchange.notices.blocking_recv(),
        Some(Notice::Refused(_))
    ));
    exchange.stop();
    assert!(counters.lost_notices.load(Ordering::Relaxed) >= 3);
}

#[test]
fn an_address_in_use_is_told_with_a_remedy() {
    let exchange = start(16, two());
    let taken = exchange.runner.addresses()[0].1;
    let folder = tempfile::tempdir().unwrap();
    let media = MediaPlane::start(MediaSettings::new(folder.path().to_owned())).unwrap();
    let (effects, _effects) = mpsc::channel(1);
    let (_ends, ends) = mpsc::channel(1);
    let (_commands, commands) = mpsc::channel(1);
    let (_inputs, inputs) = mpsc::channel(1);
    let (notices, _notices) = mpsc::channel(1);
    let doors = Doors {
        effects,
        ends,
        commands,
        inputs,
        notices,
    };
    let switch = Switch::new(Settings::default(), [1; 32], clock::now());
    let error = Runner::start(udp(&[taken]), switch, doors, media).unwrap_err();
    assert!(matches!(&error, RunnerError::Bind { address, .. } if *address == taken));
    assert!(error.to_string().contains("no other program"));
    exchange.stop();
}

#[test]
fn a_timer_of_the_switch_fires_without_any_input() {
    let exchange = start(1, two());
    let peer = Peer::new(exchange.runner.addresses()[0].1);
    peer.invite(1);
    assert_eq!(peer.final_status(1), 480);
    // No ACK: the answer is repeated by timer G (RFC 3261 §17.2.1), 500 ms later.
    let begin = Instant::now();
    assert_eq!(peer.status(1), 480);
    assert!(begin.elapsed() > Duration::from_millis(300));
    exchange.stop();
}
