//! What stands in a recording, compared with what the phones sent and when, by their own clock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at anything unexpected"
)]

mod support;

use std::{
    path::Path,
    process::{Command as Process, Stdio},
    time::{Duration, Instant},
};

use media::{Codec, Command, ConversationKey, Event, GapReason, LegKey, g711, wav};
use net::recorder::repair;
use rstest::rstest;
use support::{Beat, DEADLINE, Heard, Phone, TestPlane, bridged, wav::Recording};

/// Noise that repeats nowhere, so that a position in the file is unmistakable.
struct Noise(u64);

impl Noise {
    fn frame(&mut self) -> Vec<u8> {
        (0..160)
            .map(|_| {
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                (self.0 >> 32) as u8
            })
            .collect()
    }
}

/// What a side said: the payloads, in order.
fn talk(a: &mut Phone, b: &mut Phone, frames: usize) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut said_a, mut said_b) = (Vec::new(), Vec::new());
    let (mut noise_a, mut noise_b) = (Noise(0x1234_5678_9abc), Noise(0xfedc_ba98_7654));
    let mut beat = Beat::start();
    for _ in 0..frames {
        said_a.push(noise_a.frame());
        said_b.push(noise_b.frame());
        a.speak(&said_a[said_a.len() - 1]);
        b.speak(&said_b[said_b.len() - 1]);
        beat.wait();
    }
    (said_a, said_b)
}

fn converted(frames: &[Vec<u8>], from: Codec, to: Codec) -> Vec<u8> {
    let mut all = frames.concat();
    g711::convert(from, to, &mut all);
    all
}

#[rstest]
fn the_file_holds_what_both_sides_said_left_and_right_in_time(
    #[values(1, 2)] threads: usize,
    #[values(Codec::Pcma, Codec::Pcmu)] law: Codec,
) {
    let mut plane = TestPlane::start(threads);
    let (mut client, mut agent) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcmu, 2));
    let (client_leg, agent_leg) = bridged(&mut plane, &mut client, &mut agent);
    let path = plane.start_recording(7, client_leg, agent_leg, law);
    let (said_client, said_agent) = talk(&mut client, &mut agent, 120);
    // Both phones heard the last frame, so the plane has had it.
    plane.close(client_leg);
    plane.close(agent_leg);
    let summary = plane.stop_recording(7);
    assert_eq!((&summary.error, summary.gaps_ms), (&None, 0));
    assert_eq!(summary.file, "2026/05/01/7.wav");
    let recording = Recording::read(&path);
    assert_eq!(recording.law, law);
    assert_eq!(summary.length_ms, recording.millis());
    assert_eq!(summary.bytes, path.metadata().unwrap().len());
    assert!(
        summary.length_ms.abs_diff(120 * 20) <= 40,
        "{} ms instead of 2400",
        summary.length_ms
    );
    // Every sample of a side stands once and in order; a late beat may cost a seam of the timeline, so the
    // frames are looked for one by one.
    for (said, codec, channel) in [
        (&said_client, Codec::Pcma, &recording.left),
        (&said_agent, Codec::Pcmu, &recording.right),
    ] {
        let mut at = 0;
        for (number, frame) in said.iter().enumerate() {
            let frame = converted(std::slice::from_ref(frame), codec, law);
            let found = Recording::find(&channel[at..], &frame);
            let found = at + found.unwrap_or_else(|| panic!("frame {number} is not in the file"));
            let clock = number * 160;
            assert!(
                found.abs_diff(clock) <= 320,
                "frame {number} lies at {found}"
            );
            at = found + 160;
        }
    }
    recording.check_with_sox(&path);
    recording.check_with_ffprobe(&path);
}

#[rstest]
fn header_and_audio_are_in_the_file_within_a_second_of_their_arrival(
    #[values(1, 2)] threads: usize,
) {
    let mut plane = TestPlane::start(threads);
    let (mut client, mut agent) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    let (client_leg, agent_leg) = bridged(&mut plane, &mut client, &mut agent);
    let path = plane.start_recording(1, client_leg, agent_leg, Codec::Pcma);
    let mut noise = Noise(99);
    let mut beat = Beat::start();
    for _ in 0..5 {
        let mut marks = Vec::new();
        for _ in 0..15 {
            marks = noise.frame();
            client.speak(&marks);
            beat.wait();
        }
        let said = Instant::now();
        loop {
            let bytes = std::fs::read(&path).unwrap();
            let (_, frames) = wav::read_header(&bytes).unwrap();
            assert!(
                wav::file_bytes(frames) <= bytes.len() as u64,
                "the header tells more than there is"
            );
            let data = &bytes[wav::HEADER_BYTES..wav::file_bytes(frames) as usize];
            let left: Vec<u8> = data.iter().step_by(2).copied().collect();
            if Recording::find(&left, &marks).is_some() {
                break;
            }
            assert!(said.elapsed() < Duration::from_secs(1), "not in the file");
            std::thread::yield_now();
        }
        beat = Beat::start();
    }
    assert_eq!(plane.stop_recording(1).error, None);
}

