//! What must hold on the wire of offers, session timers and reliable provisional answers.

use super::centre::Centre;

/// Everything that does not hold.
pub(super) fn kept(centre: &Centre, found: &mut Vec<String>) {
    every_success_describes(centre, found);
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
