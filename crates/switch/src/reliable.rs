//! Provisional answers that must arrive, and PRACK (RFC 3262): of ours to a caller who requires it, of theirs to our INVITEs.

use std::{collections::VecDeque, time::Duration};

use call::Cause;
use media::{LegKey, Sdp, Terms};
use model::Now;
use sip::{Method, Name, Request, Response, dialog::Dialog, transaction::ServerKey};

use crate::{
    leg::{Phase, Purpose},
    media_paths::SDP,
    screening::warning,
    switch::Switch,
};

/// The option tag.
pub(crate) const OPTION: &str = "100rel";
/// So many answers wait for the PRACK of the one before; further ones are left out.
const MOST_WAITING: usize = 4;
/// So many forks of one INVITE of ours are acknowledged.
const MOST_FORKS: usize = 8;

/// The reliable provisional answers of one leg.
#[derive(Debug, Default)]
pub(crate) struct Reliable {
    last: u32,
    unacknowledged: Option<Unacknowledged>,
    waiting: VecDeque<Response>,
    /// The 2xx waits for the PRACK of a description (RFC 3262 §3).
    pub(crate) answer_waits: bool,
    /// Our description went out with one of them.
    pub(crate) described: bool,
    /// The dialogs that their answers have begun, with the last number of each.
    early: Vec<(Dialog, u32)>,
}

#[derive(Debug)]
struct Unacknowledged {
    response: Response,
    interval: Duration,
    next_at: Duration,
    until: Duration,
}

impl Reliable {
    /// When the leg is to be looked at.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.unacknowledged
            .as_ref()
            .map(|it| it.next_at.min(it.until))
    }

    /// The dialog that this 2xx confirms, if it was begun by a reliable answer: its numbers go on.
    pub(crate) fn confirm(&mut self, response: &Response) -> Option<Dialog> {
        let key = Dialog::key_of_response(response)?;
        let place = self
            .early
            .iter()
            .position(|(dialog, _)| *dialog.key() == key)?;
        let (mut dialog, _) = self.early.swap_remove(place);
        dialog.confirm(response);
        Some(dialog)
    }

    fn awaits_description(&self) -> bool {
        let open = self.unacknowledged.iter().map(|it| &it.response);
        open.chain(&self.waiting).any(|it| !it.body.is_empty())
    }
}

impl Switch {
    /// Sends the caller a provisional answer: reliably if the INVITE requires that.
    pub(crate) fn provisional(&mut self, now: Now, key: LegKey, mut response: Response) {
        let Some(leg) = self.legs.find(key) else {
            return;
        };
        let Phase::Incoming(server) = leg.phase else {
            return;
        };
        if !leg.invite.headers.has_token(&Name::Require, OPTION) {
            return self.respond(now.mono, server, response);
        }
        // RFC 3262 §5: the first reliable answer to an INVITE without description has the offer.
        if leg.invite.body.is_empty() && leg.media.answer.is_empty() {
            response.headers.push(Name::ContentType, SDP);
            response.body = self.describe_to_caller(key);
        }
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        if leg.reliable.waiting.len() < MOST_WAITING {
            leg.reliable.waiting.push_back(response);
        }
        self.next_provisional(now, key, server);
    }

    /// RFC 3262 §3: one after the other.
    fn next_provisional(&mut self, now: Now, key: LegKey, server: ServerKey) {
        // A number from 1 to 2^31 - 1, from which they rise by one.
        let first = u32::try_from(self.tokens.number() % 1_000_000).unwrap_or(0) + 1;
        let t1 = self.settings.timers.t1;
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let reliable = &mut leg.reliable;
        if reliable.unacknowledged.is_some() {
            return;
        }
        let Some(mut response) = reliable.waiting.pop_front() else {
            return;
        };
        reliable.last = if reliable.last == 0 {
            first
        } else {
            reliable.last + 1
        };
        reliable.described |= !response.body.is_empty();
        response.headers.push(Name::Require, OPTION);
        response
            .headers
            .push(Name::RSeq, &reliable.last.to_string());
        reliable.unacknowledged = Some(Unacknowledged {
            response: response.clone(),
            interval: t1,
            next_at: now.mono + t1,
            until: now.mono + t1 * 64,
        });
        self.legs.reschedule(key);
        self.respond(now.mono, server, response);
    }

    /// Sends again what has no PRACK; after 64 T1 the call is over (RFC 3262 §3).
    pub(crate) fn repeat_provisional(&mut self, now: Now, key: LegKey) {
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let Some(open) = &mut leg.reliable.unacknowledged else {
            return;
        };
        let Phase::Incoming(server) = leg.phase else {
            leg.reliable.unacknowledged = None;
            return self.legs.reschedule(key);
        };
        if open.until <= now.mono {
            leg.reliable.unacknowledged = None;
            self.legs.reschedule(key);
            return self.lose_leg(now, key, Cause::SignallingLost);
        }
        if open.next_at <= now.mono {
            open.interval *= 2;
            open.next_at = now.mono + open.interval;
            let response = open.response.clone();
            self.legs.reschedule(key);
            self.respond(now.mono, server, response);
        }
    }

    /// True: the 2xx has to wait, and follows the PRACK.
    pub(crate) fn waits_for_prack(&mut self, key: LegKey) -> bool {
        let Some(leg) = self.legs.find_mut(key) else {
            return false;
        };
        leg.reliable.answer_waits = leg.reliable.awaits_description();
        leg.reliable.answer_waits
    }

