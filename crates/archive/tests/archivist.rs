//! The archivist with a database of its own making and programs that behave and misbehave.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by a panic, its scenery included"
)]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use archive::{Archivist, Encoder, Sample, Settings};
use async_trait::async_trait;
use crm::{Mp3, Recording, Recordings, Result, SoundFile, WavFile};
use model::{RecordingId, Utc};
use tokio::sync::watch;

const FILE: &str = "2026/03/02/7.wav";
const FIRST: RecordingId = RecordingId(1);
const HEADER: &[u8] = b"HEAD";
const PATIENCE: Duration = Duration::from_secs(30);

/// Recordings that wait, and what was noted of them.
#[derive(Default)]
struct Desk {
    asked: watch::Sender<u32>,
    waiting: Vec<WavFile>,
    noted: watch::Sender<BTreeMap<RecordingId, Mp3>>,
}

#[async_trait]
impl Recordings for Desk {
    async fn without_mp3(&self, limit: u32) -> Result<Vec<WavFile>> {
        self.asked.send_modify(|asked| *asked += 1);
        let noted = self.noted.borrow();
        let waiting = self.waiting.iter().filter(|it| !noted.contains_key(&it.id));
        Ok(waiting.take(limit as usize).cloned().collect())
    }

    async fn after(&self, _after: RecordingId, _limit: u32) -> Result<Vec<Recording>> {
        panic!("an archivist does not verify")
    }

    async fn conversations_without(&self) -> Result<u64> {
        panic!("an archivist does not verify")
    }

    async fn set_mp3(&self, id: RecordingId, mp3: Mp3) -> Result<()> {
        self.noted.send_modify(|noted| _ = noted.insert(id, mp3));
        Ok(())
    }

    async fn older_than(
        &self,
        _before: Utc,
        _file: SoundFile,
        _after: (Utc, RecordingId),
        _limit: u32,
    ) -> Result<Vec<Recording>> {
        panic!("an archivist removes nothing")
    }

    async fn mark_removed(&self, _ids: Vec<RecordingId>, _file: SoundFile) -> Result<()> {
        panic!("an archivist removes nothing")
    }

    async fn half_removed(&self, _after: RecordingId, _limit: u32) -> Result<Vec<Recording>> {
        panic!("an archivist removes nothing")
    }

    async fn set_gone(&self, _ids: Vec<RecordingId>) -> Result<()> {
        panic!("an archivist removes nothing")
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
        let waiting = WavFile {
            id: FIRST,
            file: FILE.to_owned(),
            length: Duration::from_secs(10),
        };
        let desk = Desk {
            waiting: vec![waiting],
            ..Desk::default()
        };
        Self {
            folder,
            desk: Arc::new(desk),
        }
    }

    fn noted(&self, id: RecordingId) -> Option<Mp3> {
        self.desk.noted.borrow().get(&id).cloned()
    }

    fn mp3(&self) -> PathBuf {
        self.folder.path().join(FILE).with_extension("mp3")
    }

    /// A program in the place of `lame`: samples come to its standard input, the MP3 leaves by its standard output.
    fn program(&self, script: &str) -> PathBuf {
        let program = self.folder.path().join("program");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
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
        let mut noted = self.desk.noted.subscribe();
        let first = noted.wait_for(|noted| noted.contains_key(&FIRST));
        let in_time = tokio::time::timeout(PATIENCE, first).await.is_ok();
        task.abort();
        assert!(in_time, "something is noted in time");
        self.noted(FIRST).unwrap()
    }

    /// More attempts than a failing program gets.
    async fn asked_often(&self) {
        let mut asked = self.desk.asked.subscribe();
        let often = asked.wait_for(|asked| *asked >= 6);
        tokio::time::timeout(PATIENCE, often)
            .await
            .unwrap()
            .unwrap();
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
    let program = place.program("exec cat");
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
        "echo x >> \"$(dirname \"$0\")/attempts\"; echo begun; echo 'bad thing' >&2; exit 1",
    );
    let noted = place.work(&program).await;
    let reason = "bad thing".to_owned();
    assert_eq!(noted, Mp3::Failed { reason });
    let attempts = fs::read_to_string(place.folder.path().join("attempts")).unwrap();
    assert_eq!(attempts.lines().count(), 3);
    assert_eq!(place.files(), ["7.wav"], "nothing half done is left");
}

#[tokio::test]
async fn where_nothing_can_be_written_recordings_wait() {
    let place = Place::with(HEADER, 1_000);
    // What bears the unfinished file's name is a folder: nobody, not even root, can write there.
    let unfinished = place.mp3().with_extension("mp3.part");
    fs::create_dir(&unfinished).unwrap();
    let program = place.program("exec cat");
    let task = tokio::spawn(place.archivist(&program).run());
    place.asked_often().await;
    task.abort();
    assert_eq!(place.noted(FIRST), None);
    fs::remove_dir(&unfinished).unwrap();
    assert_eq!(place.work(&program).await, Mp3::Made { bytes: 4_000 });
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
    place.asked_often().await;
    assert_eq!(place.noted(FIRST), None);
    place.program("exec cat");
    task.abort();
    assert_eq!(place.work(&missing).await, Mp3::Made { bytes: 4_000 });
}

#[tokio::test]
async fn a_recording_that_fails_holds_up_no_other() {
    let mut place = Place::with(HEADER, 1_000);
    let second = WavFile {
        id: RecordingId(2),
        file: "2026/03/02/8.wav".to_owned(),
        length: Duration::from_secs(1),
    };
    fs::copy(
        place.folder.path().join(FILE),
        place.folder.path().join(&second.file),
    )
    .unwrap();
    fs::remove_file(place.folder.path().join(FILE)).unwrap();
    Arc::get_mut(&mut place.desk).unwrap().waiting.push(second);
    let program = place.program("exec cat");
    let Mp3::Failed { reason } = place.work(&program).await else {
        panic!("there is no file to read");
    };
    assert!(reason.contains("cannot be read"), "{reason}");
    let made = Some(Mp3::Made { bytes: 4_000 });
    assert_eq!(place.noted(RecordingId(2)), made);
}

#[tokio::test]
async fn an_archivist_that_ends_takes_its_program_along() {
    let place = Place::with(HEADER, 1_000);
    let program = place.program("echo $$ > \"$(dirname \"$0\")/pid\"; exec sleep 1000");
    let task = tokio::spawn(place.archivist(&program).run());
    let written = place.folder.path().join("pid");
    let begun = async {
        loop {
            match fs::read_to_string(&written) {
                Ok(pid) if pid.ends_with('\n') => return pid.trim().to_owned(),
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let pid = tokio::time::timeout(PATIENCE, begun).await.unwrap();
    task.abort();
    // A zombie has no command line any more.
    let alive = || fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|it| !it.is_empty());
    let gone = async {
        while alive() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}
