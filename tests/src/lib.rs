//! How Ringbook is tried out: a simulated call centre around the pure exchange, and a harness that runs the real
//! program among real telephones, databases and sound.
//!
//! Nothing of this is shipped.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test stops where it stands when its own scenery fails"
)]
#![expect(
    clippy::print_stdout,
    reason = "a failing story is read on the terminal"
)]

pub mod sim;
