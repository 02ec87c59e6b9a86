//! Recordings after hang-up, as the archive sees them.

use std::time::Duration;

use async_trait::async_trait;
use model::RecordingId;

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
}
