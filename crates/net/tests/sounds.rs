//! Sounds and music over real sockets: what is heard, when its end is told, and what ends it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at anything unexpected"
)]

mod support;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use media::{
    AfterSounds, Codec, Command, Event, LegKey, Sound, SoundLibrary, SourceRule, Tone, g711,
    music::music,
    rtp::{sequence_step, timestamp_step},
};
use rstest::rstest;
use support::{
    Beat, DEADLINE, FRAME, Heard, LOCALHOST, Phone, TestPlane, bridged, free_port_pair, meet,
    settle,
};

/// 100 ms between two sounds.
const PAUSE: usize = 800;
/// Music rises in 0.3 s and falls in 15 ms.
const RISE: usize = 2400;
const FALL: usize = 120;

/// Loud samples, different for each seed.
fn noise(seed: u32, length: usize) -> Vec<i16> {
    (0..length as u32)
        .map(|i| ((i * 7919 + seed * 104_729) % 19_997) as i16 - 9_998)
        .collect()
}

fn one() -> Vec<i16> {
    noise(1, 3_000)
}

fn two() -> Vec<i16> {
    noise(2, 1_234)
}

fn start(threads: usize) -> TestPlane {
    start_with_timeout(threads, Duration::from_secs(60))
}

fn start_with_timeout(threads: usize, timeout: Duration) -> TestPlane {
    let mut library = SoundLibrary::new();
    library.insert("ru/one", Sound::new(one()));
    library.insert("ru/two", Sound::new(two()));
    library.insert("ru/long", Sound::new(noise(3, 240_000)));
    TestPlane::start_with(threads, |settings| {
        settings.sounds = Arc::new(library);
        settings.rtp_timeout = timeout;
    })
}

fn play(leg: LegKey, sounds: &[&str], then: AfterSounds) -> Command {
    Command::PlaySounds {
        leg,
        sounds: sounds.iter().map(|&name| name.into()).collect(),
        then,
    }
}

fn encoded(codec: Codec, samples: &[i16]) -> Vec<u8> {
    samples.iter().map(|&s| g711::encode(codec, s)).collect()
}

fn codes(frames: &[Heard]) -> Vec<u8> {
    frames
        .iter()
        .flat_map(|frame| frame.payload.clone())
        .collect()
}

fn hear(phone: &Phone, frames: usize) -> Vec<Heard> {
    (0..frames).map(|_| phone.hear()).collect()
}

/// One stream without a hole, of which only the first packet is marked.
fn assert_continuous(frames: &[Heard], codec: Codec) {
    for pair in frames.windows(2) {
        let (before, after) = (pair[0].header, pair[1].header);
        assert_eq!(sequence_step(before.sequence, after.sequence), 1);
        assert_eq!(timestamp_step(before.timestamp, after.timestamp), 160);
        assert_eq!(before.ssrc, after.ssrc);
        assert!(!after.marker);
    }
    assert!(frames[0].header.marker);
    assert!(frames.iter().all(
        |frame| frame.header.payload_type == codec.payload_type() && frame.payload.len() == 160
    ));
}

/// The frame in which a sound begins that cuts the music off: behind the fall of the music it is pure.
fn beginning(frames: &[Heard], codec: Codec, samples: &[i16]) -> usize {
    let expected = encoded(codec, &samples[FALL..160]);
    frames
        .iter()
        .position(|frame| frame.payload[FALL..] == expected[..])
        .expect("the sound begins")
}

fn is_played(event: &Event) -> bool {
    matches!(event, Event::Played { .. })
}

fn wait_played(plane: &mut TestPlane, leg: LegKey) {
    plane.wait("Played", |event| {
        (*event == Event::Played { leg }).then_some(())
    });
}

