//! The whole exchange in a simulated call centre: seeds with every kind of fault, and cases with a name.
//!
//! `RINGBOOK_SEED=n` replays one seed and prints its wire; `RINGBOOK_SEEDS=n` tries more of them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tests::sim::{Centre, invariants::violations};

/// How many seeds every run tries.
const SEEDS: u64 = 200;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn story(seed: u64, talkative: bool) -> Result<usize, String> {
    let run = || {
        let mut centre = Centre::drawn(seed);
        centre.talkative = talkative;
        centre.run_until_quiet();
        (violations(&centre), centre.plane.bridges.len())
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok((found, bridges)) if found.is_empty() => Ok(bridges),
        Ok((found, _)) => Err(found.join("\n  ")),
        Err(_) => Err("it panicked".to_owned()),
    }
}

#[test]
fn every_seed_ends_well() {
    if let Some(seed) = number("RINGBOOK_SEED") {
        let told = story(seed, true);
        assert!(told.is_ok(), "seed {seed}:\n  {}", told.unwrap_err());
        return;
    }
    let (mut failed, mut conversations) = (Vec::new(), 0);
    for seed in 0..number("RINGBOOK_SEEDS").unwrap_or(SEEDS) {
        match story(seed, false) {
            Ok(bridges) => conversations += bridges,
            Err(found) => failed.push(format!(
                "seed {seed} (replay: RINGBOOK_SEED={seed}):\n  {found}"
            )),
        }
    }
    assert!(
        failed.is_empty(),
        "{} seeds failed\n{}",
        failed.len(),
        failed.join("\n")
    );
    println!("{conversations} conversations");
    assert!(
        conversations > 1_000,
        "only {conversations} conversations: the stories are too empty to prove anything"
    );
}
