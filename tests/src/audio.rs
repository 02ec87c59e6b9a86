//! Sound as sound: G.711 written from the recommendation, WAV files, and whether words are heard in a stream.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The two laws of ITU-T G.711.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// A-law.
    A,
    /// µ-law.
    Mu,
}

impl Law {
    /// RFC 3551 §6.
    pub fn payload_type(self) -> u8 {
        match self {
            Self::A => 8,
            Self::Mu => 0,
        }
    }

    /// One sample of 16 bits.
    pub fn decode(self, byte: u8) -> i16 {
        match self {
            Self::A => {
                let byte = byte ^ 0x55;
                let (exponent, mantissa) = (i32::from(byte >> 4 & 7), i32::from(byte & 15));
                let size = match exponent {
                    0 => (mantissa << 4) + 8,
                    _ => ((mantissa << 4) + 0x108) << (exponent - 1),
                };
                sign(size, byte & 0x80 != 0)
            }
            Self::Mu => {
                let byte = !byte;
                let (exponent, mantissa) = (i32::from(byte >> 4 & 7), i32::from(byte & 15));
                let size = (((mantissa << 3) + 0x84) << exponent) - 0x84;
                sign(size, byte & 0x80 == 0)
            }
        }
    }

    /// The nearest code, found among all 256: slow and certain.
    pub fn encode(self, sample: i16) -> u8 {
        let distance = |code: &u8| (i32::from(self.decode(*code)) - i32::from(sample)).abs();
        (0..=255).min_by_key(distance).unwrap_or(0)
    }
}

fn sign(size: i32, positive: bool) -> i16 {
    let size = i16::try_from(size).unwrap_or(i16::MAX);
    if positive { size } else { -size }
}

/// Spoken words, made by `tests/scripts/speech.sh` into the target folder.
pub fn speech(name: &str) -> Vec<i16> {
    samples(&speech_file(name))
        .into_iter()
        .map(|frame| frame[0])
        .collect()
}

/// The file of spoken words; it is made if it is missing.
pub fn speech_file(name: &str) -> PathBuf {
    let folder = crate::daemon::build_folder()
        .parent()
        .expect("a target folder")
        .join("speech");
    let file = folder.join(format!("{name}.wav"));
    if !file.exists() {
        let script = crate::package().join("scripts/speech.sh");
        let status = Command::new(script)
            .arg(&folder)
            .status()
            .expect("the script starts");
        assert!(status.success(), "speech.sh: {status}");
    }
    file
}

/// The frames of a PCM WAV file, one value per channel.
pub fn samples(file: &Path) -> Vec<Vec<i16>> {
    let mut reader =
        hound::WavReader::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let channels = usize::from(reader.spec().channels);
    let samples: Vec<i16> = reader
        .samples::<i16>()
        .map(|sample| sample.expect("a whole file"))
        .collect();
    samples.chunks(channels).map(<[i16]>::to_vec).collect()
}

/// A recording as sox, which is not ours, reads it: left and right.
pub fn recording(file: &Path) -> (Vec<i16>, Vec<i16>) {
    let pcm = file.with_extension("pcm.wav");
    let sox = Command::new("sox")
        .arg(file)
        .args(["-e", "signed-integer", "-b", "16"])
        .arg(&pcm)
        .output();
    let sox = sox.expect("sox is installed");
    assert!(
        sox.status.success(),
        "sox: {}",
        String::from_utf8_lossy(&sox.stderr)
    );
    let frames = samples(&pcm);
    assert!(
        frames.iter().all(|frame| frame.len() == 2),
        "a recording is stereo"
    );
    frames.into_iter().map(|frame| (frame[0], frame[1])).unzip()
}

/// Where the words are heard best in the stream, in samples from its beginning, and how well: 1 is identical.
pub fn find(words: &[i16], stream: &[i16]) -> (usize, f64) {
    let energy = |part: &[i16]| part.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>();
    let (length, own) = (words.len(), energy(words));
    let mut best = (0, 0.0);
    if stream.len() < length || own == 0.0 {
        return best;
    }
    let mut theirs = energy(&stream[..length]);
    for start in 0..=stream.len() - length {
        if start > 0 {
            theirs += f64::from(stream[start + length - 1]).powi(2)
                - f64::from(stream[start - 1]).powi(2);
        }
        // Every fourth sample is enough to find the place.
        let coarse: f64 = words
            .iter()
            .zip(&stream[start..])
            .step_by(4)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum();
        let likeness = 4.0 * coarse / (own * theirs.max(1.0)).sqrt();
        if likeness > best.1 {
            best = (start, likeness);
        }
    }
    let (start, _) = best;
    let fine: f64 = words
        .iter()
        .zip(&stream[start..])
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum();
    (
        start,
        fine / (own * energy(&stream[start..start + length]).max(1.0)).sqrt(),
    )
}

