//! Two legs and what passes between them, over real sockets, with one and with two media threads.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at anything unexpected"
)]

mod support;

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use media::{
    Codec, Command, Event, LegKey, Tone,
    dtmf::EventPayload,
    g711,
    music::music,
    rtp::{sequence_step, timestamp_step},
};
use rstest::rstest;
use support::{
    DEADLINE, FRAME, KEYS, LOCALHOST, Phone, TestPlane, bridged, free_port_pair, meet, settle,
};

fn pattern(seed: u8) -> Vec<u8> {
    (0..160_u8)
        .map(|i| i.wrapping_mul(7).wrapping_add(seed))
        .collect()
}

/// 50 packets one way; each must come as it is, in order, with continuous numbers.
fn speak_and_compare(from: &mut Phone, to: &Phone) {
    let mut before = None;
    for seed in 0..50 {
        let payload = pattern(seed);
        from.speak(&payload);
        let mut expected = payload;
        g711::convert(from.codec, to.codec, &mut expected);
        let heard = to.hear();
        assert_eq!(heard.payload, expected);
        assert_eq!(heard.header.payload_type, to.codec.payload_type());
        assert_ne!(heard.header.ssrc, from.ssrc);
        if let Some((ssrc, sequence, timestamp)) = before {
            assert_eq!(heard.header.ssrc, ssrc);
            assert_eq!(sequence_step(sequence, heard.header.sequence), 1);
            assert_eq!(timestamp_step(timestamp, heard.header.timestamp), 160);
            assert!(!heard.header.marker);
        }
        before = Some((
            heard.header.ssrc,
            heard.header.sequence,
            heard.header.timestamp,
        ));
    }
}

#[rstest]
fn voice_passes_both_ways_and_is_converted_where_the_laws_differ(
    #[values(1, 2)] threads: usize,
    #[values(Codec::Pcma, Codec::Pcmu)] other: Codec,
) {
    let mut plane = TestPlane::start(threads);
    let (mut a, mut b) = (Phone::new(Codec::Pcma, 1), Phone::new(other, 2));
    let (leg_a, leg_b) = bridged(&mut plane, &mut a, &mut b);
    speak_and_compare(&mut a, &b);
    speak_and_compare(&mut b, &a);
    for leg in [leg_a, leg_b] {
        let stats = plane.close(leg);
        assert!(stats.received >= 51 && stats.sent >= 50, "{stats:?}");
        assert_eq!(stats.bytes_received, stats.received * 160);
        assert_eq!(stats.bytes_sent, stats.sent * 160);
        assert_eq!(
            (stats.lost, stats.refused_source, stats.refused_format),
            (0, 0, 0)
        );
    }
}

#[rstest]
fn keys_pass_with_the_other_legs_payload_type_and_are_reported_once(
    #[values(1, 2)] threads: usize,
) {
    let mut plane = TestPlane::start(threads);
    let (mut a, mut b) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcmu, 2));
    b.keys = Some(96);
    let (leg_a, _) = bridged(&mut plane, &mut a, &mut b);
    a.press('5');
    for end in [false, false, true, true, true] {
        let heard = b.hear();
        assert_eq!(heard.header.payload_type, 96);
        let event = EventPayload::parse(&heard.payload).unwrap();
        assert_eq!((event.digit(), event.end), (Some('5'), end));
    }
    plane.wait("Dtmf", |event| {
        (*event
            == Event::Dtmf {
                leg: leg_a,
                digit: '5',
                duration_ms: 80,
            })
        .then_some(())
    });
    speak_and_compare(&mut a, &b);
    let more = plane
        .drain()
        .iter()
        .any(|event| matches!(event, Event::Dtmf { .. }));
    assert!(!more, "one press is one event");
}

#[rstest]
fn keys_that_the_other_leg_has_no_payload_type_for_leave_no_hole(#[values(1, 2)] threads: usize) {
    let mut plane = TestPlane::start(threads);
    let (mut a, mut b) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    b.keys = None;
    let (leg_a, _) = bridged(&mut plane, &mut a, &mut b);
    a.speak(&pattern(1));
    let before = b.hear();
    a.press('#');
    a.speak(&pattern(2));
    let after = b.hear();
    assert_eq!(after.payload, pattern(2));
    assert_eq!(
        sequence_step(before.header.sequence, after.header.sequence),
        1
    );
    let digit = plane.wait("Dtmf", |event| match event {
        Event::Dtmf { leg, digit, .. } if *leg == leg_a => Some(*digit),
        _ => None,
    });
    assert_eq!(digit, '#');
}

