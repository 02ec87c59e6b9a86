//! Sockets, connections and TLS, the real clock, RTP threads, the recorder, and the thread that drives the switch.
//!
//! Invariant: a packet of voice meets no lock, no allocation and no log line; media never waits for a disk,
//! the switch never waits for the store. Every queue is bounded. What a call does is decided elsewhere.

mod abort;
pub mod clock;
mod counters;
pub mod limits;
mod load;
pub mod media;
pub mod names;
pub mod recorder;
pub mod runner;
mod sockets;
pub mod streams;
pub mod tls;
mod wake;
