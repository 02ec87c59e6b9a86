//! Reading recordings, by our own eyes and by sox and ffprobe.

use std::{path::Path, process::Command};

use media::{Codec, g711, wav};

/// Both channels of a recording as linear samples: left, right.
pub struct Recording {
    pub law: Codec,
    pub left: Vec<u8>,
    pub right: Vec<u8>,
}

impl Recording {
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let (law, frames) = wav::read_header(&bytes).unwrap();
        let data = &bytes[wav::HEADER_BYTES..];
        assert_eq!(data.len() as u64, frames * 2, "header and file disagree");
        Self {
            law,
            left: data.iter().step_by(2).copied().collect(),
            right: data.iter().skip(1).step_by(2).copied().collect(),
        }
    }

    pub fn millis(&self) -> u64 {
        self.left.len() as u64 / 8
    }

    /// Where the channel holds `payload` exactly.
    pub fn find(channel: &[u8], payload: &[u8]) -> Option<usize> {
        channel
            .windows(payload.len())
            .position(|window| window == payload)
    }

    /// The same recording, decoded by sox to PCM and read with hound, must hold the same samples.
    pub fn check_with_sox(&self, path: &Path) {
        let export = path.with_extension("pcm.wav");
        let done = Command::new("sox")
            .arg(path)
            .args(["-e", "signed-integer", "-b", "16"])
            .arg(&export)
            .status()
            .unwrap();
        assert!(done.success(), "sox cannot read the recording");
        let mut reader = hound::WavReader::open(&export).unwrap();
        assert_eq!(reader.spec().channels, 2);
        assert_eq!(reader.spec().sample_rate, 8000);
        let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
        let expected: Vec<i16> = self
            .left
            .iter()
            .zip(&self.right)
            .flat_map(|(&left, &right)| [left, right])
            .map(|code| g711::decode(self.law, code))
            .collect();
        assert_eq!(samples.len(), expected.len());
        let differing = samples
            .iter()
            .zip(&expected)
            .filter(|(a, b)| a != b)
            .count();
        assert_eq!(differing, 0, "sox decodes other samples");
    }

    pub fn check_with_ffprobe(&self, path: &Path) {
        let output = Command::new("ffprobe")
            .args([
                "-v",
                "error",
                "-show_entries",
                "stream=codec_name,channels,sample_rate,duration",
            ])
            .args(["-of", "csv=p=0"])
            .arg(path)
            .output()
            .unwrap();
        assert!(
            output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        let fields: Vec<_> = text.trim().split(',').collect();
        let codec = match self.law {
            Codec::Pcma => "pcm_alaw",
            Codec::Pcmu => "pcm_mulaw",
        };
        assert_eq!(fields[..3], [codec, "8000", "2"]);
        let seconds: f64 = fields[3].parse().unwrap();
        assert!(
            (seconds * 8000.0 - self.left.len() as f64).abs() < 1.0,
            "{text}"
        );
    }
}
