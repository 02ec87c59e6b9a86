//! Recordings after hang-up, as the archive sees them.

use std::time::Duration;

use async_trait::async_trait;
use model::{RecordingId, Utc};

use crate::{Recording, Result};

/// A finished recording that has no MP3 yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WavFile {
    /// The recording.
    pub id: RecordingId,
    /// File, relative to the recordings folder.
    pub file: String,
    /// How long it lasts.
    pub length: Duration,
}

/// What became of an MP3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mp3 {
    /// It stands beside the WAV.
    Made {
        /// Length of the file.
        bytes: u64,
    },
    /// It cannot be made.
    Failed {
        /// Why.
        reason: String,
    },
}

/// One of the two files of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoundFile {
    /// As it was recorded.
    Wav,
    /// Made of it after hang-up.
    Mp3,
}

/// The recordings.
#[async_trait]
pub trait Recordings: Send + Sync {
    /// Finished recordings of this node with sound whose MP3 is neither made nor given up, oldest first.
    async fn without_mp3(&self, limit: u32) -> Result<Vec<WavFile>>;

    /// Recordings of this node behind `after`, in the order of their ids.
    async fn after(&self, after: RecordingId, limit: u32) -> Result<Vec<Recording>>;

    /// How many conversations of this node have no recording because none was ordered.
    async fn conversations_without(&self) -> Result<u64>;

    /// Notes what became of the MP3.
    async fn set_mp3(&self, id: RecordingId, mp3: Mp3) -> Result<()>;

    /// Finished recordings of this node with sound that began before `before` and whose `file` is not marked as removed,
    /// in the order in which they began, behind the one named by its start and id. For [`SoundFile::Mp3`] only those that
    /// have one.
    async fn older_than(
        &self,
        before: Utc,
        file: SoundFile,
        after: (Utc, RecordingId),
        limit: u32,
    ) -> Result<Vec<Recording>>;

    /// Marks the `file` of these recordings as removed now; the files themselves are still to be removed.
    async fn mark_removed(&self, ids: Vec<RecordingId>, file: SoundFile) -> Result<()>;

    /// Recordings of this node behind `after`, in the order of their ids, that were marked and whose files may still stand.
    async fn half_removed(&self, after: RecordingId, limit: u32) -> Result<Vec<Recording>>;

    /// Notes that the marked files of these recordings are gone.
    async fn set_gone(&self, ids: Vec<RecordingId>) -> Result<()>;
}
