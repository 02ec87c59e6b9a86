//! Learning addresses: nothing is injected, nothing leaks, and the right peer is found again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at anything unexpected"
)]

mod support;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use media::{Codec, Command, SourceRule};
use rstest::rstest;
use support::{DEADLINE, FRAME, LOCALHOST, Phone, TestPlane, bridged, meet, settle};

const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const INJECTED: u8 = 0x66;

/// Sends media that is right in everything but its source.
fn spray(stranger: &Phone, targets: &[SocketAddr], packets: usize) {
    for number in 0..packets {
        let mut packet = stranger.packet(8, false, &[INJECTED; 160]);
        packet[3] = number as u8;
        for target in targets {
            stranger.socket.send_to(&packet, target).unwrap();
        }
    }
}

#[rstest]
fn spraying_ports_neither_injects_nor_leaks(#[values(1, 2)] threads: usize) {
    let mut plane = TestPlane::start(threads);
    let (mut a, mut b) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    let leg_a = plane.open_to(&mut a);
    let leg_b = plane.open_to(&mut b);
    plane.join(leg_a, leg_b);
    let targets = [a.plane.unwrap(), b.plane.unwrap()];
    // Another host, and the same host with another port; before, while and after the phones are confirmed.
    let strangers = [
        Phone::at(ELSEWHERE, Codec::Pcma, 77),
        Phone::new(Codec::Pcma, 1),
    ];
    for stranger in &strangers {
        spray(stranger, &targets, 65);
    }
    meet(&mut plane, &mut a, leg_a);
    for stranger in &strangers {
        spray(stranger, &targets, 65);
    }
    meet(&mut plane, &mut b, leg_b);
    settle(&mut a, &b);
    settle(&mut b, &a);
    for stranger in &strangers {
        spray(stranger, &targets, 65);
    }
    for _ in 0..10 {
        a.speak(&[0x22; 160]);
        assert_eq!(b.hear().payload, [0x22; 160]);
        b.speak(&[0x33; 160]);
        assert_eq!(a.hear().payload, [0x33; 160]);
    }
    for stranger in &strangers {
        assert!(stranger.heard_so_far().is_empty(), "leaked");
    }
    for (leg, phone) in [(leg_a, &a), (leg_b, &b)] {
        let stats = plane.close(leg);
        assert!(stats.refused_source >= 130, "{stats:?}");
        let rest = phone.heard_so_far();
        assert!(rest.iter().all(|heard| heard.payload[0] != INJECTED));
    }
}

#[rstest]
fn what_was_queued_before_the_confirmation_is_checked_too(#[values(1, 2)] threads: usize) {
    let mut plane = TestPlane::start(threads);
    let (mut a, mut b) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    let leg_a = plane.open_to(&mut a);
    let leg_b = plane.open_to(&mut b);
    plane.join(leg_a, leg_b);
    meet(&mut plane, &mut b, leg_b);
    let stranger = Phone::new(Codec::Pcma, 77);
    let targets = [a.plane.unwrap()];
    for round in 0..40 {
        spray(&stranger, &targets, 3);
        a.speak(&[round; 160]);
        spray(&stranger, &targets, 2);
    }
    for round in 0..40 {
        assert_eq!(b.hear().payload, [round; 160]);
    }
    assert!(b.heard_so_far().is_empty());
    let stats = plane.close(leg_a);
    assert_eq!(stats.received, 40);
}

#[rstest]
fn a_phone_behind_nat_is_learnt_and_its_private_address_gets_nothing(
    #[values(1, 2)] threads: usize,
) {
    let mut plane = TestPlane::start(threads);
    let (mut a, mut b) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    let leg_a = plane.open_to(&mut a);
    // The SDP names an address that signalling never came from.
    let private = UdpSocket::bind((ELSEWHERE, 0)).unwrap();
    private.set_nonblocking(true).unwrap();
    let leg_b = plane.open_to(&mut b);
    let mut remote = b.remote();
    remote.rtp = private.local_addr().unwrap();
    remote.source = SourceRule::SignallingIp(LOCALHOST);
    plane.order(Command::SetRemote { leg: leg_b, remote });
    plane.join(leg_a, leg_b);
    meet(&mut plane, &mut a, leg_a);
    for _ in 0..5 {
        a.speak(&[0x22; 160]);
    }
    let stranger = Phone::at(ELSEWHERE, Codec::Pcma, 77);
    spray(&stranger, &[b.plane.unwrap()], 5);
    meet(&mut plane, &mut b, leg_b);
    settle(&mut a, &b);
    assert!(private.recv(&mut [0; 10]).is_err());
    assert!(stranger.heard_so_far().is_empty());
    assert_eq!(plane.close(leg_b).refused_source, 5);
}

