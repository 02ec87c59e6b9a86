//! The recorder: what the media threads tap becomes crash-safe WAV files.
//!
//! A tap copies audio into a [`media::timeline::Timeline`] on the media thread; its parts go by pointer through
//! a bounded queue to one writer thread. Media never waits for a disk: a part that finds the queue full is
//! dropped and marked. The writer never waits for a disk to be *done*: a second thread synchronises.

mod door;
mod file;
mod gaps;
mod repair;
mod sync;
mod writer;

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, JoinHandle},
    time::Duration,
};

use thiserror::Error;

pub(crate) use door::{PART_BYTES, WriterDoor, WriterOrder};
pub(crate) use gaps::Gaps;
pub use repair::repair;
pub(crate) use writer::gap_event;

use crate::{
    media::{EventSender, MediaCounters},
    wake::Wake,
};

/// Why the recorder could not start.
#[derive(Debug, Error)]
pub enum RecorderError {
    /// The recordings folder cannot be made or opened.
    #[error(
        "the recordings folder {folder} cannot be used: {source}; make it, or give the process the right to write there"
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused a descriptor or a thread.
    #[error("the recorder cannot start: {0}")]
    System(#[from] io::Error),
}

#[derive(Clone, Debug)]
pub(crate) struct RecorderSettings {
    pub(crate) folder: PathBuf,
    /// Parts waiting for the writer, for each media thread.
    pub(crate) queue: usize,
    pub(crate) sync_interval: Duration,
}

/// The running writer.
#[derive(Debug)]
pub(crate) struct Recorder {
    thread: JoinHandle<()>,
    wake: Arc<Wake>,
    ending: Arc<AtomicBool>,
}

impl Recorder {
    /// Starts the writer with a door for each of `doors` media threads.
    pub(crate) fn start(
        settings: RecorderSettings,
        doors: usize,
        events: EventSender,
        counters: Arc<MediaCounters>,
    ) -> Result<(Self, Vec<WriterDoor>), RecorderError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(&settings.folder)
            .map_err(|source| RecorderError::Folder {
                folder: settings.folder.clone(),
                source,
            })?;
        let wake = Arc::new(Wake::new()?);
        let ending = Arc::new(AtomicBool::new(false));
        let sync = sync::Synchroniser::start(&settings.folder, settings.sync_interval).map_err(
            |source| RecorderError::Folder {
                folder: settings.folder.clone(),
                source,
            },
        )?;
        let (doors, ends) = (0..doors)
            .map(|_| WriterDoor::new(settings.queue, Arc::clone(&wake)))
            .unzip();
        let writer = writer::Writer::new(
            settings.folder,
            ends,
            events,
            sync,
            Arc::clone(&wake),
            Arc::clone(&ending),
            counters,
        );
        let thread = Builder::new()
            .name("recorder".into())
            .spawn(move || writer.run())?;
        let recorder = Self {
            thread,
            wake,
            ending,
        };
        Ok((recorder, doors))
    }

    /// Ends the writer after the last byte of every file. The media threads must have ended before.
    pub(crate) fn stop(self) {
        self.ending.store(true, Ordering::Release);
        self.wake.notify();
        // A panic has aborted the process already.
        let _ = self.thread.join();
    }
}
