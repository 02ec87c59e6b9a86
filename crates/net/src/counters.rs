//! What the thread of the switch counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the runner counts.
#[derive(Debug, Default)]
pub struct RunnerCounters {
    /// Datagrams received.
    pub received: AtomicU64,
    /// Datagrams sent.
    pub sent: AtomicU64,
    /// Datagrams that the system did not take.
    pub send_failures: AtomicU64,
    /// Errors of receiving, ICMP errors among them.
    pub receive_failures: AtomicU64,
    /// Effects that found their queue full.
    pub refused_effects: AtomicU64,
    /// Notices that found their queue full.
    pub lost_notices: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed) + 1
}
