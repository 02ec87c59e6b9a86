//! What becomes of recordings after hang-up: each gets an MP3 beside its WAV, made by the `lame` program at the lowest
//! priority, one after the other; files that have reached their age are removed; and journal and folder can be compared.
//!
//! The queue is the database: a recording waits until its MP3 is made or given up, over restarts too. Invariant: what bears
//! the name of an MP3 is a whole one; an unfinished file has another name.

mod archivist;
mod encoder;
mod free_space;
mod retention;
mod verification;

pub use archivist::{Archivist, Settings};
pub use encoder::{Encoder, LawOf, Sample, Trouble};
pub use free_space::FreeSpace;
pub use retention::{Removals, Retention, Terms};
pub use verification::{Problem, Verification, verify};
