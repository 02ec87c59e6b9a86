//! The transaction layer seen from outside: messages and time go in, bytes and events come out.

mod cancelling;
mod client;
mod interleaving;
mod server;
mod stage;
