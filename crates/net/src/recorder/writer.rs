//! The thread that writes all recordings.

use std::{
    collections::HashMap,
    io,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use media::{Codec, ConversationKey, Event, GapReason, RecordingSummary, wav};
use rustix::event::{PollFd, PollFlags, poll};

use super::{
    door::{WriterEnd, WriterOrder},
    file::RecordingFile,
    gaps::{Gaps, millis},
    sync::{Closing, Synchroniser},
};
use crate::{
    abort::AbortOnPanic,
    media::{EventSender, MediaCounters},
    wake::Wake,
};

/// While a file is open the queues are looked at so often. With the tap's 400 ms of collecting, its 40 ms of
/// grid and a tick, audio is with the writer within 485 ms and what the round itself takes.
const ROUND: Duration = Duration::from_millis(40);
const BYTES_PER_FRAME: u64 = wav::CHANNELS as u64;

struct Recording {
    name: String,
    file: RecordingFile,
    gaps: Gaps,
    /// Why the file is not whole, in the system's words; the first reason stays.
    trouble: Option<String>,
    last_reason: GapReason,
    failing: bool,
}

pub(super) struct Writer {
    pub(super) folder: PathBuf,
    pub(super) ends: Vec<WriterEnd>,
    pub(super) events: EventSender,
    pub(super) sync: Synchroniser,
    pub(super) wake: Arc<Wake>,
    pub(super) ending: Arc<AtomicBool>,
    counters: Arc<MediaCounters>,
    recordings: HashMap<ConversationKey, Recording>,
}

impl Writer {
    pub(super) fn new(
        folder: PathBuf,
        ends: Vec<WriterEnd>,
        events: EventSender,
        sync: Synchroniser,
        wake: Arc<Wake>,
        ending: Arc<AtomicBool>,
        counters: Arc<MediaCounters>,
    ) -> Self {
        Self {
            folder,
            ends,
            events,
            sync,
            wake,
            ending,
            counters,
            recordings: HashMap::new(),
        }
    }

    /// Runs until `ending` is set and the queues are empty.
    pub(super) fn run(mut self) {
        let _guard = AbortOnPanic::new("recorder");
        loop {
            let ending = self.ending.load(Ordering::Acquire);
            self.take_orders();
            self.take_closed();
            self.events.retry();
            if ending {
                break;
            }
            self.rest();
        }
        self.close_rest();
    }

    /// Sleeps until the next round while a file is open, being closed or still to be reported; else until somebody
    /// opens one.
    fn rest(&self) {
        let busy = !self.recordings.is_empty() || self.sync.pending > 0 || self.events.is_waiting();
        if busy {
            // Whatever comes meanwhile need not wake anybody.
            return std::thread::sleep(ROUND);
        }
        self.wake.announce_sleep();
        let idle = self.ends.iter().all(|end| end.orders.is_empty())
            && !self.ending.load(Ordering::Acquire);
        if idle {
            let mut fds = [PollFd::new(&*self.wake, PollFlags::IN)];
            // An interrupted rest is a short one.
            let _ = poll(&mut fds, None);
        }
        self.wake.awake();
    }

    fn take_orders(&mut self) {
        for index in 0..self.ends.len() {
            while let Some(order) = self
                .ends
                .get_mut(index)
                .and_then(|end| end.orders.pop().ok())
            {
                match order {
                    WriterOrder::Open {
                        conversation,
                        file,
                        law,
                    } => self.open(conversation, file, law),
                    WriterOrder::Part { conversation, part } => {
                        self.write(conversation, part.at_byte, part.audio());
                        if let Some(end) = self.ends.get_mut(index) {
                            // More parts than the pool holds are freed.
                            let _ = end.empty.push(part);
                        }
                    }
                    WriterOrder::Close {
                        conversation,
                        frames,
                        dropped_frames,
                    } => self.close(conversation, Some(frames), dropped_frames),
                }
            }
        }
    }

    fn open(&mut self, conversation: ConversationKey, name: String, law: Codec) {
        match RecordingFile::create(&self.folder, &name, law) {
            Ok(file) => {
                let recording = Recording {
                    name,
                    file,
                    gaps: Gaps::default(),
                    trouble: None,
                    last_reason: GapReason::WriteFailed,
                    failing: false,
                };
                self.recordings.insert(conversation, recording);
                self.events.send(Event::RecordingStarted { conversation });
            }
            Err(error) => {
                tracing::error!(file = name, %error, "a recording cannot be opened: the conversation is not recorded");
                let summary = RecordingSummary {
                    file: name,
                    error: Some(format!("cannot be opened: {error}")),
                    ..RecordingSummary::default()
                };
                self.events.send(Event::RecordingClosed {
                    conversation,
                    summary,
                });
            }
        }
    }

    fn write(&mut self, conversation: ConversationKey, at_byte: u64, audio: &[u8]) {
        let Some(recording) = self.recordings.get_mut(&conversation) else {
            return;
        };
        let range = at_byte / BYTES_PER_FRAME..(at_byte + audio.len() as u64) / BYTES_PER_FRAME;
        let (gap, reason) = recording.write(at_byte, audio, range);
        if recording.failing {
            self.counters.count_failed_write();
        }
        self.sync.note_written();
        self.report(conversation, gap, reason);
    }

    fn report(
        &mut self,
        conversation: ConversationKey,
        gap: Option<Range<u64>>,
        reason: GapReason,
    ) {
        if let Some(gap) = gap {
            self.events.send(gap_event(conversation, &gap, reason));
        }
    }

    fn close(&mut self, conversation: ConversationKey, frames: Option<u64>, dropped_frames: u64) {
        let Some(mut recording) = self.recordings.remove(&conversation) else {
            return;
        };
        if let Some(frames) = frames {
            // Parts that were dropped at the end are silence in the file.
            let end = frames..frames;
            recording.write(frames * BYTES_PER_FRAME, &[], end);
        }
        let rest = recording.gaps.end();
        self.report(conversation, rest, recording.last_reason);
        let frames = recording.file.frames();
        let missing = recording.gaps.missing_frames() + dropped_frames;
        let closing = Closing {
            conversation,
            summary: RecordingSummary {
                file: recording.name,
                length_ms: millis(frames),
                bytes: wav::file_bytes(frames),
                gaps_ms: millis(missing),
                error: recording.trouble,
            },
            file: Some(recording.file.into_file()),
        };
        if let Some(closed) = self.sync.close(closing) {
            self.tell_closed(closed);
        }
    }

    fn take_closed(&mut self) {
        while let Ok(closed) = self.sync.closed.try_recv() {
            self.sync.pending -= 1;
            self.tell_closed(closed);
        }
    }

    fn tell_closed(&mut self, closed: Closing) {
        self.events.send(Event::RecordingClosed {
            conversation: closed.conversation,
            summary: closed.summary,
        });
    }

    fn close_rest(&mut self) {
        let open: Vec<_> = self.recordings.keys().copied().collect();
        for conversation in open {
            self.close(conversation, None, 0);
        }
        while self.sync.pending > 0 {
            let Ok(closed) = self.sync.closed.recv() else {
                break;
            };
            self.sync.pending -= 1;
            self.tell_closed(closed);
        }
        self.sync.stop();
        self.events.retry();
    }
}

impl Recording {
    /// Writes, or counts as missing; the next part is tried again in any case.
    fn write(
        &mut self,
        at_byte: u64,
        audio: &[u8],
        range: Range<u64>,
    ) -> (Option<Range<u64>>, GapReason) {
        match self.file.write(at_byte, audio) {
            Ok(()) => {
                if self.failing {
                    self.failing = false;
                    tracing::info!(file = self.name, "recording goes on");
                }
                (self.gaps.written(&range), self.last_reason)
            }
            Err(error) => {
                self.last_reason = reason(&error);
                if !self.failing {
                    self.failing = true;
                    tracing::error!(file = self.name, %error, "a recording cannot be written: the call goes on, the file is silent here");
                }
                self.trouble
                    .get_or_insert_with(|| format!("cannot be written: {error}"));
                (self.gaps.miss(range), self.last_reason)
            }
        }
    }
}

fn reason(error: &io::Error) -> GapReason {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            GapReason::DiskFull
        }
        _ => GapReason::WriteFailed,
    }
}

/// The event for a gap in frames.
pub(crate) fn gap_event(
    conversation: ConversationKey,
    gap: &Range<u64>,
    reason: GapReason,
) -> Event {
    Event::RecordingGap {
        conversation,
        at_ms: millis(gap.start),
        length_ms: millis(gap.end) - millis(gap.start),
        reason,
    }
}