#[rstest]
fn sounds_are_heard_whole_and_in_order_and_their_end_is_told_once_when_they_are_out(
    #[values(1, 2)] threads: usize,
    #[values(Codec::Pcma, Codec::Pcmu)] codec: Codec,
) {
    let mut plane = start(threads);
    let mut phone = Phone::new(codec, 1);
    let leg = plane.open_to(&mut phone);
    plane.order(play(
        leg,
        &["ru/one", "ru/two", "ru/none", "ru/one"],
        AfterSounds::Silence,
    ));
    let pause = [0; PAUSE];
    let expected = [&one()[..], &pause, &two(), &pause, &one()].concat();
    let sounding = expected.len().div_ceil(160);
    let (mut frames, mut played_at) = (Vec::new(), None);
    let end = Instant::now() + DEADLINE;
    while frames.len() < sounding + 10 {
        assert!(Instant::now() < end, "only {} frames", frames.len());
        frames.extend(phone.hear_within(FRAME / 4));
        while let Some(event) = plane.events.pop() {
            if is_played(&event) {
                assert_eq!(event, Event::Played { leg });
                assert!(played_at.is_none(), "told twice");
                // What was sent before the report has arrived, however late it is looked at.
                frames.extend(phone.heard_so_far());
                assert!(frames.len() >= sounding, "told too early");
                played_at = Some(Instant::now());
            }
        }
    }
    let out_at = frames[sounding - 1].at;
    let played_at = played_at.expect("the end is told");
    let off = played_at.max(out_at) - played_at.min(out_at);
    assert!(off < Duration::from_millis(100), "told {off:?} off");
    assert_continuous(&frames, codec);
    let heard = codes(&frames);
    assert_eq!(
        heard[..expected.len()],
        encoded(codec, &expected),
        "the sounds"
    );
    assert!(
        heard[expected.len()..]
            .iter()
            .all(|&code| code == codec.silence()),
        "then silence"
    );
    let took = out_at - frames[0].at;
    let due = FRAME * (sounding as u32 - 1);
    assert!(
        took + FRAME * 5 > due && took < due + FRAME * 15,
        "{took:?} instead of {due:?}"
    );
}

#[rstest]
fn music_goes_on_behind_an_announcement_where_it_was_before_it(
    #[values(1, 2)] threads: usize,
    #[values(Codec::Pcma, Codec::Pcmu)] codec: Codec,
) {
    let mut plane = start(threads);
    let mut phone = Phone::new(codec, 1);
    let leg = plane.open_to(&mut phone);
    let music = encoded(codec, music().samples());
    plane.order(play(leg, &[], AfterSounds::Music));
    let mut frames = hear(&phone, 25);
    // No sounds were named: nothing is told, and nothing is told later.
    assert!(!plane.drain().iter().any(is_played));
    plane.order(play(leg, &["ru/one"], AfterSounds::Music));
    wait_played(&mut plane, leg);
    frames.extend(phone.heard_so_far());
    frames.extend(hear(&phone, 25));
    assert!(!plane.drain().iter().any(is_played));
    assert_continuous(&frames, codec);

    let begins = beginning(&frames, codec, &one()) * 160;
    let heard = codes(&frames);
    assert_eq!(
        heard[RISE..begins],
        music[RISE..begins],
        "music from its beginning"
    );
    let ends = begins + one().len();
    assert_eq!(
        heard[begins + FALL..ends],
        encoded(codec, &one()[FALL..]),
        "the announcement"
    );
    let (resumed, risen) = (begins + FALL, ends + RISE);
    assert!(heard.len() > risen + 160);
    assert_eq!(
        heard[risen..],
        music[resumed + RISE..resumed + heard.len() - ends],
        "music again"
    );
    // An order for music alone does not disturb music that is heard.
    plane.order(play(leg, &[], AfterSounds::Music));
    frames.extend(hear(&phone, 10));
    assert_continuous(&frames, codec);
    let heard = codes(&frames);
    assert_eq!(
        heard[risen..],
        music[resumed + RISE..resumed + heard.len() - ends]
    );
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Join,
    Stop,
    Tone,
    OtherSounds,
}

