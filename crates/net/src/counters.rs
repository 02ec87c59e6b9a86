//! What the thread of the switch counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the runner counts.
#[derive(Debug, Default)]
pub struct RunnerCounters {
    /// Messages received: datagrams, and whole messages on connections.
    pub received: AtomicU64,
    /// Messages sent.
    pub sent: AtomicU64,
    /// Messages that could not be handed to the system or to a connection.
    pub send_failures: AtomicU64,
    /// Errors of receiving, ICMP errors among them.
    pub receive_failures: AtomicU64,
    /// Effects that found their queue full.
    pub refused_effects: AtomicU64,
    /// Notices that found their queue full.
    pub lost_notices: AtomicU64,
    /// Connections over TCP and TLS.
    pub streams: StreamCounters,
}

/// What happened to connections.
#[derive(Debug, Default)]
pub struct StreamCounters {
    /// Ready for SIP at this moment.
    pub open: AtomicU64,
    /// Accepted since the start.
    pub accepted: AtomicU64,
    /// That we began to open.
    pub opened: AtomicU64,
    /// Closed at once because of a limit.
    pub refused: AtomicU64,
    /// Closed because what came was no stream of SIP.
    pub framing_errors: AtomicU64,
    /// Closed because a message was not complete in time.
    pub timeouts: AtomicU64,
    /// Closed because the peer did not take what we sent.
    pub slow_readers: AtomicU64,
    /// TLS handshakes that failed or took too long.
    pub tls_failures: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed) + 1
}
