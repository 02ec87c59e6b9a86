//! What people do whose telephones ring, drawn from the seed.

use std::time::Duration;

use super::{chance::Chance, consulting::Manner};

/// What the person at the telephone does when it rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    /// Takes the call.
    Answer {
        /// After this long.
        after: Duration,
        /// And then.
        then: Talking,
    },
    /// Declines, or the phone does.
    Refuse {
        /// After this long.
        after: Duration,
        /// With this status.
        status: u16,
    },
    /// Lets it ring.
    Ignore,
    /// The phone does not say a word.
    Silent,
    /// The phone loses power.
    Crash {
        /// After this long.
        after: Duration,
    },
}

/// What the person does in the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talking {
    /// Talks until the client hangs up.
    Stay,
    /// Hangs up.
    HangUp {
        /// After this long.
        after: Duration,
    },
    /// Holds the client, comes back, and hangs up in the end.
    Hold {
        /// After this long.
        after: Duration,
        /// For this long.
        length: Duration,
        /// From coming back to hanging up.
        rest: Duration,
    },
    /// The phone loses power.
    Crash {
        /// After this long.
        after: Duration,
    },
    /// Hands the client to a colleague, as the script says to whom.
    Transfer {
        /// After this long.
        after: Duration,
        /// Hangs up as soon as the exchange has taken the order, instead of waiting for its end.
        at_once: bool,
    },
    /// Asks a colleague about the client, as the script says whom, and then joins the two.
    Consult {
        /// After this long.
        after: Duration,
        /// How.
        manner: Manner,
    },
}

/// How a telephone or a caller speaks SIP where there is a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Habits {
    /// Holds by UPDATE (RFC 3311) instead of re-INVITE.
    pub holds_by_update: bool,
    /// Takes back whoever is held by an INVITE that leaves the offer to the other side.
    pub resumes_without_offer: bool,
    /// What it makes of session timers.
    pub timer: Timer,
    /// Allows UPDATE, and refreshes by it.
    pub updates: bool,
    /// Tells with a reliable 183 that it rings, where that is supported (RFC 3262), and describes the session in it.
    pub rings_reliably: bool,
    /// Refuses INVITEs with a shorter session timer.
    pub least_expires: Option<u32>,
}

/// What a telephone or a caller makes of session timers (RFC 4028).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timer {
    /// It does not know them.
    #[default]
    Unknown,
    /// It leaves it to the other side who refreshes.
    Known,
    /// It wants to refresh.
    Refreshes,
    /// It wants to refresh, and never does.
    Forgets,
}

impl Habits {
    /// What stands in Allow.
    pub fn allow(self) -> &'static str {
        match self.updates {
            true => "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, UPDATE",
            false => "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY",
        }
    }
}

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

/// What happens when an agent's mobile telephone rings; not every one that answers is a person.
pub(super) fn drawn_mobile(chance: &mut Chance) -> Answering {
    let after = chance.millis(300, 12_000);
    match chance.below(100) {
        0..60 => Answering::Answer {
            after,
            then: match drawn_talking(chance) {
                Talking::Transfer { .. } | Talking::Crash { .. } => Talking::Stay,
                then => then,
            },
        },
        60..70 => Answering::Refuse { after, status: 486 },
        70..80 => Answering::Refuse { after, status: 603 },
        80..85 => Answering::Refuse { after, status: 503 },
        _ => Answering::Ignore,
    }
}

/// After how long whoever answered a mobile telephone presses the key; a voicemail never does.
pub(super) fn drawn_key(chance: &mut Chance) -> Option<Duration> {
    chance.permille(700).then(|| chance.millis(200, 25_000))
}

fn drawn_talking(chance: &mut Chance) -> Talking {
    let after = chance.millis(100, 40_000);
    match chance.below(100) {
        0..32 => Talking::Stay,
        32..56 => Talking::HangUp { after },
        56..64 => Talking::Transfer {
            after,
            at_once: chance.permille(500),
        },
        64..80 => Talking::Consult {
            after,
            manner: Manner {
                asks: chance.millis(0, 8_000),
                waits: chance.permille(700),
                by_question: chance.permille(300),
                at_once: chance.permille(300),
                confers: chance.permille(400).then(|| chance.millis(100, 40_000)),
            },
        },
        80..93 => Talking::Hold {
            after,
            length: chance.millis(200, 60_000),
            rest: chance.millis(500, 10_000),
        },
        _ => Talking::Crash { after },
    }
}