#[rstest]
fn sounds_that_are_ended_by_another_order_are_not_reported(
    #[values(1, 2)] threads: usize,
    #[values(Ending::Join, Ending::Stop, Ending::Tone, Ending::OtherSounds)] ending: Ending,
) {
    let mut plane = start(threads);
    let (mut a, mut b) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcmu, 2));
    let (leg_a, leg_b) = (plane.open_to(&mut a), plane.open_to(&mut b));
    plane.order(play(leg_a, &["ru/one"], AfterSounds::Music));
    a.hear();
    match ending {
        Ending::Join => plane.join(leg_a, leg_b),
        Ending::Stop => plane.order(Command::Stop { leg: leg_a }),
        Ending::Tone => plane.order(Command::Play {
            leg: leg_a,
            tone: Tone::Silence,
        }),
        Ending::OtherSounds => plane.order(play(leg_a, &[], AfterSounds::Silence)),
    }
    // Twice as long as the sound would have taken.
    let told = plane.wait_within(Duration::from_millis(750), |event| {
        is_played(event).then_some(())
    });
    assert!(told.is_none(), "they were not played to their end");
    let heard = codes(&a.heard_so_far());
    assert!(heard.len() < 2_000 || heard[2_000..].iter().all(|&code| code == 0xd5));
    if matches!(ending, Ending::Join) {
        meet(&mut plane, &mut b, leg_b);
        settle(&mut b, &a);
        let said = encoded(Codec::Pcmu, &noise(9, 160));
        let mut expected = said.clone();
        g711::convert(Codec::Pcmu, Codec::Pcma, &mut expected);
        b.speak(&said);
        assert_eq!(a.hear().payload, expected, "the other's voice is heard");
    }
}

#[rstest]
fn sounds_begin_when_the_far_end_is_known_and_nothing_of_them_is_lost(
    #[values(1, 2)] threads: usize,
    #[values(true, false)] behind_nat: bool,
) {
    let mut plane = start(threads);
    let mut phone = Phone::new(Codec::Pcma, 1);
    let (leg, address) = plane.open();
    phone.plane = Some(address);
    plane.order(play(leg, &["ru/two"], AfterSounds::Silence));
    let mut remote = phone.remote();
    if behind_nat {
        // The address of its own network is nowhere we may send to; the true one is learnt from its first packet.
        remote.rtp = SocketAddr::from(([10, 0, 0, 7], 4_000));
        remote.source = SourceRule::SignallingIp(LOCALHOST);
        plane.order(Command::SetRemote {
            leg,
            remote: remote.clone(),
        });
    }
    let told = plane.wait_within(Duration::from_millis(400), |event| {
        is_played(event).then_some(())
    });
    assert!(told.is_none(), "nobody has heard them");
    if behind_nat {
        meet(&mut plane, &mut phone, leg);
    } else {
        plane.order(Command::SetRemote { leg, remote });
    }
    let frames = hear(&phone, 10);
    assert_continuous(&frames, Codec::Pcma);
    assert_eq!(
        codes(&frames)[..two().len()],
        encoded(Codec::Pcma, &two()),
        "from the first sample"
    );
    wait_played(&mut plane, leg);
}

#[rstest]
fn sounds_stand_still_while_the_far_end_does_not_listen(#[values(1, 2)] threads: usize) {
    let mut plane = start(threads);
    let mut phone = Phone::new(Codec::Pcma, 1);
    let leg = plane.open_to(&mut phone);
    plane.order(play(leg, &["ru/one"], AfterSounds::Silence));
    let mut frames = vec![phone.hear()];
    let mut remote = phone.remote();
    remote.receiving = false;
    plane.order(Command::SetRemote { leg, remote });
    let told = plane.wait_within(Duration::from_millis(750), |event| {
        is_played(event).then_some(())
    });
    assert!(told.is_none(), "they have not been heard");
    frames.extend(phone.heard_so_far());
    let before = frames.len();
    assert!(before < 15, "{before} frames to one who does not listen");
    let remote = phone.remote();
    plane.order(Command::SetRemote { leg, remote });
    wait_played(&mut plane, leg);
    frames.extend(phone.heard_so_far());
    assert_eq!(
        codes(&frames)[..one().len()],
        encoded(Codec::Pcma, &one()),
        "no sample is lost"
    );
    // The listener's clock has run on.
    let (last, first) = (frames[before - 1].header, frames[before].header);
    assert!(first.marker);
    assert!(timestamp_step(last.timestamp, first.timestamp) > 4_000);
}

#[rstest]
fn unknown_sounds_end_at_once_and_that_is_told(#[values(1, 2)] threads: usize) {
    let mut plane = start(threads);
    let mut phone = Phone::new(Codec::Pcma, 1);
    let leg = plane.open_to(&mut phone);
    plane.order(play(leg, &["ru/none", "xx/none"], AfterSounds::Silence));
    assert_eq!(phone.hear().payload, [0xd5; 160]);
    wait_played(&mut plane, leg);
}

