//! How Ringbook is tried out: a simulated call centre around the pure exchange, and a harness that runs the real
//! program among real telephones, databases and sound.
//!
//! Nothing of this is shipped.

pub mod audio;
pub mod baresip;
pub mod bench;
pub mod cable;
pub mod company;
pub mod daemon;
pub mod events;
pub mod live;
pub mod postgres;
pub mod relay;
pub mod rest;
pub mod sim;
pub mod sipp;
pub mod voice;
