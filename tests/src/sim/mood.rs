//! What people do whose telephones ring, drawn from the seed.

use super::{
    chance::Chance,
    phone::{Answering, Talking},
};

/// What an agent does.
pub(super) fn drawn_answering(chance: &mut Chance) -> Answering {
    let after = chance.millis(300, 12_000);
    match chance.below(100) {
        0..58 => Answering::Answer {
            after,
            then: drawn_talking(chance),
        },
        58..68 => Answering::Refuse { after, status: 603 },
        68..78 => Answering::Refuse {
            after: chance.millis(1, 50),
            status: 486,
        },
        78..82 => Answering::Refuse { after, status: 480 },
        82..92 => Answering::Ignore,
        92..96 => Answering::Silent,
        _ => Answering::Crash { after },
    }
}

/// What a client does whom an agent calls, or what the telephone company says.
pub(super) fn drawn_client(chance: &mut Chance) -> Answering {
    let after = chance.millis(300, 12_000);
    // Somebody hangs up in the end, also where the agent never does.
    let talks = chance.millis(100, 90_000);
    match chance.below(100) {
        0..50 => Answering::Answer {
            after,
            then: Talking::HangUp { after: talks },
        },
        50..60 => Answering::Refuse { after, status: 486 },
        60..65 => Answering::Refuse { after, status: 603 },
        65..70 => Answering::Refuse { after, status: 404 },
        70..85 => Answering::Refuse {
            after: chance.millis(1, 500),
            status: 503,
        },
        85..95 => Answering::Ignore,
        _ => Answering::Silent,
    }
}

fn drawn_talking(chance: &mut Chance) -> Talking {
    let after = chance.millis(100, 40_000);
    match chance.below(100) {
        0..40 => Talking::Stay,
        40..70 => Talking::HangUp { after },
        70..78 => Talking::Transfer {
            after,
            at_once: chance.permille(500),
        },
        78..92 => Talking::Hold {
            after,
            length: chance.millis(200, 60_000),
            rest: chance.millis(500, 10_000),
        },
        _ => Talking::Crash { after },
    }
}