#[rstest]
fn a_key_whose_end_got_lost_is_reported_all_the_same(#[values(1, 2)] threads: usize) {
    let mut plane = TestPlane::start(threads);
    let (mut a, mut b) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    let (leg_a, _) = bridged(&mut plane, &mut a, &mut b);
    let payload = EventPayload::for_digit('7', false, 800).unwrap().bytes();
    let packet = a.packet(KEYS, true, &payload);
    a.socket.send_to(&packet, a.plane.unwrap()).unwrap();
    plane.wait("Dtmf", |event| {
        (*event
            == Event::Dtmf {
                leg: leg_a,
                digit: '7',
                duration_ms: 100,
            })
        .then_some(())
    });
}

#[rstest]
fn ringback_has_its_cadence_and_the_bridge_follows_it_without_a_seam(
    #[values(1, 2)] threads: usize,
    #[values(Codec::Pcma, Codec::Pcmu)] codec: Codec,
) {
    let mut plane = TestPlane::start(threads);
    let (mut a, mut b) = (Phone::new(codec, 1), Phone::new(codec, 2));
    let leg_a = plane.open_to(&mut a);
    plane.order(Command::Play {
        leg: leg_a,
        tone: Tone::Ringback,
    });
    // 1.2 s: the tone is on for 1 s and then silent.
    let frames: Vec<_> = (0..60).map(|_| a.hear()).collect();
    for (index, frame) in frames.iter().enumerate() {
        let loud = frame
            .payload
            .iter()
            .any(|&code| g711::decode(codec, code).unsigned_abs() > 1000);
        assert_eq!(loud, index < 50, "frame {index}");
        assert_eq!(frame.header.marker, index == 0);
    }
    for pair in frames.windows(2) {
        assert_eq!(
            sequence_step(pair[0].header.sequence, pair[1].header.sequence),
            1
        );
        assert_eq!(
            timestamp_step(pair[0].header.timestamp, pair[1].header.timestamp),
            160
        );
    }
    let took = frames[59].at - frames[0].at;
    assert!(
        took > FRAME * 57 && took < FRAME * 75,
        "59 frames took {took:?}"
    );

    let leg_b = plane.open_to(&mut b);
    plane.join(leg_a, leg_b);
    meet(&mut plane, &mut b, leg_b);
    b.speak(&pattern(3));
    let mut last = frames[59].header;
    loop {
        let heard = a.hear();
        assert_eq!(heard.header.ssrc, last.ssrc);
        assert_eq!(sequence_step(last.sequence, heard.header.sequence), 1);
        assert!(timestamp_step(last.timestamp, heard.header.timestamp) >= 160);
        last = heard.header;
        if heard.payload == pattern(3) {
            break;
        }
    }
}

#[rstest]
fn a_stopped_tone_is_followed_by_nothing(#[values(1, 2)] threads: usize) {
    let mut plane = TestPlane::start(threads);
    let mut a = Phone::new(Codec::Pcma, 1);
    let leg = plane.open_to(&mut a);
    plane.order(Command::Play {
        leg,
        tone: Tone::Busy,
    });
    a.hear();
    plane.order(Command::Stop { leg });
    let stats = plane.close(leg);
    let heard = 1 + a.heard_so_far().len() as u64;
    assert_eq!(stats.sent, heard);
    assert!(a.hear_within(FRAME * 3).is_none());
}