/// Asserts that the words, half a second of them from 1 s on, are heard in the stream and not only by chance.
#[track_caller]
pub fn assert_heard(who: &str, words: &[i16], stream: &[i16]) {
    let (_, likeness) = find(&words[8_000..12_000], stream);
    assert!(
        likeness > 0.9,
        "{who} is not heard: likeness {likeness:.3} in {} samples",
        stream.len()
    );
}

/// Asserts that the words are heard without a gap or a jump, as far as the stream goes: every loud quarter of a second
/// stands where the first one says it should, within 5 ms.
#[track_caller]
pub fn assert_continuous(who: &str, words: &[i16], stream: &[i16]) {
    let (at, _) = find(&words[8_000..12_000], stream);
    let begin = at as i64 - 8_000;
    let loud = |part: &[i16]| {
        part.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() > 2_000.0 * 500.0_f64.powi(2)
    };
    for (number, part) in words.chunks_exact(2_000).enumerate() {
        let expected = begin + number as i64 * 2_000;
        let last = expected + 2_040;
        if expected < 40
            || usize::try_from(last).is_ok_and(|last| last > stream.len())
            || !loud(part)
        {
            continue;
        }
        let window = &stream[expected as usize - 40..last as usize];
        let (_, likeness) = find(part, window);
        assert!(
            likeness > 0.85,
            "{who} is broken at {} ms: likeness {likeness:.3}",
            number * 250
        );
    }
}

/// Asserts that the words are not heard in the stream.
#[track_caller]
pub fn assert_not_heard(who: &str, words: &[i16], stream: &[i16]) {
    let (at, likeness) = find(&words[8_000..12_000], stream);
    assert!(
        likeness < 0.5,
        "{who} is heard at sample {at} with likeness {likeness:.3}"
    );
}

/// The samples of a Russian prompt.
pub fn prompt(name: &str) -> Vec<i16> {
    let file: PathBuf = crate::package()
        .join("../config/prompts/ru")
        .join(format!("{name}.wav"));
    samples(&file).into_iter().map(|frame| frame[0]).collect()
}

/// Where the Russian prompt begins in the stream, in samples, if it is heard.
pub fn heard_at(name: &str, stream: &[i16]) -> Option<usize> {
    let words = prompt(name);
    let (at, likeness) = find(&words[..words.len().min(5_000)], stream);
    (likeness > 0.9).then_some(at)
}

/// The prompts are heard, one after another.
#[track_caller]
pub fn assert_in_order(names: &[&str], stream: &[i16]) {
    let places: Vec<Option<usize>> = names.iter().map(|name| heard_at(name, stream)).collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{names:?} are heard at {places:?}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_laws_keep_what_they_encode() {
        for law in [Law::A, Law::Mu] {
            for sample in (-32_000..32_000).step_by(997) {
                let back = i32::from(law.decode(law.encode(sample)));
                let error = (back - i32::from(sample)).abs();
                assert!(
                    error <= 16 + i32::from(sample).abs() / 25,
                    "{law:?} {sample} {back}"
                );
            }
        }
        assert_eq!((Law::A.decode(0xD5), Law::Mu.decode(0xFF)), (8, 0));
    }

    #[test]
    fn words_are_found_where_they_are_and_not_where_they_are_not() {
        let mut chance = crate::sim::chance::Chance::new(1);
        let mut noise = || {
            (0..12_000)
                .map(|_| (chance.below(20_000) as i16) - 10_000)
                .collect::<Vec<i16>>()
        };
        let (words, other) = (noise(), noise());
        let stream: Vec<i16> = [&other[..5_000], &words[..], &other[5_000..]].concat();
        let (at, likeness) = find(&words[8_000..12_000], &stream);
        assert_eq!(at, 13_000);
        assert!(likeness > 0.99);
        assert!(find(&words[8_000..12_000], &other).1 < 0.5);
    }
}
