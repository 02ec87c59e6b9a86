//! SQLite and PostgreSQL behind the traits of `crm`: repositories, the journal's single writer,
//! the number index in memory, migrations.
//!
//! Invariant: one SQL text for both databases (what really differs stands in `dialect`), one task
//! that writes, and nothing is acknowledged before it is durable and memory knows it. No rule of
//! routing, no rights beyond narrowing a list, and no protocol ever stands here.

mod absence;
mod base;
mod call;
mod card;
mod check;
mod checkpoint;
mod client;
mod clock;
mod connect;
mod database;
mod deal;
mod deputy;
mod device;
mod dialect;
mod dialogs;
mod facts;
mod failure;
mod hand_over;
mod identification;
mod index;
mod interaction;
mod journal;
mod line;
mod load;
mod memory;
mod note;
mod number;
mod obligation;
mod office;
mod open_error;
mod organisation;
mod parking;
mod person;
mod readers;
mod reception;
mod recording;
mod repository;
mod rights;
mod schema;
mod select;
mod session;
mod settings;
mod sqlite;
mod store;
mod task;
mod trunk;
mod user;
mod words;
mod work;
mod writer;

pub use open_error::OpenError;
pub use store::{Counters, Options, Store};
