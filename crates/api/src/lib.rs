//! HTTP, WebSocket and OpenAPI: the border between people's programs and Ringbook.
//!
//! Invariant: nothing leaves without [`rights`] having been asked, every refusal is a
//! [`problem::Problem`], and no input, however malformed, becomes a 5xx. No SQL, no SIP and no
//! decision about calls stands here: reads and changes go through the traits of `crm`, orders to
//! the PBX through a bounded channel of `call::Command`.

pub mod absences;
pub mod agents;
pub mod body;
pub mod calls;
pub mod clients;
pub mod controls;
pub mod deals;
pub mod devices;
pub mod directory;
pub mod etag;
pub mod events;
pub mod guesses;
pub mod hand_overs;
pub mod health;
pub mod interactions;
pub mod lines;
pub mod listener;
pub mod moment;
pub mod notes;
pub mod obligations;
pub mod offices;
pub mod openapi;
pub mod orders;
pub mod organisations;
pub mod origin;
pub mod parked;
pub mod password;
mod pending;
pub mod persons;
pub mod problem;
pub mod range;
pub mod reception;
pub mod recordings;
pub mod resource;
pub mod rights;
pub mod server;
pub mod session;
pub mod state;
pub mod tasks;
pub mod token;
pub mod trunk_states;
pub mod trunks;
pub mod users;

pub use directory::{DirectoryChanged, DirectoryWatch};
pub use server::{router, serve};
pub use state::{ApiState, Counter, Parts, Settings};
