//! What callers hear from us: the prompts that are built in, and those of the folder that `[media] prompts` names.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use hound::{SampleFormat, WavReader};
use media::{Sound, SoundLibrary};
use thiserror::Error;

/// Samples a second of every sound.
const RATE_HZ: u32 = 8_000;
/// The longest prompt.
const MOST_SECONDS: u32 = 120;
/// Most files of a folder of prompts.
const MOST_FILES: usize = 1_000;
const LANGUAGES: [&str; 2] = ["ru", "en"];
const FORM: &str = "make it with: sox FILE -r 8000 -c 1 -b 16 -e signed-integer NAME.wav";

/// The bytes of the named files, in every language.
macro_rules! built_in {
    ($($name:literal)*) => {
        &[$(
            (concat!("ru/", $name), include_bytes!(concat!("../../../config/prompts/ru/", $name, ".wav"))),
            (concat!("en/", $name), include_bytes!(concat!("../../../config/prompts/en/", $name, ".wav"))),
        )*]
    };
}

/// The prompts of `config/prompts/prompts.csv`.
const BUILT_IN: &[(&str, &[u8])] = built_in! {
    "queue-welcome" "queue-position" "queue-wait" "queue-callback" "callback-taken" "all-busy" "call-again" "parked-place" "closed" "press-one"
    "recording-notice" "voicemail" "wrong-choice" "menu" "transferring" "echo-test" "goodbye"
    "number-0" "number-1" "number-2" "number-3" "number-4" "number-5" "number-6" "number-7" "number-8" "number-9"
    "number-10" "number-11" "number-12" "number-13" "number-14" "number-15" "number-16" "number-17" "number-18"
    "number-19" "number-20" "number-30" "number-40" "number-50" "number-60" "number-70" "number-80" "number-90"
};

/// A file of the folder that cannot be a prompt, in one line with file, what and remedy.
#[derive(Debug, Error)]
#[error("{file}: {what}", file = .file.display())]
pub(crate) struct PromptError {
    file: PathBuf,
    what: String,
    /// What to do about it.
    pub remedy: String,
}

/// The prompts of a company: name and sound.
pub(crate) type OwnPrompts = Vec<(String, Sound)>;

/// All that legs can hear: what is built in, with `own` in its place where the names are the same.
///
/// # Errors
/// A prompt that is built in cannot be read; a test sees to it that this does not happen.
pub(crate) fn library(own: &OwnPrompts) -> Result<SoundLibrary> {
    let mut library = SoundLibrary::new();
    for (name, bytes) in BUILT_IN {
        let sound = read(*bytes)
            .map_err(|(what, _)| anyhow::anyhow!(what))
            .with_context(|| format!("the prompt {name}"))?;
        library.insert(name, sound);
    }
    for (name, sound) in own {
        library.insert(name, sound.clone());
    }
    Ok(library)
}

