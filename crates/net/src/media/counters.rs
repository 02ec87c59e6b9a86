//! Counters of the whole plane, for the operator.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start, added up over all threads about once a second.
#[derive(Debug, Default)]
pub struct MediaCounters {
    packets: AtomicU64,
    rtcp: AtomicU64,
    unreachable: AtomicU64,
    gaps: AtomicU64,
    failed_writes: AtomicU64,
}

impl MediaCounters {
    /// RTP packets accepted.
    pub fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    /// RTCP packets received and dropped.
    pub fn rtcp(&self) -> u64 {
        self.rtcp.load(Ordering::Relaxed)
    }

    /// ICMP errors on RTP sockets (`ECONNREFUSED`), never fatal.
    pub fn unreachable(&self) -> u64 {
        self.unreachable.load(Ordering::Relaxed)
    }

    /// Parts of recordings dropped because the writer's queue was full.
    pub fn recording_parts_dropped(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }

    /// Parts of recordings that could not be written: the disk is full or fails.
    pub fn recording_parts_failed(&self) -> u64 {
        self.failed_writes.load(Ordering::Relaxed)
    }

    pub(crate) fn count_failed_write(&self) {
        self.failed_writes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, counted: &mut Counted) {
        let counted = std::mem::take(counted);
        self.packets.fetch_add(counted.packets, Ordering::Relaxed);
        self.rtcp.fetch_add(counted.rtcp, Ordering::Relaxed);
        self.unreachable
            .fetch_add(counted.unreachable, Ordering::Relaxed);
        self.gaps.fetch_add(counted.gaps, Ordering::Relaxed);
    }
}

/// What one thread has counted since it last added up.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) packets: u64,
    pub(crate) rtcp: u64,
    pub(crate) unreachable: u64,
    pub(crate) gaps: u64,
}