#[rstest]
fn while_one_side_holds_the_other_hears_music_and_neither_times_out_for_it(
    #[values(1, 2)] threads: usize,
) {
    let timeout = Duration::from_millis(300);
    let mut plane = TestPlane::start_with(threads, |settings| settings.rtp_timeout = timeout);
    let (mut a, mut b) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcmu, 2));
    let (leg_a, leg_b) = bridged(&mut plane, &mut a, &mut b);
    plane.order(Command::Hold {
        leg: leg_a,
        held: true,
    });
    let begin = Instant::now();
    let mut foreign = pattern(9);
    g711::convert(Codec::Pcma, Codec::Pcmu, &mut foreign);
    let mut frames = Vec::new();
    while begin.elapsed() < timeout * 3 {
        // The holder's device goes on sending its own music; nobody must hear it.
        a.speak(&pattern(9));
        b.speak(&pattern(8));
        let heard = b.hear();
        assert_ne!(heard.payload, foreign, "the holder's own music");
        frames.push(heard);
    }
    assert!(a.heard_so_far().is_empty());
    let heard: Vec<u8> = frames
        .iter()
        .flat_map(|frame| frame.payload.clone())
        .collect();
    let whole = music();
    let expected: Vec<u8> = whole.samples()[..heard.len()]
        .iter()
        .map(|&sample| g711::encode(Codec::Pcmu, sample))
        .collect();
    // It rises for 0.3 s.
    assert_eq!(heard[2400..], expected[2400..], "our music");
    assert_eq!(heard[0], Codec::Pcmu.silence());
    let took = frames[frames.len() - 1].at - frames[0].at;
    let expected = took.as_millis() as usize / 20;
    assert!(
        frames.len() + 3 > expected && frames.len() < expected + 5,
        "{} frames in {took:?}",
        frames.len()
    );
    for pair in frames.windows(2) {
        assert_eq!(
            sequence_step(pair[0].header.sequence, pair[1].header.sequence),
            1
        );
    }
    let timed_out = |event: &Event| matches!(event, Event::RtpTimeout { .. });
    assert!(!plane.drain().iter().any(timed_out));

    plane.order(Command::Hold {
        leg: leg_a,
        held: false,
    });
    settle(&mut a, &b);
    settle(&mut b, &a);
    speak_and_compare(&mut a, &b);
    // After the resumption the time counts again, for both.
    let mut silent = Vec::new();
    while silent.len() < 2 {
        silent.push(plane.wait("RtpTimeout", |event| match event {
            Event::RtpTimeout { leg } => Some(*leg),
            _ => None,
        }));
    }
    silent.sort_unstable();
    assert_eq!(silent, [leg_a, leg_b]);
}

#[rstest]
fn a_silent_leg_is_reported_once_and_again_only_after_it_spoke(#[values(1, 2)] threads: usize) {
    let timeout = Duration::from_millis(100);
    let mut plane = TestPlane::start_with(threads, |settings| settings.rtp_timeout = timeout);
    let (mut a, mut b) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    let leg_a = plane.open_to(&mut a);
    let leg_b = plane.open_to(&mut b);
    let mut remote = b.remote();
    remote.sending = false;
    plane.order(Command::SetRemote { leg: leg_b, remote });
    plane.join(leg_a, leg_b);
    let wait_silent = |plane: &mut TestPlane| {
        plane.wait("RtpTimeout", |event| match event {
            Event::RtpTimeout { leg } => Some(*leg),
            _ => None,
        })
    };
    for _ in 0..2 {
        let since = Instant::now();
        assert_eq!(wait_silent(&mut plane), leg_a);
        assert!(since.elapsed() >= timeout / 2);
        // Four more looks at it must not report it again.
        let nothing = plane.events.wait(timeout);
        assert!(
            !matches!(nothing, Some(Event::RtpTimeout { .. })),
            "{nothing:?}"
        );
        a.speak(&pattern(0));
        b.hear();
    }
}

#[rstest]
fn whoever_is_bridged_anew_leaves_the_old_bridge(#[values(1, 2, 3)] threads: usize) {
    let mut plane = TestPlane::start(threads);
    let (mut a, mut b) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    let (leg_a, leg_b) = bridged(&mut plane, &mut a, &mut b);
    let mut c = Phone::new(Codec::Pcmu, 3);
    let leg_c = plane.open_to(&mut c);
    plane.join(leg_a, leg_c);
    meet(&mut plane, &mut c, leg_c);
    settle(&mut a, &c);
    settle(&mut c, &a);
    b.heard_so_far();
    b.speak(&pattern(1));
    speak_and_compare(&mut a, &c);
    speak_and_compare(&mut c, &a);
    assert!(b.heard_so_far().is_empty());
    let stats = plane.close(leg_b);
    assert!(stats.received > 0);
    // Back again, with threads to change: the same legs, another bridge.
    plane.join(leg_c, leg_a);
    speak_and_compare(&mut a, &c);
}

