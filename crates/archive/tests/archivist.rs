//! The archivist with a database of its own making and programs that behave and misbehave.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by a panic, its scenery included"
)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use archive::{Archivist, Encoder, Sample, Settings};
use async_trait::async_trait;
use crm::{Mp3, Recording, Recordings, Result, WavFile};
use model::{CallId, RecordingId};

const FILE: &str = "2026/03/02/7.wav";
const HEADER: &[u8] = b"HEAD";
const PATIENCE: Duration = Duration::from_secs(30);

/// One recording, and what was noted of it.
#[derive(Default)]
struct Desk {
    asked: AtomicU32,
    noted: Mutex<Option<Mp3>>,
}

#[async_trait]
impl Recordings for Desk {
    async fn without_mp3(&self, _limit: u32) -> Result<Vec<WavFile>> {
        let waiting = WavFile {
            id: RecordingId(1),
            call: CallId(7),
            file: FILE.to_owned(),
        };
        self.asked.fetch_add(1, Ordering::Relaxed);
        let noted = self.noted.lock().unwrap().is_some();
        Ok(if noted { Vec::new() } else { vec![waiting] })
    }

    async fn after(&self, _after: RecordingId, _limit: u32) -> Result<Vec<Recording>> {
        panic!("an archivist does not verify")
    }

    async fn conversations_without(&self) -> Result<u64> {
        panic!("an archivist does not verify")
    }

    async fn set_mp3(&self, id: RecordingId, mp3: Mp3) -> Result<()> {
        assert_eq!(id, RecordingId(1));
        *self.noted.lock().unwrap() = Some(mp3);
        Ok(())
    }
}

fn law_of(header: &[u8]) -> Option<Sample> {
    (header == HEADER).then_some(|code| i16::from(code) * 100)
}

struct Place {
    folder: tempfile::TempDir,
    desk: Arc<Desk>,
}

impl Place {
    /// A folder with one recording, whose header is this.
    fn with(header: &[u8], frames: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let wav = folder.path().join(FILE);
        fs::create_dir_all(wav.parent().unwrap()).unwrap();
        let mut bytes = header.to_vec();
        bytes.extend((0..frames * 2).map(|n| (n % 251) as u8));
        fs::write(wav, bytes).unwrap();
        Self {
            folder,
            desk: Arc::default(),
        }
    }

    fn mp3(&self) -> PathBuf {
        self.folder.path().join(FILE).with_extension("mp3")
    }

    /// A program in the place of `lame`; the last of its arguments is the file to make.
    fn program(&self, script: &str) -> PathBuf {
        let program = self.folder.path().join("program");
        fs::write(
            &program,
            format!("#!/bin/sh\nfor out; do :; done\n{script}\n"),
        )
        .unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        program
    }

    fn archivist(&self, program: &Path) -> Archivist {
        let encoder = Encoder {
            program: program.to_owned(),
            kbits: 32,
            header_bytes: HEADER.len(),
            law_of,
        };
        let settings = Settings {
            retry: Duration::from_millis(10),
            ..Settings::new(self.folder.path().to_owned(), encoder)
        };
        Archivist::new(Arc::clone(&self.desk) as Arc<dyn Recordings>, settings)
    }

    /// Works until something is noted.
    async fn work(&self, program: &Path) -> Mp3 {
        let task = tokio::spawn(self.archivist(program).run());
        let noted = async {
            loop {
                if let Some(mp3) = self.desk.noted.lock().unwrap().clone() {
                    return mp3;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let noted = tokio::time::timeout(PATIENCE, noted).await;
        task.abort();
        noted.expect("something is noted in time")
    }

    fn files(&self) -> Vec<String> {
        let folder = self.mp3().parent().unwrap().to_owned();
        let names = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn the_program_gets_every_sample_and_its_file_gets_the_name() {
    let place = Place::with(HEADER, 100_000);
    let program = place.program("cat > \"$out\"");
    let noted = place.work(&program).await;
    assert_eq!(noted, Mp3::Made { bytes: 400_000 });
    let made = fs::read(place.mp3()).unwrap();
    let samples: Vec<i16> = made
        .chunks_exact(2)
        .map(|two| i16::from_le_bytes([two[0], two[1]]))
        .collect();
    let wanted: Vec<i16> = (0..200_000).map(|n| (n % 251) as i16 * 100).collect();
    assert!(samples == wanted);
    assert_eq!(place.files(), ["7.mp3", "7.wav"]);
}

#[tokio::test]
async fn lame_makes_a_stereo_mp3_that_can_be_decoded() {
    let place = Place::with(HEADER, 80_000);
    let Mp3::Made { bytes } = place.work(Path::new("lame")).await else {
        panic!("lame makes it");
    };
    assert_eq!(fs::metadata(place.mp3()).unwrap().len(), bytes);
    // Ten seconds at 32 kbit/s.
    assert!((38_000..44_000).contains(&bytes), "{bytes}");
    let decoded = place.folder.path().join("decoded.wav");
    let status = std::process::Command::new("lame")
        .args(["--quiet", "--decode"])
        .arg(place.mp3())
        .arg(&decoded)
        .status()
        .unwrap();
    assert!(status.success());
    let header = fs::read(decoded).unwrap();
    assert_eq!(
        &header[22..28],
        [2, 0, 0x40, 0x1f, 0, 0],
        "stereo, 8,000 Hz"
    );
}

#[tokio::test]
async fn a_failure_is_tried_again_and_then_noted_with_the_programs_words() {
    let place = Place::with(HEADER, 1_000);
    let program = place.program(
        "echo x >> \"$(dirname \"$0\")/attempts\"; echo begun > \"$out\"; echo 'bad thing' >&2; exit 1",
    );
    let noted = place.work(&program).await;
    let reason = "bad thing".to_owned();
    assert_eq!(noted, Mp3::Failed { reason });
    let attempts = fs::read_to_string(place.folder.path().join("attempts")).unwrap();
    assert_eq!(attempts.lines().count(), 3);
    assert_eq!(place.files(), ["7.wav"], "nothing half done is left");
}

#[tokio::test]
async fn what_is_no_recording_is_noted_at_once() {
    let place = Place::with(b"RIFF", 1_000);
    let Mp3::Failed { reason } = place.work(Path::new("lame")).await else {
        panic!("there is nothing to make");
    };
    assert!(reason.contains("is no recording of ours"), "{reason}");
}

#[tokio::test]
async fn without_the_program_recordings_wait_for_it() {
    let place = Place::with(HEADER, 1_000);
    let missing = place.folder.path().join("program");
    let task = tokio::spawn(place.archivist(&missing).run());
    // More attempts than a failing program gets.
    let often = async {
        while place.desk.asked.load(Ordering::Relaxed) < 6 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, often).await.unwrap();
    assert_eq!(*place.desk.noted.lock().unwrap(), None);
    place.program("cat > \"$out\"");
    task.abort();
    assert_eq!(place.work(&missing).await, Mp3::Made { bytes: 4_000 });
}