#[rstest]
fn a_held_leg_and_its_music_are_not_recorded_and_the_other_side_is(#[values(1, 2)] threads: usize) {
    let mut plane = TestPlane::start(threads);
    let (mut client, mut agent) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    let (client_leg, agent_leg) = bridged(&mut plane, &mut client, &mut agent);
    let path = plane.start_recording(1, client_leg, agent_leg, Codec::Pcma);
    plane.order(Command::Hold {
        leg: agent_leg,
        held: true,
    });
    let (said_client, _) = talk(&mut client, &mut agent, 30);
    let music = client.heard_so_far();
    let loud = |frame: &Heard| {
        frame
            .payload
            .iter()
            .any(|&code| (code ^ 0xd5) & 0x7f > 0x20)
    };
    assert!(music.iter().any(loud), "the client hears music");
    plane.close(client_leg);
    plane.close(agent_leg);
    assert_eq!(plane.stop_recording(1).gaps_ms, 0);
    let recording = Recording::read(&path);
    assert!(
        recording
            .right
            .iter()
            .all(|&code| code == Codec::Pcma.silence())
    );
    let said = said_client.concat();
    let begin = Recording::find(&recording.left, &said).expect("the client is recorded");
    let (before, after) = (
        &recording.left[..begin],
        &recording.left[begin + said.len()..],
    );
    let silent = |code: &u8| *code == Codec::Pcma.silence();
    assert!(before.iter().chain(after).all(silent), "and nothing else");
}

#[rstest]
fn a_leg_that_outlives_its_recording_does_not_speak_into_the_next_one(
    #[values(1, 2)] threads: usize,
) {
    let mut plane = TestPlane::start(threads);
    let (mut a, mut b) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    let (leg_a, leg_b) = bridged(&mut plane, &mut a, &mut b);
    plane.start_recording(1, leg_a, leg_b, Codec::Pcma);
    plane.stop_recording(1);
    let (mut c, mut d) = (Phone::new(Codec::Pcma, 3), Phone::new(Codec::Pcma, 4));
    let (leg_c, leg_d) = bridged(&mut plane, &mut c, &mut d);
    let path = plane.start_recording(2, leg_c, leg_d, Codec::Pcma);
    let mut beat = Beat::start();
    for _ in 0..30 {
        a.speak(&[0x66; 160]);
        b.speak(&[0x66; 160]);
        c.speak(&[0x22; 160]);
        d.speak(&[0x33; 160]);
        beat.wait();
    }
    for leg in [leg_a, leg_b, leg_c, leg_d] {
        plane.close(leg);
    }
    plane.stop_recording(2);
    let recording = Recording::read(&path);
    assert!(recording.left.contains(&0x22) && recording.right.contains(&0x33));
    let both = recording.left.iter().chain(&recording.right);
    assert!(both.into_iter().all(|&code| code != 0x66));
}

#[rstest]
fn every_order_to_record_ends_with_its_closing(#[values(1, 2)] threads: usize) {
    let mut plane = TestPlane::start(threads);
    let (mut a, mut b) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    let (leg_a, leg_b) = bridged(&mut plane, &mut a, &mut b);
    let record = |plane: &mut TestPlane, conversation: u64, leg: LegKey, file: &str| {
        plane.order(Command::StartRecording {
            conversation: ConversationKey(conversation),
            client: leg,
            agent: Some(leg_b),
            file: file.into(),
            law: Codec::Pcma,
        });
    };
    plane.start_recording(1, leg_a, leg_b, Codec::Pcma);
    record(&mut plane, 1, leg_a, "second.wav");
    let error = plane.wait_recorded(1).error.unwrap();
    assert!(error.contains("already"), "{error}");
    record(&mut plane, 2, leg_a, "../outside.wav");
    let error = plane.wait_recorded(2).error.unwrap();
    assert!(error.contains("below the recordings folder"), "{error}");
    record(&mut plane, 3, leg_a, "2026/05/01/1.wav");
    let error = plane.wait_recorded(3).error.unwrap();
    assert!(error.contains("exists"), "{error}");
    plane.close(leg_b);
    record(&mut plane, 4, LegKey(999), "none.wav");
    let error = plane.wait_recorded(4).error.unwrap();
    assert!(error.contains("neither leg"), "{error}");
    assert!(!plane.folder.path().join("second.wav").exists());
    // The first one was disturbed by none of this.
    assert_eq!(plane.stop_recording(1).error, None);
}