#[rstest]
fn many_bridges_made_crosswise_all_carry_their_own_voice(#[values(1, 2, 3)] threads: usize) {
    let mut plane = TestPlane::start(threads);
    let mut phones: Vec<_> = (0..12)
        .map(|i| Phone::new(if i % 2 == 0 { Codec::Pcma } else { Codec::Pcmu }, i))
        .collect();
    let legs: Vec<_> = phones
        .iter_mut()
        .map(|phone| plane.open_to(phone))
        .collect();
    // Orders pile up: each pair is bridged and parted several times before its last bridge.
    for shift in [5, 3, 1, 7, 2, 6] {
        for first in 0..12 {
            plane.join(legs[first], legs[(first + shift) % 12]);
        }
    }
    for first in 0..6 {
        plane.join(legs[first], legs[first + 6]);
    }
    for (phone, leg) in phones.iter_mut().zip(&legs) {
        meet(&mut plane, phone, *leg);
    }
    let (left, right) = phones.split_at_mut(6);
    for (a, b) in left.iter_mut().zip(right) {
        settle(a, b);
        settle(b, a);
        speak_and_compare(a, b);
        speak_and_compare(b, a);
    }
}

#[rstest]
fn both_ports_are_taken_while_a_leg_lives_and_free_after_it(#[values(1, 2)] threads: usize) {
    let mut plane = TestPlane::start(threads);
    let (leg, address) = plane.open();
    let rtcp_port = address.port() + 1;
    assert!(UdpSocket::bind((LOCALHOST, rtcp_port)).is_err());
    let counters = plane.plane.counters();
    let stranger = UdpSocket::bind((LOCALHOST, 0)).unwrap();
    stranger
        .send_to(&[0x80, 200, 0, 1, 0, 0, 0, 1], (LOCALHOST, rtcp_port))
        .unwrap();
    let end = Instant::now() + DEADLINE;
    while counters.rtcp() == 0 {
        assert!(Instant::now() < end, "RTCP is not counted");
        std::thread::yield_now();
    }
    plane.close(leg);
    UdpSocket::bind(address).unwrap();
    UdpSocket::bind((LOCALHOST, rtcp_port)).unwrap();
}

#[rstest]
fn a_leg_that_cannot_open_is_told_and_the_rest_of_its_orders_is_ignored(
    #[values(1, 2)] threads: usize,
) {
    let mut plane = TestPlane::start_with(threads, |settings| settings.most_legs = 2);
    let port = free_port_pair();
    let _taken = UdpSocket::bind((LOCALHOST, port + 1)).unwrap();
    let failed = |plane: &mut TestPlane, leg: LegKey| {
        plane.wait("OpenFailed", |event| match event {
            Event::OpenFailed {
                leg: failed,
                reason,
            } if *failed == leg => Some(reason.clone()),
            _ => None,
        })
    };
    let phone = Phone::new(Codec::Pcma, 1);
    for (leg, port) in [(100, port), (101, 7001), (102, port), (103, port)] {
        let leg = LegKey(leg);
        plane.order(Command::Open {
            leg,
            local_ip: LOCALHOST,
            port,
        });
        plane.order(Command::SetRemote {
            leg,
            remote: phone.remote(),
        });
        plane.order(Command::Play {
            leg,
            tone: Tone::Busy,
        });
        failed(&mut plane, leg);
    }
    // The failed ones do not count as legs.
    plane.open();
    plane.open();
    let leg = LegKey(200);
    plane.order(Command::Open {
        leg,
        local_ip: LOCALHOST,
        port: free_port_pair(),
    });
    assert!(failed(&mut plane, leg).contains("RLIMIT_NOFILE"));
    assert!(phone.heard_so_far().is_empty());
}
