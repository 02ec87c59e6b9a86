//! The two real clocks. The only place of the product where `net` reads them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::{Now, Utc};
use rustix::{
    thread::clock_nanosleep_absolute,
    time::{ClockId, Timespec, clock_gettime},
};

/// The monotonic clock of the machine (`CLOCK_MONOTONIC`, read without a system call).
///
/// Its zero is the machine's start, the same for every thread and every process, so that the moments of
/// media, recorder and switch can be compared.
pub(crate) fn mono() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Puts the thread to sleep until then on the monotonic clock, or, interrupted by a signal, a little less.
pub(crate) fn sleep_until(at: Duration) {
    let _ = clock_nanosleep_absolute(ClockId::Monotonic, &timespec(at));
}

/// A length of time as the system calls want it.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

/// The present moment on both clocks, as every pure core wants it.
#[must_use]
pub fn now() -> Now {
    let utc = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        });
    Now {
        mono: mono(),
        utc: Utc::from_micros(utc),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_never_steps_back_and_utc_is_after_2020() {
        let first = now();
        let second = now();
        assert!(second.mono >= first.mono);
        assert!(first.utc > Utc::from_secs(1_577_836_800));
    }
}
