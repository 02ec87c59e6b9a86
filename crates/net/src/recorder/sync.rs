//! The thread that makes recordings durable, so that the writer never waits for a disk to be done.

use std::{
    fs::File,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use media::{ConversationKey, RecordingSummary};

use crate::{abort::AbortOnPanic, clock};

/// Closed files waiting to be synchronised. Full: the file is closed without, and the next `syncfs` covers it.
const CLOSINGS: usize = 4096;
/// From so many files on that close together, one `syncfs` is cheaper than an `fsync` for each.
const MANY: usize = 8;

/// A file whose last byte is written.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) conversation: ConversationKey,
    pub(crate) summary: RecordingSummary,
    pub(crate) file: Option<File>,
}

/// The writer's end of the synchronising thread.
#[derive(Debug)]
pub(crate) struct Synchroniser {
    closings: Option<Sender<Closing>>,
    /// Files whose fate is settled.
    pub(crate) closed: Receiver<Closing>,
    /// Files that were handed over and did not come back yet.
    pub(crate) pending: usize,
    written: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Synchroniser {
    pub(crate) fn start(folder: &Path, interval: Duration) -> io::Result<Self> {
        let folder = File::open(folder)?;
        let (closings, to_close) = bounded::<Closing>(CLOSINGS);
        // As large: the thread never blocks on its answers.
        let (answers, closed) = bounded(CLOSINGS + MANY);
        let written = Arc::new(AtomicBool::new(false));
        let dirty = Arc::clone(&written);
        let thread = Builder::new().name("recorder-sync".into()).spawn(move || {
            let _guard = AbortOnPanic::new("recorder-sync");
            serve(&folder, interval, &to_close, &answers, &dirty);
        })?;
        Ok(Self {
            closings: Some(closings),
            closed,
            pending: 0,
            written,
            thread: Some(thread),
        })
    }

    /// Something was written since the last synchronisation.
    pub(crate) fn note_written(&self) {
        self.written.store(true, Ordering::Relaxed);
    }

    /// Hands a file over. When too many wait it comes back at once, closed but not synchronised.
    pub(crate) fn close(&mut self, closing: Closing) -> Option<Closing> {
        let Some(closings) = &self.closings else {
            return Some(closing);
        };
        if self.pending >= CLOSINGS {
            return Some(closing);
        }
        match closings.try_send(closing) {
            Ok(()) => {
                self.pending += 1;
                None
            }
            Err(refused) => Some(refused.into_inner()),
        }
    }

    /// Ends the thread after its last file.
    pub(crate) fn stop(&mut self) {
        self.closings = None;
        if let Some(thread) = self.thread.take() {
            // A panic has aborted the process already.
            let _ = thread.join();
        }
    }
}

fn serve(
    folder: &File,
    interval: Duration,
    to_close: &Receiver<Closing>,
    answers: &Sender<Closing>,
    written: &AtomicBool,
) {
    let mut next_sync = clock::mono() + interval;
    let mut failing = false;
    loop {
        let patience = next_sync.saturating_sub(clock::mono());
        let batch: Vec<Closing> = match to_close.recv_timeout(patience) {
            Ok(first) => std::iter::once(first).chain(to_close.try_iter()).collect(),
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let due = clock::mono() >= next_sync;
        let mut whole = None;
        if batch.len() >= MANY || (due && written.load(Ordering::Relaxed)) {
            written.store(false, Ordering::Relaxed);
            let result = rustix::fs::syncfs(folder).map_err(io::Error::from);
            report(&result, &mut failing);
            whole = Some(result.map_err(|error| error.to_string()));
        }
        if due || whole.is_some() {
            next_sync = clock::mono() + interval;
        }
        for mut closing in batch {
            let result = match (&whole, closing.file.take()) {
                (Some(result), _) => result.clone(),
                (None, Some(file)) => file.sync_all().map_err(|error| error.to_string()),
                (None, None) => Ok(()),
            };
            if let Err(error) = result {
                closing
                    .summary
                    .error
                    .get_or_insert(format!("not safely on disk: {error}"));
            }
            // The writer takes them until this thread has ended.
            let _ = answers.send(closing);
        }
    }
}

fn report(result: &io::Result<()>, failing: &mut bool) {
    match result {
        Err(error) if !*failing => {
            tracing::error!(%error, "the recordings' file system cannot be synchronised: a power loss may cost more than 10 s of audio");
        }
        Ok(()) if *failing => tracing::info!("the recordings' file system is synchronised again"),
        _ => {}
    }
    *failing = result.is_err();
}
