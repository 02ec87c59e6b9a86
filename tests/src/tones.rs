//! Tones by which parties are known in a mixture: each speaks one, and who is heard when can be read from a stream.

use std::f64::consts::TAU;

/// 100 ms.
const WINDOW: usize = 800;
/// Windows that somebody must be heard for, or the stretch is a seam.
const LEAST: usize = 4;
const LOUD: f64 = 3_000.0;

/// A second of this tone, which may be repeated without a seam.
pub fn tone(hertz: u32) -> Vec<i16> {
    let sample = |at: u32| (TAU * f64::from(at * hertz % 8_000) / 8_000.0).sin() * LOUD;
    (0..8_000).map(|at| sample(at) as i16).collect()
}

/// How loud the tone is in this part of a stream.
fn loudness(part: &[i16], hertz: u32) -> f64 {
    let turn = |at: usize| TAU * (at as f64) * f64::from(hertz) / 8_000.0;
    let sum = |wave: fn(f64) -> f64| {
        let samples = part.iter().enumerate();
        let parts = samples.map(|(at, sample)| f64::from(*sample) * wave(turn(at)));
        parts.sum::<f64>()
    };
    sum(f64::sin).hypot(sum(f64::cos)) * 2.0 / part.len() as f64
}

/// Which of the tones are heard one after another: one entry for each stretch of 0.4 s and more, without those where there
/// is none of them.
pub fn heard(stream: &[i16], tones: &[u32]) -> Vec<Vec<u32>> {
    let windows = stream.chunks_exact(WINDOW).map(|part| {
        let loud = tones
            .iter()
            .copied()
            .filter(|hertz| loudness(part, *hertz) > LOUD / 2.0);
        loud.collect::<Vec<u32>>()
    });
    let mut runs: Vec<(Vec<u32>, usize)> = Vec::new();
    for window in windows {
        match runs.last_mut() {
            Some((last, length)) if *last == window => *length += 1,
            _ => runs.push((window, 1)),
        }
    }
    let long = runs
        .into_iter()
        .filter(|(tones, length)| *length >= LEAST && !tones.is_empty());
    let mut stretches: Vec<Vec<u32>> = long.map(|(tones, _)| tones).collect();
    stretches.dedup();
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_speaks_when_is_read_from_a_mixture() {
        let [low, high] = [450, 1_150].map(|hertz| tone(hertz).repeat(2));
        let both: Vec<i16> = low.iter().zip(&high).map(|(a, b)| a + b).collect();
        let stream = [&low[..], &both, &vec![0; 8_000], &high, &both[..2_000]].concat();
        let expected = [vec![450], vec![450, 1_150], vec![1_150]];
        assert_eq!(heard(&stream, &[450, 1_150, 2_050]), expected);
    }
}