#[rstest]
fn the_end_of_the_plane_closes_every_recording(#[values(1, 2)] threads: usize) {
    let mut plane = TestPlane::start(threads);
    let (mut client, mut agent) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    let (client_leg, agent_leg) = bridged(&mut plane, &mut client, &mut agent);
    let path = plane.start_recording(1, client_leg, agent_leg, Codec::Pcma);
    let (said, _) = talk(&mut client, &mut agent, 10);
    plane.close(agent_leg);
    let TestPlane {
        plane: running,
        mut events,
        folder,
        ..
    } = plane;
    running.stop();
    let mut summary = None;
    while let Some(event) = events.pop() {
        if let Event::RecordingClosed {
            summary: closed, ..
        } = event
        {
            summary = Some(closed);
        }
    }
    assert_eq!(summary.unwrap().error, None);
    let recording = Recording::read(&path);
    assert!(Recording::find(&recording.left, &said[9]).is_some());
    drop(folder);
}

#[rstest]
fn when_the_writers_queue_is_full_the_call_goes_on_and_the_gap_is_told(
    #[values(1, 2)] threads: usize,
) {
    // A queue without a single place for audio: every part finds it full.
    let mut plane = TestPlane::start_with(threads, |settings| settings.writer_queue = 0);
    let (mut client, mut agent) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    let (client_leg, agent_leg) = bridged(&mut plane, &mut client, &mut agent);
    let path = plane.start_recording(1, client_leg, agent_leg, Codec::Pcma);
    let (said, _) = talk(&mut client, &mut agent, 60);
    assert_eq!(agent.heard_so_far().len(), said.len(), "the call suffers");
    plane.close(client_leg);
    plane.close(agent_leg);
    let summary = plane.stop_recording(1);
    assert!(summary.gaps_ms.abs_diff(1200) <= 40, "{summary:?}");
    let mut gaps_ms = 0;
    for event in plane.drain() {
        if let Event::RecordingGap {
            length_ms, reason, ..
        } = event
        {
            assert_eq!(*reason, GapReason::QueueFull);
            gaps_ms += length_ms;
        }
    }
    assert_eq!(gaps_ms, summary.gaps_ms);
    let counters = plane.plane.counters();
    let end = Instant::now() + DEADLINE;
    while counters.recording_parts_dropped() < 3 {
        assert!(Instant::now() < end, "dropped parts are not counted");
        std::thread::yield_now();
    }
    // The file has the length of the conversation all the same, and is silent.
    let recording = Recording::read(&path);
    assert_eq!(recording.millis(), summary.length_ms);
    assert!(recording.left.iter().all(|&code| code == 0xd5));
}

/// Runs this test again as another process, in which `RINGBOOK_TEST_FOLDER` is set.
fn again_as_a_process(test: &str, folder: &Path, prelude: &str) -> Process {
    let mut process = Process::new("sh");
    process
        .arg("-c")
        .arg(format!("{prelude} exec \"$0\" --exact {test} --nocapture"))
        .arg(std::env::current_exe().unwrap())
        .env("RINGBOOK_TEST_FOLDER", folder);
    process
}

fn given_folder() -> Option<std::path::PathBuf> {
    std::env::var_os("RINGBOOK_TEST_FOLDER").map(Into::into)
}

