//! A conference: the voice of each party on its way to the others, 20 ms at a time.
//!
//! Packets of a party go into its [`Playout`], which takes the jitter out; whoever mixes takes a frame from each at every
//! beat and adds up what one party is to hear. Only [`Playout::new`] allocates.

use crate::{
    g711,
    plane::Codec,
    rtp::{Header, timestamp_step},
    tone::FRAME_SAMPLES,
};

/// 20 ms of voice, 16 bits, full scale.
pub type Frame = [i16; FRAME_SAMPLES];

/// Nobody speaks.
pub const SILENCE: Frame = [0; FRAME_SAMPLES];

/// How long a voice is kept at least: a packet may be late by that and a part of a beat.
const LEAD: u64 = FRAME_SAMPLES as u64;
/// Most voice that waits, 256 ms; beyond that the oldest is lost.
const CAPACITY: usize = 2048;
/// Beats over which more voice waited than is needed before it is cut: a second.
const WINDOW: u32 = 50;
/// What the voice waits for anyway: the lead and the frame that is due.
const NEEDED: u64 = 2 * FRAME_SAMPLES as u64;
/// A timestamp that is off by more than this belongs to another stream: a second.
const JUMP: i64 = 8000;

/// The voice of one party between its packets and the beat: a small jitter buffer.
///
/// A stream begins 20 to 40 ms after its first packet. One that comes too late begins anew, so that it waits for longer;
/// what then turns out to wait for too long for a whole second is cut.
#[derive(Clone, Debug)]
pub struct Playout {
    ring: Box<[i16]>,
    /// The sample that is heard next, counted from the beginning.
    played: u64,
    /// One past the last sample that came, never before `played`.
    end: u64,
    stream: Option<Stream>,
    /// Least that waited since the window began, and its length in beats.
    least: u64,
    beats: u32,
}

/// Where the timestamps of a stream lie.
#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: u32,
    timestamp: u32,
    at: u64,
}

impl Default for Playout {
    fn default() -> Self {
        Self::new()
    }
}

impl Playout {
    /// Nothing has been said yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            ring: vec![0; CAPACITY].into_boxed_slice(),
            played: 0,
            end: 0,
            stream: None,
            least: u64::MAX,
            beats: 0,
        }
    }

    /// Takes a packet of voice.
    pub fn put(&mut self, header: &Header, codec: Codec, payload: &[u8]) {
        let length = payload.len() as u64;
        if length == 0 || length + LEAD > CAPACITY as u64 {
            return;
        }
        let Some(at) = self.place(header, length) else {
            return;
        };
        for (position, &code) in (at..).zip(payload) {
            self.ring[position as usize % CAPACITY] = g711::decode(codec, code);
        }
        self.end = self.end.max(at + length);
    }

    /// Where a packet goes; none for one that is out of order and too late.
    fn place(&mut self, header: &Header, length: u64) -> Option<u64> {
        let known = self.stream.filter(|stream| stream.ssrc == header.ssrc);
        let Some(stream) = known else {
            return Some(self.begin(header));
        };
        let step = i64::from(timestamp_step(stream.timestamp, header.timestamp));
        if step.abs() > JUMP {
            return Some(self.begin(header));
        }
        let at = stream.at.checked_add_signed(step);
        let in_time = at.filter(|at| *at >= self.played && at + length <= self.limit());
        match in_time {
            None if step > 0 => Some(self.begin(header)),
            None => None,
            Some(at) => {
                if step > 0 {
                    self.stream = Some(Stream {
                        ssrc: header.ssrc,
                        timestamp: header.timestamp,
                        at,
                    });
                }
                Some(at)
            }
        }
    }

    fn limit(&self) -> u64 {
        self.played + CAPACITY as u64
    }

    /// A stream begins, or begins anew: what still waits is lost.
    fn begin(&mut self, header: &Header) -> u64 {
        if self.end > self.played {
            self.ring.fill(0);
            self.end = self.played;
        }
        let at = self.played + LEAD;
        self.stream = Some(Stream {
            ssrc: header.ssrc,
            timestamp: header.timestamp,
            at,
        });
        (self.least, self.beats) = (u64::MAX, 0);
        at
    }

    /// The voice of the next beat; silence where nothing came.
    pub fn take(&mut self, out: &mut Frame) {
        self.cut_waiting();
        for (position, sample) in (self.played..).zip(out) {
            *sample = std::mem::take(&mut self.ring[position as usize % CAPACITY]);
        }
        self.skip(FRAME_SAMPLES as u64);
    }

    /// Whoever waits for longer than needed all the time, because of a stall or a faster clock, catches up.
    fn cut_waiting(&mut self) {
        let waiting = self.end - self.played;
        if waiting == 0 {
            (self.least, self.beats) = (u64::MAX, 0);
            return;
        }
        self.least = self.least.min(waiting);
        self.beats += 1;
        if self.beats < WINDOW {
            return;
        }
        let excess = self.least.saturating_sub(NEEDED);
        (self.least, self.beats) = (u64::MAX, 0);
        if excess >= FRAME_SAMPLES as u64 {
            for position in self.played..self.played + excess {
                self.ring[position as usize % CAPACITY] = 0;
            }
            self.skip(excess);
        }
    }

    fn skip(&mut self, samples: u64) {
        self.played += samples;
        self.end = self.end.max(self.played);
    }
}

