//! The API as its clients meet it: a real listener, the real SQLite store, HTTP and WebSocket
//! clients. The PBX is played by the test: it sends the effects that the switch would.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod absences;
mod bad_input;
mod controls;
mod document;
mod events;
mod hand_overs;
mod house;
mod obligations;
mod orders;
mod queue;
mod recordings;
mod resources;
mod rights;
mod sessions;