#[test]
fn on_a_full_disk_the_call_goes_on_and_the_file_is_whole_up_to_there() {
    if let Some(folder) = given_folder() {
        record_on_a_full_disk(&folder);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // No file may grow over 16 KiB: for a write that is as good as a full disk (EFBIG).
    let status = again_as_a_process(
        "on_a_full_disk_the_call_goes_on_and_the_file_is_whole_up_to_there",
        folder.path(),
        "trap '' XFSZ; ulimit -f 32;",
    )
    // Where our own output is a file, it is longer than that already.
    .stdout(Stdio::null())
    .stderr(Stdio::null())
    .status()
    .unwrap();
    assert!(status.success());
    let path = folder.path().join("2026/05/01/1.wav");
    let recording = Recording::read(&path);
    assert_eq!(path.metadata().unwrap().len(), 16_384);
    assert!(recording.left.iter().all(|&code| code == 0x22));
    recording.check_with_sox(&path);
}

fn record_on_a_full_disk(folder: &Path) {
    let mut plane = TestPlane::start_with(1, |settings| settings.recordings = folder.to_owned());
    let (mut client, mut agent) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    let (client_leg, agent_leg) = bridged(&mut plane, &mut client, &mut agent);
    plane.start_recording(1, client_leg, agent_leg, Codec::Pcma);
    let mut beat = Beat::start();
    for _ in 0..100 {
        client.speak(&[0x22; 160]);
        assert_eq!(agent.hear().payload, [0x22; 160]);
        beat.wait();
    }
    let summary = plane.stop_recording(1);
    assert!(
        summary
            .error
            .as_deref()
            .unwrap()
            .contains("cannot be written")
    );
    assert_eq!(summary.bytes, 16_384);
    assert!(summary.length_ms + summary.gaps_ms >= 1900, "{summary:?}");
    let full = plane.drain().iter().any(|event| {
        matches!(
            event,
            Event::RecordingGap {
                reason: GapReason::DiskFull,
                ..
            }
        )
    });
    assert!(full, "no alarm");
}

#[test]
fn after_kill_9_the_recording_is_playable_to_within_its_last_second() {
    if let Some(folder) = given_folder() {
        record_until_killed(&folder);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut child = again_as_a_process(
        "after_kill_9_the_recording_is_playable_to_within_its_last_second",
        folder.path(),
        "",
    )
    .spawn()
    .unwrap();
    // The child writes down how many frames it has spoken; it is killed in the middle of its second second.
    let spoken = folder.path().join("spoken");
    let read_spoken = || {
        std::fs::read(&spoken)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u64::from_le_bytes)
    };
    let end = Instant::now() + DEADLINE;
    while read_spoken() < 93 {
        assert!(Instant::now() < end, "the child does not speak");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let spoken_ms = read_spoken() * 20;
    let path = folder.path().join("2026/05/01/1.wav");
    // Playable as it lies there, before any repair.
    let before = Recording::read(&path);
    assert!(before.millis() + 1000 >= spoken_ms, "{}", before.millis());
    // As if the power had failed between data and header.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..wav::HEADER_BYTES].copy_from_slice(&wav::header(Codec::Pcmu, 100));
    std::fs::write(&path, &bytes).unwrap();
    let summary = repair(folder.path(), "2026/05/01/1.wav");
    assert_eq!(summary.error, None);
    assert_eq!(summary.bytes, bytes.len() as u64);
    assert!(summary.length_ms + 1000 >= spoken_ms && summary.length_ms <= spoken_ms + 40);
    let recording = Recording::read(&path);
    recording.check_with_sox(&path);
    recording.check_with_ffprobe(&path);
    // Frame n says n: the last second apart, all are there, in order.
    let numbers: Vec<u8> = recording
        .left
        .chunks(160)
        .map(|frame| frame[frame.len() / 2])
        .filter(|&code| code != 0xff)
        .collect();
    assert!(numbers.windows(2).all(|pair| pair[0] <= pair[1]));
    assert!(usize::from(*numbers.last().unwrap()) + 52 >= (spoken_ms / 20) as usize);
}

fn record_until_killed(folder: &Path) -> ! {
    let mut plane = TestPlane::start_with(1, |settings| settings.recordings = folder.to_owned());
    let (mut client, mut agent) = (Phone::new(Codec::Pcmu, 1), Phone::new(Codec::Pcmu, 2));
    let (client_leg, agent_leg) = bridged(&mut plane, &mut client, &mut agent);
    plane.start_recording(1, client_leg, agent_leg, Codec::Pcmu);
    let mut beat = Beat::start();
    for number in 0_u64.. {
        client.speak(&[number.min(254) as u8; 160]);
        std::fs::write(folder.join("spoken"), (number + 1).to_le_bytes()).unwrap();
        beat.wait();
        // Nobody kills it when the test has failed.
        if number > 1000 {
            std::process::exit(1);
        }
    }
    unreachable!("the loop has no end")
}

#[rstest]
fn a_stream_that_pauses_leaves_silence_of_its_length(#[values(1, 2)] threads: usize) {
    let mut plane = TestPlane::start(threads);
    let (mut client, mut agent) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcma, 2));
    let (client_leg, agent_leg) = bridged(&mut plane, &mut client, &mut agent);
    let path = plane.start_recording(1, client_leg, agent_leg, Codec::Pcma);
    let mut beat = Beat::start();
    for number in 0..60 {
        if !(20..40).contains(&number) {
            client.speak(&[0x22; 160]);
        } else {
            // The phone suppresses silence: its clock runs on, its numbers do not.
            client.timestamp = client.timestamp.wrapping_add(160);
        }
        agent.speak(&[0x33; 160]);
        beat.wait();
    }
    plane.close(client_leg);
    plane.close(agent_leg);
    let summary = plane.stop_recording(1);
    assert!(summary.length_ms.abs_diff(1200) <= 40, "{summary:?}");
    let recording = Recording::read(&path);
    let silent = recording.left.iter().filter(|&&code| code == 0xd5).count();
    assert!(silent.abs_diff(3200) <= 320, "{silent} silent frames");
    let spoken = recording.left.iter().filter(|&&code| code == 0x22).count();
    assert_eq!(spoken, 40 * 160);
}

