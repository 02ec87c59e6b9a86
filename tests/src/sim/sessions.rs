//! Session timers (RFC 4028) from the side of a simulated telephone or caller.

use std::time::Duration;

use super::{
    chance::Chance,
    message::{Message, parameter, sdp},
    mood::{Habits, Timer},
    reliable::Reliable,
    talk::Talk,
};

/// The timer of one dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The interval.
    pub secs: u32,
    /// We refresh.
    pub ours: bool,
    /// Refreshed then; noted when time is looked at next.
    since: Option<Duration>,
    asked: bool,
}

impl Session {
    /// As the 2xx says; `ours` says who sent the request.
    pub(super) fn of(answer: &Message, ours: bool) -> Option<Self> {
        let value = answer.header("Session-Expires")?;
        let secs = value.split(';').next()?.trim().parse().ok()?;
        let by_asker = parameter(value, "refresher") != Some("uas");
        Some(Self {
            secs,
            ours: by_asker == ours,
            since: None,
            asked: false,
        })
    }
}

/// The interval that a message asks for.
fn asked(message: &Message) -> Option<u32> {
    let value = message.header("Session-Expires")?;
    value.split(';').next()?.trim().parse().ok()
}

/// The refusal of an interval that is shorter than this one.
pub(super) fn too_short(request: &Message, least: Option<u32>) -> Option<Message> {
    let least = least.filter(|least| asked(request).is_some_and(|secs| secs < *least))?;
    Some(Message::response(request, 422, "short").with("Min-SE", least.to_string()))
}

/// The answer, with a timer if the request asked for one and the habits allow it.
pub(super) fn granted(request: &Message, answer: Message, habits: Habits) -> Message {
    let answer = answer.with("Allow", habits.allow());
    let (Some(secs), true) = (asked(request), habits.timer != Timer::Unknown) else {
        return answer;
    };
    let said = parameter(request.text("Session-Expires"), "refresher");
    let refresher = said.unwrap_or(match habits.timer {
        Timer::Refreshes | Timer::Forgets => "uas",
        _ => "uac",
    });
    let answer = answer
        .with("Supported", "timer")
        .with("Session-Expires", format!("{secs};refresher={refresher}"));
    match refresher {
        "uac" => answer.with("Require", "timer"),
        _ => answer,
    }
}

/// An INVITE of ours that asks for a timer.
pub(super) fn asking(invite: Message, habits: Habits, secs: Option<u32>) -> Message {
    let invite = invite.with("Allow", habits.allow());
    let refresher = match habits.timer {
        Timer::Unknown => return invite,
        Timer::Known => "",
        Timer::Refreshes | Timer::Forgets => ";refresher=uac",
    };
    let invite = invite.with("Supported", "timer");
    match secs {
        Some(secs) => invite.with("Session-Expires", format!("{secs}{refresher}")),
        None => invite,
    }
}

impl Talk {
    /// When [`Talk::tend`] has something to do.
    pub fn next(&self) -> Option<Duration> {
        let session = self.session.filter(|_| !self.over)?;
        let Some(since) = session.since else {
            return Some(Duration::ZERO);
        };
        match session.ours {
            true if session.asked || self.habits.timer == Timer::Forgets => None,
            true => Some(since + Duration::from_secs(u64::from(session.secs / 2))),
            false => Some(since + end(session.secs)),
        }
    }

    /// Refreshes the session, or ends one that nobody refreshed.
    pub fn tend(&mut self, now: Duration, reliable: &mut Reliable, chance: &mut Chance) {
        let Some(session) = self.session.as_mut().filter(|_| !self.over) else {
            return;
        };
        session.since.get_or_insert(now);
        if self.next().is_none_or(|at| at > now) {
            return;
        }
        if self.session.is_some_and(|session| !session.ours) {
            self.expired = true;
            return self.hang_up(now, reliable, chance);
        }
        let secs = self.session.map_or(0, |session| session.secs);
        let method = match self.habits.updates {
            true => "UPDATE",
            false => "INVITE",
        };
        let mut request = self
            .request(method, chance)
            .with("Supported", "timer")
            .with("Allow", self.habits.allow())
            .with("Session-Expires", format!("{secs};refresher=uac"));
        if method == "INVITE" {
            let direction = if self.holding { "sendonly" } else { "sendrecv" };
            request = request.with_sdp(sdp(self.media, self.sdp_version, direction));
        }
        if let Some(session) = &mut self.session {
            session.asked = true;
        }
        reliable.ask(now, request);
    }

    /// A 2xx to an INVITE or UPDATE, sent by whom `ours` says, sets the timer anew.
    pub(super) fn refreshed(&mut self, answer: &Message, ours: bool) {
        self.session = Session::of(answer, ours);
    }

    /// A refusal: once more after the other side has had its turn.
    pub(super) fn not_refreshed(&mut self) {
        if let Some(session) = &mut self.session {
            session.asked = false;
            session.since = None;
        }
    }
}

/// RFC 4028 §10: whoever does not refresh ends the session then.
fn end(secs: u32) -> Duration {
    Duration::from_secs(u64::from(secs - 32.min(secs / 3)))
}
