//! The daemon and its command line: configuration, wiring, signals, and the words that people read.
//!
//! Invariant: everything is decided in the other crates; here they are only joined, by bounded
//! channels of the contract in `call`.

mod cli;
mod config;
mod demo;
mod notices;
mod serve;
mod store_open;
mod trace;
mod user;
mod watch;
mod words;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
