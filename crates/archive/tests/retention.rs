//! Files that reach their age, with real files and a database of its own making.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by a panic, its scenery included"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use archive::{Problem, Retention, Terms, verify};
use async_trait::async_trait;
use crm::{Error, Mp3, Recording, Recordings, Result, SoundFile, WavFile};
use model::{CallId, RecordingId, Utc};

const DAY: Duration = Duration::from_secs(86_400);
const WAV: &[u8] = b"as it was recorded";
const MP3: &[u8] = b"smaller";

/// Rows as the database has them: a recording, and whether its files are still to be removed.
struct Desk {
    rows: Mutex<Vec<(Recording, bool)>>,
    folder: PathBuf,
    /// As if the process ended between the mark and the file.
    dies: Mutex<bool>,
}

impl Desk {
    fn find(&self, limit: u32, fits: impl Fn(&Recording, bool) -> bool) -> Vec<Recording> {
        assert!(limit <= 1_000, "never all at once");
        let rows = self.rows.lock().unwrap();
        let found = rows.iter().filter(|(row, removing)| fits(row, *removing));
        found
            .take(limit as usize)
            .map(|(row, _)| row.clone())
            .collect()
    }
}

#[async_trait]
impl Recordings for Desk {
    async fn without_mp3(&self, _limit: u32) -> Result<Vec<WavFile>> {
        panic!("nothing is converted here")
    }

    async fn after(&self, after: RecordingId, limit: u32) -> Result<Vec<Recording>> {
        Ok(self.find(limit, |row, _| row.id > after))
    }

    async fn conversations_without(&self) -> Result<u64> {
        Ok(0)
    }

    async fn set_mp3(&self, _id: RecordingId, _mp3: Mp3) -> Result<()> {
        panic!("nothing is converted here")
    }

    async fn older_than(
        &self,
        before: Utc,
        file: SoundFile,
        after: (Utc, RecordingId),
        limit: u32,
    ) -> Result<Vec<Recording>> {
        assert!(limit <= 1_000, "never all at once");
        let mut found = self.find(1_000, |row, _| {
            let there = match file {
                SoundFile::Wav => row.wav_removed_at.is_none(),
                SoundFile::Mp3 => row.mp3_bytes.is_some() && row.mp3_removed_at.is_none(),
            };
            there && row.started_at < before && (row.started_at, row.id) > after
        });
        found.sort_by_key(|row| (row.started_at, row.id));
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn mark_removed(&self, ids: Vec<RecordingId>, file: SoundFile) -> Result<()> {
        if *self.dies.lock().unwrap() {
            return Err(Error::Full);
        }
        for (row, removing) in self.rows.lock().unwrap().iter_mut() {
            if ids.contains(&row.id) {
                let wav = self.folder.join(&row.file);
                let (path, mark) = match file {
                    SoundFile::Wav => (wav, &mut row.wav_removed_at),
                    SoundFile::Mp3 => (wav.with_extension("mp3"), &mut row.mp3_removed_at),
                };
                assert!(path.exists(), "the row is marked first");
                (*mark, *removing) = (Some(ago(0)), true);
            }
        }
        Ok(())
    }

    async fn half_removed(&self, after: RecordingId, limit: u32) -> Result<Vec<Recording>> {
        Ok(self.find(limit, |row, removing| removing && row.id > after))
    }

    async fn set_gone(&self, ids: Vec<RecordingId>) -> Result<()> {
        for (row, removing) in self.rows.lock().unwrap().iter_mut() {
            *removing &= !ids.contains(&row.id);
        }
        Ok(())
    }
}

fn ago(days: u32) -> Utc {
    let then = SystemTime::now() - DAY * days;
    let since = then.duration_since(UNIX_EPOCH).unwrap();
    Utc::from_micros(i64::try_from(since.as_micros()).unwrap())
}

struct Place {
    folder: tempfile::TempDir,
    desk: Arc<Desk>,
    retention: Retention,
}

impl Place {
    /// WAV files are kept for 30 days, MP3 files for 100.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("recordings");
        fs::create_dir(&root).unwrap();
        let desk = Arc::new(Desk {
            rows: Mutex::default(),
            folder: root.clone(),
            dies: Mutex::new(false),
        });
        let terms = Terms::new(root, Some(DAY * 30), Some(DAY * 100));
        let recordings = Arc::clone(&desk) as Arc<dyn Recordings>;
        let retention = Retention::new(recordings, terms);
        Self {
            folder,
            desk,
            retention,
        }
    }

    /// A recording of so many days ago in a folder of that day, with its files.
    fn record(&self, id: i64, days: u32, mp3: Option<&[u8]>) -> PathBuf {
        let file = format!("day-{days}/{id}.wav");
        let wav = self.desk.folder.join(&file);
        fs::create_dir_all(wav.parent().unwrap()).unwrap();
        fs::write(&wav, WAV).unwrap();
        if let Some(mp3) = mp3 {
            fs::write(wav.with_extension("mp3"), mp3).unwrap();
        }
        let recording = Recording {
            id: RecordingId(id),
            call: CallId(id),
            file,
            started_at: ago(days),
            ready: true,
            length_ms: 5_000,
            bytes: WAV.len() as u64,
            gaps_ms: 0,
            gaps: Vec::new(),
            error: None,
            mp3_bytes: mp3.map(|_| MP3.len() as u64),
            mp3_error: None,
            wav_removed_at: None,
            mp3_removed_at: None,
        };
        self.desk.rows.lock().unwrap().push((recording, false));
        wav
    }

