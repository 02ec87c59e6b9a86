//! Real-time priority of the media threads, or at least a better nice value.

use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// `SCHED_FIFO` priority, above ordinary real-time daemons' default of 1 and far below kernel threads at 50 and 99.
const REAL_TIME_PRIORITY: u8 = 10;
/// The nice value that is tried when real-time priority is refused.
const NICE: i32 = -10;

/// What a media thread was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// `SCHED_FIFO`.
    RealTime,
    /// An ordinary thread with this nice value.
    Nice(i32),
    /// An ordinary thread: delays under load depend on the rest of the machine.
    Ordinary,
}

impl Priority {
    /// Asks the system for the best it grants to the calling thread. With `wanted` false it is left as it is.
    pub(crate) fn take(wanted: bool) -> Self {
        if !wanted {
            return Self::Ordinary;
        }
        let value = ThreadPriorityValue::try_from(REAL_TIME_PRIORITY);
        let real_time = value.is_ok_and(|value| {
            set_thread_priority_and_policy(
                thread_native_id(),
                ThreadPriority::Crossplatform(value),
                ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo),
            )
            .is_ok()
        });
        if real_time {
            return Self::RealTime;
        }
        // On Linux the "process" of setpriority is a thread.
        let thread = rustix::thread::gettid();
        match rustix::process::setpriority_process(Some(thread), NICE) {
            Ok(()) => Self::Nice(NICE),
            Err(_) => Self::Ordinary,
        }
    }

    /// Says it in the log, once per process start and thread.
    pub(crate) fn log(self, thread: usize) {
        match self {
            Self::RealTime => tracing::info!(thread, "media thread has real-time priority"),
            Self::Nice(nice) => tracing::warn!(
                thread,
                nice,
                "media thread has no real-time priority, only a better nice value; grant CAP_SYS_NICE or LimitRTPRIO"
            ),
            Self::Ordinary => tracing::warn!(
                thread,
                "media thread has ordinary priority: audio is delayed when the machine is busy; grant CAP_SYS_NICE or LimitRTPRIO"
            ),
        }
    }
}
