//! The timeline of a recording, seen as the writer sees it: packets in, a file out.

use std::time::Duration;

use media::Codec;
use media::timeline::{
    BlockWrite, FRAMES_PER_SECOND, Placement, Side, TapPacket, Timeline, YIELD_AFTER,
};
use proptest::prelude::*;

const PACKET: u32 = 160;
const PERIOD: Duration = Duration::from_millis(20);
const SILENCE: u8 = 0xd5;

/// Applies what is yielded as the writer does, and remembers when each frame was written first.
#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    parts: Vec<(Duration, u64, u64)>,
    now: Duration,
}

impl File {
    fn write(&mut self, part: BlockWrite<'_>) {
        assert!(!part.bytes.is_empty() && part.bytes.len() % 2 == 0);
        let (from, to) = (
            part.byte_offset() as usize,
            part.byte_offset() as usize + part.bytes.len(),
        );
        self.bytes.resize(self.bytes.len().max(to), SILENCE);
        self.bytes[from..to].copy_from_slice(part.bytes);
        self.parts
            .push((self.now, part.at_frame, part.at_frame + part.frames()));
    }

    fn channel(&self, side: Side) -> Vec<u8> {
        let first = if side == Side::Left { 0 } else { 1 };
        self.bytes.iter().skip(first).step_by(2).copied().collect()
    }
}

/// A device whose every sample tells its own number (modulo 197) and is never silent.
#[derive(Clone)]
struct Sender {
    side: Side,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    sample: usize,
}

fn voice(sample: usize) -> u8 {
    (sample % 197) as u8
}

impl Sender {
    fn new(side: Side) -> Self {
        // Both counters wrap within the first seconds.
        Self {
            side,
            ssrc: 7,
            sequence: 65500,
            timestamp: u32::MAX - 5000,
            sample: 0,
        }
    }

    fn packet(&mut self) -> Sent {
        let payload = (self.sample..self.sample + PACKET as usize)
            .map(voice)
            .collect();
        let sent = Sent {
            sender: self.clone(),
            payload,
        };
        self.skip();
        sent
    }

    fn skip(&mut self) {
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(PACKET);
        self.sample += PACKET as usize;
    }
}

#[derive(Clone)]
struct Sent {
    sender: Sender,
    payload: Vec<u8>,
}

impl Sent {
    /// Whether the sender itself says that the two sound at once.
    fn overlaps(&self, other: &Self) -> bool {
        let step = self.sender.timestamp.wrapping_sub(other.sender.timestamp) as i32;
        self.sender.side == other.sender.side
            && self.sender.ssrc == other.sender.ssrc
            && step.unsigned_abs() < PACKET
    }
}

struct Recorder {
    timeline: Timeline,
    file: File,
}

impl Recorder {
    fn new() -> Self {
        Self {
            timeline: Timeline::new(Codec::Pcma, Duration::ZERO),
            file: File::default(),
        }
    }

    fn arrive(&mut self, arrival: Duration, sent: &Sent) -> Placement {
        while let Some(due) = self.timeline.next_drain().filter(|due| *due <= arrival) {
            self.file.now = due;
            self.timeline.drain(due, |part| self.file.write(part));
        }
        self.file.now = arrival;
        let Sender {
            side,
            ssrc,
            sequence,
            timestamp,
            ..
        } = sent.sender;
        let payload = &sent.payload;
        let packet = TapPacket {
            side,
            arrival,
            ssrc,
            sequence,
            timestamp,
            codec: Codec::Pcma,
            payload,
        };
        self.timeline.place(packet, |part| self.file.write(part))
    }

