//! How Ringbook is tried out: a simulated call centre around the pure exchange, and a harness that runs the real
//! program among real telephones, databases and sound.
//!
//! Nothing of this is shipped.

pub mod sim;