#[rstest]
fn a_leg_that_hears_sounds_is_watched_and_announcements_do_not_put_that_off(
    #[values(1, 2)] threads: usize,
) {
    let timeout = Duration::from_millis(400);
    let mut plane = start_with_timeout(threads, timeout);
    let mut phones: Vec<_> = (0..3).map(|ssrc| Phone::new(Codec::Pcma, ssrc)).collect();
    let legs: Vec<_> = phones
        .iter_mut()
        .map(|phone| plane.open_to(phone))
        .collect();
    let [waiting, receiver_only, tone] = legs[..] else {
        panic!("three legs");
    };
    let mut remote = phones[1].remote();
    remote.sending = false;
    let leg = receiver_only;
    plane.order(Command::SetRemote { leg, remote });
    plane.order(Command::Play {
        leg: tone,
        tone: Tone::Ringback,
    });
    let begin = Instant::now();
    let mut silent = Vec::new();
    // Something is announced again and again; nobody answers.
    while begin.elapsed() < timeout * 3 {
        for leg in [waiting, receiver_only] {
            plane.order(play(leg, &["ru/two"], AfterSounds::Music));
        }
        silent.extend(plane.wait_within(FRAME * 3, |event| match event {
            Event::RtpTimeout { leg } => Some((*leg, begin.elapsed())),
            _ => None,
        }));
    }
    assert_eq!(silent.len(), 1, "once: {silent:?}");
    assert_eq!(silent[0].0, waiting);
    assert!(silent[0].1 >= timeout, "after {:?}", silent[0].1);
    // One who was away and speaks is watched again.
    phones[0].speak(&[0x55; 160]);
    let again = plane.wait("RtpTimeout", |event| match event {
        Event::RtpTimeout { leg } => Some(*leg),
        _ => None,
    });
    assert_eq!(again, waiting);
}

#[rstest]
fn keys_of_somebody_who_waits_alone_are_reported(#[values(1, 2)] threads: usize) {
    let mut plane = start(threads);
    let mut phone = Phone::new(Codec::Pcma, 1);
    let leg = plane.open_to(&mut phone);
    plane.order(play(leg, &["ru/long"], AfterSounds::Music));
    meet(&mut plane, &mut phone, leg);
    for digit in ['1', '#'] {
        phone.press(digit);
        let pressed = plane.wait("Dtmf", |event| match event {
            Event::Dtmf {
                leg,
                digit,
                duration_ms,
            } => Some((*leg, *digit, *duration_ms)),
            _ => None,
        });
        assert_eq!(pressed, (leg, digit, 80));
    }
    // Before anything was ordered for it, too.
    let mut other = Phone::new(Codec::Pcmu, 2);
    let leg = plane.open_to(&mut other);
    meet(&mut plane, &mut other, leg);
    other.press('0');
    let pressed = plane.wait("Dtmf", |event| match event {
        Event::Dtmf { leg, digit, .. } => Some((*leg, *digit)),
        _ => None,
    });
    assert_eq!(pressed, (leg, '0'));
}

/// A key as a pair of tones, 100 ms, and then silence.
fn press_in_band(phone: &mut Phone, (row, column): (f64, f64)) {
    let wave =
        |i: usize, hertz: f64| (i as f64 * hertz / 8000.0 * std::f64::consts::TAU).sin() * 6_000.0;
    let mut beat = Beat::start();
    for frame in 0..9 {
        let samples: Vec<i16> = (frame * 160..frame * 160 + 160)
            .map(|i| match frame {
                0..5 => (wave(i, row) + wave(i, column)) as i16,
                _ => 0,
            })
            .collect();
        phone.speak(&encoded(phone.codec, &samples));
        beat.wait();
    }
}