    fn finish(mut self) -> File {
        let frames = self.timeline.finish(|part| self.file.write(part));
        assert_eq!(frames * 2, self.file.bytes.len() as u64);
        self.file
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn voices(samples: std::ops::Range<usize>) -> Vec<u8> {
    samples.map(voice).collect()
}

#[test]
fn two_streams_lie_where_they_arrived() {
    let (mut left, mut right) = (Sender::new(Side::Left), Sender::new(Side::Right));
    let mut recorder = Recorder::new();
    for n in 0..200 {
        recorder.arrive(ms(5000 + n * 20), &left.packet());
        if n >= 50 {
            recorder.arrive(ms(5007 + n * 20), &right.packet());
        }
    }
    let file = recorder.finish();
    assert_eq!(file.channel(Side::Left)[..32000], voices(0..32000));
    assert_eq!(file.channel(Side::Left)[32000..], [SILENCE; 56]);
    assert_eq!(file.channel(Side::Right)[..8056], [SILENCE; 8056]);
    assert_eq!(file.channel(Side::Right)[8056..], voices(0..24000));
}

#[test]
fn a_lost_packet_is_silence_and_a_late_one_finds_the_last_block_open() {
    let mut sender = Sender::new(Side::Left);
    let mut recorder = Recorder::new();
    let (mut late, mut expected) = (Vec::new(), Vec::new());
    for n in 0..150_u64 {
        let sent = sender.packet();
        expected.extend_from_slice(&sent.payload);
        match n {
            20 => expected[3200..].fill(SILENCE),
            49 | 51 | 60 => late.push(sent),
            _ => {
                recorder.arrive(ms(n * 20), &sent);
            }
        }
        if n == 99 {
            // They arrive up to a second after their time, and the file has been written past them.
            for sent in &late {
                assert!(matches!(
                    recorder.arrive(ms(n * 20), sent),
                    Placement::Placed { frames: 160, .. }
                ));
            }
        }
    }
    let file = recorder.finish();
    assert!(file.channel(Side::Left) == expected);
    assert!(
        file.parts.windows(2).any(|parts| parts[1].1 < parts[0].2),
        "a part was written again"
    );
}

#[test]
fn what_is_older_than_the_open_blocks_is_dropped() {
    let mut sender = Sender::new(Side::Left);
    let mut recorder = Recorder::new();
    let first = sender.packet();
    let late = sender.packet();
    recorder.arrive(ms(0), &first);
    for n in 2..200 {
        recorder.arrive(ms(n * 20), &sender.packet());
    }
    assert_eq!(recorder.arrive(ms(4000), &late), Placement::Dropped);
    assert!(recorder.finish().channel(Side::Left)[320..] == voices(320..32000));
}

#[test]
fn another_source_is_anchored_at_its_arrival() {
    let mut sender = Sender::new(Side::Left);
    let mut recorder = Recorder::new();
    for n in 0..10 {
        recorder.arrive(ms(n * 20), &sender.packet());
    }
    let mut other = Sender {
        ssrc: 8,
        sequence: 3,
        timestamp: 99,
        ..sender
    };
    for n in 0..10 {
        recorder.arrive(ms(500 + n * 20), &other.packet());
    }
    let left = recorder.finish().channel(Side::Left);
    assert_eq!(left[..1600], voices(0..1600));
    assert_eq!(left[1600..4000], [SILENCE; 2400]);
    assert_eq!(left[4000..], voices(1600..3200));
}

#[test]
fn another_source_within_a_packet_goes_on_without_a_seam() {
    for delay in [185, 200, 215] {
        let mut sender = Sender::new(Side::Right);
        let mut recorder = Recorder::new();
        for n in 0..10 {
            recorder.arrive(ms(n * 20), &sender.packet());
        }
        sender.ssrc = 8;
        for n in 0..10 {
            recorder.arrive(ms(delay + n * 20), &sender.packet());
        }
        assert!(recorder.finish().channel(Side::Right) == voices(0..3200));
    }
}

#[test]
fn a_jump_of_the_timestamp_or_of_the_sequence_moves_nothing() {
    for (jump, restart) in [
        (1_000_000_u32, 0_u16),
        (0_u32.wrapping_sub(16_000), 0),
        (77_777, 20_000),
    ] {
        let mut sender = Sender::new(Side::Left);
        let mut recorder = Recorder::new();
        for n in 0..100 {
            if n == 50 {
                sender.timestamp = sender.timestamp.wrapping_add(jump);
                sender.sequence = sender.sequence.wrapping_add(restart);
            }
            recorder.arrive(ms(n * 20), &sender.packet());
        }
        assert!(recorder.finish().channel(Side::Left) == voices(0..16000));
    }
}

#[test]
fn a_pause_is_silence_whether_or_not_the_timestamp_counts_it() {
    for (pause_ms, counted) in [
        (700_u64, true),
        (700, false),
        (30_000, true),
        (30_000, false),
    ] {
        let mut sender = Sender::new(Side::Left);
        let mut recorder = Recorder::new();
        for n in 0..100 {
            recorder.arrive(ms(n * 20), &sender.packet());
        }
        if counted {
            sender.timestamp = sender.timestamp.wrapping_add(pause_ms as u32 * 8);
        }
        for n in 100..200 {
            recorder.arrive(ms(n * 20 + pause_ms), &sender.packet());
        }
        let left = recorder.finish().channel(Side::Left);
        assert_eq!(left.len() as u64, 32000 + pause_ms * 8);
        assert!(left[..16000] == voices(0..16000));
        // Frozen timestamps are seen through after five packets at the latest.
        let settled = left.len() - 95 * 160;
        assert!(
            left[settled..] == voices(16800..32000),
            "{pause_ms} {counted}"
        );
    }
}

#[test]
fn a_stall_with_a_burst_after_it_keeps_every_sample_in_its_place() {
    let mut sender = Sender::new(Side::Left);
    let mut recorder = Recorder::new();
    for n in 0..300_u64 {
        let arrival = if (100..140).contains(&n) {
            2800 + (n - 100) / 8
        } else {
            n * 20
        };
        recorder.arrive(ms(arrival), &sender.packet());
    }
    assert!(recorder.finish().channel(Side::Left) == voices(0..48000));
}

#[test]
fn jitter_and_reordering_leave_no_trace() {
    let mut sender = Sender::new(Side::Left);
    let mut packets: Vec<(u64, Sent)> = (0..1000_u64)
        .map(|n| {
            // The first one is on time; later ones are up to 60 ms late.
            let delay = if n == 0 {
                0
            } else {
                n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58
            };
            (n * 20 + delay.min(60), sender.packet())
        })
        .collect();
    packets.sort_by_key(|(arrival, _)| *arrival);
    let mut recorder = Recorder::new();
    for (arrival, sent) in &packets {
        recorder.arrive(ms(*arrival), sent);
    }
    assert!(recorder.finish().channel(Side::Left) == voices(0..160_000));
}

#[test]
fn a_drifting_clock_is_followed_within_forty_milliseconds_for_an_hour() {
    for ppm in [-300_i64, -50, 50, 300] {
        let mut sender = Sender::new(Side::Left);
        let mut recorder = Recorder::new();
        let mut last = Duration::ZERO;
        for n in 0..180_000_u64 {
            last = Duration::from_nanos((n * 20_000) * (1_000_000 + ppm).unsigned_abs() / 1000);
            let placed = recorder.arrive(last, &sender.packet());
            let Placement::Placed { at_frame, frames } = placed else {
                panic!("packet {n} was dropped")
            };
            let due = last.as_nanos() as i64 * 8 / 1_000_000;
            let (from, to) = (at_frame as i64, (at_frame + frames) as i64);
            assert!(
                from - due <= 320 && due + 160 - to <= 320,
                "packet {n} is off"
            );
        }
        let frames = recorder.finish().bytes.len() as i64 / 2;
        let span = last.as_nanos() as i64 * 8 / 1_000_000;
        assert!(
            (frames - span).abs() <= 320,
            "{ppm} ppm: {frames} frames for {span}"
        );
    }
}

#[test]
fn the_writer_has_every_sample_within_half_a_second() {
    let mut sender = Sender::new(Side::Left);
    let mut recorder = Recorder::new();
    let mut written = 0;
    for n in 0..500_u64 {
        recorder.arrive(ms(n * 20), &sender.packet());
        recorder.file.now = ms(n * 20);
        recorder
            .timeline
            .drain(ms(n * 20), |part| recorder.file.write(part));
        written = recorder
            .file
            .parts
            .iter()
            .map(|part| part.2)
            .max()
            .unwrap_or(0);
        let due = (n * 20).saturating_sub(420) * 8;
        assert!(written >= due, "{written} frames at {} ms", n * 20);
    }
    assert!(written < recorder.timeline.frames(), "the open part waits");
    assert!(
        recorder.file.parts.len() <= 40,
        "four writes a second suffice"
    );
    assert!(YIELD_AFTER + PERIOD < ms(500));
}

#[test]
fn the_other_law_is_converted_to_that_of_the_file() {
    let mut timeline = Timeline::new(Codec::Pcma, Duration::ZERO);
    let payload = [0xff, 0x80, 0x00];
    let packet = TapPacket {
        side: Side::Right,
        arrival: ms(1),
        ssrc: 1,
        sequence: 1,
        timestamp: 1,
        codec: Codec::Pcmu,
        payload: &payload,
    };
    timeline.place(packet, |_| panic!("nothing is due"));
    let mut bytes = Vec::new();
    assert_eq!(
        timeline.finish(|part| bytes.extend_from_slice(part.bytes)),
        3
    );
    assert_eq!(bytes, [SILENCE, 0xd5, SILENCE, 0xaa, SILENCE, 0x2a]);
}

#[test]
fn what_arrived_before_the_start_is_not_in_the_file() {
    let mut timeline = Timeline::new(Codec::Pcma, ms(100));
    let mut sender = Sender::new(Side::Left);
    let mut place = |arrival| {
        let Sent {
            sender:
                Sender {
                    side,
                    ssrc,
                    sequence,
                    timestamp,
                    ..
                },
            payload,
        } = sender.packet();
        let packet = TapPacket {
            side,
            arrival,
            ssrc,
            sequence,
            timestamp,
            codec: Codec::Pcma,
            payload: &payload,
        };
        timeline.place(packet, |_| {})
    };
    assert_eq!(place(ms(99)), Placement::Dropped);
    assert_eq!(
        place(ms(119)),
        Placement::Placed {
            at_frame: 0,
            frames: 160
        }
    );
    assert_eq!(timeline.origin(), Some(ms(119)));
}

#[test]
fn an_hour_without_a_packet_costs_no_writes() {
    let mut sender = Sender::new(Side::Left);
    let mut recorder = Recorder::new();
    recorder.arrive(ms(0), &sender.packet());
    recorder.arrive(ms(3_600_000), &sender.packet());
    assert_eq!(recorder.timeline.frames(), 3600 * FRAMES_PER_SECOND + 160);
    let file = recorder.finish();
    assert_eq!(file.parts.len(), 2);
    assert!(
        file.channel(Side::Left)[160..28_800_000]
            .iter()
            .all(|&code| code == SILENCE)
    );
}

/// What a network and a device may do between one packet and the next.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    Lost,
    Late(u64),
    Twice,
    NewSource,
    Jump(i32),
    Pause(u64),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        12 => Just(Fate::Arrives),
        2 => Just(Fate::Lost),
        3 => (1..900_u64).prop_map(Fate::Late),
        1 => Just(Fate::Twice),
        1 => Just(Fate::NewSource),
        // A small step back overlaps by its own words; it is no jump to be seen through.
        1 => prop_oneof![-100_000..-1000, 0..100_000].prop_map(Fate::Jump),
        1 => (1..4000_u64).prop_map(Fate::Pause),
    ]
}

