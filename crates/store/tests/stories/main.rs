//! What every database behind the traits must do, told as stories. Each runs on SQLite and on
//! PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by a panic, its scenery included"
)]

#[path = "../support/postgres.rs"]
mod postgres;

mod absence;
mod card;
mod company;
mod contacts;
mod crash;
mod desk;
mod hand_over;
mod identification;
mod journal;
mod obligation;
mod opening;
mod queue;
mod reception;
mod recording;
mod scene;
mod users;
mod writer;