#[rstest]
fn keys_in_the_voice_count_while_sounds_are_heard_and_no_events_are_agreed(
    #[values(1, 2)] threads: usize,
    #[values(Codec::Pcma, Codec::Pcmu)] codec: Codec,
) {
    let mut plane = start(threads);
    let mut without = Phone::new(codec, 1);
    without.keys = None;
    let leg = plane.open_to(&mut without);
    meet(&mut plane, &mut without, leg);
    let digit = |event: &Event| match event {
        Event::Dtmf { leg, digit, .. } => Some((*leg, *digit)),
        _ => None,
    };
    // Nobody has asked anything yet.
    press_in_band(&mut without, (770.0, 1336.0));
    plane.order(play(leg, &["ru/long"], AfterSounds::Music));
    without.hear();
    press_in_band(&mut without, (697.0, 1209.0));
    assert_eq!(plane.wait("Dtmf", digit), (leg, '1'));
    press_in_band(&mut without, (941.0, 1477.0));
    assert_eq!(plane.wait("Dtmf", digit), (leg, '#'));

    let mut with = Phone::new(codec, 2);
    let other = plane.open_to(&mut with);
    plane.order(play(other, &["ru/long"], AfterSounds::Music));
    meet(&mut plane, &mut with, other);
    press_in_band(&mut with, (697.0, 1209.0));
    // Its keys come as events: the tones are nothing but voice.
    with.press('9');
    assert_eq!(plane.wait("Dtmf", digit), (other, '9'));
    assert!(!plane.drain().iter().any(|event| digit(event).is_some()));
}

/// Speaks until the other hears it; what was heard before.
fn speak_until_heard(from: &mut Phone, to: &Phone, voice: &[u8]) -> Vec<Heard> {
    let end = Instant::now() + DEADLINE;
    let mut before = Vec::new();
    loop {
        assert!(Instant::now() < end, "the voice is not heard");
        from.speak(voice);
        match to.hear() {
            heard if heard.payload == voice => return before,
            // Silence was spoken, to be confirmed.
            heard if heard.payload.iter().all(|&code| code == 0xd5) => {}
            heard => before.push(heard),
        }
    }
}

#[rstest]
fn one_who_waited_with_music_and_is_held_later_hears_it_go_on(#[values(1, 2)] threads: usize) {
    let mut plane = start(threads);
    let (mut a, mut b) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    let leg_a = plane.open_to(&mut a);
    plane.order(play(leg_a, &[], AfterSounds::Music));
    let mut position = hear(&a, 30).len() * 160;
    let leg_b = plane.open_to(&mut b);
    plane.join(leg_a, leg_b);
    meet(&mut plane, &mut b, leg_b);
    let voice = encoded(Codec::Pcma, &noise(5, 160));
    let music = encoded(Codec::Pcma, music().samples());
    position += speak_until_heard(&mut b, &a, &voice).len() * 160;
    for time in ["first", "second"] {
        let hold = |held| Command::Hold { leg: leg_b, held };
        plane.order(hold(true));
        let mut held = hear(&a, 45);
        plane.order(hold(false));
        held.extend(speak_until_heard(&mut b, &a, &voice));
        held.retain(|frame| frame.payload != voice);
        let heard = codes(&held);
        assert_eq!(
            heard[RISE..],
            music[position + RISE..position + heard.len()],
            "from where it was heard last, the {time} time"
        );
        let silence = Codec::Pcma.silence();
        assert_eq!(heard[0], silence, "it rises anew, the {time} time");
        position += heard.len();
    }
}

#[test]
fn a_sound_whose_leg_closes_or_never_opens_harms_nothing() {
    let mut plane = start(1);
    let mut phone = Phone::new(Codec::Pcma, 1);
    let leg = plane.open_to(&mut phone);
    plane.order(play(leg, &["ru/long"], AfterSounds::Music));
    phone.hear();
    assert!(plane.close(leg).sent > 0);
    plane.order(play(leg, &["ru/one"], AfterSounds::Music));
    plane.order(play(LegKey(9_999), &["ru/one"], AfterSounds::Music));
    // The next leg on the same thread is served as ever.
    let port = free_port_pair();
    let leg = LegKey(500);
    plane.order(Command::Open {
        leg,
        local_ip: LOCALHOST,
        port,
    });
    let remote = phone.remote();
    plane.order(Command::SetRemote { leg, remote });
    plane.order(play(leg, &["ru/two"], AfterSounds::Silence));
    wait_played(&mut plane, leg);
    let (mut a, mut b) = (Phone::new(Codec::Pcma, 3), Phone::new(Codec::Pcma, 4));
    bridged(&mut plane, &mut a, &mut b);
    assert!(!plane.drain().iter().any(is_played), "told once");
}