#[rstest]
fn a_paused_recording_is_silent_in_its_place_and_keeps_its_time(#[values(1, 2)] threads: usize) {
    const PART: usize = 50;
    let mut plane = TestPlane::start(threads);
    let (mut client, mut agent) = (Phone::new(Codec::Pcma, 1), Phone::new(Codec::Pcmu, 2));
    let (client_leg, agent_leg) = bridged(&mut plane, &mut client, &mut agent);
    let path = plane.start_recording(7, client_leg, agent_leg, Codec::Pcma);
    let (mut noise_a, mut noise_b) = (Noise(0x1234_5678_9abc), Noise(0xfedc_ba98_7654));
    let (mut said_a, mut said_b) = (Vec::new(), Vec::new());
    let mut beat = Beat::start();
    for number in 0..3 * PART {
        if number % PART == 0 && number > 0 {
            plane.order(Command::PauseRecording {
                conversation: ConversationKey(7),
                paused: number == PART,
            });
        }
        said_a.push(noise_a.frame());
        said_b.push(noise_b.frame());
        client.speak(&said_a[number]);
        agent.speak(&said_b[number]);
        beat.wait();
        if number == PART + PART / 2 {
            client.press('5');
        }
    }
    plane.wait("the key", |event| {
        matches!(event, Event::Dtmf { leg, digit: '5', .. } if *leg == client_leg).then_some(())
    });
    plane.close(client_leg);
    plane.close(agent_leg);
    let summary = plane.stop_recording(7);
    assert_eq!((&summary.error, summary.gaps_ms), (&None, 0));
    let recording = Recording::read(&path);
    let said_ms = 3 * PART as u64 * 20;
    assert!(
        summary.length_ms.abs_diff(said_ms + 80) <= 80,
        "{} ms instead of {said_ms}",
        summary.length_ms
    );
    for (said, codec, channel) in [
        (&said_a, Codec::Pcma, &recording.left),
        (&said_b, Codec::Pcmu, &recording.right),
    ] {
        for (number, frame) in said.iter().enumerate() {
            let frame = converted(std::slice::from_ref(frame), codec, Codec::Pcma);
            let found = Recording::find(channel, &frame);
            match number {
                // The order and the packet of that moment go different ways.
                PART | 100 => {}
                51..100 => assert_eq!(found, None, "frame {number} was said in the pause"),
                _ => {
                    let found = found.unwrap_or_else(|| panic!("frame {number} is not there"));
                    let late = if number > PART { 80 * 8 } else { 0 };
                    assert!(
                        found.abs_diff(number * 160) <= 320 + late,
                        "frame {number} lies at {found}"
                    );
                }
            }
        }
        let silent = &channel[52 * 160 + 320..99 * 160];
        assert!(silent.iter().all(|byte| *byte == Codec::Pcma.silence()));
    }
    recording.check_with_sox(&path);
}
