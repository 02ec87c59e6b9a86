//! The whole exchange in a simulated call centre: seeds with every kind of fault, and cases with a name.
//!
//! `RINGBOOK_SEED=n` replays one seed and prints its wire; `RINGBOOK_SEEDS=n` tries more of them.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
};

use call::{Cause, EventKind};
use model::{CallId, Rule};
use tests::sim::{Centre, invariants::violations};

/// How many seeds every run tries.
const SEEDS: u64 = 200;

/// What must happen in some seed, or the seeds prove nothing about it.
const WANTED: &[&str] = &[
    "a result told twice",
    "call.dialled",
    "call.identified",
    "call.parked",
    "call.queued",
    "call.received",
    "call.routed",
    "call.transferred",
    "call.updated",
    "conference.begun",
    "conference.joined",
    "conference.left",
    "conversation.started",
    "ended: busy",
    "ended: call_back_wanted",
    "ended: caller_cancelled",
    "ended: closed",
    "ended: conference",
    "ended: crash",
    "ended: declined",
    "ended: hung_up",
    "ended: left_while_parked",
    "ended: media_failed",
    "ended: media_timeout",
    "ended: message_left",
    "ended: no_answer",
    "ended: no_such_number",
    "ended: nobody_answered",
    "ended: nobody_free",
    "ended: signalling_lost",
    "ended: transferred",
    "ended: transferred after a talk",
    "ended: unreachable",
    "ended: waited_too_long",
    "menu.chosen",
    "message.started",
    "an echo",
    "not retrieved",
    "offer ended: Busy",
    "offer ended: CallerGone",
    "offer ended: Declined",
    "offer ended: NoAnswer",
    "offer ended: Unreachable",
    "recording.paused",
    "recording.ready",
    "recording.resumed",
    "retrieved",
];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// What a story was about.
#[derive(Default)]
struct Told {
    conversations: usize,
    facts: BTreeSet<String>,
}

fn told(centre: &Centre) -> Told {
    let mut facts = BTreeSet::new();
    for event in &centre.world.journal {
        facts.insert(match &event.kind {
            EventKind::OfferEnded { end, .. } => format!("offer ended: {end:?}"),
            EventKind::Ended {
                cause: Cause::Transferred,
                missed: false,
                ..
            } => "ended: transferred after a talk".to_owned(),
            EventKind::Offered {
                rule: Rule::NotRetrieved,
                ..
            } => "not retrieved".to_owned(),
            EventKind::Transferred { .. } if came(centre, event.call) => "retrieved".to_owned(),
            EventKind::Dialled { to, .. } if to == "*43" => "an echo".to_owned(),
            EventKind::Ended { cause, .. } => format!("ended: {}", cause.name()),
            kind => kind.name().to_owned(),
        });
    }
    if centre.repeated_results > 0 {
        facts.insert("a result told twice".to_owned());
    }
    Told {
        conversations: centre.plane.bridges.len(),
        facts,
    }
}

/// Somebody came for the parked client of this call.
fn came(centre: &Centre, call: CallId) -> bool {
    let mut journal = centre.world.journal.iter();
    journal.any(|it| {
        let came = matches!(
            it.kind,
            EventKind::Offered {
                rule: Rule::Retrieved { .. },
                ..
            }
        );
        came && it.call == call
    })
}

fn story(seed: u64, talkative: bool) -> Result<Told, String> {
    let run = || {
        let mut centre = Centre::drawn(seed);
        centre.talkative = talkative;
        centre.run_until_quiet();
        (violations(&centre), told(&centre))
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok((found, told)) if found.is_empty() => Ok(told),
        Ok((found, _)) => Err(found.join("\n  ")),
        Err(_) => Err("it panicked".to_owned()),
    }
}

#[test]
fn every_seed_ends_well() {
    if let Some(seed) = number("RINGBOOK_SEED") {
        if let Err(found) = story(seed, true) {
            panic!("seed {seed}:\n  {found}");
        }
        return;
    }
    let (mut failed, mut all) = (Vec::new(), Told::default());
    for seed in 0..number("RINGBOOK_SEEDS").unwrap_or(SEEDS) {
        match story(seed, false) {
            Ok(told) => {
                all.conversations += told.conversations;
                all.facts.extend(told.facts);
            }
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
    println!("{} conversations; {:?}", all.conversations, all.facts);
    assert!(
        all.conversations > 1_000,
        "{} conversations prove little",
        all.conversations
    );
    let missing: Vec<&&str> = WANTED
        .iter()
        .filter(|fact| !all.facts.contains(**fact))
        .collect();
    assert!(missing.is_empty(), "no seed tells of {missing:?}");
}
