//! Call progress tones (ITU-T E.180 supplement 2, Russia: 425 Hz), made in the codec of the leg.

use std::sync::LazyLock;

use crate::g711;
use crate::plane::Codec;

/// Samples in a frame: 20 ms at 8000 Hz.
pub const FRAME_SAMPLES: usize = 160;

/// A tone that the media plane can play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tone {
    /// Ringback: 1 s on, 4 s off.
    Ringback,
    /// Busy: 0.35 s on, 0.35 s off.
    Busy,
    /// Congestion: 0.175 s on, 0.175 s off.
    Congestion,
    /// Call waiting: 0.2 s on, 5 s off.
    CallWaiting,
    /// Silence packets, so that the peer's own timeout does not fire.
    Silence,
}

impl Tone {
    /// Samples on and off.
    const fn cadence(self) -> (u32, u32) {
        match self {
            Self::Ringback => (8000, 32000),
            Self::Busy => (2800, 2800),
            Self::Congestion => (1400, 1400),
            Self::CallWaiting => (1600, 40000),
            Self::Silence => (0, 8000),
        }
    }
}

/// 17 periods of 425 Hz are exactly 320 samples, so this wave repeats without a seam.
const WAVE_SAMPLES: usize = 320;
/// −10 dBm0, when full scale is +3.14 dBm0.
const PEAK: f64 = 7000.0;
/// 5 ms of rise and fall, so that a tone does not click.
const RAMP_SAMPLES: u16 = 40;

static WAVE: LazyLock<[i16; WAVE_SAMPLES]> = LazyLock::new(|| {
    std::array::from_fn(|i| {
        let turns = i as f64 * 425.0 / 8000.0;
        (PEAK * (turns * std::f64::consts::TAU).sin()).round() as i16
    })
});

/// Makes one tone, frame after frame, with the phase carried on. Nothing is allocated.
#[derive(Clone, Copy, Debug)]
pub struct ToneGenerator {
    tone: Tone,
    /// Samples since the present cadence began.
    position: u32,
}

impl ToneGenerator {
    /// A generator at the beginning of its tone.
    #[must_use]
    pub fn new(tone: Tone) -> Self {
        // Made here, not with the first packet.
        LazyLock::force(&WAVE);
        Self { tone, position: 0 }
    }

    /// The tone it makes.
    #[must_use]
    pub const fn tone(&self) -> Tone {
        self.tone
    }

    /// Fills the next 20 ms. The codec may change from frame to frame.
    pub fn next_frame(&mut self, codec: Codec, out: &mut [u8; FRAME_SAMPLES]) {
        let (on, off) = self.tone.cadence();
        for code in out {
            *code = if self.position < on {
                g711::encode(codec, self.sample(on))
            } else {
                codec.silence()
            };
            self.position = (self.position + 1) % (on + off);
        }
    }

    fn sample(&self, on: u32) -> i16 {
        let wave = i32::from(WAVE[self.position as usize % WAVE_SAMPLES]);
        let edge = self
            .position
            .min(on - 1 - self.position)
            .min(u32::from(RAMP_SAMPLES)) as i32;
        (wave * edge / i32::from(RAMP_SAMPLES)) as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn samples(tone: Tone, codec: Codec, frames: usize) -> Vec<i16> {
        let mut generator = ToneGenerator::new(tone);
        let mut frame = [0; FRAME_SAMPLES];
        let mut samples = Vec::new();
        for _ in 0..frames {
            generator.next_frame(codec, &mut frame);
            samples.extend(frame.map(|code| g711::decode(codec, code)));
        }
        samples
    }

    /// Power at a frequency by Goertzel's algorithm, as an amplitude.
    fn amplitude(samples: &[i16], hertz: f64) -> f64 {
        let omega = hertz / 8000.0 * std::f64::consts::TAU;
        let (mut a, mut b) = (0.0, 0.0);
        for &sample in samples {
            (a, b) = (f64::from(sample) + 2.0 * omega.cos() * a - b, a);
        }
        (a * a + b * b - 2.0 * omega.cos() * a * b).max(0.0).sqrt() * 2.0 / samples.len() as f64
    }

    #[rstest]
    #[case(Tone::Ringback, 8000, 32000)]
    #[case(Tone::Busy, 2800, 2800)]
    #[case(Tone::Congestion, 1400, 1400)]
    #[case(Tone::CallWaiting, 1600, 40000)]
    fn tones_follow_their_cadence_twice(#[case] tone: Tone, #[case] on: usize, #[case] off: usize) {
        for codec in [Codec::Pcma, Codec::Pcmu] {
            let period = on + off;
            let samples = samples(tone, codec, 2 * period / FRAME_SAMPLES);
            for start in [0, period] {
                // The middle 640 samples hold whole periods of 425 and 450 Hz.
                let middle = &samples[start + on / 2 - 320..start + on / 2 + 320];
                assert!((amplitude(middle, 425.0) - PEAK).abs() < PEAK * 0.03);
                assert!(amplitude(middle, 450.0) < PEAK * 0.1);
                let pause = &samples[start + on..(start + period).min(samples.len())];
                assert!(pause.iter().all(|sample| sample.abs() <= 8));
            }
        }
    }

    #[test]
    fn the_wave_has_no_seam_and_no_click() {
        let samples = samples(Tone::Ringback, Codec::Pcmu, 60);
        let steepest = PEAK * 425.0 / 8000.0 * std::f64::consts::TAU;
        for pair in samples.windows(2) {
            let step = f64::from(pair[1]) - f64::from(pair[0]);
            assert!(step.abs() < steepest * 1.15, "{pair:?}");
        }
    }

    #[rstest]
    #[case(Codec::Pcma, 0xd5)]
    #[case(Codec::Pcmu, 0xff)]
    fn silence_is_silent(#[case] codec: Codec, #[case] byte: u8) {
        let mut generator = ToneGenerator::new(Tone::Silence);
        let mut frame = [0; FRAME_SAMPLES];
        for _ in 0..100 {
            generator.next_frame(codec, &mut frame);
            assert_eq!(frame, [byte; FRAME_SAMPLES]);
        }
    }
}