/// Reads `FOLDER/ru/NAME.wav` and `FOLDER/en/NAME.wav`; hidden files are passed over.
///
/// # Errors
/// The folder has neither, or a file of it is no prompt.
pub(crate) fn read_folder(folder: &Path) -> Result<OwnPrompts, PromptError> {
    let mut prompts = Vec::new();
    let mut found = false;
    for language in LANGUAGES {
        let within = folder.join(language);
        if !within.is_dir() {
            continue;
        }
        found = true;
        for file in files(&within)? {
            let wrong = |(what, remedy): Wrong| PromptError {
                file: file.clone(),
                what,
                remedy,
            };
            let name = file
                .file_stem()
                .and_then(|stem| stem.to_str())
                .filter(|_| file.extension().is_some_and(|is| is == "wav"))
                .ok_or_else(|| wrong(("it is no NAME.wav".to_owned(), FORM.to_owned())))?;
            if prompts.len() >= MOST_FILES {
                let what = format!("it is one more than {MOST_FILES} prompts");
                return Err(wrong((what, "keep what is played".to_owned())));
            }
            let opened = File::open(&file).map_err(|error| wrong(unreadable(&error)))?;
            let sound = read(BufReader::new(opened)).map_err(wrong)?;
            prompts.push((format!("{language}/{name}"), sound));
        }
    }
    if !found {
        return Err(PromptError {
            file: folder.to_owned(),
            what: "there is neither a folder ru nor a folder en in it".to_owned(),
            remedy: "put prompts into ru/NAME.wav and en/NAME.wav".to_owned(),
        });
    }
    Ok(prompts)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, PromptError> {
    let listed = fs::read_dir(folder).and_then(|entries| {
        entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()
    });
    let mut files = listed.map_err(|error| {
        let (what, remedy) = unreadable(&error);
        PromptError {
            file: folder.to_owned(),
            what,
            remedy,
        }
    })?;
    files.retain(|file| {
        let name = file.file_name().unwrap_or_default();
        !name.as_encoded_bytes().starts_with(b".")
    });
    files.sort();
    Ok(files)
}

/// What is wrong with a file, and the remedy.
type Wrong = (String, String);

fn unreadable(error: &io::Error) -> Wrong {
    (
        format!("it cannot be read ({error})"),
        "let the daemon read it".to_owned(),
    )
}

/// A sound of PCM WAV: stereo becomes the mean of both channels, 16 kHz the mean of two samples each.
fn read(bytes: impl Read) -> Result<Sound, Wrong> {
    let wrong = |what: String| (what, FORM.to_owned());
    let broken = |error: hound::Error| match error {
        hound::Error::IoError(_) => wrong("it ends too early for a WAV file".to_owned()),
        error => {
            let said = error.to_string().to_lowercase();
            wrong(format!(
                "it is no PCM WAV file ({})",
                said.trim_end_matches('.')
            ))
        }
    };
    let mut reader = WavReader::new(bytes).map_err(broken)?;
    let spec = reader.spec();
    if spec.sample_format != SampleFormat::Int {
        return Err(wrong(
            "its samples are no integers but floating-point numbers".to_owned(),
        ));
    }
    if !matches!(spec.channels, 1 | 2) {
        return Err(wrong(format!("it has {} channels", spec.channels)));
    }
    if spec.sample_rate != RATE_HZ && spec.sample_rate != 2 * RATE_HZ {
        return Err(wrong(format!(
            "it has {} samples a second instead of 8000 or 16000",
            spec.sample_rate
        )));
    }
    if reader.duration() > MOST_SECONDS * spec.sample_rate {
        let what = format!("it is longer than {MOST_SECONDS} s");
        return Err((what, "shorten it".to_owned()));
    }
    if reader.duration() == 0 {
        return Err(wrong("there is nothing in it".to_owned()));
    }
    // Neighbours in the file belong together: channels of a moment, then moments of a sample.
    let together = usize::from(spec.channels) * (spec.sample_rate / RATE_HZ) as usize;
    let mut samples = Vec::with_capacity(reader.len() as usize / together + 1);
    let (mut sum, mut summed) = (0, 0);
    for value in reader.samples::<i32>() {
        sum += sixteen_bits(value.map_err(broken)?, spec.bits_per_sample);
        summed += 1;
        if summed == together {
            samples.push((sum / together as i32) as i16);
            (sum, summed) = (0, 0);
        }
    }
    if summed > 0 {
        samples.push((sum / summed as i32) as i16);
    }
    Ok(Sound::new(samples))
}

fn sixteen_bits(sample: i32, bits: u16) -> i32 {
    match bits {
        ..=16 => sample << (16 - bits),
        _ => sample >> (bits - 16),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hound::{WavSpec, WavWriter};
    use media::{Codec, g711, in_band::InBandReceiver};

    use super::*;

    const TABLE: &str = include_str!("../../../config/prompts/prompts.csv");

    fn names() -> Vec<&'static str> {
        let mut lines = TABLE.lines();
        assert_eq!(lines.next(), Some("name;ru;en"));
        lines.map(|line| line.split(';').next().unwrap()).collect()
    }

    fn decibels(value: f64) -> f64 {
        20.0 * (value / 32_768.0).log10()
    }

    #[test]
    fn what_the_table_names_is_built_in_in_both_languages_and_nothing_else() {
        let built_in: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        let listed: Vec<String> = names()
            .iter()
            .flat_map(|name| LANGUAGES.map(|language| format!("{language}/{name}")))
            .collect();
        assert_eq!(built_in, listed);
        for line in TABLE.lines() {
            let cells: Vec<&str> = line.split(';').collect();
            assert_eq!(cells.len(), 3, "{line}");
            assert!(cells.iter().all(|cell| !cell.is_empty()), "{line}");
        }
        // The folders hold no file that is not in the table.
        for language in LANGUAGES {
            let folder = format!("../../config/prompts/{language}");
            let files = fs::read_dir(folder).unwrap().count();
            assert_eq!(files, names().len(), "{language}");
        }
    }

    #[test]
    fn built_in_prompts_are_short_trimmed_and_of_one_level() {
        let library = library(&Vec::new()).unwrap();
        let mut bytes = 0;
        for name in library.names() {
            let samples = library.get(name).unwrap().samples();
            bytes += samples.len() * 2;
            assert!(samples.len() < 8 * 8_000, "{name} is long");
            let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap();
            assert!(
                decibels(f64::from(peak)) <= -3.0,
                "{name} has a peak of {peak}"
            );
            let power: f64 = samples.iter().map(|&s| f64::from(s).powi(2)).sum();
            let level = decibels((power / samples.len() as f64).sqrt());
            assert!((level + 16.5).abs() < 1.5, "{name} has {level} dBFS");
            // No tenth of a second of silence at either end.
            for end in [&samples[..800], &samples[samples.len() - 800..]] {
                assert!(end.iter().any(|s| s.abs() > 150), "{name} is not trimmed");
            }
        }
        assert_eq!(library.names().count(), 2 * names().len());
        assert!(bytes < 2_500_000, "{bytes} bytes");
    }

    #[test]
    fn no_prompt_that_comes_back_as_an_echo_is_taken_for_a_key() {
        let library = library(&Vec::new()).unwrap();
        for name in library.names() {
            let samples = library.get(name).unwrap().samples();
            let mut receiver = InBandReceiver::default();
            for packet in samples.chunks(160) {
                let codes: Vec<u8> = packet
                    .iter()
                    .map(|&sample| g711::encode(Codec::Pcma, sample))
                    .collect();
                receiver.receive(Duration::ZERO, Codec::Pcma, &codes, |press| {
                    panic!("{name} told as {press:?}")
                });
            }
            assert!(!receiver.is_pressed(), "{name}");
        }
    }

    #[test]
    fn every_number_below_a_hundred_can_be_composed() {
        let library = library(&Vec::new()).unwrap();
        for number in 0..100 {
            let parts = match (number / 10 * 10, number % 10) {
                (0 | 10, _) | (_, 0) => vec![number],
                (tens, ones) => vec![tens, ones],
            };
            for (language, part) in LANGUAGES
                .iter()
                .flat_map(|language| parts.iter().map(move |part| (language, part)))
            {
                let name = format!("{language}/number-{part}");
                assert!(library.get(&name).is_some(), "{name}");
            }
        }
    }

    fn write(file: &Path, spec: WavSpec, samples: &[i32]) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let mut writer = WavWriter::create(file, spec).unwrap();
        for &sample in samples {
            match spec.sample_format {
                SampleFormat::Int => writer.write_sample(sample).unwrap(),
                SampleFormat::Float => writer.write_sample(sample as f32).unwrap(),
            }
        }
        writer.finalize().unwrap();
    }

    fn spec(channels: u16, sample_rate: u32, bits_per_sample: u16) -> WavSpec {
        WavSpec {
            channels,
            sample_rate,
            bits_per_sample,
            sample_format: SampleFormat::Int,
        }
    }

    #[test]
    fn a_folder_replaces_prompts_one_by_one_and_adds_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write(&at("ru/goodbye.wav"), spec(1, 8_000, 16), &[1, -2, 3]);
        write(
            &at("ru/my-greeting.wav"),
            spec(2, 16_000, 16),
            &[100, 200, 300, 400, -30_000, -30_000, -30_000, -30_000],
        );
        write(&at("en/deep.wav"), spec(1, 8_000, 24), &[256_000, -256_000]);
        write(&at("en/flat.wav"), spec(1, 16_000, 8), &[100, 100, -100]);
        fs::write(at("ru/.hidden"), "no sound").unwrap();
        fs::write(at("README"), "no sound").unwrap();
        let library = library(&read_folder(folder.path()).unwrap()).unwrap();
        let samples = |name: &str| library.get(name).unwrap().samples().to_vec();
        assert_eq!(samples("ru/goodbye"), [1, -2, 3]);
        assert_eq!(samples("ru/my-greeting"), [250, -30_000]);
        assert_eq!(samples("en/deep"), [1_000, -1_000]);
        assert_eq!(samples("en/flat"), [25_600, -25_600]);
        assert!(samples("en/goodbye").len() > 1_000, "still built in");
    }

    fn error(fill: impl FnOnce(&Path)) -> String {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path());
        let error = read_folder(folder.path()).unwrap_err();
        let text = format!("{error}; {}", error.remedy);
        text.replace(&format!("{}", folder.path().display()), "F")
    }

    #[test]
    fn what_cannot_be_a_prompt_is_named_with_what_and_remedy() {
        let written = |spec: WavSpec, length: usize| {
            error(move |folder| write(&folder.join("ru/a.wav"), spec, &vec![0; length]))
        };
        let float = WavSpec {
            sample_format: SampleFormat::Float,
            ..spec(1, 8_000, 32)
        };
        let cases = [
            (
                written(spec(1, 44_100, 16), 9),
                "F/ru/a.wav: it has 44100 samples a second",
            ),
            (
                written(spec(3, 8_000, 16), 9),
                "F/ru/a.wav: it has 3 channels; ",
            ),
            (written(float, 9), "F/ru/a.wav: its samples are no integers"),
            (
                written(spec(1, 8_000, 16), 0),
                "F/ru/a.wav: there is nothing in it; ",
            ),
            (
                written(spec(1, 8_000, 8), 960_001),
                "F/ru/a.wav: it is longer than 120 s; shorten it",
            ),
            (
                error(|folder| {
                    let file = folder.join("en/b.wav");
                    write(&file, spec(1, 8_000, 16), &[1; 100]);
                    let bytes = fs::read(&file).unwrap();
                    fs::write(&file, &bytes[..100]).unwrap();
                }),
                "F/en/b.wav: it ends too early for a WAV file; make it with: sox ",
            ),
            (
                error(|folder| {
                    fs::create_dir(folder.join("en")).unwrap();
                    fs::write(
                        folder.join("en/c.wav"),
                        "ID3 or anything else that is no sound of ours",
                    )
                    .unwrap();
                }),
                "F/en/c.wav: it is no PCM WAV file (",
            ),
            (
                error(|folder| {
                    fs::create_dir(folder.join("en")).unwrap();
                    fs::write(folder.join("en/d.mp3"), "").unwrap();
                }),
                "F/en/d.mp3: it is no NAME.wav; make it with: sox ",
            ),
            (
                error(|_| {}),
                "F: there is neither a folder ru nor a folder en in it; put prompts into",
            ),
        ];
        for (error, wanted) in cases {
            assert!(error.starts_with(wanted), "{error}\nwanted {wanted}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        assert!(read_folder(Path::new("/nowhere/at/all")).is_err());
    }

    #[test]
    fn a_damaged_header_is_an_error_or_a_sound_and_never_a_panic() {
        let whole = BUILT_IN[0].1[..2_000].to_vec();
        for place in 0..60 {
            for value in [0, 1, 2, 3, 0x7f, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[place] = value;
                if let Ok(sound) = read(&damaged[..]) {
                    assert!(!sound.samples().is_empty());
                }
            }
        }
    }
}