proptest! {
    #[test]
    fn packets_share_a_frame_only_by_their_own_words_and_the_length_is_the_span(
        fates in proptest::collection::vec((any::<bool>(), fate()), 1..300),
    ) {
        let mut senders = [Sender::new(Side::Left), Sender::new(Side::Right)];
        let (mut now, mut packets) = (0, Vec::new());
        for (right, fate) in fates {
            now += 10;
            let sender = &mut senders[usize::from(right)];
            match fate {
                Fate::Arrives => packets.push((now, sender.packet())),
                Fate::Lost => sender.skip(),
                Fate::Late(delay) => packets.push((now + delay, sender.packet())),
                Fate::Twice => {
                    let sent = sender.packet();
                    packets.extend([(now, sent.clone()), (now + 7, sent)]);
                }
                Fate::NewSource => sender.ssrc += 1,
                Fate::Jump(by) => sender.timestamp = sender.timestamp.wrapping_add_signed(by),
                Fate::Pause(pause) => now += pause,
            }
        }
        packets.sort_by_key(|(arrival, _)| *arrival);
        let mut recorder = Recorder::new();
        let mut places: Vec<(&Sent, u64, u64)> = Vec::new();
        let (mut heard, mut end) = (Vec::new(), 0);
        for (arrival, sent) in &packets {
            let identity = (sent.sender.side, sent.sender.ssrc, sent.sender.sequence);
            let repeated = heard.contains(&identity);
            heard.push(identity);
            if let Placement::Placed { at_frame, frames } = recorder.arrive(ms(*arrival), sent) {
                prop_assert!(frames > 0 && frames <= 160);
                end = end.max(at_frame + frames);
                if !repeated {
                    for &(other, from, to) in &places {
                        prop_assert!(
                            other.sender.side != sent.sender.side
                                || at_frame >= to
                                || at_frame + frames <= from
                                || sent.overlaps(other)
                        );
                    }
                    places.push((sent, at_frame, at_frame + frames));
                }
            }
        }
        prop_assert_eq!(recorder.timeline.frames(), end);
        let file = recorder.finish();
        let placed: u64 = places.iter().map(|(_, from, to)| to - from).sum();
        let sounding = file.bytes.iter().filter(|&&byte| byte != SILENCE).count() as u64;
        prop_assert!(sounding <= placed + heard.len() as u64 * 160);
        if let (Some(first), Some(last)) = (packets.first(), packets.last()) {
            let span = (last.0 - first.0) * 8;
            prop_assert!(file.bytes.len() as u64 / 2 <= span + 3200 + 160);
        }
    }

    #[test]
    fn no_packets_make_it_panic_or_run_away(
        packets in proptest::collection::vec(
            (any::<bool>(), 0..100_000_000_u64, any::<(bool, u16, u32)>(), 0..20_000_usize),
            1..60,
        ),
    ) {
        let mut timeline = Timeline::new(Codec::Pcmu, ms(10));
        let (mut now, mut first) = (Duration::ZERO, None);
        let payload = vec![1; 20_000];
        for (right, pause, (ssrc, sequence, timestamp), length) in packets {
            now += Duration::from_micros(pause);
            let packet = TapPacket {
                side: if right { Side::Right } else { Side::Left },
                arrival: now,
                ssrc: u32::from(ssrc),
                sequence,
                timestamp,
                codec: Codec::Pcma,
                payload: &payload[..length],
            };
            if timeline.place(packet, |part| assert!(part.frames() <= 8000)) != Placement::Dropped {
                first.get_or_insert(now);
            }
            let span = first.map_or(0, |first| (now - first).as_micros() as u64 * 8 / 1000);
            prop_assert!(timeline.frames() <= span + 2 * 20_000 + 3200);
        }
        timeline.finish(|part| assert!(part.frames() <= 8000));
        prop_assert_eq!(timeline.next_drain(), None);
    }
}
