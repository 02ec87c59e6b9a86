//! What is counted for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counters themselves.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) frames: Counter,
    pub(crate) late_events: Counter,
    pub(crate) lost_events: Counter,
    pub(crate) waiting_events: Counter,
    pub(crate) unconfirmed_leads: Counter,
    pub(crate) partial_cards: Counter,
    pub(crate) slow_clients: Counter,
}

/// One number.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: usize) {
        self.0.fetch_add(n as u64, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, n: usize) {
        self.0.store(n as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters as of one moment; all but the two marked ones only rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Clients connected now.
    pub clients: u64,
    /// Frames put into clients' queues.
    pub frames: u64,
    /// Facts whose call went on before they were durable.
    pub late_events: u64,
    /// Facts that never reached the journal: its queue was full, or it refused them. An alarm.
    pub lost_events: u64,
    /// Facts that wait for the journal now.
    pub waiting_events: u64,
    /// Rings that no client's `shown` preceded although clients were connected.
    pub unconfirmed_leads: u64,
    /// Cards sent with what identification knew only, the database being slow.
    pub partial_cards: u64,
    /// Clients closed because they did not keep up.
    pub slow_clients: u64,
}
