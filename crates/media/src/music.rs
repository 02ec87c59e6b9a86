//! The music of those who wait: a quiet arpeggio over four chords, made by ourselves and so free of anybody's rights.
//!
//! Every note fades away on its own, over the end of the loop into its beginning, so that the loop has no seam.

use std::{f64::consts::TAU, sync::LazyLock};

use crate::sound::Sound;

const SAMPLE_RATE_HZ: usize = 8000;
/// Half a second for a note.
const NOTE_SAMPLES: usize = SAMPLE_RATE_HZ / 2;
/// Eight notes for a chord.
const CHORD_SAMPLES: usize = 8 * NOTE_SAMPLES;
/// The four chords, twice: 32 s.
const LOOP_SAMPLES: usize = 2 * CHORDS.len() * CHORD_SAMPLES;
/// A note is heard so long before nothing of it is left.
const RINGING_SAMPLES: usize = 3 * SAMPLE_RATE_HZ;
/// −22 dBFS.
const RMS: f64 = 2603.0;

/// Notes of the chords by their MIDI numbers: D, B minor, G, A with its seventh. All lie above 290 Hz, where
/// telephones begin to be loud, and few fingers move from chord to chord.
const CHORDS: [[u8; 5]; 4] = [
    [62, 66, 69, 74, 78],
    [62, 66, 71, 74, 78],
    [62, 67, 71, 74, 79],
    [64, 67, 69, 73, 76],
];
/// Which note of the chord sounds when, the first and the second time.
const FIGURES: [[usize; 8]; 2] = [[0, 1, 2, 3, 4, 3, 2, 1], [0, 2, 1, 3, 2, 4, 3, 2]];

static MUSIC: LazyLock<Sound> = LazyLock::new(|| Sound::new(compose()));

/// The loop, made at the first call.
#[must_use]
pub fn music() -> Sound {
    MUSIC.clone()
}

fn compose() -> Vec<i16> {
    let mut mix = vec![0.0; LOOP_SAMPLES];
    let chords = FIGURES
        .iter()
        .flat_map(|figure| CHORDS.iter().map(move |chord| (figure, chord)));
    for (bar, (figure, chord)) in chords.enumerate() {
        let begin = bar * CHORD_SAMPLES;
        for (position, &voice) in figure.iter().enumerate() {
            // The first note of a chord is the heaviest, as if the hand fell.
            let weight = if position == 0 { 1.0 } else { 0.7 };
            pluck(
                &mut mix,
                begin + position * NOTE_SAMPLES,
                hertz(chord[voice]),
                weight,
            );
        }
        for &note in &chord[..3] {
            swell(&mut mix, begin, hertz(note), 0.12);
        }
    }
    let power = mix.iter().map(|sample| sample * sample).sum::<f64>() / mix.len() as f64;
    let gain = RMS / power.sqrt();
    mix.iter()
        .map(|sample| (sample * gain).round() as i16)
        .collect()
}

fn hertz(note: u8) -> f64 {
    440.0 * ((f64::from(note) - 69.0) / 12.0).exp2()
}

/// A soft string: a triangle of three partials that rises in 20 ms and dies away.
fn pluck(mix: &mut [f64], begin: usize, hertz: f64, weight: f64) {
    let length = mix.len();
    for i in 0..RINGING_SAMPLES {
        let seconds = i as f64 / SAMPLE_RATE_HZ as f64;
        let turn = seconds * hertz * TAU;
        let wave = turn.sin() - (3.0 * turn).sin() / 9.0 + (5.0 * turn).sin() / 25.0;
        let rise = (seconds / 0.02).min(1.0);
        let left = 1.0 - i as f64 / RINGING_SAMPLES as f64;
        mix[(begin + i) % length] += weight * wave * rise * left * (-seconds / 0.6).exp();
    }
}

/// A sine below the strings that comes and goes with its chord.
fn swell(mix: &mut [f64], begin: usize, hertz: f64, weight: f64) {
    for i in 0..CHORD_SAMPLES {
        let turn = i as f64 / SAMPLE_RATE_HZ as f64 * hertz * TAU;
        let bow = (i as f64 / CHORD_SAMPLES as f64 * TAU / 2.0).sin();
        mix[begin + i] += weight * turn.sin() * bow * bow;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rms(samples: &[i16]) -> f64 {
        let power: f64 = samples.iter().map(|&s| f64::from(s).powi(2)).sum();
        (power / samples.len() as f64).sqrt()
    }

    #[test]
    fn the_music_lasts_half_a_minute_and_is_quiet_and_never_loud_nor_gone() {
        let music = music();
        let samples = music.samples();
        assert_eq!(samples.len(), 32 * 8000);
        assert!(
            (rms(samples) - RMS).abs() < RMS * 0.01,
            "{} RMS",
            rms(samples)
        );
        let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap();
        assert!(peak < 14_000, "a peak of {peak}");
        for (second, part) in samples.chunks(8000).enumerate() {
            let level = rms(part);
            assert!(
                level > RMS / 3.0 && level < RMS * 2.0,
                "{level} RMS in second {second}"
            );
        }
    }

    /// A click is a jump of the slope: the steepest wave that we play has a bounded one, at the seam as elsewhere.
    #[test]
    fn the_music_has_no_click_and_its_end_runs_into_its_beginning() {
        let music = music();
        let samples = music.samples();
        let at = |i: usize| i32::from(samples[i % samples.len()]);
        let bend = |i: usize| (at(i) - 2 * at(i + 1) + at(i + 2)).abs();
        let seam = samples.len() - 2;
        let sharpest = (0..samples.len()).map(bend).max().unwrap();
        assert!(sharpest < 6000, "a bend of {sharpest}");
        for i in seam..seam + 2 {
            assert!(bend(i) < sharpest / 2, "a bend of {} at the seam", bend(i));
        }
        // What rings at the end rings on at the beginning.
        assert!(rms(&samples[..160]) > RMS / 10.0);
    }
}