#[rstest]
fn garbage_from_the_right_host_confirms_nothing(#[values(1, 2)] threads: usize) {
    let mut plane = TestPlane::start(threads);
    let mut a = Phone::new(Codec::Pcma, 1);
    let leg = plane.open_to(&mut a);
    let mut remote = a.remote();
    remote.source = SourceRule::SignallingIp(LOCALHOST);
    plane.order(Command::SetRemote { leg, remote });
    let prober = Phone::new(Codec::Pcma, 9);
    prober
        .socket
        .send_to(b"OPTIONS sip:x SIP/2.0", a.plane.unwrap())
        .unwrap();
    let wrong_type = prober.packet(18, false, &[0; 20]);
    prober
        .socket
        .send_to(&wrong_type, a.plane.unwrap())
        .unwrap();
    meet(&mut plane, &mut a, leg);
    assert_eq!(plane.close(leg).refused_format, 2);
}

#[rstest]
fn a_reinvite_with_a_new_address_turns_the_leg_and_the_old_source_is_refused(
    #[values(1, 2)] threads: usize,
) {
    let mut plane = TestPlane::start(threads);
    let (mut a, mut b) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    let (leg_a, leg_b) = bridged(&mut plane, &mut a, &mut b);
    let mut moved = Phone::new(Codec::Pcmu, 3);
    moved.plane = b.plane;
    plane.order(Command::SetRemote {
        leg: leg_b,
        remote: moved.remote(),
    });
    // Until it is confirmed the new address of the SDP is sent to, and the old source is a stranger.
    let end = Instant::now() + DEADLINE;
    while moved.hear_within(FRAME).is_none() {
        a.speak(&[0x22; 160]);
        assert!(Instant::now() < end);
    }
    b.heard_so_far();
    for _ in 0..10 {
        b.speak(&[INJECTED; 160]);
    }
    meet(&mut plane, &mut moved, leg_b);
    settle(&mut moved, &a);
    settle(&mut a, &moved);
    assert!(b.heard_so_far().is_empty());
    assert_eq!(plane.close(leg_b).refused_source, 10);
    plane.close(leg_a);
}

#[rstest]
fn an_unspecified_address_is_sent_nothing(#[values(1, 2)] threads: usize) {
    let mut plane = TestPlane::start(threads);
    let (mut a, mut b) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    let (leg_a, leg_b) = bridged(&mut plane, &mut a, &mut b);
    let mut remote = b.remote();
    remote.rtp = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), remote.rtp.port());
    plane.order(Command::SetRemote { leg: leg_b, remote });
    let mut speak = |packets: u64| {
        let before = plane.plane.counters().packets();
        for _ in 0..packets {
            a.speak(&[0x22; 160]);
        }
        let end = Instant::now() + DEADLINE;
        while plane.plane.counters().packets() < before + packets && Instant::now() < end {
            std::thread::yield_now();
        }
    };
    // The order is taken before the next look at the sockets; this packet may still belong to the last one.
    speak(1);
    b.hear_within(FRAME);
    speak(5);
    plane.close(leg_a);
    assert!(b.hear_within(FRAME).is_none());
}

#[rstest]
fn a_port_nobody_listens_on_is_survived_and_found_again(#[values(1, 2)] threads: usize) {
    let mut plane = TestPlane::start_with(threads, |settings| {
        settings.rtp_timeout = Duration::from_secs(3600);
    });
    let (mut a, mut b) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    let (leg_a, _) = bridged(&mut plane, &mut a, &mut b);
    let address = b.address();
    b.socket = UdpSocket::bind((LOCALHOST, 0)).unwrap();
    for _ in 0..20 {
        a.speak(&[0x22; 160]);
    }
    let counters = plane.plane.counters();
    let end = Instant::now() + DEADLINE;
    while counters.unreachable() == 0 {
        a.speak(&[0x22; 160]);
        assert!(Instant::now() < end, "ICMP errors are not counted");
        std::thread::yield_now();
    }
    b.socket = UdpSocket::bind(address).unwrap();
    settle(&mut a, &b);
    settle(&mut b, &a);
    assert_eq!(plane.close(leg_a).refused_source, 0);
}
