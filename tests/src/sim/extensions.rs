//! What must hold on the wire of offers, session timers and reliable provisional answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::{centre::Centre, message::parameter};

/// Everything that does not hold.
pub(super) fn kept(centre: &Centre, found: &mut Vec<String>) {
    every_success_describes(centre, found);
    timers_are_said_as_they_must(centre, found);
    reliable_answers_are_in_order(centre, found);
}

/// RFC 3261 §13.3.1: our 2xx to an INVITE has the answer, or the offer where the INVITE had none; unless both were in
/// a reliable provisional answer and its PRACK (RFC 3262 §5).
fn every_success_describes(centre: &Centre, found: &mut Vec<String>) {
    let mut described = BTreeSet::new();
    for record in centre.wire.iter().filter(|record| !record.incoming) {
        let message = &record.message;
        let key = (record.party, message.text("Call-ID"), message.cseq());
        if message.method() != "INVITE" || message.is_request() {
            continue;
        }
        if message.header("RSeq").is_some() && message.media().is_some() {
            described.insert(key);
        }
        let success = message.status().is_some_and(|it| (200..300).contains(&it));
        if success && message.media().is_none() && !described.contains(&key) {
            found.push(format!("no description in {message:?}"));
        }
    }
}

/// RFC 3262 §3: reliable answers of ours rise by one, each after the PRACK of the one before, and no 2xx goes before the PRACK of
/// a description. Every PRACK of ours names an answer that came.
fn reliable_answers_are_in_order(centre: &Centre, found: &mut Vec<String>) {
    let mut sent: BTreeMap<(SocketAddr, &str, u32), (u32, bool, bool)> = BTreeMap::new();
    let mut came = BTreeSet::new();
    for record in &centre.wire {
        let message = &record.message;
        let call = (record.party, message.text("Call-ID"), record.life);
        let number = message.text("RSeq").parse().unwrap_or(0);
        let prack = message.is_request() && message.method() == "PRACK";
        match (record.incoming, prack) {
            (true, true) => {
                let named = message.text("RAck").split(' ').next();
                if let Some(last) = sent.get_mut(&call) {
                    last.1 |= named == Some(last.0.to_string().as_str());
                }
            }
            (true, false) if number > 0 => drop(came.insert((call, number.to_string()))),
            (false, true) => {
                let named = message.text("RAck").split(' ').next().unwrap_or("");
                if !came.contains(&(call, named.to_owned())) {
                    found.push(format!("nothing is acknowledged by {message:?}"));
                }
            }
            (false, false) if number > 0 => {
                let before = sent.insert(call, (number, false, message.media().is_some()));
                let fits = before.is_none_or(|(last, acknowledged, _)| {
                    number == last || (acknowledged && number == last + 1)
                });
                if !fits {
                    found.push(format!("out of order: {message:?}"));
                }
            }
            (false, false) if message.status() == Some(200) && message.method() == "INVITE" => {
                if let Some((number, false, true)) = sent.get(&call) {
                    found.push(format!("{number} is not acknowledged: {message:?}"));
                }
            }
            _ => {}
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
