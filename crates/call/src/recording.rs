//! Whether the call is recorded, and the wait for the recorder after the end.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use model::{CallId, Now, Utc};

use crate::{RecordingSummary, conversation::millis};

/// How long the call waits for the recorder to close the file.
const PATIENCE: Duration = Duration::from_secs(15);

/// The file of a call, by day (UTC).
pub(crate) fn file_of(call: CallId, at: Utc) -> String {
    let day = Timestamp::from_microsecond(at.micros())
        .map(|at| at.to_zoned(TimeZone::UTC).strftime("%Y/%m/%d").to_string())
        .unwrap_or_else(|_| "undated".to_owned());
    format!("{day}/{call}.wav")
}

/// The recording of one call.
#[derive(Debug)]
pub(crate) enum Recording {
    None,
    Running {
        file: String,
        since: Duration,
        /// It is paused since there, in milliseconds from its start.
        paused_at: Option<u64>,
    },
    Closing {
        file: String,
        until: Duration,
    },
    Closed,
}

impl Recording {
    /// Begins a recording; its file.
    pub(crate) fn start(&mut self, call: CallId, now: Now) -> String {
        let file = file_of(call, now.utc);
        *self = Self::Running {
            file: file.clone(),
            since: now.mono,
            paused_at: None,
        };
        file
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }

    /// Begins a pause: where in the file; none if there is nothing to pause.
    pub(crate) fn pause(&mut self, now: Duration) -> Option<u64> {
        let Self::Running {
            since, paused_at, ..
        } = self
        else {
            return None;
        };
        let at = millis(now.saturating_sub(*since));
        match paused_at {
            Some(_) => None,
            None => Some(*paused_at.insert(at)),
        }
    }

    /// Ends a pause: where in the file it began, and its length; none if there is none.
    pub(crate) fn resume(&mut self, now: Duration) -> Option<(u64, u64)> {
        let Self::Running {
            since, paused_at, ..
        } = self
        else {
            return None;
        };
        let at = paused_at.take()?;
        Some((at, millis(now.saturating_sub(*since)).saturating_sub(at)))
    }

    /// A recording that a crash interrupted: its file is being repaired.
    pub(crate) fn interrupted(file: String, now: Duration) -> Self {
        Self::Closing {
            file,
            until: now + PATIENCE,
        }
    }

    /// The conversation is over; true if the recorder has to be told.
    pub(crate) fn stop(&mut self, now: Duration) -> bool {
        match std::mem::replace(self, Self::None) {
            Self::Running { file, .. } => {
                *self = Self::Closing {
                    file,
                    until: now + PATIENCE,
                };
                true
            }
            other => {
                *self = other;
                false
            }
        }
    }

    /// The recorder closed the file; false if nobody waited for that.
    pub(crate) fn close(&mut self) -> bool {
        let waited = matches!(self, Self::Running { .. } | Self::Closing { .. });
        if waited {
            *self = Self::Closed;
        }
        waited
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Self::None | Self::Closed)
    }

    pub(crate) fn next_wake(&self) -> Option<Duration> {
        match self {
            Self::Closing { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// The recorder did not answer in time: what is said of the file then.
    pub(crate) fn give_up(&self, now: Duration) -> Option<RecordingSummary> {
        match self {
            Self::Closing { file, until } if *until <= now => Some(RecordingSummary {
                file: file.clone(),
                length_ms: 0,
                bytes: 0,
                gaps_ms: 0,
                error: Some("the recorder did not report the end of the file".to_owned()),
            }),
            _ => None,
        }
    }
}
