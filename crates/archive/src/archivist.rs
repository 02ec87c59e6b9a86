//! Takes finished recordings from the database, oldest first.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crm::{Mp3, Recordings, WavFile};
use model::RecordingId;

use crate::encoder::{Encoder, Trouble};

/// How often it is asked whether there is something to do.
const PERIOD: Duration = Duration::from_secs(1);
/// How long after a failure the same recording is tried again.
const RETRY: Duration = Duration::from_secs(60);
/// Recordings asked for at a time.
const BATCH: u32 = 16;
/// Attempts at one recording by one process; then the reason is stored.
const ATTEMPTS: u32 = 3;
/// With more recordings postponed it is not their fault: nothing is given up.
const MOST_POSTPONED: usize = 100;

/// What an archivist works with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of the recordings.
    pub folder: PathBuf,
    /// Makes the MP3 files.
    pub encoder: Encoder,
    /// How long after a failure the same recording is tried again.
    pub retry: Duration,
}

impl Settings {
    /// Recordings of `folder`, tried again a minute after a failure.
    #[must_use]
    pub fn new(folder: PathBuf, encoder: Encoder) -> Self {
        Self {
            folder,
            encoder,
            retry: RETRY,
        }
    }
}

/// Makes MP3 files until it is dropped; what was being made then is begun anew at the next start.
pub struct Archivist {
    recordings: Arc<dyn Recordings>,
    settings: Settings,
    made: Arc<AtomicU64>,
    /// Recordings that failed: until when others come first, and how often.
    postponed: HashMap<RecordingId, (Instant, u32)>,
}

/// How the work went.
enum Round {
    /// There may be more.
    Done,
    /// Nothing is to be done now.
    Idle,
    /// Nothing can be done for a while.
    Stuck,
}

impl Archivist {
    /// One that has done nothing yet.
    #[must_use]
    pub fn new(recordings: Arc<dyn Recordings>, settings: Settings) -> Self {
        Self {
            recordings,
            settings,
            made: Arc::default(),
            postponed: HashMap::new(),
        }
    }

    /// How many MP3 files were made.
    #[must_use]
    pub fn made(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.made)
    }

    /// Works for ever.
    pub async fn run(mut self) {
        loop {
            match self.round().await {
                Round::Done => {}
                Round::Idle => tokio::time::sleep(PERIOD).await,
                Round::Stuck => tokio::time::sleep(self.settings.retry).await,
            }
        }
    }

    async fn round(&mut self) -> Round {
        let limit = BATCH + u32::try_from(self.postponed.len()).unwrap_or(0);
        let waiting = match self.recordings.without_mp3(limit).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::warn!(%error, "recordings without MP3 cannot be read; trying again");
                return Round::Stuck;
            }
        };
        let now = Instant::now();
        let due = |recording: &WavFile| {
            let postponed = self.postponed.get(&recording.id);
            postponed.is_none_or(|(until, _)| *until <= now)
        };
        let due: Vec<WavFile> = waiting.into_iter().filter(due).collect();
        if due.is_empty() {
            return Round::Idle;
        }
        for recording in due {
            if let Round::Stuck = self.convert(&recording).await {
                return Round::Stuck;
            }
        }
        Round::Done
    }

    async fn convert(&mut self, recording: &WavFile) -> Round {
        let wav = self.settings.folder.join(&recording.file);
        let mp3 = mp3_path(&wav);
        let encoder = &self.settings.encoder;
        let outcome = match encoder.encode(&wav, &mp3, recording.length).await {
            Ok(bytes) => Mp3::Made { bytes },
            Err(Trouble::BadRecording) => given_up(&Trouble::BadRecording),
            Err(trouble @ (Trouble::NoProgram { .. } | Trouble::NoRoom(_))) => {
                tracing::warn!(error = %trouble, "no MP3 can be made; recordings wait");
                return Round::Stuck;
            }
            Err(trouble) => {
                let attempts = self.postpone(recording.id);
                tracing::warn!(file = %recording.file, attempts, error = %trouble, "no MP3 of a recording");
                if attempts < ATTEMPTS || self.postponed.len() > MOST_POSTPONED {
                    return Round::Done;
                }
                given_up(&trouble)
            }
        };
        self.note(recording, outcome).await
    }

    async fn note(&mut self, recording: &WavFile, outcome: Mp3) -> Round {
        if let Mp3::Failed { reason } = &outcome {
            tracing::error!(file = %recording.file, reason, "no MP3 of a recording; its WAV stays");
        }
        let made = matches!(outcome, Mp3::Made { .. });
        match self.recordings.set_mp3(recording.id, outcome).await {
            Ok(()) => {
                self.postponed.remove(&recording.id);
                self.made.fetch_add(u64::from(made), Ordering::Relaxed);
                Round::Done
            }
            Err(error) => {
                tracing::warn!(%error, "an MP3 cannot be noted in the database; trying again");
                Round::Stuck
            }
        }
    }

    /// Others come first; how often it has failed.
    fn postpone(&mut self, recording: RecordingId) -> u32 {
        let until = Instant::now() + self.settings.retry;
        let (due, attempts) = self.postponed.entry(recording).or_insert((until, 0));
        *due = until;
        *attempts += 1;
        *attempts
    }
}

fn given_up(trouble: &Trouble) -> Mp3 {
    Mp3::Failed {
        reason: trouble.to_string(),
    }
}

/// The MP3 stands beside its WAV.
fn mp3_path(wav: &Path) -> PathBuf {
    wav.with_extension("mp3")
}