    /// Whether the 2xx to the caller's INVITE carries no description: offer and answer are complete (RFC 3262 §5).
    pub(crate) fn is_described(&self, key: LegKey) -> bool {
        let leg = self.legs.find(key);
        leg.is_some_and(|leg| {
            leg.invite.body.is_empty() && leg.reliable.described && leg.media.unanswered.is_none()
        })
    }

    /// PRACK: 200 if it names the answer that waits for it, else 481 (RFC 3262 §3).
    pub(crate) fn acknowledged_provisional(
        &mut self,
        now: Now,
        server: ServerKey,
        key: LegKey,
        prack: &Request,
    ) {
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let Some(dialog) = &leg.dialog else { return };
        let named = prack.headers.first(&Name::RAck).and_then(read_rack);
        let expected = leg
            .invite
            .cseq()
            .map(|cseq| (leg.reliable.last, cseq.number));
        let open = leg.reliable.unacknowledged.is_some();
        if !open || named.is_none() || named != expected {
            let response = dialog.response(prack, 481);
            return self.respond(now.mono, server, response);
        }
        let mut response = dialog.response(prack, 200);
        leg.reliable.unacknowledged = None;
        let invite = leg.server();
        let awaited = invite.filter(|invite| leg.media.unanswered == Some(*invite));
        let mut usable = true;
        if let Some(invite) = awaited {
            usable = self.take_answer_in_ack(now, key, invite, prack);
        } else if !prack.body.is_empty() {
            response = self.answer_in_prack(now, key, prack, response);
        }
        self.legs.reschedule(key);
        self.respond(now.mono, server, response);
        if !usable {
            return self.lose_leg(now, key, Cause::MediaFailed);
        }
        if let Some(invite) = invite {
            self.next_provisional(now, key, invite);
        }
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let free = !leg.reliable.awaits_description();
        if free && std::mem::take(&mut leg.reliable.answer_waits) {
            let call = leg.call;
            self.answer_caller(now, call);
        }
    }

    /// RFC 3262 §5: a PRACK may make an offer once ours is answered.
    fn answer_in_prack(
        &mut self,
        now: Now,
        key: LegKey,
        prack: &Request,
        mut response: Response,
    ) -> Response {
        let Some(leg) = self.legs.find_mut(key) else {
            return response;
        };
        let Some(dialog) = &leg.dialog else {
            return response;
        };
        if !leg.reliable.described {
            return dialog.response(prack, 491);
        }
        let session = &mut leg.media.session;
        let answered =
            Sdp::parse(&prack.body).and_then(|offer| session.answer(&offer, Terms::default()));
        match answered {
            Ok((answer, negotiated)) => {
                response.headers.push(Name::ContentType, SDP);
                response.body = answer.to_string().into_bytes();
                leg.media.answer.clone_from(&response.body);
                self.take_session(now, key, negotiated);
            }
            Err(error) => {
                response = dialog.response(prack, error.sip_status());
                let warned = warning(304, &error.to_string());
                response.headers.push(Name::Warning, &warned);
            }
        }
        response
    }

    /// A provisional answer to an INVITE of ours: PRACK if it is reliable. False: it came before, or out of order, and
    /// does not count (RFC 3262 §4).
    pub(crate) fn acknowledge_provisional(
        &mut self,
        now: Now,
        key: LegKey,
        response: &Response,
    ) -> bool {
        let number = response.headers.first(&Name::RSeq);
        let number: Option<u32> = number.and_then(|value| value.trim().parse().ok());
        let (Some(number), true) = (number, response.headers.has_token(&Name::Require, OPTION))
        else {
            return true;
        };
        let Some(leg) = self.legs.find(key) else {
            return false;
        };
        let path = leg.path;
        let contact = self.our_contact(path);
        let Some(leg) = self.legs.find_mut(key) else {
            return false;
        };
        let (Ok(begun), Some(cseq)) = (
            Dialog::uac(&leg.invite, response, path, contact),
            leg.invite.cseq(),
        ) else {
            return false;
        };
        let early = &mut leg.reliable.early;
        let known = early
            .iter()
            .position(|(dialog, _)| dialog.key() == begun.key());
        let place = match known {
            Some(place) if early[place].1.checked_add(1) != Some(number) => return false,
            Some(place) => place,
            None if early.len() >= MOST_FORKS => return false,
            None => {
                early.push((begun, number));
                early.len() - 1
            }
        };
        let (dialog, last) = &mut early[place];
        *last = number;
        let mut prack = dialog.create_request(Method::Prack);
        prack.headers.push(Name::RAck, &format!("{number} {cseq}"));
        let path = dialog.target_path();
        let client = self.transactions.request(now.mono, path, prack);
        self.legs.name_client(client, key, Purpose::Prack);
        true
    }
}

/// Number of the answer and of the INVITE in a RAck value (RFC 3262 §7.2).
fn read_rack(value: &str) -> Option<(u32, u32)> {
    let mut parts = value.split_ascii_whitespace();
    let numbers = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let invite = parts.next()?.eq_ignore_ascii_case("INVITE");
    (invite && parts.next().is_none()).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rack_is_read_or_refused() {
        assert_eq!(read_rack("776656 1 INVITE"), Some((776_656, 1)));
        for wrong in ["", "1", "1 2", "1 2 BYE", "1 2 INVITE x", "-1 2 INVITE"] {
            assert_eq!(read_rack(wrong), None, "{wrong}");
        }
    }
}
