//! The transaction layer seen from outside: messages and time go in, bytes and events come out.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod cancelling;
mod client;
mod connections;
mod interleaving;
mod server;
mod stage;