    fn row(&self, id: i64) -> (Recording, bool) {
        let rows = self.desk.rows.lock().unwrap();
        let row = rows.iter().find(|(row, _)| row.id.0 == id);
        row.unwrap().clone()
    }

    fn counted(&self) -> (u64, u64) {
        let removals = self.retention.removals();
        let read = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        (read(&removals.removed), read(&removals.staying))
    }
}

fn both(wav: &Path) -> (bool, bool) {
    (wav.exists(), wav.with_extension("mp3").exists())
}

#[tokio::test]
async fn each_file_goes_at_its_age_and_a_wav_never_before_it_has_an_mp3() {
    let mut place = Place::new();
    let ancient = place.record(1, 200, Some(MP3));
    let half = place.record(2, 31, Some(b"half"));
    let bare = place.record(3, 31, None);
    let old = place.record(4, 31, Some(MP3));
    let alone = place.record(5, 32, Some(MP3));
    let young = place.record(6, 29, Some(MP3));
    place.retention.round().await.unwrap();
    assert_eq!(both(&ancient), (false, false));
    assert_eq!(both(&half), (true, true), "its MP3 is not whole");
    assert_eq!(both(&bare), (true, false), "it has no MP3");
    assert_eq!(both(&old), (false, true));
    assert_eq!(both(&alone), (false, true));
    assert_eq!(both(&young), (true, true));
    assert_eq!(place.counted(), (4, 2));
    let (row, removing) = place.row(1);
    assert!(row.wav_removed_at.is_some() && row.mp3_removed_at.is_some() && !removing);
    assert_eq!(place.row(6).0.wav_removed_at, None);
    assert!(
        !ancient.parent().unwrap().exists(),
        "the day has no file left"
    );
    assert!(place.desk.folder.exists() && old.parent().unwrap().exists());

    fs::write(half.with_extension("mp3"), MP3).unwrap();
    place.retention.round().await.unwrap();
    assert_eq!(both(&half), (false, true));
    assert_eq!(place.counted(), (5, 1));
}

#[tokio::test]
async fn what_a_crash_left_marked_goes_with_the_next_round_and_an_unmarked_file_never() {
    let mut place = Place::new();
    let wav = place.record(1, 31, Some(MP3));
    *place.desk.dies.lock().unwrap() = true;
    place.retention.round().await.unwrap_err();
    assert_eq!(both(&wav), (true, true), "no mark, no removal");
    *place.desk.dies.lock().unwrap() = false;
    let id = vec![RecordingId(1)];
    place.desk.mark_removed(id, SoundFile::Wav).await.unwrap();
    let marked = place.row(1).0.wav_removed_at;
    place.retention.round().await.unwrap();
    assert_eq!(both(&wav), (false, true));
    assert_eq!(
        (place.row(1).0.wav_removed_at, place.row(1).1),
        (marked, false)
    );

    // The file went and the word that it is gone did not.
    place.desk.rows.lock().unwrap()[0].1 = true;
    place.retention.round().await.unwrap();
    assert!(!place.row(1).1);
    assert_eq!(place.counted(), (1, 0));
}

#[tokio::test]
async fn a_file_that_cannot_be_removed_holds_up_no_other_and_is_tried_again() {
    let mut place = Place::new();
    let stuck = place.record(1, 31, Some(MP3));
    // What bears its name is a folder: nobody, not even root, removes that as a file.
    fs::remove_file(&stuck).unwrap();
    fs::create_dir(&stuck).unwrap();
    let other = place.record(2, 31, Some(MP3));
    place.retention.round().await.unwrap();
    assert_eq!(both(&other), (false, true));
    assert!(place.row(1).1, "it is still to be removed");
    let found = verify(&*place.desk, &place.desk.folder).await.unwrap();
    let name = "day-31/1.wav".to_owned();
    assert_eq!(found.problems, [Problem::NotRemoved(name)]);
    fs::remove_dir(&stuck).unwrap();
    fs::write(&stuck, WAV).unwrap();
    place.retention.round().await.unwrap();
    assert_eq!(both(&stuck), (false, true));
    let found = verify(&*place.desk, &place.desk.folder).await.unwrap();
    assert_eq!(found.problems, []);
    assert_eq!((found.removed, found.whole, found.with_mp3), (2, 0, 2));
}

#[tokio::test]
async fn hundreds_that_stay_do_not_hide_those_that_go() {
    let mut place = Place::new();
    for id in 0..450 {
        place.record(id + 1, 40, None);
    }
    let last = place.record(1_000, 31, Some(MP3));
    place.retention.round().await.unwrap();
    assert_eq!(both(&last), (false, true));
    assert_eq!(place.counted(), (1, 450));
}

#[tokio::test]
async fn a_name_that_leads_out_of_the_folder_is_no_file_to_remove() {
    let mut place = Place::new();
    place.record(1, 31, Some(MP3));
    let outside = place.folder.path().join("outside.wav");
    for file in [&outside, &outside.with_extension("mp3")] {
        fs::write(file, MP3).unwrap();
    }
    place.desk.rows.lock().unwrap()[0].0.file = "../outside.wav".to_owned();
    place.retention.round().await.unwrap();
    assert_eq!(both(&outside), (true, true));
}
