//! How Ringbook is tried out: a simulated call centre around the pure exchange, and a harness that runs the real
//! program among real telephones, databases and sound.
//!
//! Nothing of this is shipped.

pub mod asking;
pub mod audio;
pub mod baresip;
pub mod bench;
pub mod cable;
pub mod company;
mod connection;
pub mod daemon;
pub mod dns;
pub mod events;
pub mod kamailio;
pub mod linphone;
pub mod live;
pub mod postgres;
pub mod relay;
pub mod rest;
pub mod sim;
pub mod sipp;
pub mod three;
pub mod tones;
pub mod voice;

use std::path::PathBuf;

/// The folder of this package in the checkout that runs: one target folder may serve several checkouts, and its programs
/// may have been built in another.
pub fn package() -> PathBuf {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR");
    folder.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}
