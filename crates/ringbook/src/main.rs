//! The daemon and its command line: configuration, wiring, signals, and the words that people read.
//!
//! Invariant: everything is decided in the other crates; here they are only joined, by bounded
//! channels of the contract in `call`.

mod cli;
mod config;
mod demo;
mod notices;
mod prompts;
mod reach;
mod recordings;
mod serve;
mod store_open;
mod trace;
mod user;
mod watch;
mod words;

use std::process::ExitCode;

/// Gives memory back when it is freed: with the system's allocator the 19 MiB that each log-in hashes
/// in stay with the thread that did it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