/// Adds a voice to what is heard; full scale is the loudest there is.
pub fn add(heard: &mut Frame, voice: &Frame) {
    for (sum, sample) in heard.iter_mut().zip(voice) {
        *sum = sum.saturating_add(*sample);
    }
}

/// Writes what is heard in a leg's codec.
pub fn encode(codec: Codec, heard: &Frame, out: &mut [u8; FRAME_SAMPLES]) {
    for (code, sample) in out.iter_mut().zip(heard) {
        *code = g711::encode(codec, *sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: u32 = FRAME_SAMPLES as u32;

    fn header(ssrc: u32, number: u32) -> Header {
        Header {
            payload_type: 8,
            marker: false,
            sequence: number as u16,
            timestamp: (u32::MAX - 1000).wrapping_add(number.wrapping_mul(STEP)),
            ssrc,
        }
    }

    /// The code of the n-th packet, by which it is known again.
    fn code(number: u32) -> u8 {
        0x80 | (number % 64) as u8
    }

    fn put(playout: &mut Playout, number: u32) {
        let payload = [code(number); FRAME_SAMPLES];
        playout.put(&header(1, number), Codec::Pcma, &payload);
    }

    /// Which packets the next frame is of: none for silence.
    fn heard(playout: &mut Playout) -> Option<u8> {
        let mut frame = SILENCE;
        playout.take(&mut frame);
        assert!(
            frame.iter().all(|it| *it == frame[0]),
            "one packet: {frame:?}"
        );
        (frame[0] != 0).then(|| g711::encode(Codec::Pcma, frame[0]))
    }

    #[test]
    fn a_steady_voice_comes_out_whole_and_in_order_one_beat_later() {
        let mut playout = Playout::new();
        let mut out = Vec::new();
        for number in 0..200 {
            put(&mut playout, number);
            out.push(heard(&mut playout));
        }
        let expected: Vec<_> = std::iter::once(None)
            .chain((0..199).map(|number| Some(code(number))))
            .collect();
        assert_eq!(out, expected);
    }

    #[test]
    fn packets_out_of_order_and_repeated_ones_are_heard_once_in_their_place() {
        let mut playout = Playout::new();
        put(&mut playout, 0);
        assert_eq!(heard(&mut playout), None);
        put(&mut playout, 2);
        put(&mut playout, 1);
        put(&mut playout, 1);
        for number in 0..3 {
            assert_eq!(heard(&mut playout), Some(code(number)));
        }
        put(&mut playout, 1);
        assert_eq!(heard(&mut playout), None, "too late");
    }

    #[test]
    fn a_lost_packet_is_silence_and_the_rest_keeps_its_time() {
        let mut playout = Playout::new();
        let mut out = Vec::new();
        for number in 0..10 {
            if number != 4 {
                put(&mut playout, number);
            }
            out.push(heard(&mut playout));
        }
        assert_eq!(out[5], None);
        assert_eq!(out[4], Some(code(3)));
        assert_eq!(out[6], Some(code(5)));
    }

    #[test]
    fn a_voice_that_stalls_and_comes_at_once_is_heard_within_a_second_without_more_delay() {
        let mut playout = Playout::new();
        for number in 0..20 {
            put(&mut playout, number);
            heard(&mut playout);
        }
        for _ in 20..30 {
            heard(&mut playout);
        }
        for number in 20..30 {
            put(&mut playout, number);
        }
        let mut delay = Vec::new();
        for number in 30..200 {
            put(&mut playout, number);
            let frame = heard(&mut playout);
            delay.push(frame.map(|frame| (number - u32::from(frame & 63)) % 64));
        }
        assert_eq!(delay[5], Some(11), "all of it waits at first");
        assert_eq!(delay[60..], vec![Some(1); 110], "and then none: {delay:?}");
    }

    #[test]
    fn a_flood_waits_for_a_quarter_of_a_second_at_most() {
        let mut playout = Playout::new();
        for number in 0..1_000 {
            put(&mut playout, number);
        }
        let frames = std::iter::from_fn(|| Some(heard(&mut playout)));
        let frames: Vec<_> = frames.take(20).flatten().collect();
        assert!(frames.len() <= CAPACITY / FRAME_SAMPLES, "{}", frames.len());
        assert_eq!(frames.last(), Some(&code(999)));
    }

    #[test]
    fn another_stream_and_a_clock_that_jumps_begin_anew() {
        let mut playout = Playout::new();
        put(&mut playout, 0);
        playout.put(&header(2, 77), Codec::Pcmu, &[0x12; FRAME_SAMPLES]);
        assert_eq!(heard(&mut playout), None);
        let mut frame = SILENCE;
        playout.take(&mut frame);
        assert_eq!(frame, [g711::decode(Codec::Pcmu, 0x12); FRAME_SAMPLES]);
        playout.put(&header(2, 10_000), Codec::Pcma, &[0x12; FRAME_SAMPLES]);
        assert_eq!(heard(&mut playout), None);
        assert_eq!(heard(&mut playout), Some(0x12));
    }

    #[test]
    fn packets_of_any_length_are_heard_and_senseless_ones_are_not() {
        let mut playout = Playout::new();
        playout.put(&header(1, 0), Codec::Pcma, &[0x11; 480]);
        playout.put(&header(1, 3), Codec::Pcma, &[0x22; 80]);
        playout.put(&header(1, 4), Codec::Pcma, &[]);
        playout.put(&header(1, 5), Codec::Pcma, &[0x33; 4000]);
        assert_eq!(heard(&mut playout), None);
        for _ in 0..3 {
            assert_eq!(heard(&mut playout), Some(0x11));
        }
        let mut frame = SILENCE;
        playout.take(&mut frame);
        assert_eq!(frame[79], g711::decode(Codec::Pcma, 0x22));
        assert_eq!(frame[80..], [0; 80]);
    }

    #[test]
    fn a_sum_is_full_scale_at_most_and_one_voice_alone_is_what_it_was() {
        let mut heard = SILENCE;
        add(&mut heard, &[30_000; FRAME_SAMPLES]);
        add(&mut heard, &[10_000; FRAME_SAMPLES]);
        assert_eq!(heard, [i16::MAX; FRAME_SAMPLES]);
        add(&mut heard, &[i16::MIN; FRAME_SAMPLES]);
        add(&mut heard, &[-100; FRAME_SAMPLES]);
        assert_eq!(heard, [-101; FRAME_SAMPLES]);
        for codec in [Codec::Pcma, Codec::Pcmu] {
            for code in 0..=255u8 {
                // µ-law writes zero in two ways.
                if (codec, code) == (Codec::Pcmu, 0x7F) {
                    continue;
                }
                let mut out = [0; FRAME_SAMPLES];
                encode(codec, &[g711::decode(codec, code); FRAME_SAMPLES], &mut out);
                assert_eq!(out, [code; FRAME_SAMPLES]);
            }
        }
    }
}
