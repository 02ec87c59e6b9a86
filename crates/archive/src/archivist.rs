//! Takes finished recordings from the database, oldest first.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
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
    /// The recording that failed last, and how often.
    failing: Option<(RecordingId, u32)>,
}

/// How the work went.
enum Round {
    /// There may be more.
    Done,
    /// Nothing waits.
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
            failing: None,
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
        let waiting = match self.recordings.without_mp3(BATCH).await {
            Ok(waiting) if waiting.is_empty() => return Round::Idle,
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::warn!(%error, "recordings without MP3 cannot be read; trying again");
                return Round::Stuck;
            }
        };
        for recording in waiting {
            if let Round::Stuck = self.convert(&recording).await {
                return Round::Stuck;
            }
        }
        Round::Done
    }

    async fn convert(&mut self, recording: &WavFile) -> Round {
        let wav = self.settings.folder.join(&recording.file);
        let mp3 = mp3_path(&wav);
        let outcome = match self.settings.encoder.encode(&wav, &mp3).await {
            Ok(bytes) => Mp3::Made { bytes },
            Err(Trouble::BadRecording(reason)) => Mp3::Failed { reason },
            Err(Trouble::Failed(reason)) if self.failed_for_good(recording.id) => {
                Mp3::Failed { reason }
            }
            Err(trouble) => {
                tracing::warn!(file = %recording.file, error = %trouble, "no MP3 of a recording; trying again");
                return Round::Stuck;
            }
        };
        if let Mp3::Failed { reason } = &outcome {
            tracing::error!(file = %recording.file, reason, "no MP3 of a recording; its WAV stays");
        }
        let made = matches!(outcome, Mp3::Made { .. });
        match self.recordings.set_mp3(recording.id, outcome).await {
            Ok(()) => {
                self.made.fetch_add(u64::from(made), Ordering::Relaxed);
                Round::Done
            }
            Err(error) => {
                tracing::warn!(%error, "an MP3 cannot be noted in the database; trying again");
                Round::Stuck
            }
        }
    }

    fn failed_for_good(&mut self, recording: RecordingId) -> bool {
        let before = self.failing.filter(|(id, _)| *id == recording);
        let attempts = before.map_or(0, |(_, attempts)| attempts) + 1;
        self.failing = Some((recording, attempts));
        attempts >= ATTEMPTS
    }
}

/// The MP3 stands beside its WAV.
fn mp3_path(wav: &Path) -> PathBuf {
    wav.with_extension("mp3")
}
