//! Removes files of recordings that have reached their age.
//!
//! The database is told first, then the file goes: a file that is missing without a word is always a fault. What a crash
//! leaves between the two is removed by the next round.

use std::{
    io,
    path::{Component, Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crm::{Recording, Recordings, Result, SoundFile};
use model::{RecordingId, Utc};
use tokio::fs;

/// After the start others come first.
const PAUSE: Duration = Duration::from_secs(60);
/// From one round to the next.
const PERIOD: Duration = Duration::from_secs(3_600);
/// How often the log tells of WAV files that stay because they have no MP3.
const DAY: Duration = Duration::from_secs(86_400);
/// Recordings read and marked at a time.
const PAGE: u32 = 200;

/// How long files are kept.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Folder of the recordings.
    pub folder: PathBuf,
    /// How long a WAV is kept beside its MP3; none for ever.
    pub keep_wav: Option<Duration>,
    /// How long an MP3 is kept; none for ever.
    pub keep_mp3: Option<Duration>,
    /// How long after the start the first round begins.
    pub pause: Duration,
    /// From one round to the next.
    pub period: Duration,
}

impl Terms {
    /// These terms, looked at a minute after the start and then every hour.
    #[must_use]
    pub fn new(folder: PathBuf, keep_wav: Option<Duration>, keep_mp3: Option<Duration>) -> Self {
        Self {
            folder,
            keep_wav,
            keep_mp3,
            pause: PAUSE,
            period: PERIOD,
        }
    }
}

/// What retention has done.
#[derive(Clone, Debug, Default)]
pub struct Removals {
    /// Files removed since the start.
    pub removed: Arc<AtomicU64>,
    /// WAV files that have reached their age and stay because they have no MP3, as of the last round.
    pub staying: Arc<AtomicU64>,
}

/// Removes files until it is dropped.
pub struct Retention {
    recordings: Arc<dyn Recordings>,
    terms: Terms,
    removals: Removals,
    told: Option<Instant>,
}

impl Retention {
    /// One that has done nothing yet.
    #[must_use]
    pub fn new(recordings: Arc<dyn Recordings>, terms: Terms) -> Self {
        Self {
            recordings,
            terms,
            removals: Removals::default(),
            told: None,
        }
    }

    /// What it does, counted.
    #[must_use]
    pub fn removals(&self) -> Removals {
        self.removals.clone()
    }

    /// Works for ever.
    pub async fn run(mut self) {
        tokio::time::sleep(self.terms.pause).await;
        loop {
            if let Err(error) = self.round().await {
                tracing::warn!(%error, "old recordings cannot be looked through; trying again");
            }
            tokio::time::sleep(self.terms.period).await;
        }
    }

    /// Looks through everything once.
    ///
    /// # Errors
    /// The database does not answer; what is left is done by the next round.
    pub async fn round(&mut self) -> Result<()> {
        self.erase().await?;
        let now = now();
        if let Some(age) = self.terms.keep_wav {
            let staying = self.sweep(SoundFile::Wav, earlier(now, age)).await?;
            self.removals.staying.store(staying, Ordering::Relaxed);
            self.tell(staying);
        }
        if let Some(age) = self.terms.keep_mp3 {
            self.sweep(SoundFile::Mp3, earlier(now, age)).await?;
        }
        Ok(())
    }

    /// Marks the files from before `before` and removes them, page by page; how many have to stay.
    async fn sweep(&self, file: SoundFile, before: Utc) -> Result<u64> {
        let (mut after, mut staying) = ((Utc::from_micros(i64::MIN), RecordingId(0)), 0);
        loop {
            let page = self.recordings.older_than(before, file, after, PAGE);
            let page = page.await?;
            let Some(last) = page.last() else {
                return Ok(staying);
            };
            after = (last.started_at, last.id);
            let mut due = Vec::new();
            for recording in page {
                match file {
                    SoundFile::Wav if !self.has_mp3(&recording).await => staying += 1,
                    _ => due.push(recording),
                }
            }
            if due.is_empty() {
                continue;
            }
            let ids = due.iter().map(|recording| recording.id).collect();
            self.recordings.mark_removed(ids, file).await?;
            // A disk that gives nothing up will not do so for the next page; what is marked is tried again.
            if !self.clear(&due, Some(file)).await? {
                return Ok(staying);
            }
        }
    }

    /// Whether the MP3 stands beside the WAV as the database says: only then the WAV is not the last of its kind.
    async fn has_mp3(&self, recording: &Recording) -> bool {
        let (Some(bytes), None) = (recording.mp3_bytes, recording.mp3_removed_at) else {
            return false;
        };
        let Some(wav) = self.path(recording) else {
            return false;
        };
        let metadata = fs::metadata(wav.with_extension("mp3")).await;
        metadata.is_ok_and(|metadata| metadata.len() == bytes)
    }

    /// Removes every file that an earlier round marked.
    async fn erase(&self) -> Result<()> {
        let mut after = RecordingId(0);
        loop {
            let page = self.recordings.half_removed(after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.id;
            self.clear(&page, None).await?;
        }
    }

    /// Removes what is marked of each recording, `just_now` included; what cannot be removed is tried again by the next
    /// round. Whether any could.
    async fn clear(&self, page: &[Recording], just_now: Option<SoundFile>) -> Result<bool> {
        let mut gone = Vec::new();
        for recording in page {
            match self.remove(recording, just_now).await {
                Ok(()) => gone.push(recording.id),
                Err(error) => {
                    tracing::error!(file = %recording.file, %error, "an old recording cannot be removed; trying again");
                }
            }
        }
        let any = !gone.is_empty();
        if any {
            self.recordings.set_gone(gone).await?;
        }
        Ok(any)
    }

    async fn remove(&self, recording: &Recording, just_now: Option<SoundFile>) -> io::Result<()> {
        let wav = self.path(recording).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "its name leads out of the recordings folder",
            )
        })?;
        if just_now == Some(SoundFile::Wav) || recording.wav_removed_at.is_some() {
            self.remove_file(&wav).await?;
        }
        if just_now == Some(SoundFile::Mp3) || recording.mp3_removed_at.is_some() {
            self.remove_file(&wav.with_extension("mp3")).await?;
        }
        // A folder that others still need is not empty and stays. One that is being written to is of today.
        let folders = wav.ancestors().skip(1);
        for folder in folders.take_while(|folder| *folder != self.terms.folder) {
            if fs::remove_dir(folder).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn remove_file(&self, file: &Path) -> io::Result<()> {
        match fs::remove_file(file).await {
            Ok(()) => {
                self.removals.removed.fetch_add(1, Ordering::Relaxed);
                tracing::info!(file = %file.display(), "a recording was removed because of its age");
                Ok(())
            }
            // An earlier life came this far.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The path of the WAV; none if its name leads out of the folder.
    fn path(&self, recording: &Recording) -> Option<PathBuf> {
        let name = Path::new(&recording.file);
        let mut parts = name.components();
        let plain = parts.all(|part| matches!(part, Component::Normal(_)));
        (plain && !recording.file.is_empty()).then(|| self.terms.folder.join(name))
    }

    /// Once a day, as long as there are any.
    fn tell(&mut self, staying: u64) {
        if staying > 0 && self.told.is_none_or(|told| told.elapsed() >= DAY) {
            self.told = Some(Instant::now());
            tracing::warn!(
                files = staying,
                "WAV files are older than keep_wav_days and stay, because they have no MP3"
            );
        }
    }
}

fn now() -> Utc {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Utc::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn earlier(now: Utc, age: Duration) -> Utc {
    let micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
    Utc::from_micros(now.micros().saturating_sub(micros))
}
