//! What must hold on the wire of offers, session timers and reliable provisional answers.

use super::{centre::Centre, message::parameter};

/// Everything that does not hold.
pub(super) fn kept(centre: &Centre, found: &mut Vec<String>) {
    every_success_describes(centre, found);
    timers_are_said_as_they_must(centre, found);
}

/// RFC 3261 §13.3.1: our 2xx to an INVITE has the answer, or the offer where the INVITE had none.
fn every_success_describes(centre: &Centre, found: &mut Vec<String>) {
    for record in centre.wire.iter().filter(|record| !record.incoming) {
        let message = &record.message;
        let success = message.status().is_some_and(|it| (200..300).contains(&it));
        if success && message.method() == "INVITE" && message.media().is_none() {
            found.push(format!("no description in {message:?}"));
        }
    }
}

/// RFC 4028 §7.1, §9: no interval of ours is below 90 s or the Min-SE, a 422 says which, and whoever is to refresh is told.
fn timers_are_said_as_they_must(centre: &Centre, found: &mut Vec<String>) {
    for record in centre.wire.iter().filter(|record| !record.incoming) {
        let message = &record.message;
        let number = |name| {
            let value = message.text(name).split(';').next();
            value.and_then(|value| value.trim().parse::<u32>().ok())
        };
        let value = message.text("Session-Expires");
        let short = number("Session-Expires").is_some_and(|secs| secs < 90);
        let below = number("Session-Expires")
            .zip(number("Min-SE"))
            .is_some_and(|(secs, least)| secs < least);
        let mute = message.status() == Some(422) && number("Min-SE").is_none();
        let theirs = message.status().is_some() && parameter(value, "refresher") == Some("uac");
        let untold = theirs && !message.text("Require").contains("timer");
        if short || below || mute || untold {
            found.push(format!("a session timer is said wrongly: {message:?}"));
        }
    }
}
