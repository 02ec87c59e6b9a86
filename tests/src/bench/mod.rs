//! The load generator and the measuring of `make bench`: callers, telephones, screens and sound in one process, the
//! daemon and its peer as two others whose CPU time and memory the kernel counts.
//!
//! Everything stays on 127.0.0.0/8, every loop is bounded, and whoever is started is ended by its process id.

pub mod account;
pub mod exchange;
pub mod report;
pub mod rtp;
pub mod rtpengine;
pub mod scenery;
pub mod screens;
pub mod usage;
pub mod way;
